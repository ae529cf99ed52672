//! skopeo: copies whole indexes in and out, between repositories, lists and deletes.

use clients::{Bench, Image, Program, image, text};

#[tokio::test]
async fn skopeo_copies_a_multi_platform_image_in_and_out() {
    let bench = Bench::start().unwrap();
    let image = Image::debian().unwrap();
    let skopeo = Program::debian("skopeo").unwrap();
    let first = format!("docker://{}", bench.image("skopeo/debian:v1"));
    let second = format!("docker://{}", bench.image("elsewhere/debian:v2"));

    skopeo
        .run(&[
            "copy",
            "--all",
            "--dest-tls-verify=false",
            &image.reference(),
            &first,
        ])
        .unwrap();
    assert_eq!(
        bench.digest("skopeo/debian", "v1").await.unwrap(),
        image.digest
    );
    bench.ensure_whole("skopeo/debian", &image).await.unwrap();

    let back = bench.path("back");
    let to = format!("oci:{}:{}", text(&back), image::TAG);
    skopeo
        .run(&["copy", "--all", "--src-tls-verify=false", &first, &to])
        .unwrap();
    image.ensure_same(&Image::open(&back).unwrap()).unwrap();

    // Between repositories of one registry skopeo mounts.
    let tls = ["--src-tls-verify=false", "--dest-tls-verify=false"];
    skopeo
        .run(&["copy", "--all", tls[0], tls[1], &first, &second])
        .unwrap();
    assert_eq!(
        bench.digest("elsewhere/debian", "v2").await.unwrap(),
        image.digest
    );

    let tags = skopeo
        .run(&[
            "list-tags",
            "--tls-verify=false",
            &second.replace(":v2", ""),
        ])
        .unwrap();
    assert!(tags.contains("\"v2\""), "{tags}");

    skopeo
        .run(&["delete", "--tls-verify=false", &second])
        .unwrap();
    bench.ensure_gone("elsewhere/debian", "v2").await.unwrap();
    bench.ensure_whole("skopeo/debian", &image).await.unwrap();
}

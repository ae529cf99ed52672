//! buildah: builds on an image, pushes the result, and finds its file again in what it pulls.

use clients::{Bench, Image, Program, text};

#[tokio::test]
async fn buildah_pushes_what_it_builds() {
    let bench = Bench::start().unwrap();
    let image = Image::debian().unwrap();
    let [root, run, digest_file, file] =
        ["root", "run", "digest", "file"].map(|name| text(&bench.path(name)));
    let buildah = Program::debian("buildah").unwrap();
    let buildah = buildah.always([
        "--root",
        &root,
        "--runroot",
        &run,
        "--storage-driver=overlay",
    ]);
    std::fs::write(&file, "built here\n").unwrap();

    let source = bench.seed("buildah/source:v1", &image).unwrap();
    let container = buildah
        .run(&["from", "--tls-verify=false", &source])
        .unwrap();
    buildah
        .run(&["copy", container.trim(), &file, "/opt/built"])
        .unwrap();
    buildah
        .run(&["config", "--label", "made.by=buildah", container.trim()])
        .unwrap();
    buildah
        .run(&["commit", "-q", container.trim(), "built"])
        .unwrap();
    let to = format!("docker://{}", bench.image("buildah/built:v1"));
    buildah
        .run(&[
            "push",
            "-q",
            "--tls-verify=false",
            "--digestfile",
            &digest_file,
            "built",
            &to,
        ])
        .unwrap();
    let pushed = std::fs::read_to_string(&digest_file).unwrap();
    assert_eq!(
        bench.digest("buildah/built", "v1").await.unwrap(),
        pushed.trim()
    );

    buildah.run(&["rm", "--all"]).unwrap();
    buildah.run(&["rmi", "--all", "--force"]).unwrap();
    let container = buildah
        .run(&[
            "from",
            "--tls-verify=false",
            &bench.image("buildah/built:v1"),
        ])
        .unwrap();
    let mounted = buildah.run(&["mount", container.trim()]).unwrap();
    let found = std::fs::read_to_string(format!("{}/opt/built", mounted.trim())).unwrap();
    assert_eq!(found, "built here\n");
    buildah.run(&["umount", container.trim()]).unwrap();

    bench.delete("buildah/built", pushed.trim()).await.unwrap();
    buildah
        .fails(&[
            "pull",
            "--policy=always",
            "--tls-verify=false",
            &bench.image("buildah/built:v1"),
        ])
        .unwrap();
}

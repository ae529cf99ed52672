//! umoci: changes a layout, which travels through the registry and is unpacked on the other side.

use clients::{Bench, Image, Program, text};

#[tokio::test]
async fn umoci_unpacks_what_it_put_in() {
    let bench = Bench::start().unwrap();
    let image = Image::debian().unwrap();
    let skopeo = Program::debian("skopeo").unwrap();
    let umoci = Program::debian("umoci").unwrap();
    let [there, back, bundle, file] =
        ["there", "back", "bundle", "file"].map(|name| text(&bench.path(name)));
    std::fs::write(&file, "inserted\n").unwrap();

    // Without --all this is the image of this machine's platform alone.
    skopeo
        .run(&["copy", &image.reference(), &format!("oci:{there}:v1")])
        .unwrap();
    umoci
        .run(&[
            "insert",
            "--image",
            &format!("{there}:v1"),
            &file,
            "/opt/inserted",
        ])
        .unwrap();
    let registry = format!("docker://{}", bench.image("umoci/debian:v1"));
    skopeo
        .run(&[
            "copy",
            "--dest-tls-verify=false",
            &format!("oci:{there}:v1"),
            &registry,
        ])
        .unwrap();
    skopeo
        .run(&[
            "copy",
            "--src-tls-verify=false",
            &registry,
            &format!("oci:{back}:v1"),
        ])
        .unwrap();

    let sent = Image::open(there.as_ref()).unwrap();
    sent.ensure_same(&Image::open(back.as_ref()).unwrap())
        .unwrap();
    assert_eq!(
        bench.digest("umoci/debian", "v1").await.unwrap(),
        sent.digest
    );
    umoci
        .run(&["unpack", "--image", &format!("{back}:v1"), &bundle])
        .unwrap();
    let found = std::fs::read_to_string(format!("{bundle}/rootfs/opt/inserted")).unwrap();
    assert_eq!(found, "inserted\n");
    assert!(std::path::Path::new(&format!("{bundle}/rootfs/opt/noise")).is_file());
}

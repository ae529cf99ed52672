//! podman: pushes and pulls an image and a list of two platforms, with storage of its own.

use clients::{Bench, Image, Program, engines, text};

#[tokio::test]
async fn podman_pushes_what_it_pulls() {
    let bench = Bench::start().unwrap();
    let image = Image::debian().unwrap();
    let podman = engines::podman(bench.folder()).unwrap();
    let digest_file = text(&bench.path("digest"));
    let source = bench.seed("podman/source:v1", &image).unwrap();
    let id = podman
        .run(&["pull", "-q", "--tls-verify=false", &source])
        .unwrap();
    let id = id.trim();

    for name in ["podman/debian", "podman/again"] {
        let to = format!("docker://{}", bench.image(&format!("{name}:v1")));
        podman
            .run(&[
                "push",
                "-q",
                "--tls-verify=false",
                "--digestfile",
                &digest_file,
                id,
                &to,
            ])
            .unwrap();
        let pushed = std::fs::read_to_string(&digest_file).unwrap();
        assert_eq!(bench.digest(name, "v1").await.unwrap(), pushed.trim());
    }
    let digest = bench.digest("podman/debian", "v1").await.unwrap();

    podman.run(&["rmi", "--all", "--force"]).unwrap();
    let by_digest = bench.image(&format!("podman/debian@{digest}"));
    let pulled = podman
        .run(&["pull", "-q", "--tls-verify=false", &by_digest])
        .unwrap();
    assert_eq!(pulled.trim(), id, "the image came back with another id");

    bench.delete("podman/again", &digest).await.unwrap();
    podman
        .fails(&[
            "pull",
            "-q",
            "--tls-verify=false",
            &bench.image("podman/again:v1"),
        ])
        .unwrap();
    bench.digest("podman/debian", "v1").await.unwrap();
}

#[tokio::test]
async fn podman_pushes_a_list_of_platforms() {
    let bench = Bench::start().unwrap();
    let image = Image::debian().unwrap();
    let podman = engines::podman(bench.folder()).unwrap();
    let source = bench.seed("podman/source:v1", &image).unwrap();
    let skopeo = Program::debian("skopeo").unwrap();

    podman.run(&["manifest", "create", "list"]).unwrap();
    podman
        .run(&[
            "manifest",
            "add",
            "--all",
            "--tls-verify=false",
            "list",
            &format!("docker://{source}"),
        ])
        .unwrap();
    let to = format!("docker://{}", bench.image("podman/list:v1"));
    podman
        .run(&[
            "manifest",
            "push",
            "--all",
            "--tls-verify=false",
            "list",
            &to,
        ])
        .unwrap();

    let raw = skopeo
        .run(&["inspect", "--raw", "--tls-verify=false", &to])
        .unwrap();
    for child in &image.manifests()[1..] {
        assert!(raw.contains(child.as_str()), "{child} is not in {raw}");
    }
}

//! The docker engine, started with folders of its own: pushes, mounts, pulls by tag and by digest, and reads an index.

use clients::engines::{docker, pushed_digest};
use clients::{Bench, Image, Program, text};

#[tokio::test]
async fn docker_pushes_mounts_and_pulls() {
    let bench = Bench::start().unwrap();
    let image = Image::debian().unwrap();
    let (_engine, docker) = docker(bench.folder()).unwrap();
    let skopeo = Program::debian("skopeo").unwrap();
    let archive = text(&bench.path("archive.tar"));
    let [first, second] = ["docker/debian:v1", "docker/mounted:v1"].map(|name| bench.image(name));
    skopeo
        .run(&[
            "copy",
            &image.reference(),
            &format!("docker-archive:{archive}:{first}"),
        ])
        .unwrap();
    docker.run(&["load", "-q", "-i", &archive]).unwrap();
    std::fs::remove_file(&archive).unwrap();
    let id = docker
        .run(&["image", "inspect", "-f", "{{.Id}}", &first])
        .unwrap();

    let said = docker.run(&["push", &first]).unwrap();
    let digest = pushed_digest(&said).to_owned();
    assert_eq!(bench.digest("docker/debian", "v1").await.unwrap(), digest);

    docker.run(&["tag", &first, &second]).unwrap();
    let said = docker.run(&["push", &second]).unwrap();
    assert!(said.contains("Mounted from docker/debian"), "{said}");
    assert_eq!(pushed_digest(&said), digest);

    let by_digest = bench.image(&format!("docker/mounted@{digest}"));
    docker.run(&["rmi", "--force", &first, &second]).unwrap();
    for reference in [&first, &by_digest] {
        docker.run(&["pull", "-q", reference]).unwrap();
        assert_eq!(
            docker
                .run(&["image", "inspect", "-f", "{{.Id}}", reference])
                .unwrap(),
            id
        );
        docker.run(&["rmi", "--force", reference]).unwrap();
    }

    bench.delete("docker/mounted", &digest).await.unwrap();
    docker.fails(&["pull", "-q", &second]).unwrap();
    docker.run(&["pull", "-q", &first]).unwrap();
}

#[tokio::test]
async fn docker_pulls_its_platform_of_an_index() {
    let bench = Bench::start().unwrap();
    let image = Image::debian().unwrap();
    let (_engine, docker) = docker(bench.folder()).unwrap();
    let name = bench.seed("docker/index:v1", &image).unwrap();

    for (platform, architecture) in [("linux/amd64", "amd64"), ("linux/arm64", "arm64")] {
        docker
            .run(&["pull", "-q", "--platform", platform, &name])
            .unwrap();
        let shown = docker
            .run(&[
                "image",
                "inspect",
                "-f",
                "{{.Architecture}} {{.RepoDigests}}",
                &name,
            ])
            .unwrap();
        assert!(
            shown.starts_with(architecture) && shown.contains(&image.digest),
            "{shown}"
        );
        // The engine keeps one platform of a digest at a time.
        docker.run(&["rmi", "--force", &name]).unwrap();
    }
}

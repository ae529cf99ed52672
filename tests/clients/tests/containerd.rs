//! containerd's `ctr`, with a containerd of its own: pushes and pulls all platforms of an index.

use std::time::Duration;

use clients::{Bench, Image, Program, image, text};
use harness::{Process, tools};

/// containerd without what only Kubernetes wants of it.
fn containerd(bench: &Bench, name: &str) -> anyhow::Result<(Process, Program)> {
    let [root, state, socket, config] = ["root", "state", "socket", "config"]
        .map(|part| text(&bench.path(&format!("{name}-{part}"))));
    let text = format!(
        "version = 2\nroot = \"{root}\"\nstate = \"{state}\"\n\
         disabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n[grpc]\naddress = \"{socket}\"\n"
    );
    std::fs::write(&config, text)?;
    let daemon = Program::debian("containerd")?;
    let mut process = Process::start("containerd", &mut daemon.command(&["--config", &config]))?;
    let ctr = Program::debian("ctr")?.always(["--address", &socket]);
    let up = || ctr.run(&["version"]).is_ok();
    process.wait_until("an answer on its socket", Duration::from_secs(60), up)?;
    Ok((process, ctr))
}

#[tokio::test]
async fn ctr_pushes_and_pulls_every_platform() {
    let bench = Bench::start().unwrap();
    let image = Image::debian().unwrap();
    let archive = text(&bench.path("archive.tar"));
    let pack = ["-C", &text(image.layout()), "-cf", &archive, "."].map(str::to_owned);
    tools::run(std::process::Command::new("tar").args(pack)).unwrap();
    let here = format!("local/debian:{}", image::TAG);
    let [first, second] = ["ctr/debian:v1", "ctr/mounted:v1"].map(|name| bench.image(name));

    let (_sender, ctr) = containerd(&bench, "sender").unwrap();
    ctr.run(&[
        "images",
        "import",
        "--all-platforms",
        "--no-unpack",
        "--base-name",
        "local/debian",
        &archive,
    ])
    .unwrap();
    for (from, to) in [(&here, &first), (&here, &second)] {
        ctr.run(&["images", "push", "--plain-http", to, from])
            .unwrap();
    }
    for repository in ["ctr/debian", "ctr/mounted"] {
        assert_eq!(bench.digest(repository, "v1").await.unwrap(), image.digest);
        bench.ensure_whole(repository, &image).await.unwrap();
    }

    let (_receiver, ctr) = containerd(&bench, "receiver").unwrap();
    ctr.run(&[
        "content",
        "fetch",
        "--plain-http",
        "--all-platforms",
        &first,
    ])
    .unwrap();
    for digest in image.manifests() {
        let content = ctr.run(&["content", "get", &digest]).unwrap();
        assert_eq!(harness::client::sha256(content.as_bytes()), digest);
    }
    let listed = ctr.run(&["content", "ls", "-q"]).unwrap();
    for digest in image.blobs() {
        assert!(listed.contains(&digest), "{digest} was not fetched");
    }

    bench.delete("ctr/mounted", &image.digest).await.unwrap();
    ctr.fails(&[
        "content",
        "fetch",
        "--plain-http",
        "--all-platforms",
        &second,
    ])
    .unwrap();
    bench.ensure_whole("ctr/debian", &image).await.unwrap();
}

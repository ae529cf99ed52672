//! Real clients by TLS: with the node's own authority, with certificates that are replaced meanwhile, with certificates of
//! clients, and from behind proxies that are believed or not.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use clients::engines::{docker, podman, pushed_digest};
use clients::{Bench, Image, Program, image, text};
use harness::{HoldfastServer, Process, ports};
use identity::{UnixSeconds, keep_serving_certificate};

/// How many times a certificate is replaced under a push, and how long each is left alone at least.
const REPLACEMENTS: usize = 10;
const BETWEEN: Duration = Duration::from_millis(200);
/// A line of the log comes soon after the answer.
const SOON: Duration = Duration::from_secs(20);

fn self_signed() -> anyhow::Result<HoldfastServer> {
    let server = HoldfastServer::with().flag("--tls").flag("self-signed");
    server.start()
}

fn authority(server: &HoldfastServer) -> PathBuf {
    server.data().join("tls/authority.pem")
}

/// A folder as clients keep it for a registry: with the authority that they trust.
fn trusting(bench: &Bench, authority: &Path) -> anyhow::Result<String> {
    let folder = bench.path("certs");
    std::fs::create_dir_all(&folder)?;
    std::fs::copy(authority, folder.join("ca.crt"))?;
    Ok(text(&folder))
}

fn curl() -> anyhow::Result<Program> {
    let program = Program::debian("curl")?;
    Ok(program.always(["-sS", "--max-time", "60", "-o", "/dev/null", "-w"]))
}

#[tokio::test]
async fn skopeo_pushes_and_pulls_when_it_trusts_the_authority() {
    let server = self_signed().unwrap();
    let (address, authority) = (server.address().to_owned(), authority(&server));
    let bench = Bench::of(&address, Box::new(server)).unwrap();
    let image = Image::fresh(bench.folder(), 3, 1 << 20).unwrap();
    let certs = trusting(&bench, &authority).unwrap();
    let skopeo = Program::debian("skopeo").unwrap();
    let name = format!("docker://{}", bench.image("skopeo/tls:v1"));

    skopeo.fails(&["copy", &image.reference(), &name]).unwrap();
    let to = ["--dest-cert-dir", &certs];
    skopeo
        .run(&["copy", to[0], to[1], &image.reference(), &name])
        .unwrap();
    let back = bench.path("back");
    let layout = format!("oci:{}:{}", text(&back), image::TAG);
    skopeo
        .run(&["copy", "--src-cert-dir", &certs, &name, &layout])
        .unwrap();
    image.ensure_same(&Image::open(&back).unwrap()).unwrap();

    let podman = podman(bench.folder()).unwrap();
    let name = bench.image("skopeo/tls:v1");
    podman.fails(&["pull", "-q", &name]).unwrap();
    podman
        .run(&["pull", "-q", "--cert-dir", &certs, &name])
        .unwrap();
}

#[tokio::test]
async fn docker_pushes_and_pulls_by_tls() {
    let server = self_signed().unwrap();
    let address = server.address().to_owned();
    let bench = Bench::of(&address, Box::new(server)).unwrap();
    let image = Image::fresh(bench.folder(), 3, 1 << 20).unwrap();
    let (_engine, docker) = docker(bench.folder()).unwrap();
    let skopeo = Program::debian("skopeo").unwrap();
    let (archive, name) = (
        text(&bench.path("archive.tar")),
        bench.image("docker/tls:v1"),
    );
    let to = format!("docker-archive:{archive}:{name}");
    skopeo.run(&["copy", &image.reference(), &to]).unwrap();
    docker.run(&["load", "-q", "-i", &archive]).unwrap();

    // Docker takes loopback on trust; that it spoke TLS is certain all the same, since the port speaks nothing else.
    let said = docker.run(&["push", &name]).unwrap();
    let digest = pushed_digest(&said).to_owned();
    docker.run(&["rmi", "--force", &name]).unwrap();
    let by_digest = bench.image(&format!("docker/tls@{digest}"));
    docker.run(&["pull", "-q", &by_digest]).unwrap();
}

#[tokio::test]
async fn versions_and_protocols_are_agreed_on_and_plain_http_is_told() {
    let server = self_signed().unwrap();
    let (address, authority) = (server.address(), text(&authority(&server)));
    let port = address.rsplit_once(':').unwrap().1;
    let curl = curl().unwrap();
    let tell = "%{http_code} %{http_version}";
    for host in ["127.0.0.1", "localhost", "[::1]"] {
        let url = format!("https://{host}:{port}/v2/");
        let there = ["--connect-to", &format!("::127.0.0.1:{port}")].map(str::to_owned);
        let ask = |more: &[&str]| {
            let fixed = [tell, "--cacert", &authority, &there[0], &there[1], &url];
            curl.run(&[&fixed[..], more].concat()).unwrap()
        };
        assert_eq!(ask(&["--tlsv1.3"]), "200 2", "{host}");
        assert_eq!(ask(&["--tls-max", "1.2"]), "200 2", "{host}");
        assert_eq!(ask(&["--http1.1"]), "200 1.1", "{host}");
    }
    let url = format!("http://{address}/v2/");
    assert_eq!(curl.run(&[tell, &url]).unwrap(), "400 1.1");
    let ready = Program::debian("curl").unwrap();
    let url = format!("https://{address}/readyz?verbose");
    let said = ready.run(&["-sS", "--cacert", &authority, &url]).unwrap();
    assert!(
        said.starts_with("ready\ntls: the certificate is valid until "),
        "{said}"
    );
}

/// Puts another certificate of the same authority in the place of the last.
fn replace(folder: &Path) -> anyhow::Result<PathBuf> {
    // Its own folder first: what is served is replaced whole.
    let now = UnixSeconds::from(SystemTime::now());
    let next = folder.join("next");
    drop(std::fs::remove_file(next.join("server.pem")));
    let names = ["127.0.0.1".to_owned()];
    let files = keep_serving_certificate(&next, &names, now)?;
    let served = folder.join("server.pem");
    std::fs::rename(files.server, &served)?;
    Ok(served)
}

#[tokio::test]
async fn a_certificate_that_is_replaced_during_pushes_fails_none() {
    let folder = tempfile::tempdir().unwrap();
    let file = replace(folder.path()).unwrap();
    let setting = format!("tls.certificate={}", file.display());
    let server = HoldfastServer::with().flag("--set").flag(setting);
    let mut server = server.start().unwrap();
    let (address, pid) = (server.address().to_owned(), server.process().id());
    let bench = Bench::of(&address, Box::new(())).unwrap();
    let certs = trusting(&bench, &folder.path().join("next/authority.pem")).unwrap();
    let skopeo = Program::debian("skopeo").unwrap();
    let done = AtomicBool::new(false);

    let pushes = std::thread::scope(|scope| {
        let pushing = scope.spawn(|| {
            let mut pushes = 0;
            while !done.load(Ordering::Relaxed) || pushes == 0 {
                let layout = bench.path(&format!("push-{pushes}"));
                std::fs::create_dir(&layout).unwrap();
                let image = Image::fresh(&layout, 4, 4 << 20).unwrap();
                let name = format!(
                    "docker://{}",
                    bench.image(&format!("tls/replaced:v{pushes}"))
                );
                skopeo
                    .run(&["copy", "--dest-cert-dir", &certs, &image.reference(), &name])
                    .unwrap();
                pushes += 1;
            }
            pushes
        });
        // One connection that lasts longer than all replacements.
        let slow = scope.spawn(|| {
            let body = bench.path("slow");
            std::fs::write(&body, vec![7; 6 << 20]).unwrap();
            let curl = Program::debian("curl").unwrap();
            let digest = harness::client::sha256(&std::fs::read(&body).unwrap());
            let url = format!("https://{address}/v2/tls/slow/blobs/uploads/?digest={digest}");
            let ca = format!("{certs}/ca.crt");
            let body = format!("@{}", text(&body));
            let how = ["-sS", "--limit-rate", "2M", "--cacert", &ca, "-X", "POST"];
            let what = [
                "-H",
                "Content-Type: application/octet-stream",
                "--data-binary",
                &body,
            ];
            let tell = ["-w", "%{http_code}", &url];
            curl.run(&[&how[..], &what, &tell].concat()).unwrap()
        });
        for _ in 0..REPLACEMENTS {
            std::thread::sleep(BETWEEN);
            replace(folder.path()).unwrap();
            let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
            rustix::process::kill_process(pid, rustix::process::Signal::HUP).unwrap();
        }
        assert_eq!(slow.join().unwrap(), "201");
        done.store(true, Ordering::Relaxed);
        pushing.join().unwrap()
    });
    assert!(pushes > 0);
    let replaced = server.process().said();
    let replaced = replaced.matches("the certificate was replaced").count();
    assert!(replaced >= REPLACEMENTS / 2, "{replaced} were taken");
}

/// An authority of clients, and the certificate and key of a client that it signed, in PEM.
fn client_certificate() -> anyhow::Result<[String; 3]> {
    let key = rcgen::KeyPair::generate()?;
    let mut params = rcgen::CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = params.self_signed(&key)?.pem();
    let issuer = rcgen::Issuer::new(params, key);
    let key = rcgen::KeyPair::generate()?;
    let mut params = rcgen::CertificateParams::new(vec!["robot.example.com".to_owned()])?;
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    let certificate = params.signed_by(&key, &issuer)?.pem();
    Ok([authority, certificate, key.serialize_pem()])
}

#[tokio::test]
async fn skopeo_shows_its_certificate_where_one_is_required() {
    let folder = tempfile::tempdir().unwrap();
    let [authorities, certificate, key] = client_certificate().unwrap();
    let file = folder.path().join("clients.pem");
    std::fs::write(&file, authorities).unwrap();
    let server = HoldfastServer::with().flag("--tls").flag("self-signed");
    let server = server.env("HOLDFAST_TLS_CLIENT_AUTHORITIES", &file);
    let server = server.env("HOLDFAST_TLS_CLIENT_CERTIFICATES", "optional");
    let mut server = server.start().unwrap();
    let required = [
        ("HOLDFAST_TLS_CLIENT_AUTHORITIES", text(&file)),
        ("HOLDFAST_TLS_CLIENT_CERTIFICATES", "required".to_owned()),
    ];
    let (data, file) = (server.data().to_owned(), authority(&server));
    let bench = Bench::of(server.address(), Box::new(())).unwrap();
    let image = Image::fresh(bench.folder(), 1, 1 << 20).unwrap();
    let certs = trusting(&bench, &file).unwrap();
    let skopeo = Program::debian("skopeo").unwrap();
    let push = |address: &str| {
        let name = format!("docker://{address}/skopeo/certificate:v1");
        let to = ["copy", "--dest-cert-dir", &certs];
        skopeo.run(&[&to[..], &[&image.reference(), &name]].concat())
    };
    push(server.address()).unwrap();
    server.kill();

    // Without a certificate nobody comes as far as to be told whether it is ready.
    let mut command = std::process::Command::new(harness::holdfast::program().unwrap());
    command.args(["serve", "--tls", "self-signed", "--listen", "127.0.0.1:0"]);
    command.arg("--data").arg(data).envs(required);
    let mut process = Process::start("holdfast", &mut command).unwrap();
    let address = process
        .wait_for_line("listening on https://", SOON)
        .unwrap();
    assert!(push(&address).is_err());
    std::fs::write(Path::new(&certs).join("client.cert"), certificate).unwrap();
    std::fs::write(Path::new(&certs).join("client.key"), key).unwrap();
    push(&address).unwrap();
}

/// The client's address as the node's log tells it, of the request with this id.
fn client_of(server: &mut HoldfastServer, id: &str) -> String {
    let mut line = None;
    let wanted = format!("\"id\":\"{id}\"");
    let process = server.process();
    let deadline = std::time::Instant::now() + SOON;
    while line.is_none() && std::time::Instant::now() < deadline {
        let said = process.said();
        line = said
            .lines()
            .find(|l| l.contains(&wanted))
            .map(str::to_owned);
        std::thread::yield_now();
    }
    let line = line.expect("the request is in the log");
    let rest = line.split("\"client\":\"").nth(1).expect("it has a client");
    rest.split('"').next().unwrap_or_default().to_owned()
}

/// HAProxy as a proxy of connections to `node`: at the first address with PROXY headers of version 1, at the second with 2.
fn tunnels(folder: &Path, node: &str) -> anyhow::Result<(Process, [String; 2])> {
    let ends: [u16; 2] = ports::free()?;
    let ends = ends.map(|port| format!("127.0.0.1:{port}"));
    let row = |end: &String, version: &str| {
        format!("listen {version}\n    bind {end}\n    server node {node} {version}\n")
    };
    let times = "defaults\n    mode tcp\n    timeout connect 5s\n    timeout client 60s\n    timeout server 60s\n";
    let rows = row(&ends[0], "send-proxy") + &row(&ends[1], "send-proxy-v2");
    let file = folder.join("haproxy.cfg");
    std::fs::write(&file, format!("{times}{rows}"))?;
    let haproxy = Program::debian("haproxy")?;
    let mut command = haproxy.command(&["-db", "-f", &text(&file)]);
    let mut process = Process::start("haproxy", &mut command)?;
    for end in &ends {
        let is_up = || std::net::TcpStream::connect(end).is_ok();
        process.wait_until("a port", SOON, is_up)?;
    }
    Ok((process, ends))
}

#[test]
fn clients_behind_proxies_are_told_by_trusted_ones_only() {
    let curl = curl().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let ask = |address: &str, from: &str, id: &str, more: &[&str]| {
        let (url, id) = (
            format!("http://{address}/v2/"),
            format!("X-Request-Id: {id}"),
        );
        let fixed = ["%{http_code}", "--interface", from, "-H", &id, &url];
        curl.run(&[&fixed[..], more].concat())
    };
    let served = |asked: anyhow::Result<String>| assert_eq!(asked.unwrap(), "200");
    // Curl may see the end before the answer.
    let refused =
        |asked: anyhow::Result<String>| assert!(asked.is_err() || asked.unwrap() == "400");
    let words = ["-H", "X-Forwarded-For: 203.0.113.9, 192.0.2.1"];

    let mut server = HoldfastServer::start().unwrap();
    let address = server.address().to_owned();
    served(ask(&address, "127.0.0.1", "nobody", &words));
    assert_eq!(client_of(&mut server, "nobody"), "127.0.0.1");
    let header = ["--haproxy-protocol"];
    refused(ask(&address, "127.0.0.1", "header", &header));

    let server = HoldfastServer::with();
    let server = server.env("HOLDFAST_SERVER_TRUSTED_PROXIES", "127.0.0.1");
    let server = server.env("HOLDFAST_SERVER_PROXY_PROTOCOL", "optional");
    let mut server = server.start().unwrap();
    let address = server.address().to_owned();
    served(ask(&address, "127.0.0.1", "proxy", &words));
    assert_eq!(client_of(&mut server, "proxy"), "192.0.2.1");
    served(ask(&address, "127.0.0.9", "stranger", &words));
    assert_eq!(client_of(&mut server, "stranger"), "127.0.0.9");
    refused(ask(&address, "127.0.0.9", "header", &header));
    let (_haproxy, ends) = tunnels(folder.path(), &address).unwrap();
    for (id, end) in ["v1", "v2"].into_iter().zip(&ends) {
        // What comes through a tunnel are its client's words.
        served(ask(end, "127.0.0.7", id, &words));
        assert_eq!(client_of(&mut server, id), "127.0.0.7");
    }
}

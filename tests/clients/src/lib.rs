//! What the tests of real clients share: the image that they push, the registry that they push to, and how a client is
//! called.
//!
//! The clients are those of Debian's packages. What other clients send is replayed in the suite `replay`.

pub mod engines;
pub mod image;
mod mounts;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail, ensure};
use harness::{Client, DockerRegistry, HoldfastServer, tools};

pub use image::Image;

/// Set to `docker-registry`, the suite runs against Debian's registry, to tell a wrong test from a wrong Holdfast.
const AGAINST: &str = "CLIENTS_AGAINST";

/// The registry under test, and a folder for what the test makes. The folder goes when this is dropped, which is to be
/// after the engines that use it: bind it before them.
pub struct Bench {
    /// `127.0.0.1:PORT`.
    pub address: String,
    /// A client of ours, to look behind the real one's back.
    pub http: Client,
    folder: tempfile::TempDir,
    _server: Box<dyn Send + Sync>,
}

impl Bench {
    /// Starts a registry with its defaults.
    pub fn start() -> anyhow::Result<Self> {
        ensure!(
            rustix::process::geteuid().is_root(),
            "container engines want root here"
        );
        let (address, server): (String, Box<dyn Send + Sync>) =
            match std::env::var(AGAINST).as_deref() {
                Ok("docker-registry") => {
                    let server = DockerRegistry::start()?;
                    (server.address.clone(), Box::new(server))
                }
                _ => {
                    let server = HoldfastServer::start()?;
                    (server.address().to_owned(), Box::new(server))
                }
            };
        Self::of(&address, server)
    }

    /// With a registry that runs already; `server` is held for its drop.
    pub fn of(address: &str, server: Box<dyn Send + Sync>) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("clients-").tempdir()?;
        Ok(Self {
            http: Client::new(address),
            address: address.to_owned(),
            folder,
            _server: server,
        })
    }

    /// The test's own folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A path in the test's own folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `ADDRESS/repository:tag`.
    pub fn image(&self, name: &str) -> String {
        format!("{}/{name}", self.address)
    }

    /// Puts the image into the registry by skopeo, for clients that cannot read every layout.
    pub fn seed(&self, name: &str, image: &Image) -> anyhow::Result<String> {
        let name = self.image(name);
        let skopeo = Program::debian("skopeo")?;
        let to = format!("docker://{name}");
        skopeo.run(&[
            "copy",
            "--all",
            "--dest-tls-verify=false",
            &image.reference(),
            &to,
        ])?;
        Ok(name)
    }

    /// The digest that the registry tells for a reference, from a `HEAD` that accepts everything.
    pub async fn digest(&self, repository: &str, reference: &str) -> anyhow::Result<String> {
        let head = self
            .http
            .head(&format!("/v2/{repository}/manifests/{reference}"))
            .header("Accept", ACCEPT);
        let reply = head.send().await?.expect(200)?;
        Ok(reply
            .header("Docker-Content-Digest")
            .context("no Docker-Content-Digest")?
            .to_owned())
    }

    /// That the reference is answered 404.
    pub async fn ensure_gone(&self, repository: &str, reference: &str) -> anyhow::Result<()> {
        let head = self
            .http
            .head(&format!("/v2/{repository}/manifests/{reference}"))
            .header("Accept", ACCEPT);
        head.send().await?.expect(404).map(drop)
    }

    /// Deletes a manifest with all tags that name it, as clients without such a command cannot.
    pub async fn delete(&self, repository: &str, digest: &str) -> anyhow::Result<()> {
        self.http
            .delete(&format!("/v2/{repository}/manifests/{digest}"))
            .send()
            .await?
            .expect(202)
            .map(drop)
    }

    /// That everything below an index of [`Image`] is in the repository, byte for byte.
    pub async fn ensure_whole(&self, repository: &str, image: &Image) -> anyhow::Result<()> {
        for digest in image.manifests() {
            let get = self
                .http
                .get(&format!("/v2/{repository}/manifests/{digest}"))
                .header("Accept", ACCEPT);
            let served = get.send().await?.expect(200)?;
            ensure!(
                served.body == std::fs::read(image.blob(&digest))?,
                "{digest} is not what was pushed"
            );
        }
        for digest in image.blobs() {
            let served = self
                .http
                .get(&format!("/v2/{repository}/blobs/{digest}"))
                .send()
                .await?
                .expect(200)?;
            ensure!(
                harness::client::sha256(&served.body) == digest,
                "{digest} has other bytes"
            );
        }
        Ok(())
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        // Nothing better can be done than to say so.
        if let Err(error) = mounts::unmount_below(self.folder.path()) {
            eprintln!("{} stays: {error:#}", self.folder.path().display());
        }
    }
}

const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json";

/// A client's program with the arguments that it gets each time.
pub struct Program {
    path: PathBuf,
    always: Vec<String>,
    environment: Vec<(String, PathBuf)>,
}

impl Program {
    /// The program of Debian's package, though another may be first on the PATH.
    pub fn debian(name: &str) -> anyhow::Result<Self> {
        let folders = ["/usr/bin", "/usr/sbin"].map(Path::new);
        let packaged = folders
            .into_iter()
            .map(|folder| folder.join(name))
            .find(|path| path.is_file());
        let path = packaged.map_or_else(|| tools::find(name), Ok)?;
        Ok(Self {
            path,
            always: Vec::new(),
            environment: Vec::new(),
        })
    }

    /// The program under test.
    pub fn holdfast() -> anyhow::Result<Self> {
        Ok(Self {
            path: harness::holdfast::program()?,
            always: Vec::new(),
            environment: Vec::new(),
        })
    }

    /// Adds arguments of every call.
    #[must_use]
    pub fn always<S: Into<String>>(mut self, arguments: impl IntoIterator<Item = S>) -> Self {
        self.always.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// Sets a variable of every call.
    #[must_use]
    pub fn env(mut self, name: &str, value: PathBuf) -> Self {
        self.environment.push((name.to_owned(), value));
        self
    }

    /// The command, for a server that is to run on.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.path);
        command.args(&self.always).args(arguments);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs it to its end, which must be a good one; returns what it printed.
    pub fn run(&self, arguments: &[&str]) -> anyhow::Result<String> {
        tools::run(&mut self.command(arguments))
    }

    /// As [`Self::run`], with this on its standard input.
    pub fn run_with_input(&self, arguments: &[&str], input: &str) -> anyhow::Result<String> {
        let mut command = self.command(arguments);
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = piped.stderr(Stdio::piped()).spawn()?;
        let mut stdin = child.stdin.take().context("it has standard input")?;
        stdin.write_all(input.as_bytes())?;
        drop(stdin);
        let output = child.wait_with_output()?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "{arguments:?} failed: {said}{errors}"
        );
        Ok(said)
    }

    /// Runs it to its end, which must be a bad one; returns what it complained of.
    pub fn complains(&self, arguments: &[&str]) -> anyhow::Result<String> {
        match self.run(arguments) {
            Ok(said) => bail!("{arguments:?} should fail: {said}"),
            Err(error) => Ok(format!("{error:#}")),
        }
    }

    /// Runs it to its end, which must be a bad one.
    pub fn fails(&self, arguments: &[&str]) -> anyhow::Result<()> {
        ensure!(self.run(arguments).is_err(), "{arguments:?} should fail");
        Ok(())
    }
}

/// A path as text for a command line.
pub fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

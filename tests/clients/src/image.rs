//! A real image, made on the spot and kept in the test cache: Debian root file systems for two platforms in one index,
//! three layers each, several hundred megabytes together.
//!
//! It is an OCI layout, written here and not by a client under test.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};
use harness::tools;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// Raised when what is made changes, so that an older cache is not used.
const VERSION: u32 = 1;

/// The tag in the layout.
pub const TAG: &str = "v1";

/// A second layer that no compression makes smaller, shared by both platforms.
const NOISE_BYTES: usize = 160 << 20;

const SMALL_FILES: usize = 300;

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// The image: a folder that is an OCI layout, with one tagged index.
pub struct Image {
    layout: PathBuf,
    /// The index's digest.
    pub digest: String,
}

impl Image {
    /// The image of the cache, made now if it is not there. One process makes it, others wait.
    pub fn debian() -> anyhow::Result<Self> {
        let folder = tools::cache()
            .context("no cache folder: set HOLDFAST_CACHE or HOME")?
            .join("images");
        std::fs::create_dir_all(&folder)?;
        let lock = File::create(folder.join("lock"))?;
        rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive)?;
        let layout = folder.join(format!("debian-{VERSION}"));
        if !layout.exists() {
            let work = tempfile::Builder::new()
                .prefix("making-")
                .tempdir_in(&folder)?;
            make(work.path()).context("the Debian image could not be made")?;
            std::fs::rename(work.path().join("layout"), &layout)?;
        }
        Self::open(&layout)
    }

    /// A small image of layers that nobody has seen before, each of so many bytes, in a folder of the caller's.
    pub fn fresh(folder: &Path, layers: usize, layer_bytes: usize) -> anyhow::Result<Self> {
        let layout = folder.join("layout");
        std::fs::create_dir_all(layout.join("blobs/sha256"))?;
        let mut made = Vec::new();
        for number in 0..layers {
            let files = noise(folder, &format!("noise-{number}"), layer_bytes)?;
            made.push(add_layer(&layout, &files)?);
            std::fs::remove_dir_all(&files)?;
        }
        let manifest = add_image(&layout, "amd64", &made)?;
        finish(&layout, manifest)?;
        Self::open(&layout)
    }

    /// The image of a layout with one entry, such as a client wrote.
    pub fn open(layout: &Path) -> anyhow::Result<Self> {
        let index: Value = serde_json::from_slice(&std::fs::read(layout.join("index.json"))?)?;
        let digest = index["manifests"][0]["digest"]
            .as_str()
            .context("the layout is empty")?
            .to_owned();
        Ok(Self {
            layout: layout.to_owned(),
            digest,
        })
    }

    /// As skopeo and its kin name it: `oci:FOLDER:TAG`.
    pub fn reference(&self) -> String {
        format!("oci:{}:{TAG}", self.layout.display())
    }

    /// The layout's folder.
    pub fn layout(&self) -> &Path {
        &self.layout
    }

    /// The file of a manifest or blob.
    pub fn blob(&self, digest: &str) -> PathBuf {
        self.layout.join("blobs").join(digest.replace(':', "/"))
    }

    fn json(&self, digest: &str) -> Value {
        let bytes = std::fs::read(self.blob(digest)).unwrap_or_default();
        serde_json::from_slice(&bytes).unwrap_or_default()
    }

    /// The index and its manifests, or the one manifest.
    pub fn manifests(&self) -> Vec<String> {
        let children = self.json(&self.digest);
        let children = children["manifests"].as_array().into_iter().flatten();
        let children = children.filter_map(|child| child["digest"].as_str().map(str::to_owned));
        std::iter::once(self.digest.clone())
            .chain(children)
            .collect()
    }

    /// All configs and layers, each once.
    pub fn blobs(&self) -> Vec<String> {
        let mut blobs = Vec::new();
        for manifest in self.manifests() {
            let manifest = self.json(&manifest);
            let layers = manifest["layers"].as_array().into_iter().flatten();
            let descriptors = layers.chain(manifest.get("config"));
            blobs.extend(descriptors.filter_map(|blob| blob["digest"].as_str().map(str::to_owned)));
        }
        blobs.sort();
        blobs.dedup();
        blobs
    }

    /// That the other layout holds the same image, byte for byte.
    pub fn ensure_same(&self, other: &Self) -> anyhow::Result<()> {
        ensure!(
            self.digest == other.digest,
            "{} came back as {}",
            self.digest,
            other.digest
        );
        for digest in self.manifests().iter().chain(&self.blobs()) {
            let came_back = format!("sha256:{}", hash(&other.blob(digest))?);
            ensure!(came_back == *digest, "{digest} came back as {came_back}");
        }
        Ok(())
    }
}

/// Makes the layout in `work/layout`.
fn make(work: &Path) -> anyhow::Result<()> {
    let layout = work.join("layout");
    std::fs::create_dir_all(layout.join("blobs/sha256"))?;
    let noise = add_layer(&layout, &noise(work, "noise", NOISE_BYTES)?)?;
    let mut manifests = Vec::new();
    for architecture in ["amd64", "arm64"] {
        let root = root_file_system(work, architecture)?;
        let small = small_files(work, architecture)?;
        let layers = [
            add_layer(&layout, &root)?,
            noise.clone(),
            add_layer(&layout, &small)?,
        ];
        std::fs::remove_dir_all(&root)?;
        let mut manifest = add_image(&layout, architecture, &layers)?;
        manifest["platform"] = json!({"architecture": architecture, "os": "linux"});
        manifests.push(manifest);
    }
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests});
    let index = add_json(&layout, INDEX, &index)?;
    finish(&layout, index)
}

/// Puts the config and the manifest of these layers into the layout, and returns the manifest's descriptor.
fn add_image(layout: &Path, architecture: &str, layers: &[Layer]) -> anyhow::Result<Value> {
    let ids: Vec<&str> = layers.iter().map(|layer| layer.id.as_str()).collect();
    let config = json!({
        "architecture": architecture, "os": "linux", "config": {"Cmd": ["/bin/sh"]},
        "rootfs": {"type": "layers", "diff_ids": ids},
        "history": ids.iter().map(|_| json!({"created_by": "holdfast's tests"})).collect::<Vec<_>>(),
    });
    let config = add_json(layout, CONFIG, &config)?;
    let layers: Vec<&Value> = layers.iter().map(|layer| &layer.descriptor).collect();
    let manifest =
        json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers});
    add_json(layout, MANIFEST, &manifest)
}

/// Makes this the layout's one tagged entry.
fn finish(layout: &Path, mut entry: Value) -> anyhow::Result<()> {
    entry["annotations"] = json!({"org.opencontainers.image.ref.name": TAG});
    let entry = json!({"schemaVersion": 2, "manifests": [entry]});
    std::fs::write(layout.join("index.json"), entry.to_string())?;
    std::fs::write(
        layout.join("oci-layout"),
        r#"{"imageLayoutVersion":"1.0.0"}"#,
    )?;
    Ok(())
}

/// Debian's minimal system, unpacked and not configured, so that it can be made for a foreign processor too.
fn root_file_system(work: &Path, architecture: &str) -> anyhow::Result<PathBuf> {
    let root = work.join(format!("root-{architecture}"));
    let (mirror, suite) = mirror();
    let mut debootstrap = Command::new(tools::find("debootstrap")?);
    debootstrap.args([
        "--foreign",
        "--variant=minbase",
        &format!("--arch={architecture}"),
        &suite,
    ]);
    tools::run(debootstrap.arg(&root).args(mirror))?;
    Ok(root)
}

/// The mirror that apt uses, and the release that it offers; debootstrap's own choice where apt does not say.
fn mirror() -> (Option<String>, String) {
    let mut apt = Command::new("apt-get");
    apt.args([
        "indextargets",
        "--format",
        "$(SITE) $(CODENAME)",
        "Created-By: Packages",
        "Origin: Debian",
    ]);
    let said = tools::run(apt.arg("Label: Debian")).unwrap_or_default();
    // Updates and backports are releases of their own, with a dash.
    let main = said
        .lines()
        .filter_map(|line| line.split_once(' '))
        .find(|(_, suite)| !suite.contains('-'));
    main.map_or((None, "stable".to_owned()), |(site, suite)| {
        (Some(site.to_owned()), suite.to_owned())
    })
}

/// A folder with one file of so many bytes.
fn noise(work: &Path, name: &str, bytes: usize) -> anyhow::Result<PathBuf> {
    let folder = work.join(name);
    std::fs::create_dir_all(folder.join("opt"))?;
    let mut file = File::create(folder.join("opt/noise"))?;
    let mut block = vec![0; 1 << 20];
    for _ in 0..bytes / block.len() {
        rand::fill(block.as_mut_slice());
        file.write_all(&block)?;
    }
    Ok(folder)
}

fn small_files(work: &Path, architecture: &str) -> anyhow::Result<PathBuf> {
    let folder = work.join(format!("small-{architecture}"));
    std::fs::create_dir_all(folder.join("opt/small"))?;
    for number in 0..SMALL_FILES {
        std::fs::write(
            folder.join(format!("opt/small/{number}")),
            format!("{architecture} {number}\n"),
        )?;
    }
    Ok(folder)
}

#[derive(Clone)]
struct Layer {
    descriptor: Value,
    /// The digest of what is compressed.
    id: String,
}

/// Packs a folder, compresses it and puts it into the layout.
fn add_layer(layout: &Path, folder: &Path) -> anyhow::Result<Layer> {
    let tar = folder.with_extension("tar");
    let mut pack = Command::new("tar");
    pack.args(["--sort=name", "--mtime=@0", "--numeric-owner", "-C"])
        .arg(folder);
    // Devices need rights to unpack that a test machine may not give.
    tools::run(pack.args(["--exclude=./dev/*", "-cf"]).arg(&tar).arg("."))?;
    let id = format!("sha256:{}", hash(&tar)?);
    tools::run(Command::new("gzip").args(["-n", "-1"]).arg(&tar))?;
    let packed = tar.with_extension("tar.gz");
    let descriptor = add(layout, LAYER, &packed)?;
    Ok(Layer { descriptor, id })
}

fn add_json(layout: &Path, media_type: &str, value: &Value) -> anyhow::Result<Value> {
    let file = layout.join("new.json");
    std::fs::write(&file, value.to_string())?;
    add(layout, media_type, &file)
}

/// Moves a file into the layout and returns its descriptor.
fn add(layout: &Path, media_type: &str, file: &Path) -> anyhow::Result<Value> {
    let hash = hash(file)?;
    let size = std::fs::metadata(file)?.len();
    std::fs::rename(file, layout.join("blobs/sha256").join(&hash))?;
    Ok(json!({"mediaType": media_type, "digest": format!("sha256:{hash}"), "size": size}))
}

fn hash(path: &Path) -> anyhow::Result<String> {
    let mut file = File::open(path).with_context(|| path.display().to_string())?;
    let mut sha256 = Sha256::new();
    let mut block = vec![0; 1 << 20];
    loop {
        match file.read(&mut block)? {
            0 => return Ok(hex::encode(sha256.finalize())),
            read => sha256.update(&block[..read]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fresh_image_is_whole_and_like_no_other() {
        let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let [one, other] = folders
            .each_ref()
            .map(|folder| Image::fresh(folder.path(), 2, 1 << 20).unwrap());
        assert_eq!((one.manifests().len(), one.blobs().len()), (1, 3));
        one.ensure_same(&Image::open(one.layout()).unwrap())
            .unwrap();
        assert!(one.ensure_same(&other).is_err());
    }
}

//! Contents: blobs and manifests that clients have, known to all of them so that they push the same ones, too.

use std::collections::BTreeMap;

use bytes::Bytes;
use oci::{Algorithm, Digest, RepositoryName, Tag};
use parking_lot::Mutex;

use crate::dice::Dice;
use crate::machine::mix;

/// The bytes of a blob that a number names.
#[must_use]
pub fn content(number: u64, len: usize) -> Bytes {
    let words = (0..).map(|at: u64| mix(number.wrapping_mul(0x1_0001).wrapping_add(at)));
    words.flat_map(u64::to_le_bytes).take(len).collect()
}

/// A manifest, and what it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Its digest.
    pub digest: Digest,
    /// Its bytes.
    pub payload: Bytes,
    /// The blobs that it names.
    pub blobs: Vec<Digest>,
    /// What it is about.
    pub subject: Option<Digest>,
}

/// Everything that clients have.
#[derive(Debug)]
pub struct Library {
    /// The repositories of a run.
    pub repositories: Vec<RepositoryName>,
    /// The tags of each.
    pub tags: Vec<Tag>,
    blobs: Mutex<BTreeMap<Digest, Bytes>>,
    images: Mutex<Vec<Image>>,
    dice: Dice,
    part_size: usize,
}

impl Library {
    /// Nothing yet.
    ///
    /// # Panics
    /// Never: the names are valid.
    #[must_use]
    pub fn new(dice: Dice, part_size: u32) -> Library {
        let repository = |name| RepositoryName::parse(name).expect("a valid name");
        let tag = |name| Tag::parse(name).expect("a valid tag");
        Library {
            repositories: ["app/web", "app/api", "base"].map(repository).into(),
            tags: ["v1", "latest"].map(tag).into(),
            blobs: Mutex::default(),
            images: Mutex::default(),
            dice,
            part_size: part_size as usize,
        }
    }

    /// A blob, old or new.
    pub fn any_blob(&self) -> (Digest, Bytes) {
        let blobs = &mut *self.blobs.lock();
        if !blobs.is_empty() && self.dice.hits(400) {
            let at = self.dice.within(0..blobs.len() as u64) as usize;
            let old = blobs.iter().nth(at).expect("it is below the length");
            return (*old.0, old.1.clone());
        }
        let part = self.part_size;
        let len = match self.dice.within(0..8) {
            0 => 0,
            1 => part,
            2 => part * 2,
            3 => part * 3,
            4 => part * 5 + 7,
            _ => self.dice.within(1..(part as u64) * 4) as usize,
        };
        let bytes = content(self.dice.number(), len);
        let digest = Digest::of(Algorithm::Sha256, &bytes);
        blobs.insert(digest, bytes.clone());
        (digest, bytes)
    }

    /// The bytes of a blob of this library.
    #[must_use]
    pub fn bytes(&self, digest: &Digest) -> Option<Bytes> {
        self.blobs.lock().get(digest).cloned()
    }

    /// A new image of some blobs; large, if wanted, so that it is no entry of the log.
    pub fn new_image(&self, subject: Option<&Image>, is_large: bool) -> Image {
        let count = self.dice.within(1..4);
        let blobs: Vec<(Digest, Bytes)> = (0..=count).map(|_| self.any_blob()).collect();
        let described = |(digest, bytes): &(Digest, Bytes), kind: &str| {
            let size = bytes.len();
            format!(
                r#"{{"mediaType":"application/vnd.oci.image.{kind}","digest":"{digest}","size":{size}}}"#
            )
        };
        let config = described(&blobs[0], "config.v1+json");
        let layers: Vec<String> = blobs[1..]
            .iter()
            .map(|it| described(it, "layer.v1.tar"))
            .collect();
        let about = subject.map_or(String::new(), |subject| {
            let (digest, size) = (subject.digest, subject.payload.len());
            let manifest = "application/vnd.oci.image.manifest.v1+json";
            format!(r#""subject":{{"mediaType":"{manifest}","digest":"{digest}","size":{size}}},"#)
        });
        let padding = "x".repeat(if is_large { 17_000 } else { 0 });
        let payload: Bytes = format!(
            r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",{about}"config":{config},"layers":[{}],"annotations":{{"n":"{:x}{padding}"}}}}"#,
            layers.join(","),
            self.dice.number()
        )
        .into();
        let mut named: Vec<Digest> = blobs.iter().map(|(digest, _)| *digest).collect();
        named.sort_unstable();
        named.dedup();
        let image = Image {
            digest: Digest::of(Algorithm::Sha256, &payload),
            payload,
            blobs: named,
            subject: subject.map(|subject| subject.digest),
        };
        self.images.lock().push(image.clone());
        image
    }

    /// An image that somebody made before.
    pub fn old_image(&self) -> Option<Image> {
        let images = self.images.lock();
        (!images.is_empty()).then(|| self.dice.pick(&images).clone())
    }

    /// The image of a digest.
    #[must_use]
    pub fn image(&self, digest: &Digest) -> Option<Image> {
        self.images
            .lock()
            .iter()
            .find(|image| image.digest == *digest)
            .cloned()
    }
}

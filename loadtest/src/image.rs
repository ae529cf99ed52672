//! Images as they are pushed: layers, a config and the manifest that names them.

use bytes::Bytes;
use clap::Args;
use sha2::{Digest, Sha256};

use crate::layer::Layer;

const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";

/// What images look like.
#[derive(Debug, Clone, Args)]
pub struct Shape {
    /// Layers of an image.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(0..=500))]
    pub layers: u32,
    /// Bytes of a layer; `KiB`, `MiB` and `GiB` are understood.
    #[arg(long, default_value = "64KiB", value_parser = parse_bytes)]
    pub layer_size: u64,
}

/// An image that can be pushed, and be recognized when it is pulled.
#[derive(Debug, Clone)]
pub struct Image {
    /// Its layers.
    pub layers: Vec<Layer>,
    /// Its config.
    pub config: Bytes,
    /// The config's digest.
    pub config_digest: String,
    /// Its manifest.
    pub manifest: Bytes,
    /// The manifest's digest.
    pub digest: String,
}

impl Image {
    /// The image of a seed.
    pub fn new(shape: &Shape, seed: u64) -> Image {
        let layers: Vec<Layer> = (0..u64::from(shape.layers))
            .map(|number| {
                Layer::new(
                    seed.wrapping_mul(1_000_003).wrapping_add(number),
                    shape.layer_size,
                )
            })
            .collect();
        let diff_ids: Vec<&str> = layers.iter().map(Layer::digest).collect();
        let config = to_bytes(&serde_json::json!({
            "architecture": "amd64", "os": "linux", "config": { "Labels": { "seed": seed.to_string() } },
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
        }));
        let config_digest = digest_of(&config);
        let descriptors: Vec<serde_json::Value> = layers
            .iter()
            .map(|layer| {
                serde_json::json!({
                    "mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": layer.digest(), "size": layer.size(),
                })
            })
            .collect();
        let manifest = to_bytes(&serde_json::json!({
            "schemaVersion": 2, "mediaType": MANIFEST_TYPE,
            "config": { "mediaType": "application/vnd.oci.image.config.v1+json", "digest": config_digest, "size": config.len() },
            "layers": descriptors,
        }));
        let digest = digest_of(&manifest);
        Image {
            layers,
            config,
            config_digest,
            manifest,
            digest,
        }
    }

    /// What the manifest is sent as.
    pub fn media_type() -> &'static str {
        MANIFEST_TYPE
    }

    /// Bytes that a push of it sends.
    pub fn bytes(&self) -> u64 {
        self.layers.iter().map(Layer::size).sum::<u64>()
            + (self.config.len() + self.manifest.len()) as u64
    }
}

/// `sha256:…` of content that is in memory.
pub fn digest_of(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

fn to_bytes(value: &serde_json::Value) -> Bytes {
    serde_json::to_vec(value)
        .expect("a JSON value always serializes")
        .into()
}

fn parse_bytes(text: &str) -> Result<u64, String> {
    let units = [
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("B", 1),
        ("", 1),
    ];
    for (unit, factor) in units {
        if let Some(number) = text.strip_suffix(unit)
            && let Ok(number) = number.trim().parse::<u64>()
        {
            return number
                .checked_mul(factor)
                .ok_or_else(|| format!("{text} is too large"));
        }
    }
    Err(format!("{text} is not a size such as 4096, 64KiB or 1GiB"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_and_without_units() {
        assert_eq!(parse_bytes("4096"), Ok(4096));
        assert_eq!(parse_bytes("64KiB"), Ok(65536));
        assert_eq!(parse_bytes("1 GiB"), Ok(1 << 30));
        assert!(parse_bytes("many").is_err());
        assert!(parse_bytes("-1").is_err());
        assert!(parse_bytes("99999999999GiB").is_err());
    }

    #[test]
    fn an_image_names_what_it_consists_of() {
        let image = Image::new(
            &Shape {
                layers: 2,
                layer_size: 100,
            },
            5,
        );
        let manifest: serde_json::Value = serde_json::from_slice(&image.manifest).unwrap();
        assert_eq!(manifest["layers"][1]["digest"], image.layers[1].digest());
        assert_eq!(manifest["config"]["digest"], digest_of(&image.config));
        assert_eq!(
            image.bytes(),
            200 + (image.config.len() + image.manifest.len()) as u64
        );
    }
}

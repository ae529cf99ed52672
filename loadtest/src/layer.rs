//! Content that is made as it is sent: unique, incompressible, and never whole in memory.
//!
//! A layer is cut into blocks. Every block is the same random block with its own number and the layer's seed in
//! front, so that making it costs one copy, and no two layers or blocks are alike.

use bytes::{BufMut, Bytes, BytesMut};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use sha2::{Digest, Sha256};

const BLOCK_BYTES: usize = 256 * 1024;

/// Bytes that can be made again from a seed.
#[derive(Debug, Clone)]
pub struct Layer {
    seed: u64,
    size: u64,
    block: Bytes,
    digest: String,
}

impl Layer {
    /// The layer of a seed.
    pub fn new(seed: u64, size: u64) -> Layer {
        let mut block = vec![0; BLOCK_BYTES];
        SmallRng::seed_from_u64(seed).fill_bytes(&mut block);
        let mut layer = Layer {
            seed,
            size,
            block: block.into(),
            digest: String::new(),
        };
        let mut hash = Sha256::new();
        for block in layer.blocks() {
            hash.update(&block);
        }
        layer.digest = format!("sha256:{}", hex::encode(hash.finalize()));
        layer
    }

    /// `sha256:…`
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The bytes, in order.
    pub fn blocks(&self) -> impl Iterator<Item = Bytes> + Send + use<> {
        let (seed, size, template) = (self.seed, self.size, self.block.clone());
        (0..size.div_ceil(BLOCK_BYTES as u64)).map(move |number| {
            let start = number * BLOCK_BYTES as u64;
            let len =
                usize::try_from(size - start).map_or(BLOCK_BYTES, |rest| rest.min(BLOCK_BYTES));
            let mut block = BytesMut::with_capacity(BLOCK_BYTES);
            block.put_u64(seed);
            block.put_u64(number);
            block.extend_from_slice(&template[16..]);
            block.truncate(len);
            block.freeze()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(layer: &Layer) -> Vec<u8> {
        layer.blocks().flatten().collect()
    }

    #[test]
    fn a_layer_has_its_size_and_its_digest() {
        for size in [
            0,
            1,
            15,
            16,
            17,
            BLOCK_BYTES as u64,
            BLOCK_BYTES as u64 + 1,
            3 * BLOCK_BYTES as u64,
        ] {
            let layer = Layer::new(7, size);
            let bytes = whole(&layer);
            assert_eq!(bytes.len() as u64, size);
            assert_eq!(
                layer.digest(),
                format!("sha256:{}", hex::encode(Sha256::digest(&bytes)))
            );
        }
    }

    #[test]
    fn seeds_make_the_same_content_again_and_other_seeds_other_content() {
        assert_eq!(whole(&Layer::new(1, 1000)), whole(&Layer::new(1, 1000)));
        assert_ne!(whole(&Layer::new(1, 1000)), whole(&Layer::new(2, 1000)));
    }
}

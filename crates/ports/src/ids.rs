//! The port to randomness.

/// Makes ids that nobody has made before and nobody can guess.
pub trait IdSource: Send + Sync + 'static {
    /// 128 fresh random bits.
    fn fresh(&self) -> u128;
}

/// Ids from the operating system's generator.
#[derive(Debug, Clone, Copy, Default)]
pub struct RandomIds;

impl IdSource for RandomIds {
    fn fresh(&self) -> u128 {
        uuid::Uuid::new_v4().as_u128()
    }
}

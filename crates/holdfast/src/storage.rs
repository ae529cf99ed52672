//! stub
use crate::config::Configuration;
use crate::failure::Failure;
pub fn check(_c: &Configuration) -> Result<(), Failure> {
    Ok(())
}

//! Programs from crates, by `cargo install` into the cache.

use anyhow::Context as _;

use super::Cache;
use crate::run;

/// Installs the version unless it is there. Built for use in tests: little optimization, no debug information.
pub fn install(cache: &Cache, name: &str, version: &str, features: &str) -> anyhow::Result<()> {
    let program = cache.path("crates/bin").join(name);
    let said = run::output_of(&mut run::command(&program, ["--version"])).unwrap_or_default();
    if has_version(&said, version) {
        return Ok(());
    }
    println!("installing {name} {version} from its crate; this takes minutes, once");
    let build = cache.path("build").join(name);
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut install = run::command(cargo, ["install", name, "--locked", "--quiet", "--force"]);
    install
        .args([
            "--version",
            version,
            "--no-default-features",
            "--features",
            features,
            "--root",
        ])
        .arg(cache.path("crates"))
        .env("CARGO_TARGET_DIR", &build)
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1")
        .env("CARGO_PROFILE_RELEASE_DEBUG", "false")
        .current_dir(cache.path(""));
    run::succeed(&mut install)
        .with_context(|| format!("`{name}` could not be installed from its crate"))?;
    // What it was built in is large and of no more use.
    let _ = std::fs::remove_dir_all(build);
    Ok(())
}

fn has_version(said: &str, version: &str) -> bool {
    said.split([' ', ':', '\n'])
        .any(|word| word.trim_start_matches('v') == version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_is_a_word_of_what_the_program_says() {
        assert!(has_version("garage v2.5.0 [features: lmdb]", "2.5.0"));
        assert!(has_version("garage cargo:2.5.0 [features: lmdb]", "2.5.0"));
        assert!(!has_version("garage 2.5.01", "2.5.0"));
        assert!(!has_version("", "2.5.0"));
    }
}

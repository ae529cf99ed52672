//! Programs from PyPI, by pip into a virtual environment in the cache.

use anyhow::Context as _;

use super::{Cache, debian};
use crate::run;

/// Installs the version unless it is there. The program is `python/bin/NAME` in the cache.
pub fn install(cache: &Cache, name: &str, version: &str) -> anyhow::Result<()> {
    let environment = cache.path("python");
    let python = environment.join("bin/python");
    let ask = format!("import importlib.metadata as m; print(m.version('{name}'))");
    let said = run::output_of(&mut run::command(&python, ["-c", &ask])).unwrap_or_default();
    if said.trim() == version {
        return Ok(());
    }
    println!("installing {name} {version} from PyPI");
    if run::output_of(&mut run::command(&python, ["-m", "pip", "--version"])).is_err() {
        let make = || {
            let mut make = run::command("python3", ["-m", "venv"]);
            make.arg(&environment);
            run::output_of(&mut make)
        };
        if make().is_err() {
            debian::install(&["ca-certificates", "python3", "python3-venv"])?;
            make().context("no virtual environment of Python could be made")?;
        }
    }
    let wanted = format!("{name}=={version}");
    let mut pip = run::command(&python, ["-m", "pip", "install", "--quiet", &wanted]);
    run::succeed(&mut pip).with_context(|| format!("`{name}` could not be installed from PyPI"))
}

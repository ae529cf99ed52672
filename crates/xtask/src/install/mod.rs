//! Installs what the suites need, each thing by its own package manager, into a cache that outlives `target`.
//!
//! Every installer looks first and does nothing when the right version is there. It must never change a machine more than
//! it says: Debian's packages go where Debian puts them, everything else into the cache folder.

mod cache;
mod crates;
mod debian;
mod go;
mod python;

pub use cache::Cache;

/// Something that a suite cannot run without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Packages of the distribution.
    Debian(&'static [&'static str]),
    /// A program built from a Go module at a revision, by a Go of at least this version.
    GoProgram {
        name: &'static str,
        package: &'static str,
        revision: &'static str,
        go: (u32, u32),
        /// A variable that names such a program, for machines on which Go cannot fetch it. The suite reads it too.
        instead: &'static str,
    },
    /// A program from the crate of its name.
    CargoProgram {
        name: &'static str,
        version: &'static str,
        features: &'static str,
    },
    /// A program of the Python package of its name.
    PythonProgram {
        name: &'static str,
        version: &'static str,
    },
}

/// Installs each need once; returns those that could not be met, with the reason.
pub fn all(cache: &Cache, needs: &[&Need]) -> Vec<(Need, String)> {
    let mut seen: Vec<Need> = Vec::new();
    let mut unmet = Vec::new();
    for need in needs {
        if seen.contains(need) {
            continue;
        }
        seen.push(**need);
        let result = match **need {
            Need::Debian(packages) => debian::install(packages),
            Need::GoProgram { instead, .. } if std::env::var_os(instead).is_some() => Ok(()),
            Need::GoProgram {
                name,
                package,
                revision,
                go,
                ..
            } => go::install(cache, name, package, revision, go),
            Need::CargoProgram {
                name,
                version,
                features,
            } => crates::install(cache, name, version, features),
            Need::PythonProgram { name, version } => python::install(cache, name, version),
        };
        if let Err(error) = result {
            eprintln!("cannot install what a suite needs: {error:#}");
            unmet.push((**need, format!("{error:#}")));
        }
    }
    unmet
}

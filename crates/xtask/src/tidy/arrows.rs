//! The arrows between crates: who may use whom, and who may know which library.
//!
//! The two tables are the ones of `docs/architecture.md`. A new arrow is a decision: it changes the table there, the table
//! here, and has a record in `docs/decisions`.

use super::manifests::{self, Manifest};
use super::{Breach, Tree};

/// What a crate may use of ours.
enum Uses {
    These(&'static [&'static str]),
    All,
}

use Uses::{All, These};

/// Every crate of ours, in the order in which the house is built.
const CRATES: &[(&str, Uses)] = &[
    ("marks", These(&[])),
    ("mutants", These(&[])),
    ("durable_files", These(&[])),
    ("front", These(&[])),
    ("oci", These(&[])),
    ("metadata", These(&["oci", "mutants"])),
    ("hashing", These(&["oci"])),
    ("identity", These(&["oci", "metadata", "durable_files"])),
    ("ports", These(&["oci", "metadata"])),
    (
        "registry",
        These(&["oci", "metadata", "ports", "hashing", "marks", "mutants"]),
    ),
    ("wire", These(&["oci", "metadata"])),
    ("peers", These(&["wire"])),
    ("mesh", These(&["identity", "peers"])),
    (
        "blobs",
        These(&["oci", "metadata", "ports", "durable_files"]),
    ),
    ("sessions", These(&["metadata", "ports"])),
    ("auth", These(&["oci", "metadata", "ports", "mutants"])),
    (
        "metadata_raft",
        These(&[
            "oci",
            "metadata",
            "ports",
            "wire",
            "peers",
            "mutants",
            "durable_files",
        ]),
    ),
    (
        "metadata_client",
        These(&[
            "oci", "metadata", "ports", "wire", "peers", "marks", "mutants",
        ]),
    ),
    (
        "log_copy",
        These(&["metadata", "ports", "wire", "identity", "metadata_raft"]),
    ),
    (
        "cluster",
        These(&[
            "metadata",
            "ports",
            "wire",
            "identity",
            "log_copy",
            "peers",
            "mesh",
            "metadata_raft",
            "metadata_client",
            "durable_files",
            "auth",
        ]),
    ),
    ("jobs", These(&["oci", "metadata", "ports", "registry"])),
    ("outbound", These(&["oci", "ports"])),
    (
        "management",
        These(&["oci", "metadata", "ports", "registry", "front", "auth"]),
    ),
    (
        "token_service",
        These(&["oci", "metadata", "ports", "registry", "auth", "front"]),
    ),
    (
        "api",
        These(&[
            "oci",
            "metadata",
            "ports",
            "registry",
            "auth",
            "jobs",
            "front",
            "management",
        ]),
    ),
    ("balancer", These(&[])),
    ("holdfast", All),
    ("xtask", These(&[])),
    ("linearizability", These(&[])),
    ("holdfast-load", These(&["linearizability"])),
    ("harness", These(&["oci"])),
];

/// What tests may use beyond the arrows: fixtures, gates, a second opinion, and members to talk to.
const IN_TESTS: &[&str] = &[
    "harness",
    "hashing",
    "metadata",
    "metadata_raft",
    "oci",
    "ports",
    "sessions",
    "wire",
];

/// Libraries that one crate alone may name, or few, so that a change of library is a change of that crate.
const OWNERS: &[(&str, &str)] = &[
    ("openraft", "metadata_raft"),
    ("redb", "metadata_raft"),
    ("tonic", "peers"),
    ("axum", "api"),
    ("axum", "management"),
    ("axum", "token_service"),
    ("aws-config", "blobs"),
    ("aws-credential-types", "blobs"),
    ("aws-sdk-s3", "blobs"),
    ("aws-smithy-http-client", "blobs"),
    ("aws-smithy-runtime-api", "blobs"),
    ("aws-smithy-types", "blobs"),
    ("aws-types", "blobs"),
    ("aws-lc-sys", "hashing"),
    ("rcgen", "identity"),
    ("redis", "sessions"),
    ("ldap3", "auth"),
];

/// Libraries whose owner binds what ships only: suites make certificates of their own with them.
const FREE_IN_TESTS: &[&str] = &["axum", "rcgen"];

/// Rule `arrows`: each dependency on a crate of ours is in [`CRATES`]. Suites below `tests` may use anything.
pub fn between_crates(tree: &Tree) -> Vec<Breach> {
    manifests::members(tree)
        .iter()
        .flat_map(arrows_of)
        .collect()
}

fn arrows_of(manifest: &Manifest) -> Vec<Breach> {
    let Some((_, uses)) = CRATES.iter().find(|(name, _)| *name == manifest.name) else {
        let known_by_place = manifest.path.starts_with("tests/");
        let unknown = Breach::in_file(
            &manifest.path,
            format!("`{}` is not in the table of crates", manifest.name),
        );
        return if known_by_place {
            Vec::new()
        } else {
            vec![unknown]
        };
    };
    let ours = |name: &str| CRATES.iter().any(|(known, _)| *known == name);
    let allowed = |name: &str| match uses {
        All => true,
        These(names) => names.contains(&name),
    };
    let forbidden = manifest.dependencies.iter().filter(|dependency| {
        let in_tests = dependency.for_tests && IN_TESTS.contains(&dependency.name.as_str());
        ours(&dependency.name) && !allowed(&dependency.name) && !in_tests
    });
    forbidden
        .map(|dependency| {
            let what = format!(
                "`{}` may not use `{}`: see docs/architecture.md",
                manifest.name, dependency.name
            );
            Breach::in_file(&manifest.path, what)
        })
        .collect()
}

/// Rule `owners`: a library of [`OWNERS`] is named by its owner's Cargo.toml and no other.
pub fn owners_of_libraries(tree: &Tree) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for manifest in manifests::members(tree) {
        for dependency in &manifest.dependencies {
            if dependency.for_tests && FREE_IN_TESTS.contains(&dependency.name.as_str()) {
                continue;
            }
            let owners = OWNERS
                .iter()
                .filter(|(library, _)| *library == dependency.name)
                .map(|(_, owner)| *owner);
            let owners: Vec<&str> = owners.collect();
            if !owners.is_empty() && !owners.contains(&manifest.name.as_str()) {
                let (owners, library) = (owners.join("` and `"), &dependency.name);
                breaches.push(Breach::in_file(
                    &manifest.path,
                    format!("only `{owners}` may name `{library}`"),
                ));
            }
        }
    }
    breaches
}

#[cfg(test)]
mod tests {
    use super::super::breaches;
    use super::*;

    fn manifest(name: &str, dependencies: &str) -> (String, String) {
        let path = format!("crates/{name}/Cargo.toml");
        (
            path,
            format!("[package]\nname = \"{name}\"\n[dependencies]\n{dependencies}"),
        )
    }

    fn found(check: fn(&Tree) -> Vec<Breach>, name: &str, dependencies: &str) -> Vec<String> {
        let (path, text) = manifest(name, dependencies);
        breaches(check, &[(&path, &text)])
    }

    #[test]
    fn allowed_arrow_passes_and_reversed_one_does_not() {
        assert_eq!(
            found(between_crates, "metadata", "oci.workspace = true"),
            [""; 0]
        );
        let wrong = found(between_crates, "oci", "metadata.workspace = true");
        assert_eq!(
            wrong,
            ["crates/oci/Cargo.toml: `oci` may not use `metadata`: see docs/architecture.md"]
        );
    }

    #[test]
    fn foreign_library_is_no_arrow() {
        assert_eq!(
            found(between_crates, "oci", "serde.workspace = true"),
            [""; 0]
        );
    }

    #[test]
    fn crate_that_nobody_placed_is_found_outside_tests() {
        assert_eq!(found(between_crates, "surprise", "").len(), 1);
        assert_eq!(
            breaches(
                between_crates,
                &[("tests/replay/Cargo.toml", "[package]\nname = \"replay\"")]
            ),
            [""; 0]
        );
    }

    #[test]
    fn tests_may_use_fixtures_but_not_the_arrows_of_the_product() {
        let file = |section: &str, name: &str| {
            format!("[package]\nname = \"blobs\"\n[{section}]\n{name}.workspace = true")
        };
        let check =
            |text: &str| breaches(between_crates, &[("crates/blobs/Cargo.toml", text)]).len();
        assert_eq!(check(&file("dev-dependencies", "harness")), 0);
        assert_eq!(check(&file("dependencies", "harness")), 1);
        assert_eq!(check(&file("dev-dependencies", "api")), 1);
    }

    #[test]
    fn library_belongs_to_its_owner() {
        assert_eq!(
            found(
                owners_of_libraries,
                "metadata_raft",
                "openraft.workspace = true"
            ),
            [""; 0]
        );
        let wrong = found(owners_of_libraries, "holdfast", "openraft.workspace = true");
        assert_eq!(
            wrong,
            ["crates/holdfast/Cargo.toml: only `metadata_raft` may name `openraft`"]
        );
    }

    #[test]
    fn suites_make_certificates_and_products_do_not() {
        let file = |section: &str, library: &str| {
            format!("[package]\nname = \"blobs\"\n[{section}]\n{library}.workspace = true")
        };
        let check =
            |text: &str| breaches(owners_of_libraries, &[("crates/blobs/Cargo.toml", text)]).len();
        assert_eq!(check(&file("dev-dependencies", "rcgen")), 0);
        assert_eq!(check(&file("dependencies", "rcgen")), 1);
        assert_eq!(check(&file("dev-dependencies", "redb")), 1);
    }
}

//! The members' Cargo.toml files, read once into the little that the rules ask, and the rules about them alone.

use toml::{Table, Value};

use super::{Breach, Tree};

/// The crates that may contain unsafe code, and so cannot inherit lints that forbid it: the one that ships, and those of
/// tests that stand between a program and the C library, or count what it allocates.
pub const UNSAFE_CRATES: &[(&str, &str)] = &[
    ("hashing", "crates/hashing/"),
    ("powerloss", "tests/powerloss/"),
    ("fuzz", "tests/fuzz/"),
    ("sim", "tests/sim/"),
    ("sim-real", "tests/sim-real/"),
];

/// One member of the workspace.
pub struct Manifest {
    pub path: String,
    pub name: String,
    pub dependencies: Vec<Dependency>,
    inherits_lints: bool,
}

/// One line of a dependency section.
pub struct Dependency {
    pub name: String,
    /// From `[dev-dependencies]`.
    pub for_tests: bool,
    from_workspace: bool,
}

/// Every Cargo.toml below the root that reads as one; what does not read, cargo itself reports.
pub fn members(tree: &Tree) -> Vec<Manifest> {
    let files = tree
        .files
        .iter()
        .filter(|file| file.path.ends_with("/Cargo.toml"));
    files
        .filter_map(|file| Some(manifest(&file.path, &file.text.parse().ok()?)))
        .collect()
}

fn manifest(path: &str, table: &Table) -> Manifest {
    let mut dependencies = Vec::new();
    collect(table, &mut dependencies);
    for target in table
        .get("target")
        .and_then(Value::as_table)
        .into_iter()
        .flat_map(Table::values)
    {
        collect(
            target.as_table().unwrap_or(&Table::new()),
            &mut dependencies,
        );
    }
    let text_at = |keys: [&str; 2]| table.get(keys[0])?.get(keys[1])?.as_str();
    let inherits = |section: &str| {
        table
            .get(section)
            .and_then(|lints| lints.get("workspace")?.as_bool())
    };
    Manifest {
        path: path.to_owned(),
        name: text_at(["package", "name"]).unwrap_or_default().to_owned(),
        dependencies,
        inherits_lints: inherits("lints") == Some(true),
    }
}

fn collect(table: &Table, into: &mut Vec<Dependency>) {
    for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
        for (name, value) in table
            .get(section)
            .and_then(Value::as_table)
            .into_iter()
            .flatten()
        {
            into.push(Dependency {
                name: name.clone(),
                for_tests: section == "dev-dependencies",
                from_workspace: value.get("workspace").and_then(Value::as_bool) == Some(true),
            });
        }
    }
}

/// Rule `versions`: a member takes each dependency from the workspace.
pub fn versions_in_root(tree: &Tree) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for member in members(tree) {
        for dependency in member
            .dependencies
            .iter()
            .filter(|dependency| !dependency.from_workspace)
        {
            let what = format!(
                "write `{}.workspace = true`, and the version in the root",
                dependency.name
            );
            breaches.push(Breach::in_file(&member.path, what));
        }
    }
    breaches
}

/// Rule `lints`: only crates that defend their unsafe code set lints of their own.
pub fn lints_inherited(tree: &Tree) -> Vec<Breach> {
    let may = |member: &Manifest| UNSAFE_CRATES.iter().any(|(name, _)| *name == member.name);
    let strays = members(tree)
        .into_iter()
        .filter(|member| !member.inherits_lints && !may(member));
    strays
        .map(|member| Breach::in_file(&member.path, "add `[lints]` with `workspace = true`"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::breaches;
    use super::*;

    const PATH: &str = "crates/oci/Cargo.toml";

    #[test]
    fn version_of_its_own_is_found_in_every_section() {
        let text = "[package]\nname = \"oci\"\n[dependencies]\nhex = \"1\"\nserde = { workspace = true }\n\
                    [dev-dependencies]\nproptest = { path = \"x\" }\n[build-dependencies]\nb.workspace = true\n\
                    [target.'cfg(unix)'.dependencies]\nc = { version = \"1\" }\n";
        let found = breaches(versions_in_root, &[(PATH, text)]);
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found[0].contains("`hex.workspace = true`"));
    }

    #[test]
    fn root_may_have_versions() {
        assert_eq!(
            breaches(
                versions_in_root,
                &[("Cargo.toml", "[workspace.dependencies]\nhex = \"1\"")]
            ),
            [""; 0]
        );
    }

    #[test]
    fn lints_are_inherited_but_where_unsafe_code_is() {
        let with = |name: &str, rest: &str| format!("[package]\nname = \"{name}\"\n{rest}");
        let check = |text: &str| breaches(lints_inherited, &[(PATH, text)]).len();
        assert_eq!(check(&with("oci", "[lints]\nworkspace = true")), 0);
        assert_eq!(check(&with("oci", "")), 1);
        assert_eq!(check(&with("hashing", "")), 0);
    }
}

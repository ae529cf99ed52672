//! Scopes: what a token is asked for, as docker and its like write it: `repository:team/app:pull,push`.
//!
//! What cannot be understood is passed over, not refused: a client asks for what newer registries know, and gets what this one
//! does. How much is asked for is bounded.
//!
//! Spec: "Token Scope Documentation" of the distribution project.

use std::fmt;

use metadata::access::Right;
use oci::RepositoryName;
use serde::{Deserialize, Serialize};

/// The most scopes of one token.
pub const SCOPES_MAX: usize = 100;

/// Something that a token is good for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Rights in a repository, in order, each once.
    Repository(RepositoryName, Vec<Right>),
    /// The catalog.
    Catalog,
}

/// Why scopes are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ScopeError {
    /// More than [`SCOPES_MAX`].
    #[error("a token is asked for with at most {SCOPES_MAX} scopes")]
    TooMany,
}

/// Reads scopes: several texts, each of several scopes between spaces. What is asked for twice is put together.
///
/// # Errors
/// [`ScopeError`].
pub fn parse_scopes<'a>(
    texts: impl IntoIterator<Item = &'a str>,
) -> Result<Vec<Scope>, ScopeError> {
    let mut scopes: Vec<Scope> = Vec::new();
    let all = texts.into_iter().flat_map(|text| text.split(' '));
    for (seen, text) in all.filter(|text| !text.is_empty()).enumerate() {
        if seen >= SCOPES_MAX {
            return Err(ScopeError::TooMany);
        }
        if let Some(scope) = Scope::parse(text) {
            add(&mut scopes, scope);
        }
    }
    Ok(scopes)
}

fn add(scopes: &mut Vec<Scope>, scope: Scope) {
    let Scope::Repository(repository, rights) = &scope else {
        if !scopes.contains(&scope) {
            scopes.push(scope);
        }
        return;
    };
    let same = scopes.iter_mut().find_map(|scope| match scope {
        Scope::Repository(name, rights) if name == repository => Some(rights),
        _ => None,
    });
    match same {
        Some(has) => {
            has.extend(rights);
            has.sort_unstable();
            has.dedup();
        }
        None => scopes.push(scope),
    }
}

impl Scope {
    /// Reads one scope; `None` when it is of something that is not known here, or asks for nothing.
    fn parse(text: &str) -> Option<Scope> {
        let (kind, rest) = text.split_once(':')?;
        let (name, actions) = rest.rsplit_once(':')?;
        // A class, as in `repository(plugin)`, says what is kept there; it changes nothing.
        let kind = kind.split_once('(').map_or(kind, |(kind, _)| kind);
        match kind {
            "repository" => {
                let rights = rights(actions.split(','));
                let repository = RepositoryName::parse(name).ok()?;
                (!rights.is_empty()).then_some(Scope::Repository(repository, rights))
            }
            "registry" if name == "catalog" && actions == "*" => Some(Scope::Catalog),
            _ => None,
        }
    }
}

impl fmt::Display for Scope {
    /// As it is asked for.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Scope::Repository(repository, rights) = self else {
            return f.write_str("registry:catalog:*");
        };
        write!(f, "repository:{repository}:")?;
        for (number, right) in rights.iter().enumerate() {
            let comma = if number == 0 { "" } else { "," };
            write!(f, "{comma}{}", right.name())?;
        }
        Ok(())
    }
}

fn rights<'a>(actions: impl Iterator<Item = &'a str>) -> Vec<Right> {
    const ALL: [Right; 3] = [Right::Pull, Right::Push, Right::Delete];
    let mut rights = Vec::new();
    for action in actions {
        match action {
            "*" => rights.extend(ALL),
            action => rights.extend(ALL.into_iter().find(|right| right.name() == action)),
        }
    }
    rights.sort_unstable();
    rights.dedup();
    rights
}

/// What is both asked for and allowed: less than asked for is no error.
pub fn intersection(
    asked: Vec<Scope>,
    mut may: impl FnMut(&RepositoryName, Right) -> bool,
) -> Vec<Scope> {
    let granted = asked.into_iter().filter_map(|scope| match scope {
        Scope::Repository(repository, rights) => {
            let rights: Vec<Right> = rights
                .into_iter()
                .filter(|right| may(&repository, *right))
                .collect();
            (!rights.is_empty()).then_some(Scope::Repository(repository, rights))
        }
        Scope::Catalog => Some(Scope::Catalog),
    });
    granted.collect()
}

/// Whether `scopes` are good for `right` in `repository`.
#[must_use]
pub fn covers(scopes: &[Scope], repository: &RepositoryName, right: Right) -> bool {
    scopes.iter().any(|scope| match scope {
        Scope::Repository(name, rights) => name == repository && rights.contains(&right),
        Scope::Catalog => false,
    })
}

/// A scope as the claim `access` of a token has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AccessClaim {
    #[serde(rename = "type")]
    kind: String,
    name: String,
    actions: Vec<String>,
}

impl From<&Scope> for AccessClaim {
    fn from(scope: &Scope) -> AccessClaim {
        match scope {
            Scope::Repository(repository, rights) => AccessClaim {
                kind: "repository".to_owned(),
                name: repository.to_string(),
                actions: rights.iter().map(|right| right.name().to_owned()).collect(),
            },
            Scope::Catalog => AccessClaim {
                kind: "registry".to_owned(),
                name: "catalog".to_owned(),
                actions: vec!["*".to_owned()],
            },
        }
    }
}

impl AccessClaim {
    /// The scope; `None` when it is of something that is not known here.
    pub(crate) fn scope(&self) -> Option<Scope> {
        match &*self.kind {
            "repository" => {
                let rights = rights(self.actions.iter().map(String::as_str));
                let repository = RepositoryName::parse(&self.name).ok()?;
                (!rights.is_empty()).then_some(Scope::Repository(repository, rights))
            }
            "registry" if self.name == "catalog" => Some(Scope::Catalog),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repository(name: &str) -> RepositoryName {
        RepositoryName::parse(name).unwrap()
    }

    fn of(text: &str) -> Vec<Scope> {
        parse_scopes([text]).unwrap()
    }

    #[test]
    fn scopes_are_read_as_clients_write_them() {
        use Right::{Delete, Pull, Push};
        let one = |name: &str, rights: &[Right]| {
            vec![Scope::Repository(repository(name), rights.to_vec())]
        };
        assert_eq!(of("repository:team/app:pull"), one("team/app", &[Pull]));
        assert_eq!(of("repository:a:push,pull,push"), one("a", &[Pull, Push]));
        assert_eq!(of("repository(plugin):a:pull"), one("a", &[Pull]));
        assert_eq!(of("repository:a:*"), one("a", &[Pull, Push, Delete]));
        assert_eq!(
            of("repository:a:pull repository:a:push"),
            one("a", &[Pull, Push])
        );
        let two = parse_scopes(["repository:a:pull", "repository:b:pull"]).unwrap();
        assert_eq!(two.len(), 2);
        assert_eq!(of("registry:catalog:*"), [Scope::Catalog]);
    }

    #[test]
    fn tricks_ask_for_nothing() {
        for text in [
            "",
            "*",
            ":",
            "::",
            "repository",
            "repository:a",
            "repository:../x:pull",
            "repository:A:pull",
            "repository:*:pull",
            "repository:a:",
            "repository:a:own",
            "repository:a:admin,maintain",
            "repository::pull",
            "registry:catalog:pull",
            "registry:other:*",
            "\0",
        ] {
            assert_eq!(of(text), [], "{text:?}");
        }
    }

    #[test]
    fn name_with_a_port_keeps_no_colon() {
        assert_eq!(of("repository:host:5000/app:pull"), []);
    }

    #[test]
    fn thousand_scopes_are_refused() {
        let many = vec!["repository:a:pull"; SCOPES_MAX + 1].join(" ");
        assert_eq!(parse_scopes([&*many]), Err(ScopeError::TooMany));
        let most = vec!["repository:a:pull"; SCOPES_MAX].join(" ");
        assert_eq!(parse_scopes([&*most]).unwrap().len(), 1);
    }

    #[test]
    fn granted_is_what_is_asked_for_and_allowed() {
        let asked = of("repository:a:pull,push repository:b:pull registry:catalog:*");
        let granted = intersection(asked, |name, right| {
            name.as_str() == "a" && right == Right::Pull
        });
        assert_eq!(
            granted,
            [
                Scope::Repository(repository("a"), vec![Right::Pull]),
                Scope::Catalog
            ]
        );
        assert!(covers(&granted, &repository("a"), Right::Pull));
        assert!(!covers(&granted, &repository("a"), Right::Push));
        assert!(!covers(&granted, &repository("b"), Right::Pull));
    }

    #[test]
    fn scope_goes_into_a_token_and_comes_out() {
        for scope in of("repository:a/b:pull,delete registry:catalog:*") {
            let text = scope.to_string();
            assert_eq!(AccessClaim::from(&scope).scope(), Some(scope.clone()));
            assert_eq!(of(&text), vec![scope]);
        }
    }
}

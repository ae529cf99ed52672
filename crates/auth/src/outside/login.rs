//! Who logged in elsewhere, as the log notes it, and the rules by which texts from elsewhere become names of users and groups.
//!
//! A name that breaks the grammar is refused, never mended: two people would share it. A user's name that another source has is
//! refused by the log.

use std::collections::BTreeSet;
use std::sync::Arc;

use metadata::GROUPS_PER_LOGIN_MAX;
use metadata::access::{
    AccountKind, AccountName, AccountNameError, AccountView, GroupName, NoteLogin, Source,
};
use serde::{Deserialize, Serialize};

use super::form::Form;

/// The longest address that is kept.
const EMAIL_BYTES_MAX: usize = 254;

/// Somebody who logged in, and what their source says of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// Who.
    pub user: AccountName,
    /// Where it was checked.
    pub source: Source,
    /// How to reach them.
    pub email: Option<Arc<str>>,
    /// The groups that they are in; `None`: the source does not say.
    pub groups: Option<Vec<GroupName>>,
}

impl Login {
    /// Whether the log does not know it all yet, so that [`Login::note`] is worth an entry. An account that another source has is
    /// news, too: the log refuses it.
    #[must_use]
    pub fn is_news(&self, known: Option<&AccountView>) -> bool {
        let Some(known) = known else {
            return true;
        };
        let AccountKind::User { source, email, .. } = &known.row.kind else {
            return true;
        };
        let groups = |groups: &[GroupName]| groups.iter().cloned().collect::<BTreeSet<_>>();
        *source != self.source
            || (self.email.is_some() && *email != self.email)
            || (self.groups.as_deref()).is_some_and(|told| groups(told) != groups(&known.groups))
    }

    /// The command's content with which a node tells the log.
    #[must_use]
    pub fn note(self) -> NoteLogin {
        NoteLogin {
            user: self.user,
            source: self.source,
            email: self.email,
            groups: self.groups,
        }
    }
}

/// Why somebody whom their source knows cannot log in here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoginError {
    /// The source says no text of which a name could be made.
    #[error("the source of logins gives no `{what}` for this login")]
    NoName {
        /// The claim, attribute or field.
        what: String,
    },
    /// The text is not of the form that is configured.
    #[error("the name that the source of logins gives is not of the form `{form}`")]
    OtherForm {
        /// See [`NameRule::form`].
        form: Form,
    },
    /// The text is no name.
    #[error("the name that the source of logins gives cannot be a user's: {0}")]
    NotAName(#[from] AccountNameError),
    /// An address that was not verified could be somebody else's.
    #[error("the address that would be the name is not verified")]
    UnverifiedEmail,
    /// More groups than one entry of the log may set.
    #[error(
        "the source of logins names more than {GROUPS_PER_LOGIN_MAX} groups; choose which count by `only`"
    )]
    TooManyGroups,
}

/// How a text from elsewhere becomes the name of a user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NameRule {
    /// What the text looks like; the name is what its only `*` stands for: `*@example.org`.
    pub form: Form,
    /// Whether upper case is made lower case: for sources to which both are the same.
    pub lowercase: bool,
}

impl Default for NameRule {
    fn default() -> NameRule {
        NameRule {
            form: Form::any(),
            lowercase: false,
        }
    }
}

impl NameRule {
    /// The name.
    ///
    /// # Errors
    /// [`LoginError::OtherForm`] and [`LoginError::NotAName`].
    pub fn name(&self, text: &str) -> Result<AccountName, LoginError> {
        let lowered = self.lowercase.then(|| text.to_ascii_lowercase());
        let text = lowered.as_deref().unwrap_or(text);
        let inner = self.form.inner(text).ok_or_else(|| LoginError::OtherForm {
            form: self.form.clone(),
        })?;
        Ok(AccountName::user(inner)?)
    }
}

/// Which groups of a source count, and what they are called here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GroupRule {
    /// Only groups whose name there is of one of these forms; empty: all.
    pub only: Vec<Form>,
    /// What comes before a group's name there, so that no group of one source is taken for one of another.
    pub prefix: String,
}

impl GroupRule {
    /// The groups of these names, in order, each once. A name that cannot be a group's is passed over.
    ///
    /// # Errors
    /// [`LoginError::TooManyGroups`].
    pub fn groups<'a>(
        &self,
        names: impl IntoIterator<Item = &'a str>,
    ) -> Result<Vec<GroupName>, LoginError> {
        let counts =
            |name: &&str| self.only.is_empty() || self.only.iter().any(|form| form.fits(name));
        let named = names.into_iter().filter(counts);
        let mut groups: Vec<GroupName> = named
            .filter_map(|name| GroupName::parse(&format!("{}{name}", self.prefix)).ok())
            .collect();
        groups.sort_unstable();
        groups.dedup();
        match groups.len() > GROUPS_PER_LOGIN_MAX {
            true => Err(LoginError::TooManyGroups),
            false => Ok(groups),
        }
    }
}

/// An address as it may be kept; `None` when it is none.
pub(super) fn email(text: &str) -> Option<Arc<str>> {
    let is_good = text.len() <= EMAIL_BYTES_MAX
        && text.contains('@')
        && !text.chars().any(|c| c.is_control() || c.is_whitespace());
    is_good.then(|| text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_is_taken_as_the_rule_says_or_refused() {
        let rule = NameRule {
            form: Form::parse("*@example.org").unwrap(),
            lowercase: true,
        };
        assert_eq!(rule.name("Ann@Example.ORG").unwrap().as_str(), "ann");
        assert!(matches!(
            rule.name("ann@evil.org"),
            Err(LoginError::OtherForm { .. })
        ));
        for bad in [
            "@example.org",
            "a b@example.org",
            "system@example.org",
            "x/y@example.org",
        ] {
            assert!(
                matches!(rule.name(bad), Err(LoginError::NotAName(_))),
                "{bad}"
            );
        }
        let plain = NameRule::default();
        assert_eq!(plain.name("Ann").unwrap().as_str(), "Ann");
        assert!(plain.name("robot$team+ci").is_err());
    }

    #[test]
    fn groups_are_chosen_named_and_bounded() {
        let rule = GroupRule {
            only: vec![Form::parse("registry-*").unwrap()],
            prefix: "corp:".to_owned(),
        };
        let groups = rule.groups(["registry-dev", "staff", "registry-dev", "registry-a b"]);
        let names: Vec<_> = groups.unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(names, ["corp:registry-dev"]);
        let many: Vec<String> = (0..=GROUPS_PER_LOGIN_MAX)
            .map(|n| format!("g{n}"))
            .collect();
        let many = many.iter().map(String::as_str);
        let refused = GroupRule::default().groups(many);
        assert_eq!(refused, Err(LoginError::TooManyGroups));
    }

    #[test]
    fn only_what_the_log_does_not_know_is_news() {
        let group = |name| GroupName::parse(name).unwrap();
        let login = Login {
            user: AccountName::user("ann").unwrap(),
            source: Source::Ldap,
            email: Some("ann@example.org".into()),
            groups: Some(vec![group("dev"), group("ops")]),
        };
        let known = AccountView {
            name: login.user.clone(),
            row: metadata::access::AccountRow {
                kind: AccountKind::User {
                    source: Source::Ldap,
                    password: None,
                    is_admin: true,
                    email: login.email.clone(),
                },
                created: metadata::LogTime(7),
                by: metadata::PrincipalName::anonymous(),
                is_disabled: false,
                generation: 3,
                is_ending: false,
            },
            groups: vec![group("ops"), group("dev")],
            token: None,
        };
        assert!(!login.is_news(Some(&known)));
        assert!(login.is_news(None));
        let changed = |change: fn(&mut Login)| {
            let mut changed = login.clone();
            change(&mut changed);
            changed.is_news(Some(&known))
        };
        assert!(changed(|login| login.groups = Some(Vec::new())));
        assert!(!changed(|login| login.groups = None));
        assert!(changed(|login| login.email = Some("a@example.org".into())));
        assert!(!changed(|login| login.email = None));
        assert!(changed(|login| login.source = Source::Certificate));
    }

    #[test]
    fn what_is_no_address_is_not_kept() {
        assert_eq!(email("ann@example.org").as_deref(), Some("ann@example.org"));
        for bad in [
            "",
            "ann",
            "a b@c",
            "a@b\n",
            &format!("{}@c", "a".repeat(300)),
        ] {
            assert_eq!(email(bad), None, "{bad:?}");
        }
    }
}

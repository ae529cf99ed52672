//! Texts in which `*` stands for any characters: what a claim has to look like, and which part of a text is a name.

use std::fmt;

use metadata::access::has_form;
use serde::{Deserialize, Serialize};

/// A text in which `*` stands for any characters, or none.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Form(String);

/// Why a text is no form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FormError {
    /// Nothing would fit it, or it is longer than any claim that is compared.
    #[error("a form has 1 to {max} bytes", max = Form::BYTES_MAX)]
    Length,
    /// It would take too long to be compared.
    #[error("a form has at most {max} `*`", max = Form::STARS_MAX)]
    TooManyStars,
}

impl Form {
    /// The most bytes.
    pub const BYTES_MAX: usize = 1024;
    /// The most `*`.
    pub const STARS_MAX: usize = 8;

    /// Reads a form.
    ///
    /// # Errors
    /// See [`FormError`].
    pub fn parse(text: &str) -> Result<Form, FormError> {
        if text.is_empty() || text.len() > Self::BYTES_MAX {
            return Err(FormError::Length);
        }
        match text.matches('*').count() > Self::STARS_MAX {
            true => Err(FormError::TooManyStars),
            false => Ok(Form(text.to_owned())),
        }
    }

    /// Any text.
    #[must_use]
    pub fn any() -> Form {
        Form("*".to_owned())
    }

    /// Whether any text at all fits.
    #[must_use]
    pub fn is_any(&self) -> bool {
        self.0.bytes().all(|byte| byte == b'*')
    }

    /// Whether the whole text is of this form.
    #[must_use]
    pub fn fits(&self, text: &str) -> bool {
        has_form(text, &self.0)
    }

    /// What the only `*` stands for in a text of this form; `None` when the text is of another, or there is another number of `*`.
    #[must_use]
    pub fn inner<'t>(&self, text: &'t str) -> Option<&'t str> {
        let (before, after) = self.0.split_once('*')?;
        if after.contains('*') {
            return None;
        }
        text.strip_prefix(before)?.strip_suffix(after)
    }

    /// Whether it has one `*`, so that [`Form::inner`] may find something.
    #[must_use]
    pub fn has_one_star(&self) -> bool {
        self.0.matches('*').count() == 1
    }
}

impl TryFrom<String> for Form {
    type Error = FormError;

    fn try_from(text: String) -> Result<Form, FormError> {
        Form::parse(&text)
    }
}

impl From<Form> for String {
    fn from(form: Form) -> String {
        form.0
    }
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn star_stands_for_any_characters_and_nothing_else_does() {
        let cases = [
            ("main", "main", true),
            ("main", "main2", false),
            ("refs/heads/*", "refs/heads/a/b", true),
            ("refs/heads/*", "refs/tags/a", false),
            ("*", "", true),
            ("a*a", "a", false),
            ("a*b*c", "axbxc", true),
            ("a*b*c", "axcxb", false),
            ("repo:team.x/*", "repo:teamax/b", false),
            ("*/app", "team/app/evil", false),
            ("*ab*ab", "ab", false),
        ];
        for (form, text, expected) in cases {
            assert_eq!(
                Form::parse(form).unwrap().fits(text),
                expected,
                "{form} {text}"
            );
        }
    }

    #[test]
    fn name_is_what_the_star_stands_for() {
        let inner = |form: &str, text| Form::parse(form).unwrap().inner(text).map(str::to_owned);
        assert_eq!(inner("*", "ann"), Some("ann".to_owned()));
        assert_eq!(
            inner("*@example.org", "ann@example.org"),
            Some("ann".to_owned())
        );
        assert_eq!(inner("*@example.org", "ann@example.org.evil"), None);
        assert_eq!(inner("*@example.org", "@example.org"), Some(String::new()));
        assert_eq!(
            inner("spiffe://x/user/*", "spiffe://x/user/ann"),
            Some("ann".to_owned())
        );
        assert_eq!(inner("aa*aa", "aaa"), None);
        assert_eq!(inner("**", "ann"), None);
        assert_eq!(inner("ann", "ann"), None);
    }

    #[test]
    fn form_that_says_nothing_is_refused_or_known() {
        assert_eq!(Form::parse(""), Err(FormError::Length));
        assert_eq!(Form::parse(&"a".repeat(1025)), Err(FormError::Length));
        assert_eq!(Form::parse("*********"), Err(FormError::TooManyStars));
        assert!(Form::parse("**").unwrap().is_any());
        assert!(!Form::parse("*/*").unwrap().is_any());
    }
}

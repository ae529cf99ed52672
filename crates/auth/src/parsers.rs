//! What reads what others write and is no door of its own: names and filters of directories, and files of passwords. For tests that
//! give it any text; nothing that ships has this module.

use crate::htpasswd;
use crate::outside::ldap;

/// A filter with a name as somebody typed it.
#[must_use]
pub fn ldap_filter(template: &str, key: &str, typed: &str) -> String {
    ldap::names::filter(template, &[(key, typed)])
}

/// The value of the first part of an entry's name.
#[must_use]
pub fn ldap_first_value(dn: &str) -> Option<String> {
    ldap::names::first_value(dn)
}

/// Whether an entry is below another.
#[must_use]
pub fn ldap_is_below(dn: &str, base: &str) -> bool {
    ldap::names::is_below(dn, base)
}

/// The names and hashes of a file of passwords, or the line that is none.
///
/// # Errors
/// The number of the line, from 1 up.
pub fn htpasswd(text: &str) -> Result<Vec<(String, String)>, usize> {
    htpasswd::entries(text).map(|entries| entries.into_iter().collect())
}

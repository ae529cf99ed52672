//! What users type, and what a directory answers, as parts of filters and names. Pure.
//!
//! Spec: RFC 4515 section 3 (escapes in filters), RFC 4514 section 3 (escapes in names).

/// The longest name that somebody may log in by.
const USER_BYTES_MAX: usize = 256;

/// Whether somebody may call themselves so at all.
pub(super) fn may_be_asked_for(user: &str) -> bool {
    (1..=USER_BYTES_MAX).contains(&user.len()) && !user.chars().any(char::is_control)
}

/// A filter with each `{name}` replaced by its value, escaped. What a value contains is never replaced again.
pub(crate) fn filter(template: &str, values: &[(&str, &str)]) -> String {
    let mut filter = String::with_capacity(template.len());
    let mut rest = template;
    'template: while let Some(at) = rest.find('{') {
        let (before, after) = rest.split_at(at);
        filter.push_str(before);
        for (name, value) in values {
            let key = format!("{{{name}}}");
            if let Some(behind) = after.strip_prefix(&*key) {
                filter.push_str(&ldap3::ldap_escape(*value));
                rest = behind;
                continue 'template;
            }
        }
        filter.push('{');
        rest = &after[1..];
    }
    filter.push_str(rest);
    filter
}

/// The value of the first part of an entry's name: `dev` of `cn=dev,ou=groups,dc=example`. `None` when it has several values
/// or cannot be read.
pub(crate) fn first_value(dn: &str) -> Option<String> {
    let (first, _) = split_first(dn)?;
    let (_, value) = first.split_once('=')?;
    let value = value.trim();
    if value.starts_with('#') || has_unescaped(value, '+') {
        return None;
    }
    unescape(value)
}

/// Whether an entry is below another, or the other is empty. Upper and lower case, and spaces around the parts, are the same.
pub(crate) fn is_below(dn: &str, base: &str) -> bool {
    let (parts, base) = (parts(dn), parts(base));
    parts.len() > base.len() && parts.ends_with(&base)
}

fn parts(dn: &str) -> Vec<String> {
    let mut parts = Vec::new();
    let mut rest = dn;
    while let Some((first, behind)) = split_first(rest) {
        let (attribute, value) = first.split_once('=').unwrap_or((first, ""));
        let part = format!("{}={}", attribute.trim(), value.trim());
        parts.push(part.to_lowercase());
        rest = behind;
    }
    parts
}

/// The first part of a name and what is behind its comma.
fn split_first(dn: &str) -> Option<(&str, &str)> {
    if dn.trim().is_empty() {
        return None;
    }
    let mut is_escaped = false;
    for (at, byte) in dn.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b',' => return Some((&dn[..at], &dn[at + 1..])),
            _ => {}
        }
    }
    Some((dn, ""))
}

fn has_unescaped(text: &str, wanted: char) -> bool {
    let mut is_escaped = false;
    text.chars().any(|c| {
        let found = c == wanted && !is_escaped;
        is_escaped = c == '\\' && !is_escaped;
        found
    })
}

fn unescape(value: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let Some((&byte, behind)) = rest.split_first() {
        rest = behind;
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        let (&next, behind) = rest.split_first()?;
        let pair = rest
            .get(..2)
            .and_then(|pair| std::str::from_utf8(pair).ok());
        match pair.and_then(|pair| u8::from_str_radix(pair, 16).ok()) {
            Some(code) => {
                bytes.push(code);
                rest = &rest[2..];
            }
            None => {
                bytes.push(next);
                rest = behind;
            }
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_writes_a_filter_into_their_name() {
        let by_user = |user| filter("(&(uid={user})(objectClass=person))", &[("user", user)]);
        assert_eq!(by_user("ann"), "(&(uid=ann)(objectClass=person))");
        for trick in ["*", "a*", "ann)(uid=*", "*)(|(uid=*", "a\\2a", "\0"] {
            let made = by_user(trick);
            let inner = made.strip_prefix("(&(uid=").unwrap();
            let inner = inner.strip_suffix(")(objectClass=person))").unwrap();
            assert!(!inner.contains(['(', ')', '*', '\0']), "{made}");
        }
        // A name that looks like another placeholder stays what it is.
        let both = filter(
            "(|(member={dn})(memberUid={user}))",
            &[("user", "{dn}"), ("dn", "x")],
        );
        assert_eq!(both, "(|(member=x)(memberUid={dn}))");
        assert_eq!(filter("(a={b)", &[]), "(a={b)");
    }

    #[test]
    fn only_a_name_is_asked_for() {
        assert!(may_be_asked_for("ann") && may_be_asked_for("Ann Lee"));
        for bad in ["", "a\0", "a\nb", &"a".repeat(257)] {
            assert!(!may_be_asked_for(bad), "{bad:?}");
        }
    }

    #[test]
    fn group_is_called_as_its_entry() {
        let name = |dn: &str| first_value(dn);
        assert_eq!(name("cn=dev,ou=groups,dc=x").as_deref(), Some("dev"));
        assert_eq!(name("CN = dev , ou=groups").as_deref(), Some("dev"));
        assert_eq!(name(r"cn=a\,b\2Bc,dc=x").as_deref(), Some("a,b+c"));
        assert_eq!(name(r"cn=\C3\A4,dc=x").as_deref(), Some("ä"));
        for none in ["", "dev", "cn=a+sn=b,dc=x", "cn=#0403,dc=x", r"cn=\FF,dc=x"] {
            assert_eq!(name(none), None, "{none}");
        }
    }

    #[test]
    fn groups_elsewhere_do_not_count() {
        let base = "ou=Groups,dc=example,dc=org";
        assert!(is_below("cn=dev,OU=groups, dc=Example,dc=org", base));
        assert!(is_below("cn=dev,ou=x,ou=groups,dc=example,dc=org", base));
        assert!(!is_below("cn=dev,ou=groups,dc=example,dc=com", base));
        assert!(!is_below(base, base));
        assert!(!is_below(r"cn=dev\,ou=groups,dc=example,dc=org", base));
        assert!(is_below("cn=dev", ""));
    }
}

//! What was asked, as a query or a form has it: names and values, bounded.
//!
//! Values may be secrets, so they are wiped, and no error shows one.
//!
//! Spec: RFC 6749 section 3.2 and appendix B; the URL standard, "application/x-www-form-urlencoded".

use url::form_urlencoded;
use zeroize::Zeroizing;

use crate::problem::Problem;

/// The most bytes of a query or a form: one of a hundred scopes of the longest names, and a refresh token, is shorter.
pub(crate) const BYTES_MAX: usize = 64 * 1024;

/// The most fields.
const COUNT_MAX: usize = 256;

/// The fields of one request, in their order.
pub(crate) struct Fields(Vec<(String, Zeroizing<String>)>);

impl Fields {
    /// Reads a query or a form.
    ///
    /// # Errors
    /// It is too long, or has too many fields.
    pub(crate) fn parse(text: &[u8]) -> Result<Fields, Problem> {
        if text.len() > BYTES_MAX {
            return Err(Problem::too_large());
        }
        let pairs = form_urlencoded::parse(text).take(COUNT_MAX + 1);
        let pairs = pairs.map(|(name, value)| (name.into_owned(), value.into_owned().into()));
        let fields: Vec<_> = pairs.collect();
        match fields.len() > COUNT_MAX {
            true => Err(Problem::invalid("it has too many parameters")),
            false => Ok(Fields(fields)),
        }
    }

    /// All values of a name.
    pub(crate) fn all<'a>(&'a self, name: &'static str) -> impl Iterator<Item = &'a str> {
        let wanted = self.0.iter().filter(move |(given, _)| given == name);
        wanted.map(|(_, value)| value.as_str())
    }

    /// The value of a name; an empty one is none.
    ///
    /// # Errors
    /// It is given twice.
    pub(crate) fn one(&self, name: &'static str) -> Result<Option<&str>, Problem> {
        let mut values = self.all(name);
        let value = values.next();
        match values.any(|other| Some(other) != value) {
            true => Err(Problem::invalid(&format!("{name} is given twice"))),
            false => Ok(value.filter(|value| !value.is_empty())),
        }
    }

    /// As [`Fields::one`], of what has to be there.
    ///
    /// # Errors
    /// It is not, or is given twice.
    pub(crate) fn needed(&self, name: &'static str) -> Result<&str, Problem> {
        let value = self.one(name)?;
        value.ok_or_else(|| Problem::invalid(&format!("{name} is missing")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(text: &str) -> Fields {
        let read = Fields::parse(text.as_bytes());
        read.unwrap_or_else(|_| panic!("{text:.40} is read"))
    }

    #[test]
    fn values_are_decoded_and_found_by_name() {
        let fields = fields("scope=a%3Ab+c&scope=d&service=x&service=x&empty=&e%6Dpty=");
        assert_eq!(fields.all("scope").collect::<Vec<_>>(), ["a:b c", "d"]);
        assert_eq!(fields.one("service").ok(), Some(Some("x")));
        assert_eq!(fields.one("empty").ok(), Some(None));
        assert_eq!(fields.one("absent").ok(), Some(None));
        assert!(fields.one("scope").is_err());
        assert!(fields.needed("empty").is_err());
    }

    #[test]
    fn how_much_is_read_is_bounded() {
        assert!(Fields::parse(&vec![b'a'; BYTES_MAX]).is_ok());
        assert!(Fields::parse(&vec![b'a'; BYTES_MAX + 1]).is_err());
        assert!(Fields::parse("a&".repeat(COUNT_MAX).as_bytes()).is_ok());
        assert!(Fields::parse("a&".repeat(COUNT_MAX + 1).as_bytes()).is_err());
    }
}

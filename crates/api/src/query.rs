//! The query of a request: decoded once, each name at most once unless it may repeat.
//!
//! Names that nobody asks for are ignored, as the specification allows clients to add theirs. Never allocates for what
//! is not asked for.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use crate::problem::Problem;

/// A raw query.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Query<'a>(&'a str);

/// Why a query is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum QueryError {
    /// A value is not UTF-8 when decoded.
    NotText,
    /// A parameter that may be there once is there twice, with different values.
    Ambiguous,
}

impl<'a> Query<'a> {
    /// The query of a URI; `None` is the empty one.
    pub(crate) fn of(raw: Option<&'a str>) -> Query<'a> {
        Query(raw.unwrap_or(""))
    }

    /// All values of `name`, in order.
    pub(crate) fn all(self, name: &str) -> Result<Vec<Cow<'a, str>>, QueryError> {
        self.raw_values(name)
            .map(|raw| decode(raw).ok_or(QueryError::NotText))
            .collect()
    }

    /// The value of `name`. Given twice with the same value counts once.
    pub(crate) fn get(self, name: &str) -> Result<Option<Cow<'a, str>>, QueryError> {
        let mut found: Option<Cow<'a, str>> = None;
        for raw in self.raw_values(name) {
            let value = decode(raw).ok_or(QueryError::NotText)?;
            match &found {
                Some(earlier) if *earlier != value => return Err(QueryError::Ambiguous),
                Some(_) => {}
                None => found = Some(value),
            }
        }
        Ok(found)
    }

    /// Like [`Query::get`], and parsed. An empty value is as good as none.
    pub(crate) fn parsed<T>(
        self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, Problem>,
    ) -> Result<Option<T>, Problem> {
        match self
            .get(name)
            .map_err(|error| Problem::query(name, error))?
        {
            Some(value) if !value.is_empty() => parse(&value).map(Some),
            _ => Ok(None),
        }
    }

    fn raw_values(self, name: &str) -> impl Iterator<Item = &'a str> {
        let pairs = if self.0.is_empty() {
            None
        } else {
            Some(self.0.split('&'))
        };
        pairs.into_iter().flatten().filter_map(move |pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            // Our names are plain letters; one that is spelled with escapes is decoded before it is compared.
            let same = if key.contains(['%', '+']) {
                decode(key).is_some_and(|key| key == name)
            } else {
                key == name
            };
            same.then_some(value)
        })
    }
}

/// `+` is a space, `%XX` is a byte, once.
fn decode(raw: &str) -> Option<Cow<'_, str>> {
    if !raw.contains('+') {
        return percent_decode_str(raw).decode_utf8().ok();
    }
    let spaced = raw.replace('+', " ");
    let decoded = percent_decode_str(&spaced).decode_utf8().ok()?.into_owned();
    Some(Cow::Owned(decoded))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_decoded_once() {
        let query = Query::of(Some("a=1%2B2&tag=x&tag=y+z&b=%252f&c"));
        assert_eq!(query.get("a").unwrap().unwrap(), "1+2");
        assert_eq!(query.get("b").unwrap().unwrap(), "%2f");
        assert_eq!(query.get("c").unwrap().unwrap(), "");
        assert_eq!(query.get("d"), Ok(None));
        assert_eq!(query.all("tag").unwrap(), ["x", "y z"]);
    }

    #[test]
    fn two_values_where_one_is_wanted_are_refused() {
        assert_eq!(
            Query::of(Some("digest=a&digest=b")).get("digest"),
            Err(QueryError::Ambiguous)
        );
        assert_eq!(
            Query::of(Some("digest=a&digest=a"))
                .get("digest")
                .unwrap()
                .unwrap(),
            "a"
        );
        assert_eq!(
            Query::of(Some("d%69gest=a&digest=b")).get("digest"),
            Err(QueryError::Ambiguous)
        );
    }

    #[test]
    fn bytes_that_are_no_text_are_refused() {
        assert_eq!(
            Query::of(Some("last=%ff")).get("last"),
            Err(QueryError::NotText)
        );
    }

    #[test]
    fn fuzz_query() {
        bolero::check!()
            .with_type::<String>()
            .for_each(|raw: &String| {
                let query = Query::of(Some(raw));
                for name in ["n", "last", "tag", "digest", "at"] {
                    let all = query.all(name);
                    if let (Ok(Some(one)), Ok(all)) = (query.get(name), &all) {
                        assert!(all.contains(&one));
                    }
                }
            });
    }
}

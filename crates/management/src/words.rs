//! Words that several resources share, as their JSON has them.

use std::fmt;

use metadata::LogTime;
use metadata::access::{self, RepositoryPattern};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use utoipa::ToSchema;

use crate::problem::Problem;

/// Who may pull from a project without being a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Visibility {
    /// Nobody.
    Private,
    /// Whoever is signed in.
    Internal,
    /// Anyone.
    Public,
}

impl Visibility {
    /// As people write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        access::Visibility::from(self).name()
    }
}

impl From<Visibility> for access::Visibility {
    fn from(visibility: Visibility) -> access::Visibility {
        match visibility {
            Visibility::Private => access::Visibility::Private,
            Visibility::Internal => access::Visibility::Internal,
            Visibility::Public => access::Visibility::Public,
        }
    }
}

impl From<access::Visibility> for Visibility {
    fn from(visibility: access::Visibility) -> Visibility {
        match visibility {
            access::Visibility::Private => Visibility::Private,
            access::Visibility::Internal => Visibility::Internal,
            access::Visibility::Public => Visibility::Public,
        }
    }
}

/// What a member of a project is. Each may what those before may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Pulls.
    Guest,
    /// Pulls and pushes.
    Developer,
    /// Deletes, too, and rules over tags and robots.
    Maintainer,
    /// Rules over members and visibility, too.
    Owner,
}

impl Role {
    /// As people write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        access::Role::from(self).name()
    }
}

impl From<Role> for access::Role {
    fn from(role: Role) -> access::Role {
        match role {
            Role::Guest => access::Role::Guest,
            Role::Developer => access::Role::Developer,
            Role::Maintainer => access::Role::Maintainer,
            Role::Owner => access::Role::Owner,
        }
    }
}

impl From<access::Role> for Role {
    fn from(role: access::Role) -> Role {
        match role {
            access::Role::Guest => Role::Guest,
            access::Role::Developer => Role::Developer,
            access::Role::Maintainer => Role::Maintainer,
            access::Role::Owner => Role::Owner,
        }
    }
}

/// What may be done with images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Right {
    /// Read images and lists.
    Pull,
    /// Upload, tag and mount.
    Push,
    /// Delete tags, manifests and blobs.
    Delete,
    /// Rule over tags and robots of a project. No grant has it.
    Maintain,
    /// Rule over members and visibility of a project. No grant has it.
    Own,
}

impl Right {
    /// As people write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        access::Right::from(self).name()
    }
}

impl From<Right> for access::Right {
    fn from(right: Right) -> access::Right {
        match right {
            Right::Pull => access::Right::Pull,
            Right::Push => access::Right::Push,
            Right::Delete => access::Right::Delete,
            Right::Maintain => access::Right::Maintain,
            Right::Own => access::Right::Own,
        }
    }
}

impl From<access::Right> for Right {
    fn from(right: access::Right) -> Right {
        match right {
            access::Right::Pull => Right::Pull,
            access::Right::Push => Right::Push,
            access::Right::Delete => Right::Delete,
            access::Right::Maintain => Right::Maintain,
            access::Right::Own => Right::Own,
        }
    }
}

/// What may be done in some repositories.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// In which: a name in which `*` stands for any characters, slashes too.
    #[schema(example = "team/*")]
    pub repositories: String,
    /// What: of `pull`, `push` and `delete`.
    pub rights: Vec<Right>,
}

impl Grant {
    /// As the log has it.
    pub(crate) fn parsed(&self) -> Result<access::Grant, Problem> {
        let repositories = RepositoryPattern::parse(&self.repositories);
        let repositories =
            repositories.map_err(|error| Problem::invalid(format!("`repositories`: {error}")))?;
        let mut rights: Vec<access::Right> = self.rights.iter().copied().map(Into::into).collect();
        rights.sort_unstable();
        rights.dedup();
        Ok(access::Grant {
            repositories,
            rights,
        })
    }

    pub(crate) fn all_parsed(grants: &[Grant]) -> Result<Vec<access::Grant>, Problem> {
        if grants.len() > access::Grant::COUNT_MAX {
            let most = access::Grant::COUNT_MAX;
            return Err(Problem::invalid(format!("at most {most} grants")));
        }
        grants.iter().map(Grant::parsed).collect()
    }
}

impl From<&access::Grant> for Grant {
    fn from(grant: &access::Grant) -> Grant {
        Grant {
            repositories: grant.repositories.to_string(),
            rights: grant.rights.iter().copied().map(Into::into).collect(),
        }
    }
}

/// A moment, in milliseconds of the log's time; in JSON by RFC 3339.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ToSchema)]
#[schema(value_type = String, format = DateTime, example = "2027-01-31T12:00:00Z")]
pub struct Time(pub LogTime);

/// A text that is no moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a time is written by RFC 3339, as in 2027-01-31T12:00:00Z, and is of after 1970")]
pub struct TimeError;

impl Time {
    /// Reads a moment.
    ///
    /// # Errors
    /// When the text is no moment as RFC 3339 has it, or one before 1970.
    pub fn parse(text: &str) -> Result<Time, TimeError> {
        let time = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| TimeError)?;
        let ms = time.unix_timestamp_nanos().div_euclid(1_000_000);
        let ms = u64::try_from(ms).map_err(|_| TimeError)?;
        Ok(Time(LogTime(ms)))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0.0) * 1_000_000);
        // A moment after the year 9999 cannot be written, and means that something never ends.
        match time.ok().and_then(|time| time.format(&Rfc3339).ok()) {
            Some(text) => f.write_str(&text),
            None => f.write_str("9999-12-31T23:59:59Z"),
        }
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Time, D::Error> {
        let text = String::deserialize(from)?;
        Time::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// What was given, if only `null`: what is left out stays `None`.
pub(crate) fn given<'de, D, T>(from: D) -> Result<Option<Option<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::<T>::deserialize(from).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_written_as_it_is_read() {
        for text in ["1970-01-01T00:00:00Z", "2027-01-31T12:00:00.25Z"] {
            assert_eq!(Time::parse(text).unwrap().to_string(), text);
        }
        let summer = Time::parse("2027-06-01T02:00:00+02:00").unwrap();
        assert_eq!(summer.to_string(), "2027-06-01T00:00:00Z");
        assert_eq!(Time(LogTime(u64::MAX)).to_string(), "9999-12-31T23:59:59Z");
        for bad in ["", "tomorrow", "2027-06-01", "1969-12-31T23:59:59Z"] {
            assert_eq!(Time::parse(bad), Err(TimeError), "{bad}");
        }
    }

    #[test]
    fn rights_of_a_grant_come_in_order_and_once() {
        let grant = Grant {
            repositories: "team/*".to_owned(),
            rights: vec![Right::Push, Right::Pull, Right::Push],
        };
        assert_eq!(
            grant.parsed().unwrap().rights,
            [access::Right::Pull, access::Right::Push]
        );
    }
}

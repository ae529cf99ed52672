//! A place in S3-compatible storage, as people write it on the command line: `s3://BUCKET/PREFIX` or
//! `http://HOST:PORT/BUCKET/PREFIX`. It never holds a secret.

use std::fmt;
use std::str::FromStr;

use blobs::{S3Settings, StorageKind, StorageSettings};
use url::Url;

/// A bucket, and what all keys in it begin with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Place {
    bucket: String,
    prefix: Option<String>,
    /// Not set: AWS.
    endpoint: Option<String>,
    region: Option<String>,
}

impl FromStr for S3Place {
    type Err = String;

    fn from_str(text: &str) -> Result<S3Place, String> {
        let shape = "must look like s3://BUCKET/PREFIX or http://HOST:PORT/BUCKET/PREFIX";
        let url = Url::parse(text).map_err(|error| format!("{shape}: {error}"))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err("must hold no credentials, which everybody could read in the list of processes: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY".to_owned());
        }
        let host = url
            .host_str()
            .filter(|host| !host.is_empty())
            .ok_or(shape)?;
        let mut path = url
            .path()
            .split('/')
            .filter(|segment| !segment.is_empty())
            .map(str::to_owned);
        let (bucket, endpoint) = match url.scheme() {
            "s3" => (host.to_owned(), None),
            scheme @ ("http" | "https") => {
                let port = url.port().map_or(String::new(), |port| format!(":{port}"));
                let endpoint = format!("{scheme}://{host}{port}");
                (path.next().ok_or(shape)?, Some(endpoint))
            }
            _ => return Err(shape.to_owned()),
        };
        let prefix: Vec<String> = path.collect();
        let mut region = None;
        for (name, value) in url.query_pairs() {
            match &*name {
                "region" => region = Some(value.into_owned()),
                _ => return Err(format!("knows no `{name}`, only `region`")),
            }
        }
        Ok(S3Place {
            bucket,
            prefix: (!prefix.is_empty()).then(|| prefix.join("/")),
            endpoint,
            region,
        })
    }
}

impl fmt::Display for S3Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.endpoint {
            None => write!(formatter, "s3://{}", self.bucket)?,
            Some(endpoint) => write!(formatter, "{endpoint}/{}", self.bucket)?,
        }
        self.prefix
            .as_ref()
            .map_or(Ok(()), |prefix| write!(formatter, "/{prefix}"))
    }
}

impl S3Place {
    /// The bucket that the settings name, if they name one.
    pub fn of(s3: &S3Settings) -> Option<S3Place> {
        let prefix = s3.prefix.trim_matches('/');
        (!s3.bucket.is_empty()).then(|| S3Place {
            bucket: s3.bucket.clone(),
            prefix: (!prefix.is_empty()).then(|| prefix.to_owned()),
            endpoint: s3.endpoint.clone(),
            region: s3.region.clone(),
        })
    }

    /// Its name with the region, if it has one: what it is read from again.
    pub fn address(&self) -> String {
        match &self.region {
            None => self.to_string(),
            Some(region) => {
                let region = url::form_urlencoded::byte_serialize(region.as_bytes());
                format!("{self}?region={}", region.collect::<String>())
            }
        }
    }

    /// The settings by which a node finds it: names and values.
    pub fn settings(&self) -> Vec<(&'static str, String)> {
        let mut settings = vec![
            ("storage.kind", "s3".to_owned()),
            ("storage.s3.bucket", self.bucket.clone()),
        ];
        let optional = [
            ("storage.s3.prefix", &self.prefix),
            ("storage.s3.endpoint", &self.endpoint),
            ("storage.s3.region", &self.region),
        ];
        for (name, value) in optional {
            settings.extend(value.clone().map(|value| (name, value)));
        }
        settings
    }

    /// The settings of a store that is this place, and in all else (credentials, encryption, times) as `storage` says.
    pub fn storage(&self, storage: &StorageSettings) -> StorageSettings {
        let mut storage = storage.clone();
        storage.kind = StorageKind::S3;
        storage.s3.bucket.clone_from(&self.bucket);
        storage.s3.prefix = self.prefix.clone().unwrap_or_default();
        storage.s3.endpoint.clone_from(&self.endpoint);
        if self.region.is_some() {
            storage.s3.region.clone_from(&self.region);
        }
        storage
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        match text.parse::<S3Place>() {
            Ok(place) => place
                .settings()
                .iter()
                .map(|(name, value)| format!("{}={value}", name.rsplit('.').next().unwrap()))
                .collect::<Vec<_>>()
                .join(" "),
            Err(error) => error,
        }
    }

    #[test]
    fn buckets_are_found_at_aws_and_elsewhere() {
        assert_eq!(shown("s3://images"), "kind=s3 bucket=images");
        assert_eq!(
            shown("s3://images/a/b/?region=eu-west-1"),
            "kind=s3 bucket=images prefix=a/b region=eu-west-1"
        );
        assert_eq!(
            shown("http://127.0.0.1:3900/images/trial?region=garage"),
            "kind=s3 bucket=images prefix=trial endpoint=http://127.0.0.1:3900 region=garage"
        );
    }

    #[test]
    fn what_is_no_bucket_is_refused() {
        for text in ["images", "s3://", "ftp://h/b", "http://h", "https://h/"] {
            assert!(shown(text).contains("must look like"), "{text}");
        }
        assert!(shown("s3://key:secret@images").contains("no credentials"));
        assert!(shown("s3://images?endpoint=x").contains("`endpoint`"));
    }

    #[test]
    fn address_and_settings_lead_back_to_the_place() {
        for text in [
            "s3://images",
            "s3://images/a/b?region=eu-west-1",
            "http://127.0.0.1:3900/images/trial?region=garage",
        ] {
            let place: S3Place = text.parse().unwrap();
            assert_eq!(place.address(), text);
            let storage = place.storage(&StorageSettings::default());
            assert_eq!(S3Place::of(&storage.s3), Some(place));
        }
        assert_eq!(S3Place::of(&S3Settings::default()), None);
    }

    #[test]
    fn place_is_named_without_its_settings() {
        let name = |text: &str| text.parse::<S3Place>().unwrap().to_string();
        assert_eq!(name("s3://images/a?region=r"), "s3://images/a");
        assert_eq!(name("http://h:1/b/c"), "http://h:1/b/c");
    }
}

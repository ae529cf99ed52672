//! Questions to the tables, as they cross the network.

use metadata::{LogTime, Page, Query};
use oci::{Reference, RepositoryName, Tag, UploadId};

use crate::error::{DecodeError, required};
use crate::pb;
use crate::words::{
    digest_from, digest_option_from, digest_to, repository_from, tag_from, upload_from, upload_to,
};

pub(crate) fn limit_from(limit: u64) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}

impl From<&Query> for pb::Query {
    fn from(query: &Query) -> Self {
        use pb::query::Kind;
        let kind = match query {
            Query::Cluster => Kind::Cluster(pb::Empty {}),
            Query::Manifest {
                repository,
                reference,
            } => Kind::Manifest(pb::ManifestQuery {
                repository: repository.to_string(),
                reference: Some(match reference {
                    Reference::Tag(tag) => pb::manifest_query::Reference::Tag(tag.to_string()),
                    Reference::Digest(digest) => {
                        pb::manifest_query::Reference::Digest(digest_to(digest))
                    }
                }),
            }),
            Query::Blob { repository, digest } => Kind::Blob(pb::BlobQuery {
                repository: repository.to_string(),
                digest: digest_to(digest),
            }),
            Query::Upload { repository, upload } => Kind::Upload(pb::UploadQuery {
                repository: repository.to_string(),
                upload: upload_to(*upload),
            }),
            Query::Uploads(page) => Kind::Uploads(pb::UploadsQuery {
                after: page.after.map(upload_to),
                limit: page.limit as u64,
            }),
            Query::BlobObjects(page) => Kind::BlobObjects(pb::BlobObjectsQuery {
                after: page.after.as_ref().map(digest_to),
                limit: page.limit as u64,
            }),
            Query::Repositories(page) => Kind::Repositories(pb::RepositoriesQuery {
                after: page.after.as_ref().map(RepositoryName::to_string),
                limit: page.limit as u64,
            }),
            Query::Tags { repository, page } => Kind::Tags(pb::TagsQuery {
                repository: repository.to_string(),
                after: page.after.as_ref().map(Tag::to_string),
                limit: page.limit as u64,
            }),
            Query::Referrers {
                repository,
                subject,
                artifact_type,
                page,
            } => Kind::Referrers(pb::ReferrersQuery {
                repository: repository.to_string(),
                subject: digest_to(subject),
                artifact_type: artifact_type.clone(),
                after: page.after.as_ref().map(digest_to),
                limit: page.limit as u64,
            }),
            Query::DueDeletions { limit, now } => Kind::DueDeletions(pb::DueDeletionsQuery {
                limit: *limit as u64,
                now: now.0,
            }),
            Query::Nodes => Kind::Nodes(pb::Empty {}),
            Query::Authority => Kind::Authority(pb::Empty {}),
            Query::Authorities => Kind::Authorities(pb::Empty {}),
            Query::Access(query) => Kind::Access((&**query).into()),
            Query::Asked { asker, query } => Kind::Asked(Box::new(pb::AskedQuery {
                asker: Some(asker.into()),
                query: Some(Box::new((&**query).into())),
            })),
        };
        pb::Query { kind: Some(kind) }
    }
}

impl TryFrom<pb::Query> for Query {
    type Error = DecodeError;

    fn try_from(query: pb::Query) -> Result<Self, DecodeError> {
        use pb::query::Kind;
        Ok(match required(query.kind, "a query")? {
            Kind::Cluster(pb::Empty {}) => Query::Cluster,
            Kind::Manifest(query) => Query::Manifest {
                repository: repository_from(&query.repository)?,
                reference: match required(query.reference, "a reference")? {
                    pb::manifest_query::Reference::Tag(tag) => Reference::Tag(tag_from(&tag)?),
                    pb::manifest_query::Reference::Digest(digest) => {
                        Reference::Digest(digest_from(&digest)?)
                    }
                },
            },
            Kind::Blob(query) => Query::Blob {
                repository: repository_from(&query.repository)?,
                digest: digest_from(&query.digest)?,
            },
            Kind::Upload(query) => Query::Upload {
                repository: repository_from(&query.repository)?,
                upload: upload_from(&query.upload)?,
            },
            Kind::Uploads(query) => Query::Uploads(Page {
                after: upload_option_from(query.after.as_deref())?,
                limit: limit_from(query.limit),
            }),
            Kind::BlobObjects(query) => Query::BlobObjects(Page {
                after: digest_option_from(query.after)?,
                limit: limit_from(query.limit),
            }),
            Kind::Repositories(query) => Query::Repositories(Page {
                after: query.after.as_deref().map(repository_from).transpose()?,
                limit: limit_from(query.limit),
            }),
            Kind::Tags(query) => Query::Tags {
                repository: repository_from(&query.repository)?,
                page: Page {
                    after: query.after.as_deref().map(tag_from).transpose()?,
                    limit: limit_from(query.limit),
                },
            },
            Kind::Referrers(query) => Query::Referrers {
                repository: repository_from(&query.repository)?,
                subject: digest_from(&query.subject)?,
                artifact_type: query.artifact_type,
                page: Page {
                    after: digest_option_from(query.after)?,
                    limit: limit_from(query.limit),
                },
            },
            Kind::DueDeletions(query) => Query::DueDeletions {
                limit: limit_from(query.limit),
                now: LogTime(query.now),
            },
            Kind::Nodes(pb::Empty {}) => Query::Nodes,
            Kind::Authority(pb::Empty {}) => Query::Authority,
            Kind::Authorities(pb::Empty {}) => Query::Authorities,
            Kind::Access(query) => Query::Access(Box::new(query.try_into()?)),
            Kind::Asked(asked) => Query::Asked {
                asker: required(asked.asker, "who asks")?.try_into()?,
                query: Box::new(asked_from(asked.query)?),
            },
        })
    }
}

/// What somebody asks is never asked by somebody once more: nothing nests deeper.
fn asked_from(query: Option<Box<pb::Query>>) -> Result<Query, DecodeError> {
    let query = required(query, "what somebody asks")?;
    match query.kind {
        Some(pb::query::Kind::Asked(_)) => Err(DecodeError::new("a query", "it is asked twice")),
        _ => (*query).try_into(),
    }
}

fn upload_option_from(bytes: Option<&[u8]>) -> Result<Option<UploadId>, DecodeError> {
    bytes.map(upload_from).transpose()
}

//! What the tables answered, as it crosses the network.

use metadata::{
    Answer, BlobObject, BlobView, ClusterView, DeletionRow, Epoch, LogTime, ManifestView,
    ObjectKey, ReferrerView, RepositoryView, TagView, UploadListed, UploadView,
};

use crate::access::{denial_from, denial_to};
use crate::error::{DecodeError, required};
use crate::pb;
use crate::rows::{storage_from, storage_to};
use crate::upkeep::{clusters_from, clusters_to, upkeep_from, upkeep_to};
use crate::upload::{parts_from, parts_to};
use crate::words::{
    algorithm_from, algorithm_to, bits_to, cluster_from, digest_from, digest_option_from,
    digest_to, key_from, media_type_from, multipart_to, principal_from, repository_from, tag_from,
    upload_from, upload_to,
};

impl From<&Answer> for pb::Answer {
    fn from(answer: &Answer) -> Self {
        use pb::answer::Kind;
        let kind = match answer {
            Answer::Cluster(view) => Kind::Cluster(view.into()),
            Answer::Manifest(view) => Kind::Manifest((&**view).into()),
            Answer::Blob(view) => Kind::Blob(view.into()),
            Answer::Upload(view) => Kind::Upload((&**view).into()),
            Answer::Uploads { uploads, more } => Kind::Uploads(pb::UploadsPage {
                uploads: uploads.iter().map(Into::into).collect(),
                more: *more,
            }),
            Answer::BlobObjects { blobs, more } => Kind::BlobObjects(pb::BlobObjectsPage {
                blobs: blobs.iter().map(Into::into).collect(),
                more: *more,
            }),
            Answer::Repositories { repositories, more } => {
                Kind::Repositories(pb::RepositoriesPage {
                    repositories: repositories.iter().map(Into::into).collect(),
                    more: *more,
                })
            }
            Answer::Tags { tags, more } => Kind::Tags(pb::TagsPage {
                tags: tags.iter().map(Into::into).collect(),
                more: *more,
            }),
            Answer::Referrers { referrers, next } => Kind::Referrers(pb::ReferrersPage {
                referrers: referrers
                    .iter()
                    .map(|view| (&view.descriptor).into())
                    .collect(),
                next: next.as_ref().map(digest_to),
            }),
            Answer::Deletions { objects } => Kind::Deletions(pb::DeletionsPage {
                objects: objects.iter().map(deletion_to).collect(),
            }),
            Answer::Nodes { nodes } => Kind::Nodes(pb::NodesPage {
                nodes: nodes.iter().map(Into::into).collect(),
            }),
            Answer::Authority {
                certificate,
                sealed_key,
                others,
            } => Kind::Authority(pb::AuthorityView {
                certificate: certificate.clone(),
                sealed_key: sealed_key.clone(),
                others: others.clone(),
            }),
            Answer::Authorities {
                authorities,
                signing,
            } => Kind::Authorities(pb::AuthoritiesView {
                authorities: authorities
                    .iter()
                    .map(|(number, certificate)| pb::NumberedAuthority {
                        number: *number,
                        certificate: certificate.clone(),
                    })
                    .collect(),
                signing: *signing,
            }),
            Answer::Access(answer) => Kind::Access((&**answer).into()),
            Answer::Denied(denial) => Kind::Denied(denial_to(*denial)),
            Answer::RepositoryUnknown => Kind::RepositoryUnknown(pb::Empty {}),
            Answer::Absent => Kind::Absent(pb::Empty {}),
        };
        pb::Answer { kind: Some(kind) }
    }
}

impl TryFrom<pb::Answer> for Answer {
    type Error = DecodeError;

    fn try_from(answer: pb::Answer) -> Result<Self, DecodeError> {
        use pb::answer::Kind;
        Ok(match required(answer.kind, "an answer")? {
            Kind::Cluster(view) => Answer::Cluster(view.try_into()?),
            Kind::Manifest(view) => Answer::Manifest(Box::new(view.try_into()?)),
            Kind::Blob(view) => Answer::Blob(view.try_into()?),
            Kind::Upload(view) => Answer::Upload(Box::new(view.try_into()?)),
            Kind::Uploads(page) => Answer::Uploads {
                uploads: all(page.uploads)?,
                more: page.more,
            },
            Kind::BlobObjects(page) => Answer::BlobObjects {
                blobs: all(page.blobs)?,
                more: page.more,
            },
            Kind::Repositories(page) => Answer::Repositories {
                repositories: all(page.repositories)?,
                more: page.more,
            },
            Kind::Tags(page) => Answer::Tags {
                tags: all(page.tags)?,
                more: page.more,
            },
            Kind::Referrers(page) => Answer::Referrers {
                referrers: all(page.referrers)?,
                next: digest_option_from(page.next)?,
            },
            Kind::Deletions(page) => Answer::Deletions {
                objects: all::<_, DeletionRow>(page.objects)?,
            },
            Kind::Nodes(page) => Answer::Nodes {
                nodes: all(page.nodes)?,
            },
            Kind::Authority(view) => Answer::Authority {
                certificate: view.certificate,
                sealed_key: view.sealed_key,
                others: view.others,
            },
            Kind::Authorities(view) => Answer::Authorities {
                authorities: view
                    .authorities
                    .into_iter()
                    .map(|authority| (authority.number, authority.certificate))
                    .collect(),
                signing: view.signing,
            },
            Kind::Access(answer) => Answer::Access(Box::new(answer.try_into()?)),
            Kind::Denied(denial) => Answer::Denied(denial_from(denial)?),
            Kind::RepositoryUnknown(pb::Empty {}) => Answer::RepositoryUnknown,
            Kind::Absent(pb::Empty {}) => Answer::Absent,
        })
    }
}

pub(crate) fn all<P, T: TryFrom<P, Error = DecodeError>>(
    rows: Vec<P>,
) -> Result<Vec<T>, DecodeError> {
    rows.into_iter().map(T::try_from).collect()
}

impl From<&ClusterView> for pb::ClusterView {
    fn from(view: &ClusterView) -> Self {
        pb::ClusterView {
            cluster: view.cluster.map(|cluster| bits_to(cluster.0)),
            time: view.time.0,
            format: view.format,
            repositories: view.repositories,
            label: view.label.clone(),
            storage: storage_to(&view.storage),
            upkeep: upkeep_to(&view.upkeep),
            adopted_from: clusters_to(&view.adopted_from),
        }
    }
}

impl TryFrom<pb::ClusterView> for ClusterView {
    type Error = DecodeError;

    fn try_from(view: pb::ClusterView) -> Result<Self, DecodeError> {
        Ok(ClusterView {
            cluster: view.cluster.as_deref().map(cluster_from).transpose()?,
            time: LogTime(view.time),
            format: view.format,
            repositories: view.repositories,
            label: view.label,
            storage: storage_from(view.storage)?,
            upkeep: upkeep_from(view.upkeep)?,
            adopted_from: clusters_from(&view.adopted_from)?,
        })
    }
}

impl From<&BlobObject> for pb::BlobObject {
    fn from(blob: &BlobObject) -> Self {
        pb::BlobObject {
            digest: digest_to(&blob.digest),
            key: blob.key.to_string(),
            size: blob.size,
        }
    }
}

impl TryFrom<pb::BlobObject> for BlobObject {
    type Error = DecodeError;

    fn try_from(blob: pb::BlobObject) -> Result<Self, DecodeError> {
        Ok(BlobObject {
            digest: digest_from(&blob.digest)?,
            key: key_from(&blob.key)?,
            size: blob.size,
        })
    }
}

impl From<&ManifestView> for pb::ManifestView {
    fn from(view: &ManifestView) -> Self {
        pb::ManifestView {
            digest: digest_to(&view.digest),
            media_type: view.media_type.to_string(),
            size: view.size,
            payload: Some((&view.payload).into()),
            absent: view.absent,
        }
    }
}

impl TryFrom<pb::ManifestView> for ManifestView {
    type Error = DecodeError;

    fn try_from(view: pb::ManifestView) -> Result<Self, DecodeError> {
        Ok(ManifestView {
            digest: digest_from(&view.digest)?,
            media_type: media_type_from(&view.media_type)?,
            size: view.size,
            payload: required(view.payload, "a payload")?.try_into()?,
            absent: view.absent,
        })
    }
}

impl From<&BlobView> for pb::BlobView {
    fn from(view: &BlobView) -> Self {
        pb::BlobView {
            key: view.key.to_string(),
            size: view.size,
            unreferenced_since: view.unreferenced_since.map(|time| time.0),
            now: view.now.0,
        }
    }
}

impl TryFrom<pb::BlobView> for BlobView {
    type Error = DecodeError;

    fn try_from(view: pb::BlobView) -> Result<Self, DecodeError> {
        Ok(BlobView {
            key: key_from(&view.key)?,
            size: view.size,
            unreferenced_since: view.unreferenced_since.map(LogTime),
            now: LogTime(view.now),
        })
    }
}

impl From<&UploadView> for pb::UploadView {
    fn from(view: &UploadView) -> Self {
        pb::UploadView {
            acknowledged: view.acknowledged,
            checkpointed: view.checkpointed,
            epoch: view.epoch.0,
            algorithm: algorithm_to(view.algorithm),
            midstate: view.midstate.clone(),
            has_parts: view.has_parts,
            plain: view.plain.as_ref().map(ObjectKey::to_string),
            sealed: view.sealed.as_deref().map(Into::into),
            finished: view.finished.as_ref().map(digest_to),
            parts: parts_to(&view.parts),
        }
    }
}

impl TryFrom<pb::UploadView> for UploadView {
    type Error = DecodeError;

    fn try_from(view: pb::UploadView) -> Result<Self, DecodeError> {
        let sealed = view.sealed.map(TryInto::try_into).transpose()?;
        Ok(UploadView {
            acknowledged: view.acknowledged,
            checkpointed: view.checkpointed,
            epoch: Epoch(view.epoch),
            algorithm: algorithm_from(view.algorithm)?,
            midstate: view.midstate,
            has_parts: view.has_parts,
            plain: view.plain.as_deref().map(key_from).transpose()?,
            sealed: sealed.map(Box::new),
            finished: digest_option_from(view.finished)?,
            parts: parts_from(view.parts),
        })
    }
}

impl From<&UploadListed> for pb::UploadListed {
    fn from(view: &UploadListed) -> Self {
        pb::UploadListed {
            upload: upload_to(view.upload),
            repository: view.repository.to_string(),
            last_activity: view.last_activity.0,
            by: view.by.to_string(),
            finished: view.finished,
        }
    }
}

impl TryFrom<pb::UploadListed> for UploadListed {
    type Error = DecodeError;

    fn try_from(view: pb::UploadListed) -> Result<Self, DecodeError> {
        Ok(UploadListed {
            upload: upload_from(&view.upload)?,
            repository: repository_from(&view.repository)?,
            last_activity: LogTime(view.last_activity),
            by: principal_from(view.by),
            finished: view.finished,
        })
    }
}

impl From<&RepositoryView> for pb::RepositoryView {
    fn from(view: &RepositoryView) -> Self {
        pb::RepositoryView {
            name: view.name.to_string(),
            manifests: view.manifests,
            tags: view.tags,
        }
    }
}

impl TryFrom<pb::RepositoryView> for RepositoryView {
    type Error = DecodeError;

    fn try_from(view: pb::RepositoryView) -> Result<Self, DecodeError> {
        Ok(RepositoryView {
            name: repository_from(&view.name)?,
            manifests: view.manifests,
            tags: view.tags,
        })
    }
}

impl From<&TagView> for pb::TagView {
    fn from(view: &TagView) -> Self {
        pb::TagView {
            tag: view.tag.to_string(),
            digest: digest_to(&view.digest),
        }
    }
}

impl TryFrom<pb::TagView> for TagView {
    type Error = DecodeError;

    fn try_from(view: pb::TagView) -> Result<Self, DecodeError> {
        Ok(TagView {
            tag: tag_from(&view.tag)?,
            digest: digest_from(&view.digest)?,
        })
    }
}

fn deletion_to(row: &DeletionRow) -> pb::DeletionRow {
    pb::DeletionRow {
        key: row.key.to_string(),
        multipart: multipart_to(&row.multipart),
    }
}

impl TryFrom<pb::Descriptor> for ReferrerView {
    type Error = DecodeError;

    fn try_from(descriptor: pb::Descriptor) -> Result<Self, DecodeError> {
        Ok(ReferrerView {
            descriptor: descriptor.try_into()?,
        })
    }
}

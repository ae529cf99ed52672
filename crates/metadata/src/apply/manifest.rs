//! A manifest is stored, linked and tagged: all of it or nothing. Rules 2.1 to 2.5, 3.2.

use oci::{Digest, MANIFEST_BYTES_MAX, REFERENCES_MAX};

use super::first_answer::Request;
use super::state::{State, Stop, invalid};
use super::{deletion, precondition, reference, tag};
use crate::command::{ManifestReference, Payload, Precondition, PutManifest};
use crate::keys;
use crate::object_key::{ClusterId, ObjectKey};
use crate::reply::{Refusal, Reply};
use crate::rows::{ManifestLinkRow, ManifestRow, ReferrerRow};
use crate::{INLINE_PAYLOAD_BYTES_MAX, TAGS_PER_PUT_MAX};

/// The most digests of one precondition.
const PRECONDITION_DIGESTS_MAX: usize = 100;

/// The most bytes of an idempotency key, and of a principal's name.
const NAME_BYTES_MAX: usize = 255;

/// [`crate::Command::PutManifest`]. A payload's object that is not made use of, for whatever reason, is queued for its
/// deletion.
pub(super) fn put(state: &mut State<'_>, put: &PutManifest) -> Result<Reply, Stop> {
    let reply = match decide(state, put) {
        Err(Stop::Failed(failure)) => return Err(Stop::Failed(failure)),
        decided => decided,
    };
    if let Payload::Object(object) = &put.payload
        && is_manifest_object(state.cluster_id()?, object)
    {
        let stored = state.get(&keys::manifest(&put.digest))?;
        if stored.is_none_or(|row| row.payload != put.payload) {
            deletion::queue_unread(state, object.clone(), None)?;
        }
    }
    reply
}

fn decide(state: &mut State<'_>, put: &PutManifest) -> Result<Reply, Stop> {
    check_bounds(state.cluster_id()?, put)?;
    let request = Request::of(put);
    if let Some(request) = &request
        && let Some(reply) = request.first_answer(state, put)?
    {
        return Ok(reply);
    }
    let reply = match link_and_tag(state, put) {
        // Nothing was changed yet.
        Err(Stop::Refused(refusal)) if is_an_answer(&refusal) => Reply::Refused(refusal),
        decided => decided?,
    };
    if let Some(request) = request {
        request.remember(state, put, &reply)?;
    }
    Ok(reply)
}

/// Whether the one who asked is told so, and not whoever proposes for them to do something else first.
fn is_an_answer(refusal: &Refusal) -> bool {
    matches!(
        refusal,
        Refusal::PreconditionFailed { .. } | Refusal::BlobsUnknown { .. }
    )
}

fn link_and_tag(state: &mut State<'_>, put: &PutManifest) -> Result<Reply, Stop> {
    let link_key = keys::manifest_link(&put.repository, &put.digest);
    let link = state.get(&link_key)?;
    if link.as_ref().is_some_and(|link| link.ending) {
        return Err(Refusal::DeletionInProgress.into());
    }
    // What is stored wins over what is proposed: counts are taken back as they were made, whoever parsed the payload.
    let manifest = state
        .get(&keys::manifest(&put.digest))?
        .unwrap_or_else(|| row_of(put));
    // A link without the mark is whole, and stays so: nothing that it names can be deleted.
    let looked_up = match &link {
        Some(link) if !link.sparse => None,
        _ => {
            let may_be_sparse = put.sparse;
            let looked_up = reference::look_up(state, &put.repository, &manifest, may_be_sparse)?;
            Some(looked_up)
        }
    };
    let absent = looked_up.as_ref().map_or(0, |it| it.absent);
    let mut tags = Vec::with_capacity(put.tags.len());
    for tag in &put.tags {
        let current = tag::look_up(state, &put.repository, tag)?;
        precondition::check(put.precondition.as_ref(), Some(tag), current.digest())?;
        tags.push((tag, current));
    }
    if put.tags.is_empty() {
        let current = link.as_ref().map(|_| put.digest);
        precondition::check(put.precondition.as_ref(), None, current)?;
    }

    let created_at = link.as_ref().map_or(state.index, |link| link.created_at);
    let created = link.is_none();
    match (link, looked_up) {
        (None, Some(looked_up)) => make_link(state, put, manifest.clone(), looked_up)?,
        (Some(link), Some(_)) if absent == 0 => {
            let sparse = false;
            state.put(&link_key, ManifestLinkRow { sparse, ..link })?;
        }
        _ => {}
    }
    let target = tag::Target {
        repository: &put.repository,
        digest: put.digest,
        manifest: &manifest,
        link: created_at,
        by: &put.principal,
    };
    for (tag, current) in &tags {
        tag::move_to(state, &target, tag, current)?;
    }
    Ok(Reply::ManifestPut { created, absent })
}

fn row_of(put: &PutManifest) -> ManifestRow {
    ManifestRow {
        media_type: put.media_type.clone(),
        size: put.size,
        payload: put.payload.clone(),
        config: put.config,
        subject: put.subject,
        referrer: put.referrer.clone(),
        references: put.references.clone(),
        count: 0,
    }
}

fn make_link(
    state: &mut State<'_>,
    put: &PutManifest,
    mut manifest: ManifestRow,
    looked_up: reference::LookedUp,
) -> Result<(), Stop> {
    let link = ManifestLinkRow {
        created_at: state.index,
        created: state.now(),
        by: put.principal.clone(),
        ending: false,
        sparse: looked_up.absent > 0,
    };
    state.put(&keys::manifest_link(&put.repository, &put.digest), link)?;
    state.change_repository(&put.repository, |row| {
        row.manifests += 1;
        row.bytes += manifest.size;
        Ok(())
    })?;
    reference::attach(state, &put.repository, &put.digest, looked_up.found)?;
    if let (Some(subject), Some(descriptor)) = (&manifest.subject, &manifest.referrer) {
        let row = ReferrerRow {
            descriptor: descriptor.as_ref().clone(),
        };
        state.put(&keys::referrer(&put.repository, subject, &put.digest), row)?;
    }
    manifest.count += 1;
    state.put(&keys::manifest(&put.digest), manifest)
}

/// Whether a key is one that this cluster gave to a manifest: no other is ever stored or deleted.
fn is_manifest_object(cluster: ClusterId, object: &ObjectKey) -> bool {
    object
        .as_str()
        .strip_prefix(&ObjectKey::cluster_prefix(cluster))
        .is_some_and(|rest| rest.starts_with("manifest/"))
}

/// Refuses what would break a bound of the log. The proposer has parsed the payload; this trusts it for no bound.
fn check_bounds(cluster: ClusterId, put: &PutManifest) -> Result<(), Refusal> {
    let size_is_true = match &put.payload {
        Payload::Inline(bytes) => {
            bytes.len() <= INLINE_PAYLOAD_BYTES_MAX && bytes.len() as u64 == put.size
        }
        Payload::Object(object) => {
            is_manifest_object(cluster, object) && put.size <= MANIFEST_BYTES_MAX as u64
        }
    };
    let precondition_digests = match &put.precondition {
        Some(Precondition::Matches(digests) | Precondition::MatchesNone(digests)) => digests.len(),
        Some(Precondition::Exists | Precondition::Absent) | None => 0,
    };
    let is_name = |text: &str| text.len() <= NAME_BYTES_MAX && !text.contains('\0');
    let faults = [
        (!size_is_true, "the payload is not of the size or place"),
        (
            put.references.len() > REFERENCES_MAX,
            "more references than a manifest may have",
        ),
        (
            !are_distinct(&put.references),
            "references that are not sorted or not distinct",
        ),
        (
            put.tags.len() > TAGS_PER_PUT_MAX,
            "more tags than one entry may move",
        ),
        (
            !put.tags.is_sorted_by(|a, b| a < b),
            "tags that are not sorted or not distinct",
        ),
        (
            precondition_digests > PRECONDITION_DIGESTS_MAX,
            "a precondition with too many digests",
        ),
        (
            put.idempotency_key
                .as_ref()
                .is_some_and(|key| !is_name(key)),
            "an idempotency key that is too long or malformed",
        ),
        (!is_name(&put.principal.0), "a principal of no valid name"),
        (
            put.subject.is_some() != put.referrer.is_some(),
            "a subject without its description, or the reverse",
        ),
        (
            put.referrer
                .as_ref()
                .is_some_and(|referrer| referrer.digest != put.digest),
            "the description of another manifest",
        ),
        (
            put.config.is_some_and(|config| !requires(put, config)),
            "a config that is not among the required blobs",
        ),
    ];
    match faults.into_iter().find(|(is_fault, _)| *is_fault) {
        Some((_, reason)) => Err(invalid(reason)),
        None => Ok(()),
    }
}

fn requires(put: &PutManifest, blob: Digest) -> bool {
    put.references
        .binary_search(&ManifestReference::RequiredBlob(blob))
        .is_ok()
}

/// Whether the references are in order, and no digest is named twice, in one way or in several.
fn are_distinct(references: &[ManifestReference]) -> bool {
    let mut digests: Vec<Digest> = references
        .iter()
        .map(|reference| match reference {
            ManifestReference::RequiredBlob(digest)
            | ManifestReference::OptionalBlob(digest)
            | ManifestReference::Child(digest) => *digest,
        })
        .collect();
    digests.sort_unstable();
    references.is_sorted() && digests.is_sorted_by(|a, b| a < b)
}

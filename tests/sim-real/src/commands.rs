//! The commands and queries of the simulated clients: manifests whose content is a number, and tags that point at them.

use bytes::Bytes;
use metadata::{
    Answer, Command, FoundCluster, NodeAnnouncement, NodeId, Payload, Precondition, PrincipalName,
    PutManifest, Query, Reply,
};
use oci::{Algorithm, Digest, MediaType, Reference, RepositoryName, Tag};

/// What makes one push differ from all others.
pub type Content = u64;

/// Where everything is pushed to.
fn repository() -> RepositoryName {
    RepositoryName::parse("group/app").expect("a good name")
}

fn tag_name(tag: u64) -> Tag {
    Tag::parse(&format!("v{tag}")).expect("a good tag")
}

fn payload(content: Content) -> Bytes {
    Bytes::from(format!("{{\"content\":{content},\"pad\":\"{:0400}\"}}", 0))
}

/// The digest of a content.
#[must_use]
pub fn digest(content: Content) -> Digest {
    Digest::of(Algorithm::Sha256, &payload(content))
}

/// What must be so for a push to have an effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// Nothing.
    Always,
    /// There is no such tag.
    Absent,
    /// The tag points at this.
    Is(Content),
}

/// Pushes a content and moves a tag to it.
#[must_use]
pub fn push(tag: u64, content: Content, condition: Condition) -> Command {
    let bytes = payload(content);
    Command::PutManifest(PutManifest {
        repository: repository(),
        digest: digest(content),
        media_type: MediaType::OCI_INDEX,
        size: bytes.len() as u64,
        payload: Payload::Inline(bytes),
        references: Vec::new(),
        config: None,
        subject: None,
        referrer: None,
        tags: vec![tag_name(tag)],
        precondition: match condition {
            Condition::Always => None,
            Condition::Absent => Some(Precondition::Absent),
            Condition::Is(content) => Some(Precondition::Matches(vec![digest(content)])),
        },
        idempotency_key: None,
        sparse: false,
        principal: PrincipalName::anonymous(),
    })
}

/// What an operator does now and then: founds the cluster in the log's tables, says what a node knows, raises the log's format,
/// and uses what the next format brings. Gives how it is called, too.
#[must_use]
pub fn operator(number: u64) -> (&'static str, Command) {
    let announcement = NodeAnnouncement {
        name: "node-1".to_owned(),
        peer_address: "node-1:1".to_owned(),
        client_address: String::new(),
        version: "1".to_owned(),
        format_max: metadata::FORMAT_MAX,
    };
    let node = NodeId(1);
    match number % 5 {
        0 | 1 => {
            let founded = FoundCluster {
                node,
                key_hash: [1; 32],
                announcement,
                authority_certificate: Bytes::from_static(b"certificate"),
                sealed_authority_key: Bytes::from_static(b"sealed"),
            };
            ("found", Command::FoundCluster(Box::new(founded)))
        }
        2 => ("announce", Command::AnnounceNode { node, announcement }),
        3 => ("raise the format", Command::RaiseFormat { to: 2 }),
        _ => {
            let label = format!("label-{}", number % 7);
            ("label", Command::SetLabel { label })
        }
    }
}

/// Removes a tag.
#[must_use]
pub fn delete(tag: u64) -> Command {
    Command::DeleteTag {
        repository: repository(),
        tag: tag_name(tag),
        precondition: None,
        principal: PrincipalName::anonymous(),
    }
}

/// Asks what a tag points at.
#[must_use]
pub fn by_tag(tag: u64) -> Query {
    Query::Manifest {
        repository: repository(),
        reference: Reference::Tag(tag_name(tag)),
    }
}

/// Asks for a content by its digest.
#[must_use]
pub fn by_digest(content: Content) -> Query {
    Query::Manifest {
        repository: repository(),
        reference: Reference::Digest(digest(content)),
    }
}

/// The content of an answer, `None` when there is none.
///
/// # Errors
/// When the answer is none to such a question.
pub fn found(answer: &Answer) -> Result<Option<Content>, String> {
    match answer {
        Answer::Manifest(view) => {
            let Payload::Inline(bytes) = &view.payload else {
                return Err("its payload is elsewhere".to_owned());
            };
            let text = String::from_utf8_lossy(bytes);
            let number = text
                .strip_prefix("{\"content\":")
                .and_then(|rest| rest.split(',').next())
                .and_then(|number| number.parse().ok());
            let content = number.ok_or_else(|| format!("no content: {text}"))?;
            if *bytes != payload(content) {
                return Err(format!("other bytes than were pushed: {text}"));
            }
            Ok(Some(content))
        }
        Answer::Absent | Answer::RepositoryUnknown => Ok(None),
        other => Err(format!("no answer to that: {other:?}")),
    }
}

/// What a reply says about a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decided {
    /// It has taken effect.
    Done,
    /// It has none, and what it asked for was not so.
    Refused,
    /// Nobody can tell.
    Unknown,
}

/// Reads a reply.
#[must_use]
pub fn decided(reply: &Reply) -> Decided {
    match reply {
        Reply::ManifestPut { .. } | Reply::Done | Reply::Founded { .. } => Decided::Done,
        Reply::Refused(metadata::Refusal::OutcomeUnknown) => Decided::Unknown,
        _ => Decided::Refused,
    }
}

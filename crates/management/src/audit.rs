//! The audit: what was done to the registry, by whom and from where. Paged, filtered, and exported line by line.
//!
//! An export is never collected: a page is asked for when the one before it was taken. Each page is decided anew, so that an
//! export ends, cut, when its asker's right does.

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::stream;
use metadata::PrincipalName;
use metadata::access::{AccessAnswer, AccessQuery, AuditPage, AuditRow, AuditView};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::asking::Asking;
use crate::body::{Asked, Told};
use crate::page::{MOST, Paging};
use crate::problem::Problem;
use crate::words::Time;

/// A record of the audit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditRecord {
    /// Its number; one that is missing was removed.
    pub number: u64,
    /// When.
    pub time: Time,
    /// Who.
    pub by: String,
    /// From which address, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// What.
    #[schema(example = "project.create")]
    pub action: String,
    /// With what.
    pub target: String,
    /// The particulars.
    pub detail: String,
    /// The SHA-256 of this record and of the value before it, in hexadecimal digits.
    pub chain: String,
}

impl AuditRecord {
    /// As the log has it, from which the chain can be calculated anew.
    ///
    /// # Errors
    /// A text that says which field is none that the log has written.
    pub fn row(&self) -> Result<AuditRow, &'static str> {
        let from = match self.from.as_deref() {
            None => None,
            Some(from) => Some(from.parse().map_err(|_| "`from` is no address")?),
        };
        Ok(AuditRow {
            time: self.time.0,
            by: PrincipalName((&*self.by).into()),
            from,
            action: (&*self.action).into(),
            target: (&*self.target).into(),
            detail: (&*self.detail).into(),
            chain: chain_value(&self.chain).ok_or("`chain` is no SHA-256")?,
        })
    }
}

/// Reads 64 hexadecimal digits.
#[must_use]
pub fn chain_value(text: &str) -> Option<[u8; 32]> {
    let mut value = [0; 32];
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (place, byte) in value.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * place..2 * place + 2], 16).ok()?;
    }
    Some(value)
}

/// A page of the audit, newest first.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct AuditList {
    /// Newest first; a page may have fewer than were asked for, and another may follow all the same.
    pub records: Vec<AuditRecord>,
    /// `before` of the next page, if there may be one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
}

/// Which records are wanted.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    /// How many at most; 100 when not given, never more than 1,000. An export has no limit.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    n: Option<usize>,
    /// Only records of before this number: `next` of the page before.
    before: Option<u64>,
    /// Only what this account did.
    by: Option<String>,
    /// Only actions that begin so: `project.`, `robot.create`.
    action: Option<String>,
    /// Only targets that begin so.
    target: Option<String>,
    /// Only from this time on.
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Time>,
    /// Only before this time.
    #[param(value_type = Option<String>, format = DateTime)]
    until: Option<Time>,
}

impl Wanted {
    fn page(&self, limit: usize) -> AuditPage {
        AuditPage {
            before: self.before,
            limit,
            by: self.by.as_deref().map(|by| PrincipalName(by.into())),
            action: self.action.as_deref().map(Into::into),
            target: self.target.as_deref().map(Into::into),
            from: self.from.map(|time| time.0),
            until: self.until.map(|time| time.0),
        }
    }
}

fn shown(AuditView { number, row }: AuditView) -> AuditRecord {
    let mut chain = String::with_capacity(64);
    for byte in row.chain {
        chain.push_str(&format!("{byte:02x}"));
    }
    AuditRecord {
        number,
        time: Time(row.time),
        by: row.by.to_string(),
        from: row.from.map(|address| address.to_string()),
        action: row.action.to_string(),
        target: row.target.to_string(),
        detail: row.detail.to_string(),
        chain,
    }
}

async fn page(asking: &Asking, wanted: AuditPage) -> Result<AuditList, Problem> {
    match asking.ask(AccessQuery::Audit(wanted)).await? {
        Some(AccessAnswer::Audit { records, next }) => Ok(AuditList {
            records: records.into_iter().map(shown).collect(),
            next,
        }),
        other => Err(Problem::unexpected(&other)),
    }
}

/// Records of the audit, newest first
///
/// For administrators. May be repeated.
#[utoipa::path(get, path = "/audit", tag = "audit", operation_id = "list_audit", params(Wanted),
    responses((status = 200, description = "A page of records.", body = AuditList)))]
pub(crate) async fn list(
    asking: Asking,
    Asked(wanted): Asked<Wanted>,
) -> Result<Told<AuditList>, Problem> {
    let wanted = wanted.page(Paging::limit(wanted.n));
    page(&asking, wanted).await.map(Told)
}

/// Where an export is.
struct Export {
    asking: Asking,
    wanted: AuditPage,
    first: Option<AuditList>,
    is_done: bool,
}

impl Export {
    /// The next lines, and what is left; `None` at the end.
    async fn lines(mut self) -> Result<Option<(Bytes, Export)>, std::io::Error> {
        if self.is_done {
            return Ok(None);
        }
        let list = match self.first.take() {
            Some(list) => list,
            // The status is on its way already: what is left is to end the body before its end.
            None => page(&self.asking, self.wanted.clone())
                .await
                .map_err(|_| std::io::Error::other("the audit cannot be read any further"))?,
        };
        let mut lines = Vec::new();
        for record in &list.records {
            serde_json::to_writer(&mut lines, record)?;
            lines.push(b'\n');
        }
        self.is_done = list.next.is_none();
        self.wanted.before = list.next;
        Ok(Some((lines.into(), self)))
    }
}

/// Every record that is wanted, newest first, each a line of JSON
///
/// For administrators. May be repeated. An export that cannot go on ends without its last chunk.
#[utoipa::path(get, path = "/audit/export", tag = "audit", operation_id = "export_audit", params(Wanted),
    responses((status = 200, description = "Records, one a line.", body = AuditRecord, content_type = "application/jsonl")))]
pub(crate) async fn export(
    asking: Asking,
    Asked(wanted): Asked<Wanted>,
) -> Result<Response, Problem> {
    let wanted = wanted.page(MOST);
    let first = page(&asking, wanted.clone()).await?;
    let export = Export {
        asking,
        wanted,
        first: Some(first),
        is_done: false,
    };
    let lines = stream::try_unfold(export, Export::lines);
    let kind = [(CONTENT_TYPE, "application/jsonl")];
    Ok((kind, Body::from_stream(lines)).into_response())
}

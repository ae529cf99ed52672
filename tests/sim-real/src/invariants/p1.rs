//! P1, durable: what was acknowledged is there. Clients look for it all the time; at the end everything is looked for at
//! every member.

use std::sync::Arc;
use std::time::Duration;

use metadata_raft::Member;
use ports::{Deadline, MetadataStore};

use crate::commands;
use crate::ledger::Ledger;

/// Looks for everything at one member, whose group is whole.
pub async fn audit(member: Arc<Member>, ledger: Arc<Ledger>, name: String) {
    for content in ledger.acknowledged() {
        let asked = ledger.now();
        let deadline = Deadline::now() + Duration::from_secs(10);
        match member.read(commands::by_digest(content), deadline).await {
            Ok(answered) => match commands::found(&answered.answer) {
                Ok(found) => {
                    ledger.found_by_digest(&name, content, asked, found == Some(content));
                }
                Err(problem) => ledger.breaks(format!("P1: {name}: {problem}")),
            },
            Err(failure) => ledger.breaks(format!("P4: {name} cannot read at the end: {failure}")),
        }
    }
}

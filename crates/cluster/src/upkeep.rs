//! What the leader proposes without being asked, when its time has come: the next format of the log, the removal of
//! gateways that are gone, and the next step of a rotation of the authority (rules 3.7, 5.15 and 5.16). The log decides whether the time has come; a leader that is wrong about it, or
//! two that propose the same, do no harm.

use std::time::Duration;

use metadata::{
    Answer, ClusterView, Command, FORMAT_MAX, FORMAT_RAISED_AFTER_MS, GATEWAY_GONE_AFTER_MS,
    LogTime, NodeRole, NodeView, Query, Refusal, Reply,
};
use metadata_raft::Member;
use ports::{Deadline, MetadataStore};

use crate::node::Shared;
use crate::trust;

/// Between two looks.
pub(crate) const LOOK_EVERY: Duration = Duration::from_secs(5);
const ANSWER_TIME_MAX: Duration = Duration::from_secs(5);
/// So many gateways are removed at one look.
const GATEWAYS_AT_ONCE: usize = 20;

/// Proposes what is due.
pub(crate) async fn propose_due(shared: &Shared, member: &Member, nodes: &[NodeView]) {
    let deadline = Deadline::now() + ANSWER_TIME_MAX;
    let view = match member.read(Query::Cluster, deadline).await {
        Ok(answered) => match answered.answer {
            Answer::Cluster(view) => view,
            _ => return,
        },
        Err(_) => return,
    };
    let mut commands = due(&view, nodes, member.log_clock());
    if let Ok(authorities) = trust::ask(shared).await {
        commands.extend(authorities.next_step(nodes));
    }
    for command in commands {
        let deadline = Deadline::now() + ANSWER_TIME_MAX;
        match member.propose(command.clone(), deadline).await {
            Ok(Reply::Done) => say(&command),
            // What was seen is not so any more.
            Ok(Reply::Refused(Refusal::TooEarly { .. } | Refusal::NodesBehind { .. })) => {}
            Ok(reply) => tracing::warn!(?command, ?reply, "the log does not take it"),
            Err(failure) => tracing::debug!(%failure, "the log does not decide now"),
        }
    }
}

fn say(command: &Command) {
    match command {
        Command::RaiseFormatInTime { to } => {
            tracing::info!(
                format = to,
                "the log's format was raised: every node has known it for a day"
            );
        }
        Command::RemoveGoneGateway { gateway } => tracing::info!(
            node = gateway.0,
            "a gateway that was not heard of for a day is removed"
        ),
        Command::SignWithNextAuthority => tracing::info!(
            "every node believes the new authority: it signs, and all get new certificates"
        ),
        Command::DropAuthority => tracing::info!(
            "every node has a certificate of the new authority: the old one has ended"
        ),
        _ => {}
    }
}

/// What the log would take at `now`.
fn due(view: &ClusterView, nodes: &[NodeView], now: LogTime) -> Vec<Command> {
    let upkeep = &view.upkeep;
    let mut due = Vec::new();
    let is_known = |since| upkeep.has_passed(since, FORMAT_RAISED_AFTER_MS, now);
    if view.format < FORMAT_MAX && upkeep.next_format_since.is_some_and(is_known) {
        let to = view.format + 1;
        due.push(Command::RaiseFormatInTime { to });
    }
    let gone = nodes.iter().filter(|node| {
        node.role == NodeRole::Gateway
            && node.removed.is_none()
            && upkeep.has_passed(node.announced, GATEWAY_GONE_AFTER_MS, now)
    });
    let remove = gone.map(|node| Command::RemoveGoneGateway { gateway: node.node });
    due.extend(remove.take(GATEWAYS_AT_ONCE));
    due
}

#[cfg(test)]
mod tests {
    use super::*;
    use metadata::{NodeAnnouncement, NodeId, StorageRow, UpkeepRow};

    const DAY_MS: u64 = 24 * 60 * 60 * 1000;

    fn view(upkeep: UpkeepRow) -> ClusterView {
        ClusterView {
            cluster: None,
            time: LogTime(0),
            format: 1,
            repositories: 0,
            label: None,
            storage: StorageRow::default(),
            upkeep,
            adopted_from: Vec::new(),
        }
    }

    fn node(node: u64, role: NodeRole, announced: u64) -> NodeView {
        NodeView {
            node: NodeId(node),
            role,
            key_hash: [0; 32],
            announcement: NodeAnnouncement {
                name: String::new(),
                peer_address: String::new(),
                client_address: String::new(),
                version: String::new(),
                format_max: 1,
            },
            joined: LogTime(0),
            announced: LogTime(announced),
            removed: None,
            trust: metadata::NodeTrust::default(),
            storage: metadata::StorageWord::default(),
        }
    }

    #[test]
    fn gateways_of_which_nothing_was_heard_for_a_day_are_removed() {
        let removed = NodeView {
            removed: Some(LogTime(1)),
            ..node(4, NodeRole::Gateway, 0)
        };
        let nodes = [
            node(1, NodeRole::Member, 0),
            node(2, NodeRole::Gateway, 0),
            node(3, NodeRole::Gateway, 1),
            removed,
        ];
        let sound = view(UpkeepRow::default());
        assert_eq!(due(&sound, &nodes, LogTime(DAY_MS - 1)), []);
        let gateway = NodeId(2);
        let remove = Command::RemoveGoneGateway { gateway };
        assert_eq!(due(&sound, &nodes, LogTime(DAY_MS)), [remove]);
        // After a correction they have a day to be heard of.
        let corrected = view(UpkeepRow {
            corrected: Some(LogTime(10 * DAY_MS)),
            ..UpkeepRow::default()
        });
        assert_eq!(due(&corrected, &nodes, LogTime(11 * DAY_MS - 1)), []);
        assert_eq!(due(&corrected, &nodes, LogTime(11 * DAY_MS)).len(), 2);
    }

    #[test]
    fn many_gateways_are_removed_a_few_at_a_time() {
        let nodes: Vec<_> = (1..100).map(|n| node(n, NodeRole::Gateway, 0)).collect();
        let all = due(&view(UpkeepRow::default()), &nodes, LogTime(DAY_MS));
        assert_eq!(all.len(), GATEWAYS_AT_ONCE);
    }

    #[test]
    fn next_format_is_raised_by_a_build_that_knows_it() {
        let known = view(UpkeepRow {
            next_format_since: Some(LogTime(5)),
            ..UpkeepRow::default()
        });
        assert_eq!(due(&known, &[], LogTime(DAY_MS + 4)), []);
        let raise = Command::RaiseFormatInTime { to: 2 };
        let expected: &[Command] = if FORMAT_MAX > 1 { &[raise] } else { &[] };
        assert_eq!(due(&known, &[], LogTime(DAY_MS + 5)), expected);
    }
}

//! What is remembered is forgotten in order, and nothing is remembered for ever. Rules 3.1 and 3.2.

use std::collections::{BTreeMap, BTreeSet};

use super::{Broken, all, same};
use crate::ids::{CommandId, LogIndex};
use crate::keys;
use crate::rows::{ClusterRow, ReplyRow};
use crate::tables::{ReadTables, TableId};
use crate::typed::{self, FirstAnswerRow};

/// The order of replies holds exactly the remembered ones, all above the floor, and the cluster's row counts them.
///
/// # Errors
/// [`Broken`].
pub fn replies_are_ordered(tables: &dyn ReadTables) -> Result<(), Broken> {
    let replies: BTreeMap<_, ReplyRow> = all(tables, TableId::Reply, keys::read_reply)?;
    let order: BTreeMap<_, CommandId> = all(tables, TableId::ReplyOrder, keys::read_reply_order)?;
    let expected: BTreeMap<_, _> = replies.iter().map(|(id, row)| (row.index, *id)).collect();
    same("the order of replies", &order, &expected)?;
    let cluster: Option<ClusterRow> = typed::get(tables, &keys::cluster())?;
    let (count, floor) = cluster.map_or((0, LogIndex(0)), |row| (row.replies, row.replies_floor));
    same("the number of replies", &count, &(replies.len() as u64))?;
    let is_floor_below = order.keys().all(|index| *index > floor);
    same("whether the floor is below", &is_floor_below, &true)
}

/// Every first answer has a row in the order in which they are forgotten.
///
/// # Errors
/// [`Broken`].
pub fn first_answers_are_ordered(tables: &dyn ReadTables) -> Result<(), Broken> {
    let order: BTreeMap<_, ()> = all(tables, TableId::FirstAnswerOrder, |key| {
        let (_, answer) = keys::read_first_answer_order(key)?;
        Some((answer.table(), answer.bytes().to_vec()))
    })?;
    let ordered: BTreeSet<_> = order.into_keys().collect();
    let mut remembered = BTreeSet::new();
    for table in [TableId::RecentPut, TableId::IdempotencyKey] {
        let rows: BTreeMap<_, FirstAnswerRow> = all(tables, table, |key| Some(key.to_vec()))?;
        remembered.extend(rows.into_keys().map(|key| (table, key)));
    }
    match remembered.difference(&ordered).next() {
        None => Ok(()),
        Some((table, _)) => Err(Broken::Contradiction(format!(
            "an answer in {table:?} is never forgotten"
        ))),
    }
}

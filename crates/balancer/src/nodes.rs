//! The nodes, and whose turn it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arc_swap::ArcSwap;

use crate::node::{Condition, Node};

/// The nodes in the order in which they were put in.
#[derive(Default)]
pub(crate) struct Nodes {
    list: ArcSwap<Vec<Arc<Node>>>,
    turn: AtomicUsize,
}

impl Nodes {
    /// Puts a node in, in the place of the one of the same name.
    pub(crate) fn put(&self, node: Arc<Node>) {
        self.list.rcu(|list| {
            let mut list = Vec::clone(list);
            match list.iter_mut().find(|known| known.name == node.name) {
                Some(known) => {
                    known.gone.cancel();
                    *known = Arc::clone(&node);
                }
                None => list.push(Arc::clone(&node)),
            }
            list
        });
    }

    /// Takes a node out. Its requests in flight go on.
    pub(crate) fn remove(&self, name: &str) {
        self.list.rcu(|list| {
            let (gone, left): (Vec<_>, Vec<_>) = list
                .iter()
                .map(Arc::clone)
                .partition(|node| node.name == name);
            gone.iter().for_each(|node| node.gone.cancel());
            left
        });
    }

    pub(crate) fn list(&self) -> Arc<Vec<Arc<Node>>> {
        self.list.load_full()
    }

    /// The node whose turn it is among the best that were not tried: the ready ones, else the healthy ones, else all.
    pub(crate) fn next(&self, tried: &[Arc<Node>]) -> Option<Arc<Node>> {
        let list = self.list.load();
        let is_left = |node: &&Arc<Node>| !tried.iter().any(|other| Arc::ptr_eq(other, node));
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        for condition in [Condition::Ready, Condition::Healthy, Condition::Down] {
            let best = || {
                list.iter()
                    .filter(is_left)
                    .filter(|node| node.condition() == condition)
            };
            let count = best().count();
            // A node may have changed since it was counted; then the next condition has it.
            if let Some(node) = turn.checked_rem(count).and_then(|turn| best().nth(turn)) {
                return Some(Arc::clone(node));
            }
        }
        // Changed from bad to good while the conditions went by.
        list.iter().find(is_left).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(conditions: &[Condition]) -> (Nodes, Vec<Arc<Node>>) {
        let nodes = Nodes::default();
        for (number, condition) in conditions.iter().enumerate() {
            let node = Node::new(&number.to_string(), ([127, 0, 0, 1], 1).into());
            node.found(*condition);
            nodes.put(Arc::new(node));
        }
        let list = nodes.list().to_vec();
        (nodes, list)
    }

    fn turns(nodes: &Nodes, tried: &[Arc<Node>], count: usize) -> String {
        let name = |_| {
            nodes
                .next(tried)
                .map_or("-".to_owned(), |node| node.name.clone())
        };
        (0..count).map(name).collect()
    }

    #[test]
    fn ready_nodes_take_turns() {
        use Condition::{Down, Healthy, Ready};
        let (nodes, list) = nodes(&[Ready, Healthy, Ready, Down]);
        assert_eq!(turns(&nodes, &[], 4), "0202");
        list[0].found(Down);
        assert_eq!(turns(&nodes, &[], 2), "22");
    }

    #[test]
    fn worse_nodes_serve_when_no_better_is_left() {
        use Condition::{Down, Healthy, Ready};
        let (nodes, list) = nodes(&[Ready, Healthy, Down]);
        assert_eq!(turns(&nodes, &list[..1], 2), "11");
        assert_eq!(turns(&nodes, &list[..2], 2), "22");
        assert_eq!(turns(&nodes, &list, 2), "--");
    }

    #[test]
    fn node_that_comes_back_elsewhere_takes_its_own_place() {
        let (nodes, list) = nodes(&[Condition::Ready, Condition::Ready]);
        nodes.put(Arc::new(Node::new("0", ([127, 0, 0, 1], 2).into())));
        assert!(list[0].gone.is_cancelled() && !list[1].gone.is_cancelled());
        assert_eq!(nodes.list().len(), 2);
        assert_eq!(nodes.list()[0].address.port(), 2);
        nodes.remove("0");
        assert_eq!(nodes.list().len(), 1);
    }
}

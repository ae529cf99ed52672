//! What a node keeps about the cluster, in one folder.
//!
//! The identity and the key are secrets and are kept durably. The addresses are only hints: the log knows better as soon as
//! anybody answers.

use std::io;
use std::path::{Path, PathBuf};

use identity::{FileError, NodeId, NodeIdentity, RecoveryKey};
use ports::{IdSource, RandomIds};

const MEMBERS: &str = "members";
const ADDRESS: &str = "address";
const BOOTSTRAP_ID: &str = "bootstrap-id";
/// Says that this member was made a group of its own, and that the others are still to be removed.
const RECOVERED: &str = "recovered";

/// The folder; made when something is first kept in it.
#[derive(Debug, Clone)]
pub struct NodeFolder(PathBuf);

impl NodeFolder {
    /// The folder below a node's data.
    #[must_use]
    pub fn below(data: &Path) -> NodeFolder {
        NodeFolder(data.join("node"))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Who this node is, if it belongs to a cluster. Blocks.
    ///
    /// # Errors
    /// When the file cannot be read, or is damaged.
    pub fn identity(&self) -> Result<Option<NodeIdentity>, FileError> {
        NodeIdentity::load(&self.0)
    }

    /// The key of the cluster's secrets, if this node has it. Blocks.
    ///
    /// # Errors
    /// When the file cannot be read, or is damaged.
    pub fn cluster_key(&self) -> Result<Option<RecoveryKey>, FileError> {
        RecoveryKey::load(&self.0)
    }

    /// The members as they were last known. Blocks.
    #[must_use]
    pub fn members(&self) -> Vec<(NodeId, String)> {
        let text = std::fs::read_to_string(self.0.join(MEMBERS)).unwrap_or_default();
        let member = |line: &str| {
            let (node, address) = line.split_once(' ')?;
            Some((NodeId(node.parse().ok()?), address.to_owned()))
        };
        text.lines().filter_map(member).collect()
    }

    /// Keeps the members for the next start. Blocks.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save_members(&self, members: &[(NodeId, String)]) -> io::Result<()> {
        let lines = members.iter();
        let text: String = lines
            .map(|(node, address)| format!("{node} {address}\n"))
            .collect();
        self.replace(MEMBERS, &text)
    }

    /// Where the others reach this node, as it was last. Blocks.
    #[must_use]
    pub fn address(&self) -> Option<String> {
        let text = std::fs::read_to_string(self.0.join(ADDRESS)).ok()?;
        let address = text.trim();
        (!address.is_empty()).then(|| address.to_owned())
    }

    /// Keeps the address for the next start. Blocks.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save_address(&self, address: &str) -> io::Result<()> {
        self.replace(ADDRESS, &format!("{address}\n"))
    }

    /// Notes that this member is made a group of its own: the others are removed when it starts. Durable when it returns.
    /// Blocks.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn note_recovery(&self) -> io::Result<()> {
        self.replace(RECOVERED, "")
    }

    /// Whether [`NodeFolder::note_recovery`] was called and the others are not removed yet. Blocks.
    pub(crate) fn is_recovered(&self) -> bool {
        self.0.join(RECOVERED).exists()
    }

    /// The others are removed: a loss of power does not bring the note back. Blocks.
    pub(crate) fn forget_recovery(&self) -> io::Result<()> {
        durable_files::remove_file(&self.0.join(RECOVERED)).map(drop)
    }

    /// By which this node is told from others before it belongs to a cluster; chosen once. Blocks.
    pub(crate) fn bootstrap_id(&self) -> io::Result<u128> {
        if let Ok(text) = std::fs::read_to_string(self.0.join(BOOTSTRAP_ID))
            && let Ok(id) = u128::from_str_radix(text.trim(), 16)
        {
            return Ok(id);
        }
        let id = RandomIds.fresh();
        self.replace(BOOTSTRAP_ID, &format!("{id:032x}\n"))?;
        Ok(id)
    }

    /// A reader sees the old content or the new, also after a loss of power.
    fn replace(&self, name: &str, text: &str) -> io::Result<()> {
        durable_files::create_folder(&self.0)?;
        durable_files::replace_file(&self.0, name, text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_read_back() {
        let data = tempfile::tempdir().expect("a temporary folder");
        let folder = NodeFolder::below(data.path());
        assert_eq!(folder.members(), []);
        assert_eq!(folder.address(), None);
        let members = [
            (NodeId(1), "a.example:5050".to_owned()),
            (NodeId(3), "[::1]:5050".to_owned()),
        ];
        folder.save_members(&members).expect("it is written");
        folder.save_address("here:1").expect("it is written");
        assert_eq!(folder.members(), members);
        assert_eq!(folder.address().as_deref(), Some("here:1"));
    }
}

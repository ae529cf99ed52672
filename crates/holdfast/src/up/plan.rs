//! What the folder remembers from run to run: which nodes there are, where they listen, and which of them have joined.
//!
//! ```text
//! <data>/up.json           this file
//! <data>/lock              held by the `holdfast up` that uses the folder
//! <data>/recovery-key      the cluster's recovery key, for its owner only
//! <data>/admin-password    the administrator's password, for its owner only, until it is shown
//! <data>/blobs/            the blobs, unless they are in object storage
//! <data>/<name>/           the data folder of a node
//! <data>/<name>/log/       what it said
//! ```

use std::fs;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::failure::Failure;

const FILE: &str = "up.json";

/// The number of this form of the file.
const VERSION: u32 = 1;

/// How many members there are when nobody says.
const MEMBERS: usize = 3;

/// What a node does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Holds the metadata, and serves.
    Member,
    /// Serves.
    Gateway,
}

impl Role {
    /// As commands and tables say it.
    pub fn name(self) -> &'static str {
        match self {
            Role::Member => "member",
            Role::Gateway => "gateway",
        }
    }
}

/// One node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Planned {
    /// `member-1`, `gateway-2`.
    pub name: String,
    /// What it does.
    pub role: Role,
    /// Where it serves clients, when it was last started.
    pub address: Option<SocketAddr>,
    /// Where other nodes reach it, when it was last started.
    pub peer_address: Option<SocketAddr>,
    /// Whether it is a part of the cluster for good.
    pub has_joined: bool,
}

/// All that is remembered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    version: u32,
    /// Where blobs are: never another place for the same cluster.
    store: String,
    /// Whether the first member is a cluster already.
    pub is_founded: bool,
    /// Whether rights are asked for, and somebody was told the administrator's password.
    #[serde(default)]
    pub is_access_on: bool,
    /// Members first.
    pub nodes: Vec<Planned>,
}

impl Plan {
    /// What this run starts, from what the folder remembers and what is wanted.
    ///
    /// # Errors
    /// One line that names the fix: the folder is somebody else's, or what is wanted contradicts it.
    pub fn make(
        folder: &Path,
        store: &str,
        members: Option<u8>,
        gateways: Option<u8>,
    ) -> Result<Plan, Failure> {
        let known = Plan::load(folder)?;
        if known.is_none() && folder.join("metadata").exists() {
            return Err(Failure::new(format!(
                "the folder {} holds the data of a single node: start that with `holdfast serve`, or choose another folder with --data DIR",
                folder.display()
            )));
        }
        let plan = known.unwrap_or(Plan {
            version: VERSION,
            store: store.to_owned(),
            is_founded: false,
            is_access_on: false,
            nodes: Vec::new(),
        });
        if plan.store != store {
            return Err(Failure::new(format!(
                "the cluster in {} keeps its blobs in {} and not in {store}: start it with the same --s3, or choose another folder with --data DIR",
                folder.display(),
                plan.store
            )));
        }
        plan.grown(folder, members.map(usize::from), gateways.map(usize::from))
    }

    /// With as many nodes as are wanted. Members never become fewer: those that are left out would still count.
    fn grown(
        self,
        folder: &Path,
        members: Option<usize>,
        gateways: Option<usize>,
    ) -> Result<Plan, Failure> {
        let count = |role| self.nodes.iter().filter(|node| node.role == role).count();
        let there = count(Role::Member);
        let members = members.unwrap_or(if there == 0 { MEMBERS } else { there });
        if members < there {
            return Err(Failure::new(format!(
                "the cluster in {} has {there} members, and {members} would not be all of them: leave out --nodes, or choose another folder with --data DIR",
                folder.display()
            )));
        }
        let gateways = gateways.unwrap_or(count(Role::Gateway));
        let named = |role: Role, number: usize| format!("{}-{number}", role.name());
        let wanted = (1..=members)
            .map(|number| (Role::Member, number))
            .chain((1..=gateways).map(|number| (Role::Gateway, number)));
        let nodes = wanted.map(|(role, number)| {
            let name = named(role, number);
            let known = self.nodes.iter().find(|node| node.name == name);
            known.cloned().unwrap_or(Planned {
                name,
                role,
                address: None,
                peer_address: None,
                has_joined: false,
            })
        });
        Ok(Plan {
            nodes: nodes.collect(),
            ..self
        })
    }

    fn load(folder: &Path) -> Result<Option<Plan>, Failure> {
        let path = folder.join(FILE);
        let unreadable = |why: String| {
            Failure::new(format!(
                "{} cannot be read: {why}; choose another folder with --data DIR, or remove the folder to begin anew",
                path.display()
            ))
        };
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            read => read.map_err(|error| unreadable(error.to_string()))?,
        };
        let plan: Plan =
            serde_json::from_str(&text).map_err(|error| unreadable(error.to_string()))?;
        if plan.version != VERSION {
            return Err(unreadable(format!(
                "its version is {}, and this program knows {VERSION}",
                plan.version
            )));
        }
        Ok(Some(plan))
    }

    /// Writes it down, in one step.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn save(&self, folder: &Path) -> Result<(), Failure> {
        let path = folder.join(FILE);
        let new = folder.join("up.json.new");
        let text = serde_json::to_string_pretty(self).expect("names and addresses are JSON");
        let written = fs::write(&new, text).and_then(|()| fs::rename(&new, &path));
        written.map_err(|error| {
            Failure::new(format!(
                "{} cannot be written: {error}; choose another folder with --data DIR",
                path.display()
            ))
        })
    }
}

/// The data folder of a node.
pub fn folder_of(data: &Path, name: &str) -> PathBuf {
    data.join(name)
}

/// The folder of blobs that all nodes share.
pub fn blobs_in(data: &Path) -> PathBuf {
    data.join("blobs")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(plan: &Plan) -> String {
        let names: Vec<&str> = plan.nodes.iter().map(|node| &*node.name).collect();
        names.join(" ")
    }

    #[test]
    fn second_run_goes_on_with_the_same_nodes() {
        let folder = tempfile::tempdir().unwrap();
        let mut plan = Plan::make(folder.path(), "blobs", None, Some(1)).unwrap();
        assert_eq!(names(&plan), "member-1 member-2 member-3 gateway-1");
        plan.nodes[0].has_joined = true;
        plan.nodes[0].address = Some(([127, 0, 0, 1], 7).into());
        plan.save(folder.path()).unwrap();
        assert_eq!(
            Plan::make(folder.path(), "blobs", None, None).unwrap(),
            plan
        );
        let grown = Plan::make(folder.path(), "blobs", Some(5), Some(0)).unwrap();
        assert_eq!(
            names(&grown),
            "member-1 member-2 member-3 member-4 member-5"
        );
        assert_eq!(grown.nodes[0], plan.nodes[0]);
    }

    #[test]
    fn what_contradicts_the_folder_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let make = |store, members| Plan::make(folder.path(), store, members, None);
        make("blobs", Some(3)).unwrap().save(folder.path()).unwrap();
        let fewer = make("blobs", Some(1)).unwrap_err().lines;
        assert!(fewer[0].contains("has 3 members"), "{fewer:?}");
        let elsewhere = make("s3://b", None).unwrap_err().lines;
        assert!(
            elsewhere[0].contains("keeps its blobs in blobs"),
            "{elsewhere:?}"
        );
        fs::write(folder.path().join(FILE), "{").unwrap();
        let unreadable = make("blobs", None).unwrap_err().lines;
        assert!(unreadable[0].contains("cannot be read"), "{unreadable:?}");
    }

    #[test]
    fn folder_of_a_single_node_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("metadata")).unwrap();
        let lines = Plan::make(folder.path(), "blobs", None, None)
            .unwrap_err()
            .lines;
        assert!(lines[0].contains("`holdfast serve`"), "{lines:?}");
    }
}

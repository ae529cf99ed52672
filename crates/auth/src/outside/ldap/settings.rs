//! What is configured of LDAP.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::outside::login::{GroupRule, NameRule};

/// A directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LdapSettings {
    /// `ldaps://host`, or `ldap://host` with `start_tls`.
    pub url: String,
    /// Whether a connection of `ldap://` is encrypted before anything is said.
    #[serde(default)]
    pub start_tls: bool,
    /// Whether passwords may go over the network unencrypted. On the loopback interface they may.
    #[serde(default)]
    pub allow_plain: bool,
    /// The file of the authority of its certificate; else those of the machine.
    #[serde(default)]
    pub authority: Option<PathBuf>,
    /// As whom users are looked for; none: as nobody.
    #[serde(default)]
    pub bind_dn: Option<String>,
    /// The file of its password.
    #[serde(default)]
    pub bind_password_file: Option<PathBuf>,
    /// Below which entry users are.
    pub user_base: String,
    /// How one is found. `{user}` is what they call themselves.
    #[serde(default = "user_filter")]
    pub user_filter: String,
    /// The attribute that names the user here. It is taken from the entry, since most directories do not tell `Ann` from `ann`.
    #[serde(default = "user_attribute")]
    pub user_attribute: String,
    /// How it becomes a name.
    #[serde(default)]
    pub name: NameRule,
    /// The attribute of their address.
    #[serde(default = "email_attribute")]
    pub email_attribute: String,
    /// How their groups are found; none: groups are managed here.
    #[serde(default)]
    pub group_search: Option<GroupSearch>,
    /// Which of them count.
    #[serde(default)]
    pub groups: GroupRule,
    /// How long a login may take.
    #[serde(default = "timeout_ms")]
    pub timeout_ms: u64,
}

/// How the groups of a user are found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum GroupSearch {
    /// An attribute of the user's entry names them: `memberOf`.
    Attribute {
        /// Which.
        name: String,
        /// Below which entry groups count; empty: anywhere. A group's name is the first part of its entry's.
        #[serde(default)]
        base: String,
    },
    /// They are looked for.
    Search {
        /// Below which entry.
        base: String,
        /// How. `{dn}` is the name of the user's entry, `{user}` what the user is called here.
        #[serde(default = "group_filter")]
        filter: String,
        /// The attribute that names a group.
        #[serde(default = "group_attribute")]
        attribute: String,
    },
}

fn user_filter() -> String {
    "(uid={user})".to_owned()
}

fn user_attribute() -> String {
    "uid".to_owned()
}

fn email_attribute() -> String {
    "mail".to_owned()
}

fn group_filter() -> String {
    "(member={dn})".to_owned()
}

fn group_attribute() -> String {
    "cn".to_owned()
}

fn timeout_ms() -> u64 {
    5_000
}

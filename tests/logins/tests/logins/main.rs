//! Logins that are checked by the servers that people run, each on free ports and in a folder of its own, and by a node that asks
//! them.

mod ldap;
mod openid;
mod provider;
mod served;
mod slapd;

//! One login: a connection, the service's bind, the search for the user, the user's bind, the groups.
//!
//! A user who is not found is answered after as many steps as one who is, so that the time does not tell them apart.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ldap3::{LdapConnAsync, LdapConnSettings, LdapResult, Scope, SearchEntry, SearchOptions};
use metadata::GROUPS_PER_LOGIN_MAX;
use metadata::access::{GroupName, Source};
use tokio::sync::Semaphore;
use url::{Host, Url};
use zeroize::Zeroizing;

use super::LdapError;
use super::breaker::Breaker;
use super::names;
use super::settings::{GroupSearch, LdapSettings};
use crate::PASSWORD_BYTES_MAX;
use crate::outside::TIMEOUT_MS_MAX;
use crate::outside::login::{self, Login, LoginError};
use crate::outside::trust;

/// How many logins are under way at once.
const AT_ONCE_MAX: usize = 16;
/// Groups that are read of one user, before it is chosen which count.
const GROUPS_READ_MAX: i32 = 10_000;

/// Result codes (RFC 4511 appendix A) by which a directory says no to a password.
const NO_TO_PASSWORD: [u32; 6] = [19, 32, 48, 49, 50, 53];
const SIZE_LIMIT_EXCEEDED: u32 = 4;

/// See the module. One for the process's life.
pub struct Directory {
    settings: LdapSettings,
    url: Url,
    connection: LdapConnSettings,
    bind_password: Zeroizing<String>,
    time_max: Duration,
    at_once: Arc<Semaphore>,
    breaker: Breaker,
}

/// An entry that may be the user's.
struct Found {
    dn: String,
    name: Option<String>,
    email: Option<String>,
    member_of: Vec<String>,
}

/// The connection's two halves; the driving one ends with it.
struct Connection {
    ldap: ldap3::Ldap,
    _driver: tokio::task::JoinSet<()>,
}

fn failed(error: ldap3::LdapError) -> LdapError {
    // The filter is the operator's, but what the user typed is in it.
    let cause = match error {
        ldap3::LdapError::FilterParsing => "the filter cannot be read".to_owned(),
        error => error.to_string(),
    };
    LdapError::Failed(cause)
}

fn said_no(what: &str, result: &LdapResult) -> LdapError {
    LdapError::Failed(format!("{what}: result {}", result.rc))
}

impl Directory {
    /// Reads the files that the settings name, and asks nobody: not to be called where nothing may block.
    ///
    /// # Errors
    /// [`LdapError::Settings`] and [`LdapError::Trust`].
    pub fn new(settings: LdapSettings) -> Result<Directory, LdapError> {
        let wrong = |what: &str| LdapError::Settings(what.to_owned());
        let url = Url::parse(&settings.url).map_err(|_| wrong("`url` is no address"))?;
        if !matches!(url.scheme(), "ldap" | "ldaps") || url.host().is_none() {
            return Err(wrong("`url` is neither ldaps://HOST nor ldap://HOST"));
        }
        let is_encrypted = url.scheme() == "ldaps" || settings.start_tls;
        if !is_encrypted && !settings.allow_plain && !is_loopback(&url) {
            return Err(wrong(
                "passwords would be sent unencrypted: use ldaps:// or `start_tls`, or say `allow_plain`",
            ));
        }
        if !settings.user_filter.contains("{user}") {
            return Err(wrong("`user_filter` has no {user}: anybody would be found"));
        }
        if !settings.name.form.has_one_star() {
            return Err(wrong(
                "`name.form` has to have one `*`, which stands for the name",
            ));
        }
        if !(1..=TIMEOUT_MS_MAX).contains(&settings.timeout_ms) {
            return Err(wrong(&format!(
                "`timeout_ms` is from 1 to {TIMEOUT_MS_MAX}"
            )));
        }
        let bind_password = match (&settings.bind_dn, &settings.bind_password_file) {
            (Some(_), Some(path)) => read_secret(path)?,
            (None, None) => Zeroizing::default(),
            _ => return Err(wrong("`bind_dn` and `bind_password_file` come together")),
        };
        let time_max = Duration::from_millis(settings.timeout_ms);
        let mut connection = LdapConnSettings::new()
            .set_conn_timeout(time_max)
            .set_starttls(settings.start_tls && url.scheme() == "ldap");
        if is_encrypted {
            let authority = settings.authority.as_deref();
            connection = connection.set_config(trust::client_config(authority)?);
        }
        Ok(Directory {
            url,
            connection,
            bind_password,
            time_max,
            at_once: Arc::new(Semaphore::new(AT_ONCE_MAX)),
            breaker: Breaker::default(),
            settings,
        })
    }

    /// Whether it is known not to answer: for what a node says of itself.
    #[must_use]
    pub fn is_away(&self) -> bool {
        self.breaker.is_closed()
    }

    /// Checks a password. It takes at most the configured time, and may be dropped half-way.
    ///
    /// # Errors
    /// See [`LdapError`].
    pub async fn login(&self, user: &str, password: &str) -> Result<Login, LdapError> {
        // RFC 4513 section 5.1.2: a directory takes a bind without a password for one of nobody, and says yes.
        if password.is_empty() || password.len() > PASSWORD_BYTES_MAX {
            return Err(LdapError::Refused);
        }
        if !names::may_be_asked_for(user) {
            return Err(LdapError::Refused);
        }
        if !self.breaker.may_ask(self.time_max) {
            return Err(LdapError::Away);
        }
        let all = async {
            let closed = |_| LdapError::Away;
            let _turn = self.at_once.acquire().await.map_err(closed)?;
            self.ask(user, password).await
        };
        let outcome = tokio::time::timeout(self.time_max, all).await;
        let outcome = outcome.unwrap_or_else(|_| {
            let waited = format!("no answer within {} ms", self.settings.timeout_ms);
            Err(LdapError::Failed(waited))
        });
        match &outcome {
            Err(error @ LdapError::Failed(_)) => {
                if self.breaker.failed() {
                    let url = &self.settings.url;
                    tracing::warn!(%url, %error, "the LDAP directory does not answer; logins by it are refused until it does");
                }
            }
            _ => {
                if self.breaker.answered() {
                    tracing::info!(url = %self.settings.url, "the LDAP directory answers again");
                }
            }
        }
        outcome
    }

    async fn ask(&self, user: &str, password: &str) -> Result<Login, LdapError> {
        let mut connection = self.connect().await?;
        self.bind_as_service(&mut connection).await?;
        let found = self.find(&mut connection, user).await?;
        let Some(found) = found else {
            // The step that a wrong password would cost.
            let nobody = format!("cn=nobody,{}", self.settings.user_base);
            let bind = connection.ldap.simple_bind(&nobody, "not a password");
            bind.await.map_err(failed)?;
            return Err(LdapError::Refused);
        };
        let bind = connection.ldap.simple_bind(&found.dn, password);
        let result = bind.await.map_err(failed)?;
        match result.rc {
            0 => {}
            code if NO_TO_PASSWORD.contains(&code) => return Err(LdapError::Refused),
            _ => return Err(said_no("it does not bind as the user", &result)),
        }
        let name = found.name.as_deref().ok_or_else(|| LoginError::NoName {
            what: self.settings.user_attribute.clone(),
        })?;
        let user = self.settings.name.name(name)?;
        let groups = self.groups(&mut connection, &found, user.as_str()).await?;
        // What it answers to a farewell does not matter.
        let _ = connection.ldap.unbind().await;
        Ok(Login {
            user,
            source: Source::Ldap,
            email: found.email.as_deref().and_then(login::email),
            groups,
        })
    }

    async fn connect(&self) -> Result<Connection, LdapError> {
        let settings = self.connection.clone();
        let connect = LdapConnAsync::from_url_with_settings(settings, &self.url);
        let (connection, ldap) = connect.await.map_err(failed)?;
        let mut driver = tokio::task::JoinSet::new();
        driver.spawn(async move {
            if let Err(error) = connection.drive().await {
                tracing::debug!(%error, "a connection to the LDAP directory ended");
            }
        });
        Ok(Connection {
            ldap,
            _driver: driver,
        })
    }

    async fn bind_as_service(&self, connection: &mut Connection) -> Result<(), LdapError> {
        let Some(dn) = &self.settings.bind_dn else {
            let bind = connection.ldap.simple_bind("", "");
            let result = bind.await.map_err(failed)?;
            return match result.rc {
                0 => Ok(()),
                _ => Err(said_no("it does not let nobody in", &result)),
            };
        };
        let bind = connection.ldap.simple_bind(dn, &self.bind_password);
        let result = bind.await.map_err(failed)?;
        match result.rc {
            0 => Ok(()),
            _ => Err(said_no("it does not bind as `bind_dn`", &result)),
        }
    }

    /// The user's entry; `None` when there is none, or more than one.
    async fn find(
        &self,
        connection: &mut Connection,
        user: &str,
    ) -> Result<Option<Found>, LdapError> {
        let settings = &self.settings;
        let filter = names::filter(&settings.user_filter, &[("user", user)]);
        let mut attributes = vec![&*settings.user_attribute, &*settings.email_attribute];
        if let Some(GroupSearch::Attribute { name, .. }) = &settings.group_search {
            attributes.push(name);
        }
        let (entries, is_cut) = self
            .search(connection, &settings.user_base, &filter, &attributes, 2)
            .await?;
        let mut entries = entries.into_iter();
        let (Some(entry), None, false) = (entries.next(), entries.next(), is_cut) else {
            return Ok(None);
        };
        let values = |wanted: &str| -> Vec<String> {
            let found = entry
                .attrs
                .iter()
                .find(|(name, _)| is_attribute(name, wanted));
            found.map_or_else(Vec::new, |(_, values)| values.clone())
        };
        let member_of = match &settings.group_search {
            Some(GroupSearch::Attribute { name, .. }) => values(name),
            _ => Vec::new(),
        };
        let mut named = values(&settings.user_attribute).into_iter();
        // Which of several is the user's name could change from day to day.
        let name = named.next().filter(|_| named.next().is_none());
        Ok(Some(Found {
            name,
            email: values(&settings.email_attribute).into_iter().next(),
            member_of,
            dn: entry.dn,
        }))
    }

    async fn groups(
        &self,
        connection: &mut Connection,
        found: &Found,
        user: &str,
    ) -> Result<Option<Vec<GroupName>>, LdapError> {
        let names: Vec<String> = match &self.settings.group_search {
            None => return Ok(None),
            Some(GroupSearch::Attribute { base, .. }) => {
                let counting = found
                    .member_of
                    .iter()
                    .filter(|dn| names::is_below(dn, base));
                counting.filter_map(|dn| names::first_value(dn)).collect()
            }
            Some(GroupSearch::Search {
                base,
                filter,
                attribute,
            }) => {
                // The user may not be allowed to read groups.
                self.bind_as_service(connection).await?;
                let filter = names::filter(filter, &[("dn", &found.dn), ("user", user)]);
                let attributes = [&**attribute];
                let (entries, is_cut) = self
                    .search(connection, base, &filter, &attributes, GROUPS_READ_MAX)
                    .await?;
                if is_cut {
                    return Err(LoginError::TooManyGroups.into());
                }
                let named = |entry: SearchEntry| {
                    let mut attributes = entry.attrs.into_iter();
                    let found = attributes.find(|(name, _)| is_attribute(name, attribute));
                    found.and_then(|(_, values)| values.into_iter().next())
                };
                entries.into_iter().filter_map(named).collect()
            }
        };
        debug_assert!(GROUPS_PER_LOGIN_MAX < usize::try_from(GROUPS_READ_MAX).unwrap_or_default());
        let names = names.iter().map(String::as_str);
        Ok(Some(self.settings.groups.groups(names)?))
    }

    /// The entries, and whether there are more than were asked for.
    async fn search(
        &self,
        connection: &mut Connection,
        base: &str,
        filter: &str,
        attributes: &[&str],
        count_max: i32,
    ) -> Result<(Vec<SearchEntry>, bool), LdapError> {
        let seconds = i32::try_from(self.time_max.as_secs().max(1)).unwrap_or(i32::MAX);
        let options = SearchOptions::new().sizelimit(count_max).timelimit(seconds);
        let ldap = connection.ldap.with_search_options(options);
        let search = ldap.search(base, Scope::Subtree, filter, attributes);
        let ldap3::SearchResult(entries, result) = search.await.map_err(failed)?;
        if result.rc != 0 && result.rc != SIZE_LIMIT_EXCEEDED {
            return Err(said_no("it does not search", &result));
        }
        // A referral leads to a directory that nobody configured.
        let entries = entries
            .into_iter()
            .filter(|entry| !entry.is_ref() && !entry.is_intermediate());
        let entries = entries.map(SearchEntry::construct).collect();
        Ok((entries, result.rc == SIZE_LIMIT_EXCEEDED))
    }
}

/// Directories answer with the attribute as they spell it, and perhaps with options behind it.
fn is_attribute(name: &str, wanted: &str) -> bool {
    let base = name.split(';').next().unwrap_or_default();
    base.eq_ignore_ascii_case(wanted)
}

fn is_loopback(url: &Url) -> bool {
    // What is no https address has its host unparsed.
    let Some(text) = url.host_str() else {
        return false;
    };
    match Host::parse(text) {
        Ok(Host::Domain(name)) => name == "localhost",
        Ok(Host::Ipv4(address)) => address.is_loopback(),
        Ok(Host::Ipv6(address)) => address.is_loopback(),
        Err(_) => false,
    }
}

fn read_secret(path: &Path) -> Result<Zeroizing<String>, LdapError> {
    let read = std::fs::read_to_string(path).map(Zeroizing::new);
    let text = read.map_err(|error| {
        LdapError::Settings(format!("{} cannot be read: {error}", path.display()))
    })?;
    match text.trim_end_matches(['\r', '\n']) {
        "" => Err(LdapError::Settings(format!("{} is empty", path.display()))),
        secret => Ok(Zeroizing::new(secret.to_owned())),
    }
}

#[cfg(test)]
mod tests;

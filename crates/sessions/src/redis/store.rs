//! The ports in Redis. Every operation has one deadline for all its steps, and may be repeated.
//!
//! Keys: `s:` a session by the SHA-256 of its id, `l:` the list of an account's sessions, `f:` the failures of an address,
//! `p:` the pulls of a source. A session is kept before it is in its account's list, and leaves the list after it has ended:
//! what lives and was acknowledged is in the list.

use std::collections::HashMap;
use std::fmt;
use std::sync::LazyLock;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::try_join_all;
use metadata::LogTime;
use metadata::access::AccountName;
use ports::session_store::SESSIONS_PER_ACCOUNT_MAX;
use ports::shared_counts::{ATTEMPT_MAX, ATTEMPTS_UNDER_WAY_MAX};
use ports::{
    Degraded, LoginAttempt, PullLimit, PullReport, PullSettlement, PullSource, Session, SessionKey,
    SessionKind, SessionLife, SessionStore, SharedCounts, ThrottlePolicy,
};
use redis::{Cmd, FromRedisValue, Script, Value, cmd};
use tokio::time::Instant;

use super::connection::Connector;
use super::keeper::Keeper;
use super::settings::{RedisError, RedisSettings};
use crate::status::Status;
use crate::throttle::{SOON, millis};

/// A script, and its hash.
struct Known {
    text: &'static str,
    script: Script,
}

macro_rules! script {
    ($name:ident, $file:literal) => {
        static $name: LazyLock<Known> = LazyLock::new(|| Known {
            text: include_str!($file),
            script: Script::new(include_str!($file)),
        });
    };
}

script!(PUT, "put.lua");
script!(GET, "get.lua");
script!(ENLIST, "enlist.lua");
script!(BEGIN_LOGIN, "begin_login.lua");
script!(END_LOGIN, "end_login.lua");
script!(SETTLE_PULLS, "settle_pulls.lua");

/// Sessions and counts in Redis.
pub struct RedisStore {
    keeper: Keeper,
    prefix: String,
}

impl RedisStore {
    /// Begins to connect, in the background. Calls fail at once until that is done.
    ///
    /// # Errors
    /// The settings are wrong.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn start(settings: &RedisSettings) -> Result<RedisStore, RedisError> {
        let connector = Connector::new(settings)?;
        Ok(RedisStore {
            keeper: Keeper::start(settings, connector),
            prefix: settings.prefix.clone(),
        })
    }

    /// Waits until Redis is there, for so long; whether it is. For starts and tests, never for a request.
    pub async fn wait(&self, within: Duration) -> bool {
        self.keeper.wait(within).await
    }

    /// How it stands with Redis.
    #[must_use]
    pub fn status(&self) -> Status {
        self.keeper.status()
    }

    fn key(&self, kind: &str, name: impl fmt::Display) -> String {
        format!("{}:{kind}:{name}", self.prefix)
    }

    async fn script<T: FromRedisValue>(
        &self,
        known: &'static Known,
        key: &str,
        arguments: &[String],
        deadline: Instant,
    ) -> Result<T, Degraded> {
        let command = |by: &str, what: &str| {
            let mut command = cmd(by);
            command.arg(what).arg(1).arg(key).arg(arguments);
            command
        };
        let by_hash = command("EVALSHA", known.script.get_hash());
        let by_text = || command("EVAL", known.text);
        let value = self.keeper.run_script(&by_hash, by_text, deadline).await?;
        read(value)
    }

    async fn run<T: FromRedisValue>(
        &self,
        command: &Cmd,
        deadline: Instant,
    ) -> Result<T, Degraded> {
        read(self.keeper.run(command, deadline).await?)
    }

    /// The names in an account's list.
    async fn listed(
        &self,
        account: &AccountName,
        deadline: Instant,
    ) -> Result<Vec<String>, Degraded> {
        let mut command = cmd("ZRANGE");
        command.arg(self.key("l", account.as_str())).arg(0).arg(-1);
        self.run(&command, deadline).await
    }

    /// Takes names off an account's list.
    async fn strike(
        &self,
        account: &str,
        names: &[String],
        deadline: Instant,
    ) -> Result<(), Degraded> {
        if names.is_empty() {
            return Ok(());
        }
        let mut command = cmd("ZREM");
        command.arg(self.key("l", account)).arg(names);
        self.run(&command, deadline).await
    }

    /// Ends sessions; says how many lived.
    async fn end(&self, names: &[String], deadline: Instant) -> Result<usize, Degraded> {
        let ends = names.iter().map(async |name| {
            let mut command = cmd("DEL");
            self.run::<usize>(command.arg(self.key("s", name)), deadline)
                .await
        });
        Ok(try_join_all(ends).await?.into_iter().sum())
    }
}

/// What Redis answered, as what was expected.
fn read<T: FromRedisValue>(value: Value) -> Result<T, Degraded> {
    redis::from_redis_value(value).map_err(|_| Degraded::because("an answer of another kind"))
}

fn wait(ms: u64) -> Option<Duration> {
    (ms > 0).then(|| Duration::from_millis(ms))
}

#[async_trait]
impl SessionStore for RedisStore {
    async fn put(
        &self,
        key: &SessionKey,
        session: &Session,
        life: SessionLife,
    ) -> Result<(), Degraded> {
        let deadline = self.keeper.deadline();
        let mut arguments = vec![
            millis(life.idle).to_string(),
            millis(life.total).to_string(),
        ];
        for (name, value) in fields(session) {
            arguments.extend([name.to_owned(), value]);
        }
        let place = self.key("s", key);
        let ends: String = self.script(&PUT, &place, &arguments, deadline).await?;
        let list = self.key("l", session.account.as_str());
        let most = SESSIONS_PER_ACCOUNT_MAX.to_string();
        let arguments = [key.to_string(), ends, most];
        let too_many: Vec<String> = self.script(&ENLIST, &list, &arguments, deadline).await?;
        self.end(&too_many, deadline).await?;
        self.strike(session.account.as_str(), &too_many, deadline)
            .await
    }

    async fn get(&self, key: &SessionKey) -> Result<Option<Session>, Degraded> {
        let place = self.key("s", key);
        let deadline = self.keeper.deadline();
        let kept: HashMap<String, String> = self.script(&GET, &place, &[], deadline).await?;
        Ok(session(&kept))
    }

    async fn remove(&self, key: &SessionKey) -> Result<(), Degraded> {
        let deadline = self.keeper.deadline();
        let mut whose = cmd("HGET");
        whose.arg(self.key("s", key)).arg("account");
        let account: Option<String> = self.run(&whose, deadline).await?;
        let name = [key.to_string()];
        self.end(&name, deadline).await?;
        match account {
            Some(account) => self.strike(&account, &name, deadline).await,
            None => Ok(()),
        }
    }

    async fn list(&self, account: &AccountName) -> Result<Vec<(SessionKey, Session)>, Degraded> {
        let deadline = self.keeper.deadline();
        let names = self.listed(account, deadline).await?;
        let asked = names.iter().map(async |name| {
            let mut command = cmd("HGETALL");
            command.arg(self.key("s", name));
            let kept: HashMap<String, String> = self.run(&command, deadline).await?;
            Ok((name, session(&kept)))
        });
        let (mut listed, mut ended) = (Vec::new(), Vec::new());
        for (name, session) in try_join_all(asked).await? {
            match (SessionKey::parse(name), session) {
                (Some(key), Some(session)) => listed.push((key, session)),
                _ => ended.push(name.clone()),
            }
        }
        self.strike(account.as_str(), &ended, deadline).await?;
        Ok(listed)
    }

    async fn end_all(&self, account: &AccountName) -> Result<usize, Degraded> {
        let deadline = self.keeper.deadline();
        let names = self.listed(account, deadline).await?;
        let ended = self.end(&names, deadline).await?;
        self.strike(account.as_str(), &names, deadline).await?;
        Ok(ended)
    }
}

#[async_trait]
impl SharedCounts for RedisStore {
    async fn begin_login(
        &self,
        attempt: &LoginAttempt,
        policy: &ThrottlePolicy,
    ) -> Result<Option<Duration>, Degraded> {
        let arguments = [
            format!("{:032x}", attempt.account.0),
            format!("{:032x}", attempt.nonce),
            policy.free_failures.to_string(),
            millis(policy.window).to_string(),
            policy.address_failures_max.to_string(),
            ATTEMPTS_UNDER_WAY_MAX.to_string(),
            millis(ATTEMPT_MAX).to_string(),
            millis(SOON).to_string(),
        ];
        let place = self.key("f", attempt.from);
        let deadline = self.keeper.deadline();
        let ms = self.script(&BEGIN_LOGIN, &place, &arguments, deadline);
        Ok(wait(ms.await?))
    }

    async fn end_login(
        &self,
        attempt: &LoginAttempt,
        succeeded: bool,
        policy: &ThrottlePolicy,
    ) -> Result<Option<Duration>, Degraded> {
        let arguments = [
            format!("{:032x}", attempt.account.0),
            format!("{:032x}", attempt.nonce),
            u8::from(succeeded).to_string(),
            policy.free_failures.to_string(),
            millis(policy.wait_first).to_string(),
            millis(policy.wait_max).to_string(),
            millis(policy.window).to_string(),
        ];
        let place = self.key("f", attempt.from);
        let deadline = self.keeper.deadline();
        let ms = self.script(&END_LOGIN, &place, &arguments, deadline);
        Ok(wait(ms.await?))
    }

    async fn settle_pulls(
        &self,
        source: &PullSource,
        report: &PullReport,
        limit: PullLimit,
    ) -> Result<PullSettlement, Degraded> {
        let arguments = [
            report.counter.to_string(),
            report.window.to_string(),
            report.spent.to_string(),
            report.hold.to_string(),
            limit.pulls.to_string(),
            millis(limit.window).to_string(),
        ];
        let place = match source {
            PullSource::Account(account) => self.key("p:account", account.as_str()),
            PullSource::Address(prefix) => self.key("p:address", prefix),
        };
        let deadline = self.keeper.deadline();
        let said = self.script(&SETTLE_PULLS, &place, &arguments, deadline);
        let (held, others, window, left): (u32, u64, u64, u64) = said.await?;
        Ok(PullSettlement {
            held,
            others,
            window,
            left: Duration::from_millis(left),
        })
    }
}

const WEB: &str = "web";
const COMMAND_LINE: &str = "command-line";

/// A session as fields of a hash.
fn fields(session: &Session) -> [(&'static str, String); 6] {
    let kind = match session.kind {
        SessionKind::Web => WEB,
        SessionKind::CommandLine => COMMAND_LINE,
    };
    [
        ("account", session.account.as_str().to_owned()),
        ("generation", session.generation.to_string()),
        ("kind", kind.to_owned()),
        ("began", session.began.0.to_string()),
        ("address", session.address.to_string()),
        ("agent", session.agent.clone()),
    ]
}

/// The session of a hash; `None` when it is empty, or not one of ours.
fn session(kept: &HashMap<String, String>) -> Option<Session> {
    let field = |name: &str| kept.get(name).map(String::as_str);
    Some(Session {
        account: AccountName::parse(field("account")?).ok()?,
        generation: field("generation")?.parse().ok()?,
        kind: match field("kind")? {
            WEB => SessionKind::Web,
            COMMAND_LINE => SessionKind::CommandLine,
            _ => return None,
        },
        began: LogTime(field("began")?.parse().ok()?),
        address: field("address")?.parse().ok()?,
        agent: field("agent")?.to_owned(),
    })
}

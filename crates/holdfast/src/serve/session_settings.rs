//! What the crate of sessions is told, made from the configuration. Reads the files that hold secrets, and shows none.

use std::path::{Path, PathBuf};

use ports::{PullLimit, ThrottlePolicy};
use sessions::{Password, PullLimits, RedisLogin, RedisPlace, RedisSettings, SessionsSettings};

use crate::config::{Limits, RedisMode, SessionPlace, Settings};
use crate::failure::Failure;

/// Where sessions and counts are, and what is counted.
///
/// # Errors
/// A file cannot be read.
pub fn sessions_settings(settings: &Settings) -> Result<SessionsSettings, Failure> {
    let limits = &settings.limits;
    Ok(SessionsSettings {
        redis: redis(&settings.sessions)?,
        throttle: ThrottlePolicy {
            free_failures: limits.login_failures_free,
            wait_first: limits.login_wait.0,
            wait_max: limits.login_wait_max.0,
            window: limits.login_window.0,
            address_failures_max: limits.login_failures_address,
        },
        pulls: PullLimits {
            account: pulls(limits, limits.pulls_account),
            address: pulls(limits, limits.pulls_anonymous),
        },
    })
}

fn pulls(limits: &Limits, pulls: Option<u32>) -> Option<PullLimit> {
    let window = limits.pulls_window.0;
    pulls.map(|pulls| PullLimit { pulls, window })
}

fn redis(sessions: &SessionPlace) -> Result<Option<RedisSettings>, Failure> {
    let Some(first) = sessions.redis.first() else {
        return Ok(None);
    };
    let place = match sessions.mode {
        RedisMode::Alone => RedisPlace::Alone(first.clone()),
        RedisMode::Sentinel => RedisPlace::Sentinel {
            sentinels: sessions.redis.clone(),
            master: sessions.sentinel_master.clone(),
        },
        RedisMode::Cluster => RedisPlace::Cluster(sessions.redis.clone()),
    };
    let password = match &sessions.password {
        Some(password) => Some(Password::new(password.reveal())),
        None => password_in(sessions.password_file.as_ref())?,
    };
    let authorities = sessions.ca_file.as_deref().map(|file| {
        std::fs::read(file).map_err(|error| unreadable("sessions.ca_file", file, &error))
    });
    Ok(Some(RedisSettings {
        place,
        login: RedisLogin {
            user: sessions.user.clone(),
            password,
        },
        sentinel_login: RedisLogin {
            user: sessions.sentinel_user.clone(),
            password: password_in(sessions.sentinel_password_file.as_ref())?,
        },
        authorities: authorities.transpose()?,
        prefix: sessions.prefix.clone(),
        call_timeout: sessions.call_timeout.0,
        connect_timeout: sessions.connect_timeout.0,
        misses_max: sessions.misses_max,
        probe_interval: sessions.probe_interval.0,
    }))
}

/// The first line of a file: editors end it, passwords do not have it.
fn password_in(file: Option<&PathBuf>) -> Result<Option<Password>, Failure> {
    let Some(file) = file else {
        return Ok(None);
    };
    let text = std::fs::read_to_string(file)
        .map_err(|error| unreadable("the file of a password of Redis", file, &error))?;
    Ok(Some(Password::new(text.lines().next().unwrap_or_default())))
}

fn unreadable(what: &str, file: &Path, error: &std::io::Error) -> Failure {
    Failure::new(format!("{what} {} cannot be read: {error}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Configuration, Given};

    fn of(flags: &[(&str, &str)]) -> Result<SessionsSettings, String> {
        let flag = |(key, text): &(&str, &str)| ("--set", (*key).to_owned(), (*text).to_owned());
        let given = Given {
            file: None,
            flags: flags.iter().map(flag).collect(),
        };
        let loaded = Configuration::load(&given, std::iter::empty());
        let loaded = loaded.map_err(|problems| problems.to_string())?;
        Ok(sessions_settings(&loaded.settings).expect("every file is there"))
    }

    #[test]
    fn without_an_address_there_is_no_redis_and_the_limits_are_the_usual_ones() {
        assert_eq!(of(&[]).expect("defaults"), SessionsSettings::default());
    }

    #[test]
    fn sentinels_and_a_password_file_are_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("password");
        std::fs::write(&file, "planted-secret\n").expect("written");
        let settings = of(&[
            ("sessions.redis", "redis://a:26379,redis://b:26379"),
            ("sessions.mode", "sentinel"),
            ("sessions.password_file", &file.display().to_string()),
            ("limits.pulls_anonymous", "100"),
        ]);
        let settings = settings.expect("they are right");
        let shown = format!("{settings:?}");
        assert!(!shown.contains("planted"), "{shown}");
        let redis = settings.redis.expect("it has addresses");
        assert_eq!(redis.login.password, Some(Password::new("planted-secret")));
        let RedisPlace::Sentinel { sentinels, master } = redis.place else {
            panic!("{:?}", redis.place);
        };
        assert_eq!((sentinels.len(), master.as_str()), (2, "mymaster"));
        assert_eq!(settings.pulls.address.map(|limit| limit.pulls), Some(100));
        assert_eq!(settings.pulls.account, None);
    }

    #[test]
    fn what_cannot_work_is_told() {
        let wrong = |flags: &[(&str, &str)]| of(flags).expect_err("it is wrong");
        let two = ("sessions.redis", "redis://a:1,redis://b:1");
        assert!(wrong(&[two]).contains("sessions.mode"));
        assert!(wrong(&[("sessions.mode", "cluster")]).contains("sessions.redis"));
        let told = wrong(&[("sessions.redis", "redis://:planted-secret@a:1")]);
        assert!(told.contains("sessions.password_file") && !told.contains("planted"));
        let long = [("limits.login_wait_max", "1h")];
        assert!(wrong(&long).contains("limits.login_window"));
    }
}

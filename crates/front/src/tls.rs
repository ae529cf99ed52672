//! The certificate that new connections get: as the files have it, followed while the server runs.
//!
//! The files are looked at every few seconds and whenever somebody asks. New connections get what is there then, earlier ones
//! go on with what they had. Files that cannot be used never take effect: the earlier ones stay, and the log and
//! [`Tls::report`] say so.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use rustls::ServerConfig;
use time::OffsetDateTime;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::certificates::{Contents, Served, TlsError, TlsSettings};

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How long before its end a certificate is warned of, and how often.
const WARN_BEFORE: time::Duration = time::Duration::days(30);
const WARN_EVERY: time::Duration = time::Duration::days(1);

/// What new connections get, and what becomes of the files.
pub struct Tls {
    settings: TlsSettings,
    served: ArcSwap<Served>,
    followed: Mutex<Followed>,
    asked: Notify,
}

/// How far the files were followed.
struct Followed {
    /// What is served.
    contents: Contents,
    /// What could not be used the last time.
    failing: Option<Failing>,
    warned: Option<OffsetDateTime>,
}

/// Files that cannot be used.
struct Failing {
    contents: Result<Contents, TlsError>,
    error: TlsError,
    /// Whether it was said. Files that are being replaced fit together a moment later.
    is_told: bool,
}

impl Tls {
    /// Speaks with what the files have now. Blocks.
    ///
    /// # Errors
    /// When they cannot be used. A certificate that has ended can be: clients decide.
    pub fn open(settings: TlsSettings) -> Result<Arc<Tls>, TlsError> {
        let contents = Contents::read(&settings)?;
        let served = Served::of(&settings, &contents)?;
        Ok(Arc::new(Tls {
            settings,
            served: ArcSwap::from_pointee(served),
            followed: Mutex::new(Followed {
                contents,
                failing: None,
                warned: None,
            }),
            asked: Notify::new(),
        }))
    }

    pub(crate) fn server_config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.served.load().config)
    }

    /// Has the files looked at without waiting for their turn.
    pub fn reload_soon(&self) {
        self.asked.notify_one();
    }

    /// Follows the files until `stop`.
    pub async fn follow(self: Arc<Self>, stop: CancellationToken) {
        loop {
            let is_asked = tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK_EVERY) => false,
                () = self.asked.notified() => true,
            };
            let this = Arc::clone(&self);
            let looked = tokio::task::spawn_blocking(move || {
                this.look(is_asked, OffsetDateTime::now_utc());
            });
            if let Err(error) = looked.await {
                tracing::error!(%error, "the files of the certificate could not be looked at");
            }
        }
    }

    /// Looks at the files once. Blocks.
    fn look(&self, is_asked: bool, now: OffsetDateTime) {
        let contents = Contents::read(&self.settings);
        let mut followed = self.followed.lock();
        if contents.as_ref().is_ok_and(|is| *is == followed.contents) {
            followed.failing = None;
        } else {
            self.change(&mut followed, contents, is_asked, now);
        }
        self.warn_of_end(&mut followed, now);
    }

    fn change(
        &self,
        followed: &mut Followed,
        contents: Result<Contents, TlsError>,
        is_asked: bool,
        now: OffsetDateTime,
    ) {
        let usable = match &contents {
            Ok(contents) => self.usable(contents, now),
            Err(error) => Err(error.clone()),
        };
        match (usable, contents) {
            (Ok(served), Ok(contents)) => {
                tracing::info!(
                    names = served.names.join(", "),
                    until = %date(served.not_after),
                    "the certificate was replaced: new connections get the new one"
                );
                self.served.store(Arc::new(served));
                followed.contents = contents;
                followed.failing = None;
                followed.warned = None;
            }
            (usable, contents) => {
                let error = usable.err().unwrap_or(TlsError::NoAuthorities);
                let before = followed.failing.take();
                let is_same = before.as_ref().is_some_and(|f| f.contents == contents);
                let was_told = is_same && before.is_some_and(|f| f.is_told);
                if (is_same || is_asked) && !was_told {
                    tracing::error!(
                        %error,
                        until = %date(self.served.load().not_after),
                        "the files of the certificate were changed and cannot be used: the earlier certificate is served"
                    );
                }
                followed.failing = Some(Failing {
                    contents,
                    error,
                    is_told: is_same || is_asked,
                });
            }
        }
    }

    /// What would be served, if it is no worse than what is.
    fn usable(&self, contents: &Contents, now: OffsetDateTime) -> Result<Served, TlsError> {
        let served = Served::of(&self.settings, contents)?;
        if served.is_valid_at(now) || !self.served.load().is_valid_at(now) {
            return Ok(served);
        }
        Err(TlsError::Wrong {
            path: self.settings.certificate.clone(),
            what: format!(
                "the certificate is valid from {} until {}, and not now",
                date(served.not_before),
                date(served.not_after)
            ),
        })
    }

    fn warn_of_end(&self, followed: &mut Followed, now: OffsetDateTime) {
        let served = self.served.load();
        let is_due = served.not_after - now < WARN_BEFORE
            && followed.warned.is_none_or(|at| now - at >= WARN_EVERY);
        if !is_due {
            return;
        }
        followed.warned = Some(now);
        let until = date(served.not_after);
        if served.not_after < now {
            tracing::error!(%until, "the certificate has ended: clients refuse it");
        } else {
            tracing::warn!(%until, "the certificate ends soon: replace its files");
        }
    }

    /// How it stands, in one line for people, without paths and reasons, which are in the log.
    #[must_use]
    pub fn report(&self) -> String {
        self.report_at(OffsetDateTime::now_utc())
    }

    fn report_at(&self, now: OffsetDateTime) -> String {
        let served = self.served.load();
        let until = date(served.not_after);
        let left = served.not_after - now;
        let mut line = match served.is_valid_at(now) {
            true if left < WARN_BEFORE => {
                format!(
                    "the certificate ends in {} days, at {until}",
                    left.whole_days()
                )
            }
            true => format!("the certificate is valid until {until}"),
            false => format!(
                "the certificate is not valid: it is from {} until {until}",
                date(served.not_before)
            ),
        };
        let followed = self.followed.lock();
        if followed.failing.as_ref().is_some_and(|f| f.is_told) {
            line.push_str("; its files were changed and cannot be used, the log tells why");
        }
        line
    }

    /// Why the files cannot be used, if so.
    #[must_use]
    pub fn failure(&self) -> Option<TlsError> {
        let followed = self.followed.lock();
        followed.failing.as_ref().map(|f| f.error.clone())
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// To the second, as clocks in logs show it.
fn date(moment: OffsetDateTime) -> String {
    let format = time::format_description::well_known::Rfc3339;
    moment
        .format(&format)
        .unwrap_or_else(|_| "a time beyond all calendars".to_owned())
}

#[cfg(test)]
#[path = "tls_tests.rs"]
mod tests;

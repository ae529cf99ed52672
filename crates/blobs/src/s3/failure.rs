//! What an answer of S3, or its absence, means, and the one place where calls are repeated.
//!
//! Must never repeat what a repetition cannot help: wrong credentials and bad requests fail at once. The client's own
//! retries are off, so that no call is repeated on two layers.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use ports::BlobFailure;
use tokio::time::{Instant, sleep, timeout_at};

use crate::metric;

/// One try of a call failed.
#[derive(Debug)]
pub(super) enum CallFailure {
    /// No such object, or nothing that the answer tells apart from it.
    NoSuchKey,
    /// No such multipart upload.
    NoSuchUpload,
    /// The span lies beyond the object.
    BadRange,
    /// The service does not know the call, or not in this form.
    NotImplemented { reason: String },
    /// Another try may do better.
    Retryable {
        reason: String,
        retry_after: Option<Duration>,
    },
    /// No room is left.
    Full { reason: String },
    /// Credentials, permissions, certificates.
    Denied { reason: String },
    /// Anything else.
    Other { reason: String },
}

impl CallFailure {
    /// As the port says it, for a call about `key`.
    pub(super) fn about(self, key: impl fmt::Display) -> BlobFailure {
        match self {
            CallFailure::NoSuchKey => BlobFailure::NoSuchObject {
                key: key.to_string(),
            },
            CallFailure::NoSuchUpload => BlobFailure::NoSuchUpload {
                key: key.to_string(),
            },
            CallFailure::BadRange => BlobFailure::Other {
                reason: format!("{key} is shorter than was asked for"),
            },
            CallFailure::Retryable {
                reason,
                retry_after,
            } => BlobFailure::Unavailable {
                reason,
                retry_after,
            },
            CallFailure::Full { reason } => BlobFailure::Full { reason },
            CallFailure::Denied { reason } => BlobFailure::Denied { reason },
            CallFailure::NotImplemented { reason } | CallFailure::Other { reason } => {
                BlobFailure::Other { reason }
            }
        }
    }
}

impl<E> From<SdkError<E, HttpResponse>> for CallFailure
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    fn from(error: SdkError<E, HttpResponse>) -> CallFailure {
        let answer = error.raw_response().map(|response| Answer {
            status: response.status().as_u16(),
            code: error
                .as_service_error()
                .and_then(ProvideErrorMetadata::code)
                .map(str::to_owned),
            message: error
                .as_service_error()
                .and_then(ProvideErrorMetadata::message)
                .map(str::to_owned),
            retry_after: response
                .headers()
                .get("retry-after")
                .and_then(|text| text.parse().ok()),
        });
        match answer {
            Some(answer) => answer.meaning(),
            None => unanswered(&error),
        }
    }
}

/// What matters of an answer that is an error.
struct Answer {
    status: u16,
    code: Option<String>,
    message: Option<String>,
    retry_after: Option<u64>,
}

impl Answer {
    fn meaning(self) -> CallFailure {
        let code = self.code.as_deref().unwrap_or("");
        let message = self.message.as_deref().unwrap_or("");
        let reason = format!("the store answered {} {code}: {message}", self.status);
        match (self.status, code) {
            (_, "NoSuchUpload") => CallFailure::NoSuchUpload,
            (_, "NoSuchBucket") => CallFailure::Other { reason },
            (404, _) | (_, "NoSuchKey") => CallFailure::NoSuchKey,
            (416, _) | (_, "InvalidRange") => CallFailure::BadRange,
            (507, _)
            | (
                _,
                "QuotaExceeded"
                | "InsufficientStorage"
                | "StorageFull"
                | "XMinioStorageFull"
                | "EntityTooLarge",
            ) => CallFailure::Full { reason },
            (501, _) | (_, "NotImplemented" | "MethodNotAllowed") => {
                CallFailure::NotImplemented { reason }
            }
            (
                _,
                "SlowDown"
                | "RequestTimeout"
                | "ServiceUnavailable"
                | "InternalError"
                | "OperationAborted"
                | "Throttling"
                | "ThrottlingException"
                | "RequestLimitExceeded"
                | "ExpiredToken",
            )
            | (408 | 409 | 425 | 429 | 500..=599, _) => CallFailure::Retryable {
                reason,
                retry_after: self.retry_after.map(Duration::from_secs),
            },
            (_, "RequestTimeTooSkewed") => CallFailure::Denied {
                reason: format!("{reason}; set this machine's clock"),
            },
            (401 | 403, _) => CallFailure::Denied { reason },
            (301 | 307, _) => CallFailure::Other {
                reason: format!("{reason}; is storage.s3.region right?"),
            },
            _ => CallFailure::Other { reason },
        }
    }
}

/// Nothing came back: what became of the call is not known.
fn unanswered<E: Error + Send + Sync + 'static>(error: &SdkError<E, HttpResponse>) -> CallFailure {
    let reason = DisplayErrorContext(error).to_string();
    let credentials = chain(error).find_map(|cause| cause.downcast_ref::<CredentialsError>());
    let is_certificate = || chain(error).any(|cause| cause.to_string().contains("certificate"));
    match (error, credentials) {
        (_, Some(CredentialsError::ProviderTimedOut(_) | CredentialsError::ProviderError(_))) => {
            CallFailure::Retryable {
                reason,
                retry_after: None,
            }
        }
        (_, Some(_)) => CallFailure::Denied { reason },
        (SdkError::DispatchFailure(_), None) if is_certificate() => CallFailure::Denied { reason },
        (SdkError::DispatchFailure(failure), None) if failure.is_user() => {
            CallFailure::Other { reason }
        }
        (SdkError::ConstructionFailure(_), None) => CallFailure::Other { reason },
        _ => CallFailure::Retryable {
            reason,
            retry_after: None,
        },
    }
}

/// The error and its causes, those included that are wrapped in errors of the system.
fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&cause| {
        match cause.downcast_ref::<std::io::Error>() {
            Some(io) => io.get_ref().map(|inner| inner as &(dyn Error + 'static)),
            None => cause.source(),
        }
    })
}

/// How long a call is tried.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// For the call with all its tries.
    pub(super) deadline: Duration,
}

impl Patience {
    const FIRST_PAUSE: Duration = Duration::from_millis(50);
    const LONGEST_PAUSE: Duration = Duration::from_secs(5);

    /// Makes tries until one succeeds, one fails for good, or the deadline has come.
    pub(super) async fn retry<T, Try>(
        self,
        mut attempt: impl FnMut() -> Try,
    ) -> Result<T, CallFailure>
    where
        Try: Future<Output = Result<T, CallFailure>>,
    {
        let deadline = Instant::now() + self.deadline;
        let mut tries = 0;
        let mut last = None;
        loop {
            tries += 1;
            let failure = match timeout_at(deadline, attempt()).await {
                Ok(Err(failure @ CallFailure::Retryable { .. })) => failure,
                Ok(ended) => return ended,
                Err(_) => return Err(last.unwrap_or_else(|| no_answer(self.deadline))),
            };
            let pause = pause_after(tries, &failure);
            if Instant::now() + pause >= deadline {
                return Err(failure);
            }
            metric::retried();
            tracing::debug!(
                ?failure,
                tries,
                ?pause,
                "a call to the blob store is repeated"
            );
            last = Some(failure);
            sleep(pause).await;
        }
    }
}

fn no_answer(waited: Duration) -> CallFailure {
    CallFailure::Retryable {
        reason: format!("no answer in {waited:?}"),
        retry_after: None,
    }
}

/// Doubling, with jitter so that the retries of many calls do not come together, and no sooner than was asked.
pub(super) fn pause_after(tries: u32, failure: &CallFailure) -> Duration {
    let longest = Patience::FIRST_PAUSE
        .saturating_mul(1 << tries.min(10))
        .min(Patience::LONGEST_PAUSE);
    let jittered = longest.mul_f64(rand::random_range(0.5..1.0));
    match failure {
        CallFailure::Retryable {
            retry_after: Some(asked),
            ..
        } => jittered.max(*asked),
        _ => jittered,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, code: &str) -> CallFailure {
        let answer = Answer {
            status,
            code: Some(code.to_owned()),
            message: None,
            retry_after: Some(7),
        };
        answer.meaning()
    }

    #[test]
    fn answers_have_their_meaning() {
        assert!(matches!(answer(404, "NoSuchKey"), CallFailure::NoSuchKey));
        assert!(matches!(answer(404, ""), CallFailure::NoSuchKey));
        assert!(matches!(
            answer(404, "NoSuchUpload"),
            CallFailure::NoSuchUpload
        ));
        assert!(matches!(
            answer(404, "NoSuchBucket"),
            CallFailure::Other { .. }
        ));
        assert!(matches!(
            answer(403, "AccessDenied"),
            CallFailure::Denied { .. }
        ));
        assert!(matches!(
            answer(403, "SignatureDoesNotMatch"),
            CallFailure::Denied { .. }
        ));
        assert!(matches!(
            answer(400, "InvalidPart"),
            CallFailure::Other { .. }
        ));
        assert!(matches!(answer(507, ""), CallFailure::Full { .. }));
        assert!(matches!(
            answer(501, "NotImplemented"),
            CallFailure::NotImplemented { .. }
        ));
        for (status, code) in [
            (503, "SlowDown"),
            (500, "InternalError"),
            (400, "RequestTimeout"),
            (429, ""),
        ] {
            let meaning = answer(status, code);
            let seconds = Some(Duration::from_secs(7));
            assert!(
                matches!(meaning, CallFailure::Retryable { retry_after, .. } if retry_after == seconds),
                "{code}"
            );
        }
    }

    #[tokio::test]
    async fn a_call_is_repeated_until_it_works() {
        let mut tries = 0;
        let patience = Patience {
            deadline: Duration::from_secs(60),
        };
        let result = patience.retry(|| {
            tries += 1;
            let outcome = if tries < 3 {
                Err(no_answer(Duration::ZERO))
            } else {
                Ok(tries)
            };
            std::future::ready(outcome)
        });
        assert_eq!(result.await.unwrap(), 3);
    }

    #[tokio::test]
    async fn the_deadline_ends_retries_and_hanging_calls() {
        let patience = Patience {
            deadline: Duration::from_millis(300),
        };
        let begun = Instant::now();
        let failed: Result<(), _> = patience
            .retry(|| std::future::ready(Err(no_answer(Duration::ZERO))))
            .await;
        assert!(matches!(failed, Err(CallFailure::Retryable { .. })));
        assert!(begun.elapsed() <= Duration::from_millis(300));
        let hung: Result<(), _> = patience.retry(std::future::pending).await;
        assert!(matches!(hung, Err(CallFailure::Retryable { .. })));
    }

    #[tokio::test]
    async fn what_cannot_get_better_is_not_repeated() {
        let mut tries = 0;
        let failed: Result<(), _> = Patience {
            deadline: Duration::from_secs(60),
        }
        .retry(|| {
            tries += 1;
            std::future::ready(Err(CallFailure::Denied {
                reason: String::new(),
            }))
        })
        .await;
        assert!(failed.is_err());
        assert_eq!(tries, 1);
    }
}

//! Who asks, and what the log says to them.

use std::net::IpAddr;

use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use metadata::Reply;
use metadata::access::{AccessAnswer, AccessCommand, AccessQuery, Asker, Denial, Need, Who};
use registry::{Caller, Error, Registry};

use crate::Management;
use crate::problem::Problem;

/// How often a removal that one entry cannot do is gone on with before the client has to.
const ROUNDS_MAX: usize = 25;

/// Somebody who asks, whatever the state of access.
pub(crate) struct Anyone {
    registry: Registry,
    asker: Asker,
}

/// Somebody who asks a registry that asks for rights. Without rights there is nobody to be managed: what was made then, by
/// anyone, would be somebody's later.
pub(crate) struct Asking(Anyone);

impl FromRequestParts<Management> for Anyone {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &Management) -> Result<Self, Problem> {
        let asker = parts.extensions.get::<Asker>().cloned();
        Ok(Anyone {
            registry: state.registry.clone(),
            asker: asker.unwrap_or_else(Asker::anonymous),
        })
    }
}

impl FromRequestParts<Management> for Asking {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &Management) -> Result<Self, Problem> {
        let anyone = Anyone::from_request_parts(parts, state).await?;
        Asking::from_anyone(anyone).await
    }
}

impl Asking {
    /// The same one, if the registry asks for rights.
    pub(crate) async fn from_anyone(anyone: Anyone) -> Result<Asking, Problem> {
        match anyone.access().await? {
            (true, _) => Ok(Asking(anyone)),
            (false, _) => Err(Problem::access_off()),
        }
    }

    /// Somebody who has proved here who they are.
    pub(crate) fn become_somebody(mut self, who: Who) -> Asking {
        self.0.asker.who = who;
        self
    }
}

impl std::ops::Deref for Asking {
    type Target = Anyone;

    fn deref(&self) -> &Anyone {
        &self.0
    }
}

impl Anyone {
    /// Who.
    pub(crate) fn who(&self) -> &Who {
        &self.asker.who
    }

    /// From where, if it is known.
    pub(crate) fn from(&self) -> Option<IpAddr> {
        self.asker.from
    }

    fn caller(&self) -> Caller {
        let deadline = tokio::time::Instant::now() + self.registry.settings().hold;
        Caller::asking(self.asker.clone(), false, deadline)
    }

    /// What the log answers; `None` when there is no such thing.
    pub(crate) async fn ask(&self, query: AccessQuery) -> Result<Option<AccessAnswer>, Problem> {
        let answer = self.registry.ask_access(&self.caller(), query).await;
        answer.map_err(Problem::from)
    }

    /// Whether rights are asked for, and what administrators chose.
    pub(crate) async fn access(&self) -> Result<(bool, metadata::access::Settings), Problem> {
        match self.ask(AccessQuery::Access).await? {
            Some(AccessAnswer::Access { is_on, settings }) => Ok((is_on, settings)),
            other => Err(Problem::unexpected(&other)),
        }
    }

    /// Which of these they may, in their order.
    pub(crate) async fn rights(&self, needs: Vec<Need>) -> Result<Vec<bool>, Problem> {
        match self.ask(AccessQuery::Rights { needs }).await? {
            Some(AccessAnswer::Rights(rights)) => Ok(rights),
            other => Err(Problem::unexpected(&other)),
        }
    }

    /// Refuses who may not, before there is work to be done for them. What they ask for is decided again where it is done.
    pub(crate) async fn must(&self, need: Need) -> Result<(), Problem> {
        if self.rights(vec![need]).await?.first() == Some(&true) {
            return Ok(());
        }
        let denial = match self.asker.who {
            Who::Anonymous => Denial::SignIn,
            _ => Denial::NotAllowed,
        };
        Err(Error::Denied(denial).into())
    }

    /// Has the log decide a change that one entry makes.
    pub(crate) async fn change(&self, command: AccessCommand) -> Result<StatusCode, Problem> {
        match self.registry.administer(&self.caller(), command).await? {
            Reply::Refused(refusal) => Err(refusal.into()),
            // Only what removes says so, and has `remove`.
            Reply::DeletionContinues => Ok(StatusCode::ACCEPTED),
            _ => Ok(StatusCode::NO_CONTENT),
        }
    }

    /// Has the log remove something, entry by entry: 204 when it is gone, 202 when the same has to be asked for again.
    pub(crate) async fn remove(&self, command: AccessCommand) -> Result<StatusCode, Problem> {
        for _ in 0..ROUNDS_MAX {
            let status = self.change(command.clone()).await?;
            if status != StatusCode::ACCEPTED {
                return Ok(status);
            }
        }
        Ok(StatusCode::ACCEPTED)
    }
}

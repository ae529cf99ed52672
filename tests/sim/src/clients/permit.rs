//! A permission of somebody, as its history knows it: changed by an administrator, and used through any node.

use bytes::Bytes;
use linearizability::Ticket;
use metadata::access::{
    AccessAnswer, AccessCommand, AccessQuery, AccountName, Asker, Right, TokenId, Who,
};
use metadata::{Answer, Query, Reply};
use oci::{Algorithm, Digest, Reference, RepositoryName, Tag};
use ports::MetadataStore;
use registry::{Body, Caller, Error, Registry};
use tokio::time::Instant;

use super::{Client, Told};
use crate::invariants::p8::{Input, Output, PermissionId};
use crate::invariants::p8_audit;
use crate::log::access_command_name;

/// The first administrator, whom nobody locks out.
pub const ADMIN: &str = "admin";
/// How often a change is asked for until somebody says that it is done.
const TRIES: u32 = 6;

/// A permission that is watched.
#[derive(Debug, Clone)]
pub struct Permit {
    /// Its history.
    pub id: PermissionId,
    /// Where it is used.
    pub repository: RepositoryName,
    /// Whose it is; `None`: anybody's.
    pub account: Option<Account>,
}

/// Who has a permission.
#[derive(Debug, Clone)]
pub struct Account {
    /// Their name.
    pub name: AccountName,
    /// The account's generation when it was made.
    pub first: u64,
    /// What they show instead of a password.
    pub token: Option<TokenId>,
}

impl Permit {
    /// Who that is, with the proof of this number.
    pub(super) fn who(&self, proof: u64) -> Who {
        match &self.account {
            None => Who::Anonymous,
            Some(account) => Who::Account {
                name: account.name.clone(),
                generation: account.first + proof,
                token: account.token,
                key: None,
            },
        }
    }

    /// Which of an account's proofs is used, where that matters.
    fn shown(&self, proof: u64) -> Option<u64> {
        let account = self.account.as_ref()?;
        account.token.is_none().then_some(proof)
    }
}

/// The first administrator, as a node has made sure of them.
#[must_use]
pub fn admin() -> Who {
    Who::Account {
        name: AccountName::user(ADMIN).expect("a valid name"),
        generation: 1,
        token: None,
        key: None,
    }
}

/// What the audit calls a change; `None`: it is not recorded, or under another address.
fn action(command: &AccessCommand) -> Option<&'static str> {
    Some(match command {
        AccessCommand::SwitchOn { .. } => "access.on",
        AccessCommand::SwitchOff => "access.off",
        AccessCommand::Settle(_) => "access.settings",
        AccessCommand::CreateUser(_) => "user.create",
        AccessCommand::ChangeUser(_) => "user.change",
        AccessCommand::SetPassword { .. } => "user.password",
        AccessCommand::EndProofs { .. } => "user.log-out",
        AccessCommand::DeleteUser { .. } => "user.delete",
        AccessCommand::CreateGroup { .. } => "group.create",
        AccessCommand::DeleteGroup { .. } => "group.delete",
        AccessCommand::SetGroupMember { is_in: true, .. } => "group.add",
        AccessCommand::SetGroupMember { is_in: false, .. } => "group.remove",
        AccessCommand::CreateProject { .. } => "project.create",
        AccessCommand::SetVisibility { .. } => "project.visibility",
        AccessCommand::DeleteProject { .. } => "project.delete",
        AccessCommand::SetMember { .. } => "project.member",
        AccessCommand::CreateRobot(_) => "robot.create",
        AccessCommand::ChangeRobot(_) => "robot.change",
        AccessCommand::RenewRobot { .. } => "robot.renew",
        AccessCommand::DeleteRobot { .. } => "robot.delete",
        AccessCommand::CreateToken(_) => "token.create",
        AccessCommand::DeleteToken { .. } => "token.delete",
        AccessCommand::AddTokenKey { .. } => "key.add",
        AccessCommand::DropTokenKey { .. } => "key.drop",
        AccessCommand::NoteLogin(_) | AccessCommand::NoteRefusals(_) => return None,
    })
}

impl Client {
    /// Asks for a change as the administrator. Whether somebody said that it is done.
    pub(super) async fn change(
        &self,
        command: AccessCommand,
        effects: &[(PermissionId, Input)],
    ) -> bool {
        let begun = action(&command).map(|action| self.world.watch.changes.begin(action));
        matches!(
            self.change_by(admin(), begun, command, effects).await,
            Told::Done(_)
        )
    }

    /// Asks for a change until somebody says that it is done. It is one that has no effect the second time, or the same.
    pub(super) async fn change_surely(
        &self,
        command: AccessCommand,
        effects: &[(PermissionId, Input)],
    ) -> bool {
        for _ in 0..TRIES {
            if self.change(command.clone(), effects).await {
                return true;
            }
            if self.world.over.is_cancelled() {
                return false;
            }
        }
        false
    }

    /// Asks for a change. What is refused, and what a reply refuses, had no effect and never will.
    pub(super) async fn change_by(
        &self,
        who: Who,
        begun: Option<p8_audit::Begun>,
        command: AccessCommand,
        effects: &[(PermissionId, Input)],
    ) -> Told<Reply> {
        let watch = &self.world.watch;
        let tickets: Vec<Ticket> = effects
            .iter()
            .map(|(id, input)| watch.permissions.begin(self.number, *id, input.clone()))
            .collect();
        let is_admins = who == admin();
        let asker = Asker {
            who,
            from: begun.map(p8_audit::Begun::from),
        };
        let name = access_command_name(&command);
        let told = self
            .ask_as(&asker, name, |registry, caller| async move {
                registry.administer(&caller, command).await
            })
            .await;
        let told = match told {
            Told::Done(Reply::Refused(refusal)) => {
                let number = self.number;
                let trace = &self.world.trace;
                trace.note(format_args!("client {number}: {name}: {refusal:?}"));
                self.world.answered("change of rights refused");
                Told::No(Error::Invalid {
                    reason: format!("{refusal:?}"),
                })
            }
            other => other,
        };
        match &told {
            Told::Done(_) => {
                self.world.answered("rights changed");
                for ticket in tickets {
                    watch.permissions.end(ticket, Output::Done);
                }
                if let Some(begun) = begun {
                    watch.changes.done(begun);
                }
            }
            Told::No(_) | Told::Unsent => {
                for ticket in tickets {
                    watch.permissions.had_no_effect(ticket);
                }
                if let Some(begun) = begun {
                    watch.changes.had_no_effect(begun);
                }
            }
            Told::Unknown => {}
        }
        match &told {
            Told::No(Error::Denied(denial)) if is_admins => {
                let said = format!("an administrator may not {name}: {denial:?}");
                self.world.breach("P8", said);
            }
            Told::No(Error::Denied(_)) => self.world.answered("change of rights denied"),
            _ => {}
        }
        told
    }

    /// What a member knows of an account, confirmed: its generation. `None` when nobody says, or there is no such account.
    pub(super) async fn generation(&self, name: &AccountName) -> Option<u64> {
        let query = AccessQuery::Credentials {
            name: name.clone(),
            token: None,
        };
        let members = self.world.members_up();
        let member = (!members.is_empty()).then(|| self.dice.pick(&members).life.node)?;
        let log = self.world.node(member)?.alive()?.client;
        let deadline = Instant::now() + self.world.plan.settings.hold;
        let answered = log.read(Query::Access(Box::new(query)), deadline).await;
        let Answer::Access(answer) = answered.ok()?.answer else {
            return None;
        };
        match *answer {
            AccessAnswer::Account(view) => Some(view.row.generation),
            _ => None,
        }
    }

    /// Somebody proves again who they are, and is given the number of this proof.
    pub(super) async fn prove(&self, permit: &Permit) -> Option<u64> {
        let account = permit.account.as_ref()?;
        let permissions = &self.world.watch.permissions;
        let ticket = permissions.begin(self.number, permit.id, Input::Learn);
        let generation = self.generation(&account.name).await;
        let proof = generation.map(|generation| generation - account.first);
        match proof {
            Some(proof) => permissions.end(ticket, Output::Proofs(proof)),
            None => permissions.had_no_effect(ticket),
        }
        proof
    }

    /// Uses some rights of a permission through any nodes.
    pub(super) async fn use_some(&self, permit: &Permit, proof: u64) {
        for _ in 0..self.dice.within(1..3) {
            if let Some(node) = self.any_node() {
                let right =
                    *self
                        .dice
                        .pick(&[Right::Pull, Right::Pull, Right::Push, Right::Delete]);
                self.use_right(permit, right, proof, node).await;
            }
        }
    }

    /// Uses a right through a node.
    pub async fn use_right(&self, permit: &Permit, right: Right, proof: u64, node: u64) {
        let watch = &self.world.watch;
        let shown = permit.shown(proof);
        let input = Input::Use {
            right,
            proof: shown,
        };
        let ticket = watch.permissions.begin(self.number, permit.id, input);
        let asker = Asker {
            who: permit.who(proof),
            from: None,
        };
        let pushes_bytes = self.dice.hits(300);
        let bytes = Bytes::from(format!("{}", self.dice.number()));
        let repository = permit.repository.clone();
        let used = self
            .ask_node_as(&asker, node, right.name(), |registry, caller| async move {
                match right {
                    Right::Pull => pull(&registry, &caller, &repository).await,
                    Right::Push if pushes_bytes => {
                        let digest = Digest::of(Algorithm::Sha256, &bytes);
                        let body = Body::from_bytes(bytes);
                        let pushed = registry.push_blob(&caller, &repository, digest, body);
                        pushed.await.map(|_| false)
                    }
                    Right::Push => {
                        let opened = registry.open_upload(&caller, &repository, None);
                        opened.await.map(|_| false)
                    }
                    Right::Delete | Right::Maintain | Right::Own => {
                        let tag = tag();
                        let deleted = registry.delete_tag(&caller, &repository, &tag, None);
                        deleted.await.map(|()| false)
                    }
                }
            })
            .await;
        let output = match used {
            Told::Done(false)
            | Told::No(Error::ManifestUnknown | Error::NameUnknown | Error::TagUnknown) => {
                Some(Output::Allowed)
            }
            Told::No(Error::Denied(_)) => Some(Output::Denied),
            Told::Done(true) | Told::No(_) | Told::Unknown | Told::Unsent => None,
        };
        match output.filter(|_| self.world.plan.access.is_always_on()) {
            Some(output) => {
                watch.permissions.end(ticket, output);
                self.world.answered(match output {
                    Output::Denied => "right refused",
                    _ => "right used",
                });
            }
            None => watch.permissions.had_no_effect(ticket),
        }
    }
}

/// A tag that nobody makes: what is told of it says whether its repository is open.
fn tag() -> Tag {
    Tag::parse("none").expect("a valid tag")
}

/// Pulls what is not there. Whether the answer may be stale.
async fn pull(
    registry: &Registry,
    caller: &Caller,
    repository: &RepositoryName,
) -> Result<bool, Error> {
    let reference = Reference::Tag(tag());
    let found = registry.manifest(caller, repository, &reference).await?;
    Ok(found.stale)
}

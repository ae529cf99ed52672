//! Administrators at work: rights are given, used, taken while they are used, and tried again. Each story is of somebody new, so
//! that what others do at the same time is about others; what is not known of a change is known to the history.

use std::sync::Arc;

use metadata::access::{
    AccessCommand, AccountName, ChangeRobot, ChangeUser, CreateRobot, CreateToken, CreateUser,
    Grant, GroupName, MemberName, PasswordHash, RepositoryPattern, Right, Role, SecretHash,
    TokenId, Visibility,
};
use oci::{ProjectName, RepositoryName};
use ports::MetadataStore;
use tokio::time::Instant;

use super::Client;
use super::permit::{ADMIN, Account, Permit};
use crate::invariants::p8::{Input, Level};

/// How often each story is told, in the order of `change_rights`.
const WEIGHTS: [u64; 8] = [9, 9, 7, 8, 9, 6, 9, 14];
/// So many permissions of each administrator are tried once more in the end.
const TRIED_AGAIN_MAX: usize = 2;

/// What stands for a password: nobody checks one here.
pub(super) fn password() -> PasswordHash {
    PasswordHash("$argon2id$simulated".into())
}

fn level(role: Option<Role>) -> Level {
    match role {
        None => Level::None,
        Some(Role::Guest) => Level::Pull,
        Some(Role::Developer) => Level::Push,
        Some(Role::Maintainer | Role::Owner) => Level::Delete,
    }
}

/// Grants of a level in a project; none of no level.
fn grants(project: &ProjectName, level: Level) -> Vec<Grant> {
    let rights = match level {
        Level::None => return Vec::new(),
        Level::Pull => vec![Right::Pull],
        Level::Push => vec![Right::Pull, Right::Push],
        Level::Delete => vec![Right::Pull, Right::Push, Right::Delete],
    };
    let pattern = RepositoryPattern::parse(&format!("{project}/**"));
    vec![Grant {
        repositories: pattern.expect("a valid pattern"),
        rights,
    }]
}

const LEVELS: [Level; 4] = [Level::None, Level::Pull, Level::Push, Level::Delete];

impl Client {
    /// Has rights asked for, and gives and takes them until the world is over or `until`.
    pub async fn administer(self, until: Instant) {
        if !self.switch_access_on(until).await {
            return;
        }
        let command = AccessCommand::CreateProject {
            project: self.project(),
            visibility: Visibility::Private,
        };
        // It is there, or another one of its name is.
        self.change_surely(command, &[]).await;
        let turns = self.world.plan.access.turns();
        while Instant::now() < until && !self.world.over.is_cancelled() {
            tokio::time::sleep(self.dice.ms(20..220)).await;
            match turns && self.dice.hits(250) {
                true => self.turn_access().await,
                false => self.change_rights().await,
            }
        }
    }

    /// What belongs to this administrator.
    pub(super) fn project(&self) -> ProjectName {
        ProjectName::parse(&format!("team{}", self.number)).expect("a valid name")
    }

    pub(super) fn repository_of(project: &ProjectName) -> RepositoryName {
        RepositoryName::parse(&format!("{project}/app")).expect("a valid name")
    }

    /// A member has rights asked for from now on, or not. Whether it says so.
    pub(super) async fn switch_access(&self, on: bool) -> bool {
        let members = self.world.members_up();
        if members.is_empty() {
            return false;
        }
        let member = self.dice.pick(&members).life.node;
        let Some(alive) = self.world.node(member).and_then(|node| node.alive()) else {
            return false;
        };
        let command = match on {
            true => AccessCommand::SwitchOn {
                admin: AccountName::user(ADMIN).expect("a valid name"),
                password: password(),
            },
            false => AccessCommand::SwitchOff,
        };
        let command = metadata::Command::Access(Box::new(command));
        let deadline = Instant::now() + self.world.plan.settings.hold;
        let replied = alive.client.propose(command, deadline).await;
        matches!(replied, Ok(metadata::Reply::Done))
    }

    async fn switch_access_on(&self, until: Instant) -> bool {
        while Instant::now() < until && !self.world.over.is_cancelled() {
            tokio::time::sleep(self.dice.ms(5..100)).await;
            if self.switch_access(true).await {
                return true;
            }
        }
        false
    }

    async fn turn_access(&self) {
        if self.switch_access(false).await {
            tokio::time::sleep(self.dice.ms(5..200)).await;
        }
        self.switch_access(true).await;
    }

    async fn change_rights(&self) {
        match self.dice.weighted(&WEIGHTS) {
            0 => self.role_is_taken().await,
            1 => self.group_is_left().await,
            2 => self.robot_is_changed().await,
            3 => self.token_is_ended().await,
            4 => self.proofs_are_ended().await,
            5 => self.project_is_closed().await,
            6 => self.rotate_token_keys().await,
            _ => self.administer_something().await,
        }
    }

    /// A user whom nobody knew.
    pub(super) async fn new_user(&self, what: &'static str) -> Option<Permit> {
        let id = self.world.watch.permissions.fresh(what);
        let name = AccountName::user(&format!("ann-{}", id.1)).expect("a valid name");
        let command = AccessCommand::CreateUser(CreateUser {
            user: name.clone(),
            password: password(),
            is_admin: false,
            email: None,
        });
        // Made a second time it is refused; who does not know whether it was made does without.
        if !self.change(command, &[]).await {
            return None;
        }
        self.permit(id, name).await
    }

    async fn permit(&self, id: (&'static str, u64), name: AccountName) -> Option<Permit> {
        let first = self.generation(&name).await?;
        Some(Permit {
            id,
            repository: Self::repository_of(&self.project()),
            account: Some(Account {
                name,
                first,
                token: None,
            }),
        })
    }

    fn name_of(permit: &Permit) -> AccountName {
        let account = permit.account.as_ref();
        account
            .map(|account| account.name.clone())
            .expect("it is somebody's")
    }

    /// Does `change` while the permission is used, and uses it afterwards, when somebody knows what became of it and when not.
    async fn while_used(
        &self,
        permit: &Permit,
        proof: u64,
        command: AccessCommand,
        effect: Input,
    ) -> bool {
        let user = Client {
            dice: Arc::new(crate::dice::Dice::new(self.dice.number())),
            ..self.clone()
        };
        let effects = [(permit.id, effect)];
        let (is_done, ()) =
            tokio::join!(self.change(command, &effects), user.use_some(permit, proof));
        self.use_some(permit, proof).await;
        is_done
    }

    /// It is tried once more in the end, through every node.
    fn try_again_later(&self, permit: &Permit, proof: u64) {
        let tried = &mut *self.world.watch.tried_again.lock();
        let own = tried.iter().filter(|(by, ..)| *by == self.number).count();
        if own < TRIED_AGAIN_MAX {
            tried.push((self.number, permit.clone(), proof));
        }
    }

    /// A role in a project is given, changed and taken.
    async fn role_is_taken(&self) {
        let Some(permit) = self.new_user("role").await else {
            return;
        };
        let member = MemberName::User(Self::name_of(&permit));
        let set = |role: Option<Role>| AccessCommand::SetMember {
            project: self.project(),
            member: member.clone(),
            role,
        };
        let role = Some(*self.dice.pick(&Role::ALL));
        let given = [(permit.id, Input::Turn(level(role)))];
        if !self.change_surely(set(role), &given).await {
            return;
        }
        self.use_some(&permit, 0).await;
        let later = *self
            .dice
            .pick(&[None, None, None, Some(Role::Guest), Some(Role::Owner)]);
        let effect = Input::Turn(level(later));
        self.while_used(&permit, 0, set(later), effect).await;
        self.try_again_later(&permit, 0);
    }

    /// Somebody has what their group has, until they leave it, it loses it, or it ends.
    async fn group_is_left(&self) {
        let Some(permit) = self.new_user("group").await else {
            return;
        };
        let user = Self::name_of(&permit);
        let group = GroupName::parse(&format!("group-{}", permit.id.1)).expect("a valid name");
        let set = |role| AccessCommand::SetMember {
            project: self.project(),
            member: MemberName::Group(group.clone()),
            role,
        };
        let put = |is_in| AccessCommand::SetGroupMember {
            group: group.clone(),
            user: user.clone(),
            is_in,
        };
        let role = Some(
            *self
                .dice
                .pick(&[Role::Guest, Role::Developer, Role::Maintainer]),
        );
        let made = AccessCommand::CreateGroup {
            group: group.clone(),
        };
        // Not twice: what nobody was told of could come after what is done next.
        if !self.change(made, &[]).await || !self.change(set(role), &[]).await {
            return;
        }
        let given = [(permit.id, Input::Turn(level(role)))];
        if !self.change_surely(put(true), &given).await {
            return;
        }
        self.use_some(&permit, 0).await;
        let taken = match self.dice.within(0..4) {
            0 => set(None),
            1 | 2 => AccessCommand::DeleteGroup { group },
            _ => put(false),
        };
        let effect = Input::Turn(Level::None);
        self.while_used(&permit, 0, taken, effect).await;
        self.try_again_later(&permit, 0);
    }

    /// A robot's grants change, its secret is renewed, and it ends.
    async fn robot_is_changed(&self) {
        let id = self.world.watch.permissions.fresh("robot");
        let project = self.project();
        let robot = AccountName::robot(Some(&project), &format!("ci-{}", id.1));
        let robot = robot.expect("a valid name");
        let first = *self.dice.pick(&LEVELS);
        let made = AccessCommand::CreateRobot(CreateRobot {
            robot: robot.clone(),
            project: Some(project.clone()),
            secret: SecretHash([1; 32]),
            grants: grants(&project, first),
            expires: None,
            description: "".into(),
        });
        if !self.change(made, &[(id, Input::Turn(first))]).await {
            return;
        }
        let Some(permit) = self.permit(id, robot.clone()).await else {
            return;
        };
        self.use_some(&permit, 0).await;
        let later = *self.dice.pick(&LEVELS);
        let change = AccessCommand::ChangeRobot(ChangeRobot {
            robot: robot.clone(),
            grants: Some(grants(&project, later)),
            expires: None,
            is_disabled: None,
        });
        self.while_used(&permit, 0, change, Input::Turn(later))
            .await;
        let renew = AccessCommand::RenewRobot {
            robot: robot.clone(),
            secret: SecretHash([2; 32]),
        };
        self.while_used(&permit, 0, renew, Input::EndProofs).await;
        let Some(proof) = self.prove(&permit).await else {
            return;
        };
        self.use_some(&permit, proof).await;
        let end = AccessCommand::DeleteRobot { robot };
        self.while_used(&permit, proof, end, Input::End).await;
        self.try_again_later(&permit, proof);
    }

    /// A personal access token is limited to some of what its owner may, and ended.
    async fn token_is_ended(&self) {
        let Some(mut permit) = self.new_user("token").await else {
            return;
        };
        let (user, project) = (Self::name_of(&permit), self.project());
        let owns = AccessCommand::SetMember {
            project: project.clone(),
            member: MemberName::User(user.clone()),
            role: Some(Role::Owner),
        };
        if !self.change(owns, &[]).await {
            return;
        }
        let token = TokenId(self.dice.wide());
        let limited = *self.dice.pick(&LEVELS[1..]);
        let made = AccessCommand::CreateToken(CreateToken {
            token,
            account: user.clone(),
            secret: SecretHash([3; 32]),
            label: "ci".into(),
            limits: Some(grants(&project, limited)),
            expires: None,
        });
        if let Some(account) = &mut permit.account {
            account.token = Some(token);
        }
        if !self
            .change(made, &[(permit.id, Input::Turn(limited))])
            .await
        {
            return;
        }
        self.use_some(&permit, 0).await;
        // The owner's log-out does not end it.
        let log_out = AccessCommand::EndProofs {
            account: user.clone(),
        };
        self.while_used(&permit, 0, log_out, Input::EndProofs).await;
        let (ended, effect) = match self.dice.hits(250) {
            true => (AccessCommand::DeleteUser { user }, Input::End),
            false => {
                let account = user;
                let ended = AccessCommand::DeleteToken { account, token };
                (ended, Input::Turn(Level::None))
            }
        };
        self.while_used(&permit, 0, ended, effect).await;
        self.try_again_later(&permit, 0);
    }

    /// What somebody proved ends: by a lock, another password, a log-out, or with the account.
    async fn proofs_are_ended(&self) {
        let Some(permit) = self.new_user("proof").await else {
            return;
        };
        let user = Self::name_of(&permit);
        let given = AccessCommand::SetMember {
            project: self.project(),
            member: MemberName::User(user.clone()),
            role: Some(Role::Maintainer),
        };
        let effect = [(permit.id, Input::Turn(Level::Delete))];
        if !self.change_surely(given, &effect).await {
            return;
        }
        let mut proof = 0;
        for _ in 0..self.dice.within(1..4) {
            self.use_some(&permit, proof).await;
            let lock = |is_disabled| {
                AccessCommand::ChangeUser(ChangeUser {
                    user: user.clone(),
                    is_admin: None,
                    is_disabled: Some(is_disabled),
                    email: None,
                })
            };
            let (user, password) = (user.clone(), password());
            let (ends, effect) = match self.dice.within(0..7) {
                0 | 1 => (lock(true), Input::Lock),
                2 | 3 => {
                    let ends = AccessCommand::SetPassword { user, password };
                    (ends, Input::EndProofs)
                }
                4 => (AccessCommand::DeleteUser { user }, Input::End),
                _ => (AccessCommand::EndProofs { account: user }, Input::EndProofs),
            };
            let is_lock = effect == Input::Lock;
            self.while_used(&permit, proof, ends, effect).await;
            if is_lock {
                self.while_used(&permit, proof, lock(false), Input::Unlock)
                    .await;
            }
            self.try_again_later(&permit, proof);
            match self.prove(&permit).await {
                Some(proved) => proof = proved,
                None => return,
            }
        }
        self.use_some(&permit, proof).await;
    }

    /// A project is open to anybody, and closed again; it ends when it has nothing.
    async fn project_is_closed(&self) {
        let id = self.world.watch.permissions.fresh("visibility");
        let project = ProjectName::parse(&format!("open{}", id.1)).expect("a valid name");
        let permit = Permit {
            id,
            repository: Self::repository_of(&project),
            account: None,
        };
        let made = AccessCommand::CreateProject {
            project: project.clone(),
            visibility: Visibility::Private,
        };
        if !self.change(made, &[]).await {
            return;
        }
        let set = |visibility| AccessCommand::SetVisibility {
            project: project.clone(),
            visibility,
        };
        let open = [(id, Input::Turn(Level::Pull))];
        if !self.change_surely(set(Visibility::Public), &open).await {
            return;
        }
        self.use_some(&permit, 0).await;
        let closed = match self.dice.within(0..4) {
            0 => set(Visibility::Internal),
            1 | 2 => AccessCommand::DeleteProject { project },
            _ => set(Visibility::Private),
        };
        let effect = Input::Turn(Level::None);
        self.while_used(&permit, 0, closed, effect).await;
        self.try_again_later(&permit, 0);
    }
}

//! Short ways to say who asks for what.

use metadata::access::{
    AccessAnswer, AccessCommand, AccessQuery, AccountName, AccountRow, Asker, CreateRobot,
    CreateToken, CreateUser, Grant, GroupName, MemberName, PasswordHash, RepositoryPattern, Right,
    Role, SecretHash, TokenId, Visibility, Who,
};
use metadata::{Answer, Command, Query, Refusal, Reply, keys};
use oci::ProjectName;

use crate::world::World;

pub const ADMIN: &str = "admin";

/// A cluster in which rights are asked for.
pub fn guarded() -> World {
    let mut world = World::new();
    let on = AccessCommand::SwitchOn {
        admin: name(ADMIN),
        password: password(),
    };
    assert_eq!(world.apply(by_system(on)), Reply::Done);
    world
}

pub fn name(text: &str) -> AccountName {
    AccountName::parse(text).expect("a good name")
}

pub fn group(text: &str) -> GroupName {
    GroupName::parse(text).expect("a good name")
}

pub fn project(text: &str) -> ProjectName {
    ProjectName::parse(text).expect("a good name")
}

pub fn password() -> PasswordHash {
    PasswordHash("$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaA".into())
}

pub fn user(text: &str) -> MemberName {
    MemberName::User(name(text))
}

pub fn by_system(command: AccessCommand) -> Command {
    Command::Access(Box::new(command))
}

pub fn asked(asker: &Asker, command: Command) -> Command {
    Command::Asked {
        asker: asker.clone(),
        command: Box::new(command),
    }
}

pub fn create_user(text: &str) -> AccessCommand {
    AccessCommand::CreateUser(CreateUser {
        user: name(text),
        password: password(),
        is_admin: false,
        email: None,
    })
}

pub fn create_project(text: &str, visibility: Visibility) -> AccessCommand {
    AccessCommand::CreateProject {
        project: project(text),
        visibility,
    }
}

pub fn set_member(text: &str, member: MemberName, role: Option<Role>) -> AccessCommand {
    AccessCommand::SetMember {
        project: project(text),
        member,
        role,
    }
}

pub fn grant(pattern: &str, rights: &[Right]) -> Grant {
    Grant {
        repositories: RepositoryPattern::parse(pattern).expect("a good pattern"),
        rights: rights.to_vec(),
    }
}

pub fn create_robot(text: &str, grants: Vec<Grant>) -> AccessCommand {
    let robot = name(text);
    AccessCommand::CreateRobot(CreateRobot {
        project: robot.project(),
        robot,
        secret: SecretHash([7; 32]),
        grants,
        expires: None,
        description: "".into(),
    })
}

pub fn create_token(account: &str, token: u128, limits: Option<Vec<Grant>>) -> AccessCommand {
    AccessCommand::CreateToken(CreateToken {
        token: TokenId(token),
        account: name(account),
        secret: SecretHash([9; 32]),
        label: "laptop".into(),
        limits,
        expires: None,
    })
}

impl World {
    /// Whoever proved to be the account, now.
    pub fn asker(&self, text: &str) -> Asker {
        let row: AccountRow = self.row(&keys::account(&name(text))).expect("it is there");
        Asker {
            who: Who::Account {
                name: name(text),
                generation: row.generation,
                token: None,
                key: None,
            },
            from: None,
        }
    }

    pub fn with_token(text: &str, token: u128) -> Asker {
        Asker {
            who: Who::Account {
                name: name(text),
                generation: 0,
                token: Some(TokenId(token)),
                key: None,
            },
            from: None,
        }
    }

    /// The same, who shows a token that this key has signed.
    pub fn signed_by(key: u32, asker: &Asker) -> Asker {
        let mut asker = asker.clone();
        match &mut asker.who {
            Who::Account { key: signed_by, .. } => *signed_by = Some(key),
            other => panic!("{other:?} shows no token of an account"),
        }
        asker
    }

    /// Applies what must succeed, by the cluster itself.
    pub fn system(&mut self, command: AccessCommand) {
        assert_eq!(
            self.apply(by_system(command.clone())),
            Reply::Done,
            "{command:?}"
        );
    }

    /// The reply to what an asker asks for.
    pub fn access_by(&mut self, asker: &Asker, command: AccessCommand) -> Reply {
        self.apply(asked(asker, by_system(command)))
    }

    pub fn refused_by(&mut self, asker: &Asker, command: Command) -> Refusal {
        self.refused(asked(asker, command))
    }

    pub fn ask_by(&self, asker: &Asker, query: Query) -> Answer {
        self.ask(Query::Asked {
            asker: asker.clone(),
            query: Box::new(query),
        })
    }

    pub fn access(&self, query: AccessQuery) -> AccessAnswer {
        match self.ask(Query::Access(Box::new(query))) {
            Answer::Access(answer) => *answer,
            other => panic!("{other:?}"),
        }
    }
}

//! Commands, rows and refusals about access, as full as they can be.

use std::net::IpAddr;

use bytes::Bytes;
use metadata::access::{
    AccessCommand, AccessRow, AccountKind, AccountName, AccountRow, Asker, AuditRow, ChangeRobot,
    ChangeUser, CreateRobot, CreateToken, CreateUser, Denial, Grant, GroupName, GroupRow,
    MemberName, MemberRow, NoteLogin, PasswordHash, ProjectRow, RefusalSum, RepositoryPattern,
    Right, Role, SecretHash, Settings, Source, TokenId, TokenKeyRow, TokenRow, Visibility, Who,
};
use metadata::{Command, LogIndex, LogTime, Named, PrincipalName, Refusal, Row, TableId};
use oci::ProjectName;

use crate::samples::{principal, repository, upload};

fn account(text: &str) -> AccountName {
    AccountName::parse(text).unwrap()
}

fn robot() -> AccountName {
    account("robot$team+deploy")
}

fn group() -> GroupName {
    GroupName::parse("oidc:/staff/ops@example.org").unwrap()
}

fn project() -> ProjectName {
    ProjectName::parse("team").unwrap()
}

fn password() -> PasswordHash {
    PasswordHash("$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA".into())
}

fn secret() -> SecretHash {
    SecretHash([9; 32])
}

fn token() -> TokenId {
    TokenId(0x0f0e_0d0c_0b0a_0908_0706_0504_0302_0100)
}

fn address(text: &str) -> Option<IpAddr> {
    Some(text.parse().unwrap())
}

fn grants() -> Vec<Grant> {
    let grant = |pattern, rights: &[Right]| Grant {
        repositories: RepositoryPattern::parse(pattern).unwrap(),
        rights: rights.to_vec(),
    };
    vec![
        grant("team/*", &Right::ALL),
        grant("*/base", &[Right::Pull]),
        grant("team/none", &[]),
    ]
}

fn sources() -> [(&'static str, Source); 5] {
    let open_id = Source::OpenId {
        issuer: "https://id.example.org".into(),
        subject: "248289761001".into(),
    };
    [
        ("local", Source::Local),
        ("htpasswd", Source::Htpasswd),
        ("ldap", Source::Ldap),
        ("open-id", open_id),
        ("certificate", Source::Certificate),
    ]
}

/// Commands about access, and commands that somebody asked for; the first is for those with more than one form.
pub fn commands() -> Vec<(&'static str, Command)> {
    let mut commands = user_commands();
    commands.extend(login_commands());
    commands.extend(group_and_project_commands());
    commands.extend(robot_commands());
    commands.extend(token_commands());
    let command = |(variant, command)| (variant, Command::Access(Box::new(command)));
    let mut commands: Vec<_> = commands.into_iter().map(command).collect();
    commands.extend(asked_commands());
    commands
}

fn user_commands() -> Vec<(&'static str, AccessCommand)> {
    let user = || account("Ann.Lee@example.org");
    vec![
        (
            "",
            AccessCommand::SwitchOn {
                admin: account("admin"),
                password: password(),
            },
        ),
        ("", AccessCommand::SwitchOff),
        (
            "",
            AccessCommand::Settle(Settings {
                users_create_projects: false,
                auto_create_projects: true,
            }),
        ),
        (
            "",
            AccessCommand::CreateUser(CreateUser {
                user: user(),
                password: password(),
                is_admin: true,
                email: Some("ann@example.org".into()),
            }),
        ),
        (
            "",
            AccessCommand::ChangeUser(ChangeUser {
                user: user(),
                is_admin: Some(true),
                is_disabled: Some(false),
                email: Some("".into()),
            }),
        ),
        (
            "nothing",
            AccessCommand::ChangeUser(ChangeUser {
                user: user(),
                is_admin: None,
                is_disabled: None,
                email: None,
            }),
        ),
        (
            "",
            AccessCommand::SetPassword {
                user: user(),
                password: password(),
            },
        ),
        ("", AccessCommand::EndProofs { account: robot() }),
        ("", AccessCommand::DeleteUser { user: user() }),
    ]
}

fn login_commands() -> Vec<(&'static str, AccessCommand)> {
    let note = |source, groups| {
        AccessCommand::NoteLogin(NoteLogin {
            user: account("ann"),
            source,
            email: Some("ann@example.org".into()),
            groups,
        })
    };
    let groups = || Some(vec![group(), GroupName::parse("ops").unwrap()]);
    let mut commands: Vec<_> = sources()
        .into_iter()
        .map(|(variant, source)| (variant, note(source, groups())))
        .collect();
    commands.push(("no-groups", note(Source::Ldap, Some(Vec::new()))));
    commands.push(("groups-untold", note(Source::Ldap, None)));
    commands.push((
        "",
        AccessCommand::NoteRefusals(vec![
            RefusalSum {
                by: principal(),
                from: address("192.0.2.7"),
                action: "manifest.pull".into(),
                target: "team/app:v1".into(),
                times: 70_000,
            },
            RefusalSum {
                by: PrincipalName::anonymous(),
                from: None,
                action: "sign-in".into(),
                target: "".into(),
                times: 1,
            },
        ]),
    ));
    commands
}

fn group_and_project_commands() -> Vec<(&'static str, AccessCommand)> {
    let set_member = |member, role| AccessCommand::SetMember {
        project: project(),
        member,
        role,
    };
    let user = || account("ann");
    vec![
        ("", AccessCommand::CreateGroup { group: group() }),
        ("", AccessCommand::DeleteGroup { group: group() }),
        (
            "",
            AccessCommand::SetGroupMember {
                group: group(),
                user: user(),
                is_in: true,
            },
        ),
        (
            "",
            AccessCommand::CreateProject {
                project: project(),
                visibility: Visibility::Private,
            },
        ),
        (
            "internal",
            AccessCommand::SetVisibility {
                project: project(),
                visibility: Visibility::Internal,
            },
        ),
        (
            "public",
            AccessCommand::SetVisibility {
                project: project(),
                visibility: Visibility::Public,
            },
        ),
        ("", AccessCommand::DeleteProject { project: project() }),
        (
            "user",
            set_member(MemberName::User(user()), Some(Role::Owner)),
        ),
        (
            "group",
            set_member(MemberName::Group(group()), Some(Role::Guest)),
        ),
        ("no-role", set_member(MemberName::User(user()), None)),
    ]
}

fn robot_commands() -> Vec<(&'static str, AccessCommand)> {
    let change = |grants, expires, is_disabled| {
        AccessCommand::ChangeRobot(ChangeRobot {
            robot: robot(),
            grants,
            expires,
            is_disabled,
        })
    };
    let until = Some(LogTime(1_700_000_900_000));
    vec![
        (
            "",
            AccessCommand::CreateRobot(CreateRobot {
                robot: robot(),
                project: Some(project()),
                secret: secret(),
                grants: grants(),
                expires: until,
                description: "deploys".into(),
            }),
        ),
        (
            "registry",
            AccessCommand::CreateRobot(CreateRobot {
                robot: account("robot$mirror"),
                project: None,
                secret: secret(),
                grants: Vec::new(),
                expires: None,
                description: "".into(),
            }),
        ),
        ("", change(Some(grants()), Some(until), Some(true))),
        ("for-ever", change(Some(Vec::new()), Some(None), None)),
        ("nothing", change(None, None, None)),
        (
            "",
            AccessCommand::RenewRobot {
                robot: robot(),
                secret: secret(),
            },
        ),
        ("", AccessCommand::DeleteRobot { robot: robot() }),
    ]
}

fn token_commands() -> Vec<(&'static str, AccessCommand)> {
    let create = |limits, expires| {
        AccessCommand::CreateToken(CreateToken {
            token: token(),
            account: account("ann"),
            secret: secret(),
            label: "laptop".into(),
            limits,
            expires,
        })
    };
    vec![
        ("", create(Some(grants()), Some(LogTime(0)))),
        ("limited-to-nothing", create(Some(Vec::new()), None)),
        ("unlimited", create(None, None)),
        (
            "",
            AccessCommand::DeleteToken {
                account: account("ann"),
                token: token(),
            },
        ),
        (
            "",
            AccessCommand::AddTokenKey {
                after: None,
                public: Bytes::from_static(b"public half"),
                sealed: Bytes::from_static(b"sealed half"),
            },
        ),
        (
            "first",
            AccessCommand::AddTokenKey {
                after: Some(0),
                public: Bytes::from_static(b"public half"),
                sealed: Bytes::from_static(b"sealed half"),
            },
        ),
        ("", AccessCommand::DropTokenKey { number: 3 }),
    ]
}

fn asked_commands() -> Vec<(&'static str, Command)> {
    let cancel = || Command::CancelUpload {
        repository: repository(),
        upload: upload(),
    };
    let asked = |who, from, command| Command::Asked {
        asker: Asker { who, from },
        command: Box::new(command),
    };
    let proven = |token| Who::Account {
        name: account("ann"),
        generation: 70_000,
        token,
        key: None,
    };
    let by_key = Who::Account {
        name: account("ann"),
        generation: 70_000,
        token: None,
        key: Some(3),
    };
    let outside = Who::Outside(PrincipalName("https://ci.example.org team/app".into()));
    vec![
        ("anonymous", asked(Who::Anonymous, None, cancel())),
        (
            "account",
            asked(proven(None), address("192.0.2.7"), cancel()),
        ),
        (
            "token",
            asked(proven(Some(token())), address("2001:db8::7"), cancel()),
        ),
        ("key", asked(by_key, None, cancel())),
        (
            "outside",
            asked(outside, address("::ffff:192.0.2.7"), cancel()),
        ),
        (
            "access",
            asked(
                proven(None),
                None,
                Command::Access(Box::new(AccessCommand::DeleteRobot { robot: robot() })),
            ),
        ),
    ]
}

/// Refusals about access, with every word that they have.
pub fn refusals() -> Vec<Refusal> {
    let denials = [Denial::SignIn, Denial::ProofEnded, Denial::NotAllowed];
    let named = [
        Named::User,
        Named::Robot,
        Named::Group,
        Named::Project,
        Named::Token,
        Named::TokenKey,
    ];
    let mut refusals: Vec<_> = denials.into_iter().map(Refusal::Denied).collect();
    refusals.extend(named.into_iter().map(Refusal::Unknown));
    refusals.extend(named.into_iter().map(Refusal::Exists));
    refusals.extend([
        Refusal::OtherSource,
        Refusal::LastAdministrator,
        Refusal::ProjectInUse { repositories: 7 },
    ]);
    refusals
}

/// Rows of the twelve tables.
pub fn rows() -> Vec<(TableId, &'static str, Row)> {
    let mut rows = account_rows();
    rows.extend(project_rows());
    rows.extend(token_rows());
    rows.extend(audit_rows());
    rows
}

fn account_rows() -> Vec<(TableId, &'static str, Row)> {
    let row = |kind| {
        Row::Account(Box::new(AccountRow {
            kind,
            created: LogTime(5),
            by: principal(),
            is_disabled: true,
            generation: 70_000,
            is_ending: true,
        }))
    };
    let user = |source: Source| AccountKind::User {
        password: (source == Source::Local).then(password),
        source,
        is_admin: true,
        email: Some("ann@example.org".into()),
    };
    let robot = |grants, expires| AccountKind::Robot {
        secret: secret(),
        grants,
        expires,
        description: "deploys".into(),
    };
    let mut rows: Vec<_> = sources()
        .into_iter()
        .map(|(variant, source)| (TableId::Account, variant, row(user(source))))
        .collect();
    rows.extend([
        (
            TableId::Account,
            "robot",
            row(robot(grants(), Some(LogTime(9)))),
        ),
        (
            TableId::Account,
            "robot-for-ever",
            row(robot(Vec::new(), None)),
        ),
        (
            TableId::Group,
            "",
            Row::Group(GroupRow {
                created: LogTime(5),
                by: principal(),
                since: LogIndex(12),
                is_ending: true,
            }),
        ),
        (TableId::GroupMember, "", Row::Present),
        (TableId::UserGroup, "", Row::Count(12)),
    ]);
    rows
}

fn project_rows() -> Vec<(TableId, &'static str, Row)> {
    let project = |visibility: Visibility| {
        let row = ProjectRow {
            visibility,
            created: LogTime(5),
            by: principal(),
            repositories: 7,
        };
        (TableId::Project, visibility.name(), Row::Project(row))
    };
    let member = |role: Role| {
        let since = LogTime(5);
        let row = MemberRow { role, since };
        (TableId::Member, role.name(), Row::Member(row))
    };
    let mut rows = vec![(TableId::Membership, "", Row::Present)];
    rows.extend(Visibility::ALL.map(project));
    rows.extend(Role::ALL.map(member));
    rows
}

fn token_rows() -> Vec<(TableId, &'static str, Row)> {
    let token = |limits, expires| {
        Row::AccessToken(TokenRow {
            account: account("ann"),
            secret: secret(),
            label: "laptop".into(),
            limits,
            created: LogTime(5),
            expires,
        })
    };
    let key = TokenKeyRow {
        public: Bytes::from_static(b"public half"),
        sealed: Bytes::from_static(b"sealed half"),
        created: LogTime(5),
    };
    vec![
        (
            TableId::AccessToken,
            "",
            token(Some(grants()), Some(LogTime(9))),
        ),
        (
            TableId::AccessToken,
            "limited-to-nothing",
            token(Some(Vec::new()), None),
        ),
        (TableId::AccessToken, "unlimited", token(None, None)),
        (TableId::AccountToken, "", Row::Present),
        (TableId::TokenKey, "", Row::TokenKey(key)),
    ]
}

fn audit_rows() -> Vec<(TableId, &'static str, Row)> {
    let access = AccessRow {
        is_on: true,
        settings: Settings {
            users_create_projects: false,
            auto_create_projects: true,
        },
        administrators: 2,
        last_token_key: 3,
        audit_first: 4,
        audit_last: 5,
        audit_chain: [6; 32],
    };
    let audit = |from| {
        Row::Audit(AuditRow {
            time: LogTime(1_700_000_000_123),
            by: principal(),
            from,
            action: "tag.move".into(),
            target: "team/app:v1".into(),
            detail: "sha256:0707".into(),
            chain: [7; 32],
        })
    };
    vec![
        (TableId::Access, "", Row::Access(access)),
        (TableId::Access, "fresh", Row::Access(AccessRow::default())),
        (TableId::Audit, "", audit(address("192.0.2.7"))),
        (TableId::Audit, "ipv6", audit(address("2001:db8::7"))),
        (TableId::Audit, "from-nowhere", audit(None)),
    ]
}

//! Questions about access and their answers: what is encoded is decoded, every kind of them, and nothing else.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;
use std::net::IpAddr;

use bytes::Bytes;
use metadata::access::{
    AccessAnswer, AccessQuery, AccountKind, AccountName, AccountRow, AccountView, Asker, AuditPage,
    AuditRow, AuditView, Denial, Grant, GroupName, GroupRow, GroupView, MemberName, MemberRow,
    MemberView, Need, PasswordHash, ProjectRow, ProjectView, RepositoryPattern, Right, Role,
    SecretHash, Settings, Source, TokenId, TokenKeyView, TokenRow, TokenView, Visibility, Who,
};
use metadata::{Answer, LogIndex, LogTime, Page, PrincipalName, Query};
use oci::{ProjectName, RepositoryName};
use wire::{decode_answer, decode_query, encode_answer, encode_query};

// Names the kind of a value, and lists all kinds: a new one is a compile error here until it is named, and a failed test
// until it has a sample.
macro_rules! kinds {
    ($function:ident, $all:ident, $enum:ident: $($variant:ident),* $(,)?) => {
        const $all: &[&str] = &[$(stringify!($variant)),*];
        fn $function(value: &$enum) -> &'static str {
            match value {
                $($enum::$variant { .. } => stringify!($variant),)*
            }
        }
    };
}

kinds!(query_kind, QUERIES, AccessQuery:
    Access, Credentials, Account, Users, Robots, Groups, GroupMembers, Projects, Project, Members, Tokens, Rights,
    TokenKeys, SealedTokenKeys, Audit);
kinds!(answer_kind, ANSWERS, AccessAnswer:
    Access, Account, Accounts, Groups, GroupMembers, Projects, Members, Tokens, Rights, TokenKeys, Audit);

fn account(text: &str) -> AccountName {
    AccountName::parse(text).unwrap()
}

fn group() -> GroupName {
    GroupName::parse("staff/ops").unwrap()
}

fn project() -> ProjectName {
    ProjectName::parse("team").unwrap()
}

fn address() -> Option<IpAddr> {
    Some("2001:db8::7".parse().unwrap())
}

fn by() -> PrincipalName {
    PrincipalName("robot$team+deploy".into())
}

fn grants() -> Vec<Grant> {
    vec![Grant {
        repositories: RepositoryPattern::parse("team/*").unwrap(),
        rights: vec![Right::Pull, Right::Push],
    }]
}

fn page<T>(after: Option<T>) -> Page<T> {
    Page {
        after,
        limit: usize::MAX,
    }
}

fn needs() -> Vec<Need> {
    let repository = RepositoryName::parse("team/app").unwrap();
    let mut needs = vec![
        Need::Nothing,
        Need::Account(account("ann")),
        Need::NewProject,
        Need::Administration,
    ];
    for right in Right::ALL {
        needs.push(Need::Repository(repository.clone(), right));
        needs.push(Need::Project(project(), right));
    }
    needs
}

fn access_queries() -> Vec<AccessQuery> {
    let credentials = |token| AccessQuery::Credentials {
        name: account("ann"),
        token,
    };
    let robots = |project| AccessQuery::Robots {
        project,
        page: page(Some(account("robot$team+a"))),
    };
    let members = |after| AccessQuery::Members {
        project: project(),
        page: page(after),
    };
    vec![
        AccessQuery::Access,
        credentials(None),
        credentials(Some(TokenId(u128::MAX))),
        AccessQuery::Account {
            name: account("robot$mirror"),
        },
        AccessQuery::Users(page(Some(account("ann")))),
        AccessQuery::Users(Page {
            after: None,
            limit: 0,
        }),
        robots(None),
        robots(Some(project())),
        AccessQuery::Groups(page(Some(group()))),
        AccessQuery::GroupMembers {
            group: group(),
            page: page(Some(account("ann"))),
        },
        AccessQuery::Projects(page(Some(project()))),
        AccessQuery::Project { project: project() },
        members(None),
        members(Some(MemberName::User(account("ann")))),
        members(Some(MemberName::Group(group()))),
        AccessQuery::Tokens {
            account: account("ann"),
        },
        AccessQuery::Rights { needs: needs() },
        AccessQuery::Rights { needs: Vec::new() },
        AccessQuery::TokenKeys,
        AccessQuery::SealedTokenKeys,
        AccessQuery::Audit(AuditPage {
            before: Some(u64::MAX),
            limit: 100,
            by: Some(by()),
            action: Some("tag.".into()),
            target: Some("".into()),
            from: Some(LogTime(0)),
            until: Some(LogTime(9)),
        }),
        AccessQuery::Audit(AuditPage {
            before: None,
            limit: 0,
            by: None,
            action: None,
            target: None,
            from: None,
            until: None,
        }),
    ]
}

fn askers() -> Vec<Asker> {
    let proven = |token, key| Who::Account {
        name: account("ann"),
        generation: u64::MAX,
        token,
        key,
    };
    let asker = |who| Asker {
        who,
        from: address(),
    };
    vec![
        Asker::anonymous(),
        asker(proven(None, None)),
        asker(proven(None, Some(u32::MAX))),
        asker(proven(Some(TokenId(7)), Some(0))),
        asker(Who::Outside(by())),
    ]
}

fn queries() -> Vec<Query> {
    let access = access_queries().into_iter();
    let mut queries: Vec<_> = access.map(|query| Query::Access(Box::new(query))).collect();
    let asked = |asker, query| Query::Asked {
        asker,
        query: Box::new(query),
    };
    for asker in askers() {
        queries.push(asked(asker.clone(), Query::Nodes));
        let about = Query::Access(Box::new(AccessQuery::TokenKeys));
        queries.push(asked(asker, about));
    }
    queries
}

fn account_view(kind: AccountKind, token: Option<TokenRow>) -> AccountView {
    AccountView {
        name: account("ann"),
        row: AccountRow {
            kind,
            created: LogTime(5),
            by: by(),
            is_disabled: true,
            generation: 3,
            is_ending: false,
        },
        groups: vec![group(), GroupName::parse("all").unwrap()],
        token,
    }
}

fn account_views() -> Vec<AccountView> {
    let user = |password| AccountKind::User {
        source: Source::OpenId {
            issuer: "https://id.example.org".into(),
            subject: "7".into(),
        },
        password,
        is_admin: true,
        email: None,
    };
    let robot = AccountKind::Robot {
        secret: SecretHash([8; 32]),
        grants: grants(),
        expires: Some(LogTime(9)),
        description: "deploys".into(),
    };
    let token = |limits| TokenRow {
        account: account("ann"),
        secret: SecretHash([9; 32]),
        label: "laptop".into(),
        limits,
        created: LogTime(5),
        expires: None,
    };
    vec![
        account_view(user(None), None),
        // There is a password, and its hash is not told.
        account_view(user(Some(PasswordHash("".into()))), Some(token(None))),
        account_view(robot, Some(token(Some(Vec::new())))),
    ]
}

fn project_views() -> Vec<ProjectView> {
    let roles = [None].into_iter().chain(Role::ALL.map(Some));
    let view = |(role, visibility): (Option<Role>, &Visibility)| ProjectView {
        name: project(),
        row: ProjectRow {
            visibility: *visibility,
            created: LogTime(5),
            by: by(),
            repositories: 7,
        },
        role,
    };
    roles
        .zip(Visibility::ALL.iter().cycle())
        .map(view)
        .collect()
}

fn list_answers() -> Vec<AccessAnswer> {
    let member = |name, role| MemberView {
        name,
        row: MemberRow {
            role,
            since: LogTime(5),
        },
    };
    let projects = |next| AccessAnswer::Projects {
        projects: project_views(),
        next,
    };
    vec![
        AccessAnswer::Accounts {
            accounts: account_views(),
            more: true,
        },
        AccessAnswer::Groups {
            groups: vec![GroupView {
                name: group(),
                row: GroupRow {
                    created: LogTime(5),
                    by: by(),
                    since: LogIndex(12),
                    is_ending: true,
                },
            }],
            more: true,
        },
        AccessAnswer::GroupMembers {
            users: vec![account("ann"), account("bob")],
            more: false,
        },
        projects(None),
        projects(Some(project())),
        AccessAnswer::Members {
            members: vec![
                member(MemberName::User(account("ann")), Role::Owner),
                member(MemberName::Group(group()), Role::Guest),
            ],
            more: true,
        },
    ]
}

fn token_answers() -> Vec<AccessAnswer> {
    let token = |limits, expires| TokenView {
        token: TokenId(7),
        label: "laptop".into(),
        limits,
        created: LogTime(5),
        expires,
    };
    let key = |sealed| TokenKeyView {
        number: 3,
        public: Bytes::from_static(b"public half"),
        sealed,
        created: LogTime(5),
    };
    vec![
        AccessAnswer::Tokens(vec![
            token(None, None),
            token(Some(Vec::new()), Some(LogTime(0))),
            token(Some(grants()), Some(LogTime(9))),
        ]),
        AccessAnswer::Rights(vec![true, false, true]),
        AccessAnswer::TokenKeys(vec![
            key(None),
            key(Some(Bytes::new())),
            key(Some(Bytes::from_static(b"sealed half"))),
        ]),
    ]
}

fn access_answers() -> Vec<AccessAnswer> {
    let audit = |from| AuditView {
        number: 70_000,
        row: AuditRow {
            time: LogTime(5),
            by: by(),
            from,
            action: "tag.move".into(),
            target: "team/app:v1".into(),
            detail: "".into(),
            chain: [7; 32],
        },
    };
    let mut answers = vec![
        AccessAnswer::Access {
            is_on: true,
            settings: Settings {
                users_create_projects: false,
                auto_create_projects: true,
            },
        },
        AccessAnswer::Audit {
            records: vec![audit(address()), audit(None)],
            next: Some(0),
        },
        AccessAnswer::Audit {
            records: Vec::new(),
            next: None,
        },
    ];
    let views = account_views().into_iter();
    answers.extend(views.map(|view| AccessAnswer::Account(Box::new(view))));
    answers.extend(list_answers());
    answers.extend(token_answers());
    answers
}

fn answers() -> Vec<Answer> {
    let access = access_answers().into_iter();
    let mut answers: Vec<_> = access
        .map(|answer| Answer::Access(Box::new(answer)))
        .collect();
    let denials = [Denial::SignIn, Denial::ProofEnded, Denial::NotAllowed];
    answers.extend(denials.map(Answer::Denied));
    answers
}

#[test]
fn queries_about_access_come_back_as_they_were() {
    for query in queries() {
        let bytes = encode_query(&query);
        assert_eq!(decode_query(&bytes).unwrap(), query);
        assert!(decode_query(&[&bytes[..], &[0xf8, 0x7f, 0x01]].concat()).is_err());
    }
    let kinds: BTreeSet<_> = access_queries().iter().map(query_kind).collect();
    assert_eq!(kinds, QUERIES.iter().copied().collect());
}

#[test]
fn answers_about_access_come_back_as_they_were() {
    for answer in answers() {
        let bytes = encode_answer(&answer);
        assert_eq!(decode_answer(&bytes).unwrap(), answer);
        assert!(decode_answer(&[&bytes[..], &[0xf8, 0x7f, 0x01]].concat()).is_err());
    }
    let kinds: BTreeSet<_> = access_answers().iter().map(answer_kind).collect();
    assert_eq!(kinds, ANSWERS.iter().copied().collect());
}

#[test]
fn query_that_is_asked_is_not_asked_again() {
    let asked = |query| Query::Asked {
        asker: Asker::anonymous(),
        query: Box::new(query),
    };
    let mut deep = asked(asked(Query::Cluster));
    for _ in 0..200 {
        assert!(decode_query(&encode_query(&deep)).is_err());
        deep = asked(deep);
    }
}

#[test]
fn denial_of_a_newer_build_is_refused() {
    let mut bytes = encode_answer(&Answer::Denied(Denial::NotAllowed));
    for unknown in [0, 4, 0x7f] {
        *bytes.last_mut().unwrap() = unknown;
        let error = decode_answer(&bytes).unwrap_err().to_string();
        assert!(error.contains("unknown to this build"), "{error}");
    }
}

/// Each byte of each good one is changed in turn.
#[test]
fn what_is_left_of_a_changed_one_means_one_thing() {
    let queries = queries();
    let answers = answers();
    let good = queries.iter().map(encode_query);
    for good in good.chain(answers.iter().map(encode_answer)) {
        for at in 0..good.len() {
            for change in [0x01, 0x08, 0x80, 0xff] {
                let mut bytes = good.clone();
                bytes[at] ^= change;
                if let Ok(query) = decode_query(&bytes) {
                    assert_eq!(decode_query(&encode_query(&query)), Ok(query));
                }
                if let Ok(answer) = decode_answer(&bytes) {
                    assert_eq!(decode_answer(&encode_answer(&answer)), Ok(answer));
                }
            }
        }
    }
}

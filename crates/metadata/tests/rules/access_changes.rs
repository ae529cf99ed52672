//! Accounts, groups, projects, robots, tokens and keys are made, changed and ended.

use metadata::access::{
    AccessAnswer, AccessCommand, AccessQuery, AccountKind, AccountRow, ChangeUser, CreateRobot,
    NoteLogin, PasswordHash, Right, Role, SecretHash, Source, TokenId, Visibility,
};
use metadata::{Command, Named, Page, Refusal, Reply, TOKEN_KEYS_MAX, TableId, keys};

use crate::access_world::{
    ADMIN, by_system, create_project, create_robot, create_token, create_user, grant, group,
    guarded, name, password, project, set_member, user,
};
use crate::world::{World, put, repo};

fn refused(world: &mut World, command: AccessCommand) -> Refusal {
    world.refused(by_system(command))
}

fn change(text: &str, is_admin: Option<bool>, is_disabled: Option<bool>) -> AccessCommand {
    AccessCommand::ChangeUser(ChangeUser {
        user: name(text),
        is_admin,
        is_disabled,
        email: None,
    })
}

#[test]
fn switching_on_makes_the_first_administrator_once_and_leaves_what_is_there_private() {
    let mut world = World::new();
    world.apply(Command::PutManifest(put(&repo("team/app"), 1, &["v1"])));
    let on = |hash: &str| AccessCommand::SwitchOn {
        admin: name(ADMIN),
        password: PasswordHash(format!("$argon2id${hash}").into()),
    };
    world.system(on("first"));
    let recorded = world.row(&keys::access()).unwrap();
    world.system(on("second"));
    // Several members that start at once leave one record of it.
    assert_eq!(world.row(&keys::access()).unwrap(), recorded);
    let row: AccountRow = world.row(&keys::account(&name(ADMIN))).unwrap();
    match row.kind {
        AccountKind::User {
            password, is_admin, ..
        } => {
            assert!(is_admin);
            assert_eq!(password, Some(PasswordHash("$argon2id$first".into())));
        }
        other => panic!("{other:?}"),
    }
    for (team, repositories) in [("team", 1), ("library", 0)] {
        let row = world.row(&keys::project(&project(team))).unwrap();
        assert_eq!(
            (row.visibility, row.repositories),
            (Visibility::Private, repositories)
        );
    }
}

#[test]
fn password_that_is_no_hash_is_refused() {
    let mut world = World::new();
    let plain = AccessCommand::SwitchOn {
        admin: name(ADMIN),
        password: PasswordHash("secret".into()),
    };
    assert!(matches!(
        refused(&mut world, plain),
        Refusal::Invalid { .. }
    ));
}

#[test]
fn last_administrator_stays() {
    let mut world = guarded();
    let ends = [
        change(ADMIN, Some(false), None),
        change(ADMIN, None, Some(true)),
        AccessCommand::DeleteUser { user: name(ADMIN) },
    ];
    for end in &ends {
        assert_eq!(refused(&mut world, end.clone()), Refusal::LastAdministrator);
    }
    world.system(create_user("ann"));
    world.system(change("ann", Some(true), None));
    for end in ends {
        let mut world = guarded();
        world.system(create_user("ann"));
        world.system(change("ann", Some(true), None));
        world.system(end.clone());
        assert_eq!(
            refused(&mut world, change("ann", Some(false), None)),
            Refusal::LastAdministrator,
            "{end:?}"
        );
    }
}

#[test]
fn names_are_taken_once() {
    let mut world = guarded();
    world.system(create_user("ann"));
    world.system(create_project("team", Visibility::Private));
    world.system(create_robot("robot$team+ci", Vec::new()));
    world.system(create_token("ann", 1, None));
    for (again, named) in [
        (create_user("ann"), Named::User),
        (create_project("team", Visibility::Public), Named::Project),
        (create_robot("robot$team+ci", Vec::new()), Named::Robot),
        (create_token("ann", 1, None), Named::Token),
    ] {
        assert_eq!(refused(&mut world, again), Refusal::Exists(named));
    }
}

#[test]
fn what_is_not_there_is_not_changed() {
    let mut world = guarded();
    for (command, named) in [
        (change("ann", Some(true), None), Named::User),
        (AccessCommand::DeleteUser { user: name("ann") }, Named::User),
        (create_token("ann", 1, None), Named::User),
        (
            AccessCommand::DeleteGroup {
                group: group("ops"),
            },
            Named::Group,
        ),
        (
            AccessCommand::DeleteProject {
                project: project("team"),
            },
            Named::Project,
        ),
        (
            set_member("team", user(ADMIN), Some(Role::Guest)),
            Named::Project,
        ),
        (
            set_member("library", user("ann"), Some(Role::Guest)),
            Named::User,
        ),
        (create_robot("robot$team+ci", Vec::new()), Named::Project),
        (
            AccessCommand::DeleteRobot {
                robot: name("robot$team+ci"),
            },
            Named::Robot,
        ),
        (
            AccessCommand::DeleteToken {
                account: name(ADMIN),
                token: TokenId(1),
            },
            Named::Token,
        ),
        (AccessCommand::DropTokenKey { number: 7 }, Named::TokenKey),
    ] {
        assert_eq!(
            refused(&mut world, command.clone()),
            Refusal::Unknown(named),
            "{command:?}"
        );
    }
}

#[test]
fn user_takes_everything_along_however_much_it_is() {
    let mut world = guarded();
    world.checks_invariants = false;
    world.system(create_user("ann"));
    for number in 0..900 {
        world.system(create_token("ann", number, None));
        let team = format!("team{number}");
        world.system(create_project(&team, Visibility::Private));
        world.system(set_member(&team, user("ann"), Some(Role::Owner)));
        let ops = group(&format!("ops{number}"));
        world.system(AccessCommand::CreateGroup { group: ops.clone() });
        world.system(AccessCommand::SetGroupMember {
            group: ops,
            user: name("ann"),
            is_in: true,
        });
    }
    world.checks_invariants = true;
    let delete = by_system(AccessCommand::DeleteUser { user: name("ann") });
    assert_eq!(world.apply(delete.clone()), Reply::DeletionContinues);
    let again = refused(&mut world, create_user("ann"));
    assert_eq!(again, Refusal::Exists(Named::User));
    assert_eq!(world.apply(delete), Reply::Done);
    for table in [
        TableId::Member,
        TableId::Membership,
        TableId::UserGroup,
        TableId::GroupMember,
        TableId::AccessToken,
        TableId::AccountToken,
    ] {
        assert_eq!(world.count(table), 0, "{table:?}");
    }
}

#[test]
fn project_ends_empty_with_its_members_and_robots() {
    let mut world = guarded();
    world.system(create_user("ann"));
    world.system(create_project("team", Visibility::Private));
    world.system(set_member("team", user("ann"), Some(Role::Owner)));
    world.system(create_robot(
        "robot$team+ci",
        vec![grant("team/*", &[Right::Pull])],
    ));
    world.system(create_robot("robot$team-b", Vec::new()));
    let end = AccessCommand::DeleteProject {
        project: project("team"),
    };
    world.apply(Command::PutManifest(put(&repo("team/app"), 1, &["v1"])));
    let used = refused(&mut world, end.clone());
    assert_eq!(used, Refusal::ProjectInUse { repositories: 1 });
    world.system(create_project("other", Visibility::Private));
    world.system(set_member("other", user("ann"), Some(Role::Owner)));
    world.system(create_robot("robot$other+ci", Vec::new()));
    world.system(AccessCommand::DeleteProject {
        project: project("other"),
    });
    assert_eq!(world.row(&keys::account(&name("robot$other+ci"))), None);
    assert!(world.row(&keys::account(&name("robot$team+ci"))).is_some());
    assert!(world.row(&keys::account(&name("robot$team-b"))).is_some());
}

#[test]
fn robot_reaches_nothing_outside_its_project() {
    let mut world = guarded();
    world.system(create_project("team", Visibility::Private));
    for pattern in ["*", "team*", "teams/*", "alpine", "t*/app", "*/app"] {
        let grants = vec![grant(pattern, &[Right::Pull])];
        let reaching = refused(&mut world, create_robot("robot$team+ci", grants));
        assert!(matches!(reaching, Refusal::Invalid { .. }), "{pattern}");
    }
    world.system(create_robot(
        "robot$team+ci",
        vec![grant("team/*", &[Right::Pull])],
    ));
    world.system(create_robot(
        "robot$library+ci",
        vec![grant("alpine", &[Right::Pull])],
    ));
    for rights in [&[][..], &[Right::Push, Right::Pull], &[Right::Own]] {
        let grants = vec![grant("team/app", rights)];
        let bad = refused(&mut world, create_robot("robot$team+cd", grants));
        assert!(matches!(bad, Refusal::Invalid { .. }), "{rights:?}");
    }
    let mut misnamed = create_robot("robot$team+cd", Vec::new());
    if let AccessCommand::CreateRobot(CreateRobot { project, .. }) = &mut misnamed {
        *project = None;
    }
    assert!(matches!(
        refused(&mut world, misnamed),
        Refusal::Invalid { .. }
    ));
}

#[test]
fn name_belongs_to_the_source_that_it_came_from() {
    let mut world = guarded();
    world.system(create_user("ann"));
    let login = |user: &str, source: Source, groups: Option<Vec<&str>>| {
        AccessCommand::NoteLogin(NoteLogin {
            user: name(user),
            source,
            email: Some("x@example.org".into()),
            groups: groups.map(|groups| groups.into_iter().map(group).collect()),
        })
    };
    let openid = |subject: &str| Source::OpenId {
        issuer: "https://id.example.org".into(),
        subject: subject.into(),
    };
    let taken = refused(&mut world, login("ann", Source::Ldap, None));
    assert_eq!(taken, Refusal::OtherSource);
    world.system(login("ben", openid("1"), Some(vec!["a", "b"])));
    assert_eq!(
        refused(&mut world, login("ben", openid("2"), None)),
        Refusal::OtherSource
    );
    let password = AccessCommand::SetPassword {
        user: name("ben"),
        password: password(),
    };
    assert_eq!(refused(&mut world, password), Refusal::OtherSource);
    let groups_of_ben =
        |world: &World| match world.access(AccessQuery::Account { name: name("ben") }) {
            AccessAnswer::Account(view) => view
                .groups
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>(),
            other => panic!("{other:?}"),
        };
    assert_eq!(groups_of_ben(&world), ["a", "b"]);
    world.system(login("ben", openid("1"), Some(vec!["b", "c"])));
    assert_eq!(groups_of_ben(&world), ["b", "c"]);
    world.system(login("ben", openid("1"), None));
    assert_eq!(
        groups_of_ben(&world),
        ["b", "c"],
        "it said nothing of groups"
    );
}

#[test]
fn newest_key_signs_and_is_never_dropped() {
    let mut world = guarded();
    let add = || AccessCommand::AddTokenKey {
        after: None,
        public: vec![1, 2].into(),
        sealed: vec![3].into(),
    };
    for _ in 0..TOKEN_KEYS_MAX {
        world.system(add());
    }
    assert!(matches!(
        refused(&mut world, add()),
        Refusal::Invalid { .. }
    ));
    let last = u32::try_from(TOKEN_KEYS_MAX).unwrap();
    let signing = AccessCommand::DropTokenKey { number: last };
    assert!(matches!(
        refused(&mut world, signing),
        Refusal::Invalid { .. }
    ));
    world.system(AccessCommand::DropTokenKey { number: 1 });
    world.system(add());
    match world.access(AccessQuery::TokenKeys) {
        AccessAnswer::TokenKeys(keys) => {
            let numbers: Vec<u32> = keys.iter().map(|key| key.number).collect();
            assert_eq!(numbers, (2..=last + 1).collect::<Vec<_>>());
            assert!(keys.iter().all(|key| key.sealed.is_none()));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn of_two_keys_that_were_made_at_once_one_comes() {
    let mut world = guarded();
    let after = |number| AccessCommand::AddTokenKey {
        after: Some(number),
        public: vec![1, 2].into(),
        sealed: vec![3].into(),
    };
    world.system(after(0));
    let again = refused(&mut world, after(0));
    assert_eq!(again, Refusal::Exists(Named::TokenKey));
    assert_eq!(
        refused(&mut world, after(2)),
        Refusal::Exists(Named::TokenKey)
    );
    world.system(after(1));
    // A number is never used again, also when the keys before it are gone.
    world.system(AccessCommand::DropTokenKey { number: 1 });
    assert_eq!(
        refused(&mut world, after(1)),
        Refusal::Exists(Named::TokenKey)
    );
    world.system(after(2));
}

#[test]
fn hashes_are_in_no_view_but_the_one_that_checks_them() {
    let mut world = guarded();
    world.system(create_robot("robot$library+ci", Vec::new()));
    let page = || Page {
        after: None,
        limit: 10,
    };
    let robots = AccessQuery::Robots {
        project: Some(project("library")),
        page: page(),
    };
    for (query, expected) in [(AccessQuery::Users(page()), 1), (robots, 1)] {
        match world.access(query) {
            AccessAnswer::Accounts { accounts, .. } => {
                assert_eq!(accounts.len(), expected);
                for view in accounts {
                    match view.row.kind {
                        AccountKind::User { password, .. } => {
                            assert_eq!(password, Some(PasswordHash("".into())));
                        }
                        AccountKind::Robot { secret, .. } => {
                            assert_eq!(secret, SecretHash([0; 32]));
                        }
                    }
                }
            }
            other => panic!("{other:?}"),
        }
    }
    let credentials = AccessQuery::Credentials {
        name: name(ADMIN),
        token: None,
    };
    match world.access(credentials) {
        AccessAnswer::Account(view) => match view.row.kind {
            AccountKind::User { password: hash, .. } => assert_eq!(hash, Some(password())),
            AccountKind::Robot { .. } => panic!("a user"),
        },
        other => panic!("{other:?}"),
    }
}

//! Who may do what: every role in every kind of project, robots, tokens, and what proofs count no more. Rule 8.1.

use metadata::access::{
    AccessCommand, AccessQuery, Asker, ChangeRobot, ChangeUser, Denial, MemberName, Need, Right,
    Role, Settings, TokenId, Verdict, Visibility, Who, decide,
};
use metadata::{Answer, Command, LogTime, Mount, Page, PrincipalName, Query, Refusal, Reply};
use oci::{ProjectName, RepositoryName};

use crate::access_world::{
    ADMIN, by_system, create_project, create_robot, create_token, create_user, grant, group,
    guarded, name, project, set_member, user,
};
use crate::world::{World, blob, create, put, repo, tag, who};

const DENIED: Refusal = Refusal::Denied(Denial::NotAllowed);

fn verdict(world: &World, asker: &Asker, need: &Need) -> Verdict {
    decide(&world.tables, asker, need).expect("memory can be read")
}

fn may(world: &World, asker: &Asker, repository: &str, right: Right) -> bool {
    verdict(world, asker, &Need::Repository(repo(repository), right)).is_allowed()
}

/// What `asker` may in a repository, as letters.
fn rights(world: &World, asker: &Asker, repository: &str) -> String {
    let letters = Right::ALL.iter().zip("puDMO".chars());
    let has = letters.filter(|(right, _)| may(world, asker, repository, **right));
    has.map(|(_, letter)| letter).collect()
}

#[test]
fn where_rights_are_not_asked_for_anyone_may_do_anything() {
    let world = World::new();
    for need in [
        Need::Administration,
        Need::NewProject,
        Need::Repository(repo("team/app"), Right::Own),
    ] {
        assert!(verdict(&world, &Asker::anonymous(), &need).is_allowed());
    }
}

#[test]
fn every_role_in_every_kind_of_project() {
    let expected = [
        // private, internal, public
        ("nobody", ["", "", "p"]),
        ("signed in", ["", "p", "p"]),
        ("guest", ["p", "p", "p"]),
        ("developer", ["pu", "pu", "pu"]),
        ("maintainer", ["puDM", "puDM", "puDM"]),
        ("owner", ["puDMO", "puDMO", "puDMO"]),
        ("admin", ["puDMO", "puDMO", "puDMO"]),
        ("robot", ["pu", "pu", "pu"]),
        ("robot of another project", ["", "p", "p"]),
        ("robot of the registry", ["D", "pD", "pD"]),
        ("outside", ["puDMO", "puDMO", "puDMO"]),
    ];
    let mut world = guarded();
    for account in ["stranger", "guest", "developer", "maintainer", "owner"] {
        world.system(create_user(account));
    }
    world.system(create_project("other", Visibility::Private));
    for (column, visibility) in Visibility::ALL.into_iter().enumerate() {
        let team = format!("team-{}", visibility.name());
        world.system(create_project(&team, visibility));
        for role in Role::ALL {
            world.system(set_member(&team, user(role.name()), Some(role)));
        }
        let both = [Right::Pull, Right::Push];
        let robot = format!("robot${team}+ci");
        world.system(create_robot(
            &robot,
            vec![grant(&format!("{team}/*"), &both)],
        ));
        let stranger = format!("robot$other+{team}");
        world.system(create_robot(&stranger, vec![grant("other/*", &both)]));
        let of_all = format!("robot${team}");
        world.system(create_robot(
            &of_all,
            vec![grant("*/app", &[Right::Delete])],
        ));
        for (who, columns) in expected {
            let asker = match who {
                "nobody" => Asker::anonymous(),
                "signed in" => world.asker("stranger"),
                "robot" => world.asker(&robot),
                "robot of another project" => world.asker(&stranger),
                "robot of the registry" => world.asker(&of_all),
                "outside" => Asker {
                    who: Who::Outside(PrincipalName("project:7".into())),
                    from: None,
                },
                account => world.asker(account),
            };
            let found = rights(&world, &asker, &format!("{team}/app"));
            assert_eq!(found, columns[column], "{who} in {team}");
            let closed = rights(&world, &asker, "nowhere/app");
            let expected = match who {
                "robot of the registry" => "D",
                "admin" => "pDMO",
                "outside" => "puDMO",
                _ => "",
            };
            assert_eq!(closed, expected, "{who} in a project that does not exist");
        }
    }
}

#[test]
fn who_is_nobody_is_told_to_sign_in_and_who_is_somebody_that_they_may_not() {
    let mut world = guarded();
    world.system(create_user("ann"));
    for need in [
        Need::Repository(repo("team/app"), Right::Pull),
        Need::NewProject,
        Need::Administration,
        Need::Account(name(ADMIN)),
    ] {
        let nobody = verdict(&world, &Asker::anonymous(), &need);
        assert_eq!(nobody, Verdict::Denied(Denial::SignIn), "{need:?}");
    }
    let ann = world.asker("ann");
    for need in [
        Need::Repository(repo("team/app"), Right::Pull),
        Need::Project(project("team"), Right::Own),
        Need::Administration,
        Need::Account(name(ADMIN)),
    ] {
        let denied = verdict(&world, &ann, &need);
        assert_eq!(denied, Verdict::Denied(Denial::NotAllowed), "{need:?}");
    }
    assert!(verdict(&world, &ann, &Need::Account(name("ann"))).is_allowed());
    assert!(verdict(&world, &ann, &Need::NewProject).is_allowed());
    world.system(AccessCommand::Settle(Settings {
        users_create_projects: false,
        auto_create_projects: false,
    }));
    assert!(!verdict(&world, &ann, &Need::NewProject).is_allowed());
    assert!(verdict(&world, &world.asker(ADMIN), &Need::NewProject).is_allowed());
}

#[test]
fn what_was_proved_ends_with_the_password_the_lock_and_the_account() {
    let need = Need::Nothing;
    let ended = Verdict::Denied(Denial::ProofEnded);
    let ends: [fn() -> AccessCommand; 4] = [
        || AccessCommand::SetPassword {
            user: name("ann"),
            password: crate::access_world::password(),
        },
        || AccessCommand::EndProofs {
            account: name("ann"),
        },
        || {
            AccessCommand::ChangeUser(ChangeUser {
                user: name("ann"),
                is_admin: None,
                is_disabled: Some(true),
                email: None,
            })
        },
        || AccessCommand::DeleteUser { user: name("ann") },
    ];
    for end in ends {
        let mut world = guarded();
        world.system(create_user("ann"));
        let before = world.asker("ann");
        assert!(verdict(&world, &before, &need).is_allowed());
        world.system(end());
        assert_eq!(verdict(&world, &before, &need), ended, "{:?}", end());
    }
    // Another account of the same name is not the one that proved itself.
    let mut world = guarded();
    world.system(create_user("ann"));
    let before = world.asker("ann");
    world.system(AccessCommand::DeleteUser { user: name("ann") });
    world.system(create_user("ann"));
    assert_eq!(verdict(&world, &before, &need), ended);
    assert!(verdict(&world, &world.asker("ann"), &need).is_allowed());
}

#[test]
fn who_is_enabled_again_has_to_prove_themselves_again() {
    let mut world = guarded();
    world.system(create_user("ann"));
    let before = world.asker("ann");
    for is_disabled in [true, false] {
        world.system(AccessCommand::ChangeUser(ChangeUser {
            user: name("ann"),
            is_admin: None,
            is_disabled: Some(is_disabled),
            email: None,
        }));
    }
    let ended = Verdict::Denied(Denial::ProofEnded);
    assert_eq!(verdict(&world, &before, &Need::Nothing), ended);
    assert!(verdict(&world, &world.asker("ann"), &Need::Nothing).is_allowed());
}

#[test]
fn token_ends_by_itself_and_may_do_no_more_than_it_is_limited_to() {
    let mut world = guarded();
    world.system(create_user("ann"));
    world.system(create_project("team", Visibility::Private));
    world.system(set_member("team", user("ann"), Some(Role::Owner)));
    world.system(create_token("ann", 1, None));
    let limits = vec![
        grant("team/app", &[Right::Pull, Right::Push]),
        grant("other/*", &[Right::Pull]),
    ];
    world.system(create_token("ann", 2, Some(limits)));
    let (whole, limited) = (World::with_token("ann", 1), World::with_token("ann", 2));
    assert_eq!(rights(&world, &whole, "team/app"), "puDMO");
    assert_eq!(rights(&world, &limited, "team/app"), "pu");
    assert_eq!(rights(&world, &limited, "team/web"), "");
    assert_eq!(
        rights(&world, &limited, "other/app"),
        "",
        "the token gives nothing that ann lacks"
    );
    assert!(verdict(&world, &whole, &Need::Account(name("ann"))).is_allowed());
    assert!(!verdict(&world, &limited, &Need::Account(name("ann"))).is_allowed());
    assert!(!verdict(&world, &limited, &Need::NewProject).is_allowed());
    for right in [Right::Maintain, Right::Own] {
        let need = Need::Project(project("team"), right);
        assert!(!verdict(&world, &limited, &need).is_allowed(), "{need:?}");
    }
    // It goes on after a new password, and not after its own end.
    world.system(AccessCommand::SetPassword {
        user: name("ann"),
        password: crate::access_world::password(),
    });
    assert!(may(&world, &whole, "team/app", Right::Push));
    world.system(AccessCommand::DeleteToken {
        account: name("ann"),
        token: TokenId(1),
    });
    let ended = Verdict::Denied(Denial::ProofEnded);
    assert_eq!(verdict(&world, &whole, &Need::Nothing), ended);
    // Nor is it anybody else's.
    world.system(create_user("ben"));
    let bens = World::with_token("ben", 2);
    assert_eq!(verdict(&world, &bens, &Need::Nothing), ended);
}

#[test]
fn token_ends_with_the_key_that_signed_it() {
    let mut world = guarded();
    world.system(create_user("ann"));
    world.system(create_robot(
        "robot$library+ci",
        vec![grant("alpine", &[Right::Pull])],
    ));
    world.system(create_token("ann", 1, None));
    let add = || AccessCommand::AddTokenKey {
        after: None,
        public: vec![4].into(),
        sealed: vec![5].into(),
    };
    world.system(add());
    world.system(add());
    let whoever = [
        world.asker(ADMIN),
        world.asker("ann"),
        world.asker("robot$library+ci"),
        World::with_token("ann", 1),
    ];
    let table = |world: &World, expected: [(Option<u32>, bool); 4]| {
        for asker in &whoever {
            for (key, counts) in expected {
                let shown = match key {
                    Some(key) => World::signed_by(key, asker),
                    None => asker.clone(),
                };
                let expected = match counts {
                    true => Verdict::Allowed,
                    false => Verdict::Denied(Denial::ProofEnded),
                };
                let found = verdict(world, &shown, &Need::Nothing);
                assert_eq!(found, expected, "{shown:?}");
            }
        }
    };
    table(
        &world,
        [
            (None, true),
            (Some(1), true),
            (Some(2), true),
            (Some(3), false),
        ],
    );
    world.system(AccessCommand::DropTokenKey { number: 1 });
    table(
        &world,
        [
            (None, true),
            (Some(1), false),
            (Some(2), true),
            (Some(3), false),
        ],
    );
    // A key that counts makes no other proof last longer.
    world.system(AccessCommand::EndProofs {
        account: name("ann"),
    });
    let ann = World::signed_by(2, &whoever[1]);
    let ended = Verdict::Denied(Denial::ProofEnded);
    assert_eq!(verdict(&world, &ann, &Need::Nothing), ended);
    // What a command does is decided with the command.
    let by_dropped = World::signed_by(1, &world.asker(ADMIN));
    let refused = world.refused_by(&by_dropped, by_system(create_user("ben")));
    assert_eq!(refused, Refusal::Denied(Denial::ProofEnded));
}

#[test]
fn robots_and_tokens_end_in_their_time() {
    let mut world = guarded();
    world.system(create_user("ann"));
    let end = LogTime(world.now + 1_000);
    let mut robot = create_robot("robot$library+ci", vec![grant("alpine", &[Right::Pull])]);
    if let AccessCommand::CreateRobot(create) = &mut robot {
        create.expires = Some(end);
    }
    let mut token = create_token("ann", 1, None);
    if let AccessCommand::CreateToken(create) = &mut token {
        create.expires = Some(end);
    }
    world.system(robot);
    world.system(token);
    let askers = [world.asker("robot$library+ci"), World::with_token("ann", 1)];
    for asker in &askers {
        assert!(verdict(&world, asker, &Need::Nothing).is_allowed());
    }
    world.now = end.0;
    world.system(create_user("somebody"));
    let ended = Verdict::Denied(Denial::ProofEnded);
    for asker in &askers {
        assert_eq!(verdict(&world, asker, &Need::Nothing), ended);
    }
    world.system(AccessCommand::ChangeRobot(ChangeRobot {
        robot: name("robot$library+ci"),
        grants: None,
        expires: Some(None),
        is_disabled: None,
    }));
    assert!(verdict(&world, &askers[0], &Need::Nothing).is_allowed());
}

#[test]
fn groups_give_their_members_what_they_are_given() {
    let mut world = guarded();
    world.system(create_user("ann"));
    world.system(create_project("team", Visibility::Private));
    world.system(AccessCommand::CreateGroup {
        group: group("ops"),
    });
    let join = |is_in| AccessCommand::SetGroupMember {
        group: group("ops"),
        user: name("ann"),
        is_in,
    };
    world.system(join(true));
    let ops = MemberName::Group(group("ops"));
    world.system(set_member("team", ops.clone(), Some(Role::Maintainer)));
    world.system(set_member("team", user("ann"), Some(Role::Guest)));
    let ann = world.asker("ann");
    assert_eq!(
        rights(&world, &ann, "team/app"),
        "puDM",
        "the higher role counts"
    );
    world.system(join(false));
    assert_eq!(rights(&world, &ann, "team/app"), "p");
    world.system(join(true));
    world.system(AccessCommand::DeleteGroup {
        group: group("ops"),
    });
    assert_eq!(rights(&world, &ann, "team/app"), "p");
    // A later group of the same name has other members, and other rights.
    world.system(AccessCommand::CreateGroup {
        group: group("ops"),
    });
    world.system(set_member("team", ops, Some(Role::Owner)));
    assert_eq!(rights(&world, &ann, "team/app"), "p");
}

#[test]
fn command_is_refused_in_the_log_when_its_asker_may_not() {
    let mut world = guarded();
    world.system(create_user("ann"));
    world.system(create_project("team", Visibility::Public));
    world.system(set_member("team", user("ann"), Some(Role::Developer)));
    let ann = world.asker("ann");
    let image = put(&repo("team/app"), 1, &["v1"]);
    let push = Command::PutManifest(image);
    let signed_out = world.refused_by(&Asker::anonymous(), push.clone());
    assert_eq!(signed_out, Refusal::Denied(Denial::SignIn));
    let pushed = world.apply(crate::access_world::asked(&ann, push.clone()));
    assert!(matches!(pushed, Reply::ManifestPut { .. }), "{pushed:?}");
    let delete = Command::DeleteTag {
        repository: repo("team/app"),
        tag: tag("v1"),
        precondition: None,
        principal: who("ann"),
    };
    assert_eq!(world.refused_by(&ann, delete), DENIED);
    world.system(set_member("team", user("ann"), None));
    assert_eq!(world.refused_by(&ann, push), DENIED);
    let label = Command::RemoveNode {
        node: metadata::NodeId(1),
    };
    assert_eq!(world.refused_by(&ann, label), DENIED);
}

#[test]
fn command_inside_a_command_that_is_asked_for_is_refused() {
    let mut world = guarded();
    let admin = world.asker(ADMIN);
    let twice = crate::access_world::asked(
        &admin,
        crate::access_world::asked(&admin, by_system(create_user("ann"))),
    );
    assert!(matches!(world.refused(twice), Refusal::Invalid { .. }));
}

#[test]
fn query_is_answered_to_whom_may_know_and_lists_only_what_they_may_pull() {
    let mut world = guarded();
    world.system(create_user("ann"));
    for (team, visibility) in [
        ("closed", Visibility::Private),
        ("internal", Visibility::Internal),
        ("mine", Visibility::Private),
        ("open", Visibility::Public),
    ] {
        world.system(create_project(team, visibility));
        for app in ["app", "web"] {
            let image = put(&repo(&format!("{team}/{app}")), 1, &["v1"]);
            world.apply(Command::PutManifest(image));
        }
    }
    world.apply(Command::PutManifest(put(&repo("alpine"), 1, &["v1"])));
    world.system(set_member("mine", user("ann"), Some(Role::Guest)));
    let listed = |asker: &Asker, after: Option<&str>, limit| {
        let page = Page {
            after: after.map(repo),
            limit,
        };
        match world.ask_by(asker, Query::Repositories(page)) {
            Answer::Repositories { repositories, more } => {
                let names = repositories.into_iter().map(|view| view.name.to_string());
                (names.collect::<Vec<_>>(), more)
            }
            other => panic!("{other:?}"),
        }
    };
    let (ann, admin) = (world.asker("ann"), world.asker(ADMIN));
    let nobody = Asker::anonymous();
    assert_eq!(listed(&nobody, None, 100).0, ["open/app", "open/web"]);
    let anns = [
        "internal/app",
        "internal/web",
        "mine/app",
        "mine/web",
        "open/app",
        "open/web",
    ];
    assert_eq!(
        listed(&ann, None, 100),
        (anns.map(str::to_owned).to_vec(), false)
    );
    assert_eq!(listed(&ann, Some("internal/web"), 2).0, anns[2..4]);
    assert_eq!(
        listed(&ann, None, 6),
        (anns.map(str::to_owned).to_vec(), false)
    );
    assert!(listed(&ann, None, 5).1);
    assert_eq!(listed(&admin, None, 100).0.len(), 9);
    let manifest = |repository: &str| Query::Manifest {
        repository: repo(repository),
        reference: tag("v1").into(),
    };
    assert!(matches!(
        world.ask_by(&nobody, manifest("open/app")),
        Answer::Manifest(_)
    ));
    // What is closed and what does not exist look alike.
    for asker in [&nobody, &ann] {
        let closed = world.ask_by(asker, manifest("closed/app"));
        assert!(matches!(closed, Answer::Denied(_)), "{closed:?}");
        assert_eq!(closed, world.ask_by(asker, manifest("nowhere/app")));
        assert_eq!(closed, world.ask_by(asker, manifest("closed/none")));
    }
    let users = Query::Access(Box::new(AccessQuery::Users(Page {
        after: None,
        limit: 10,
    })));
    assert!(matches!(
        world.ask_by(&ann, users.clone()),
        Answer::Denied(_)
    ));
    assert!(matches!(world.ask_by(&admin, users), Answer::Access(_)));
}

#[test]
fn mount_tells_nothing_of_what_may_not_be_pulled() {
    let mut world = guarded();
    world.system(create_user("ann"));
    world.system(create_project("mine", Visibility::Private));
    world.system(create_project("closed", Visibility::Private));
    world.system(create_project("open", Visibility::Public));
    world.system(set_member("mine", user("ann"), Some(Role::Developer)));
    world.push_blob(&repo("closed/app"), 1);
    world.push_blob(&repo("closed/app"), 2);
    world.push_blob(&repo("open/app"), 2);
    let ann = world.asker("ann");
    let mut mount = |from: Option<&str>, number| {
        let mount = Mount {
            repository: repo("mine/app"),
            from: from.map(repo),
            digest: blob(number),
            principal: who("ann"),
        };
        world.apply(crate::access_world::asked(&ann, Command::Mount(mount)))
    };
    assert_eq!(mount(Some("closed/app"), 1), Reply::MountMissed);
    assert_eq!(mount(Some("nowhere/app"), 1), Reply::MountMissed);
    assert_eq!(mount(None, 1), Reply::MountMissed);
    assert_eq!(mount(Some("closed/app"), 2), Reply::MountMissed);
    assert!(matches!(mount(None, 2), Reply::Mounted { .. }));
}

#[test]
fn push_makes_a_missing_project_where_administrators_want_it() {
    let mut world = guarded();
    world.system(create_user("ann"));
    let ann = world.asker("ann");
    let upload = |number| create(&repo("fresh/app"), oci::UploadId::from_u128(number), true);
    assert_eq!(world.refused_by(&ann, upload(1)), DENIED);
    world.system(AccessCommand::Settle(Settings {
        users_create_projects: true,
        auto_create_projects: true,
    }));
    let nobody = world.refused_by(&Asker::anonymous(), upload(2));
    assert_eq!(nobody, Refusal::Denied(Denial::SignIn));
    let robot = create_robot("robot$library+ci", vec![grant("alpine", &[Right::Push])]);
    world.system(robot);
    let robot = world.asker("robot$library+ci");
    assert_eq!(world.refused_by(&robot, upload(3)), DENIED);
    let opened = world.apply(crate::access_world::asked(&ann, upload(4)));
    assert!(matches!(opened, Reply::UploadCreated { .. }), "{opened:?}");
    assert_eq!(rights(&world, &ann, "fresh/app"), "puDMO");
    world.system(create_user("ben"));
    let ben = world.asker("ben");
    assert_eq!(world.refused_by(&ben, upload(5)), DENIED, "it is ann's now");
    // A manifest makes repository and project in one entry.
    let pushed = Command::PutManifest(put(&repo("bens/app"), 1, &["v1"]));
    world.apply(crate::access_world::asked(&ben, pushed));
    assert_eq!(rights(&world, &ben, "bens/app"), "puDMO");
    // What was there before anybody asked for rights is nobody's, not the first one's who comes.
    let there: RepositoryName = repo("old/app");
    world.apply(Command::PutManifest(put(&there, 1, &["v1"])));
    assert_eq!(ProjectName::of(&there), project("old"));
    let upload = create(&there, oci::UploadId::from_u128(6), true);
    assert_eq!(world.refused_by(&ann, upload), DENIED);
}

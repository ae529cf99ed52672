//! Random histories of accounts, groups and projects: every invariant holds after each entry (the world checks them), and who
//! may pull, push and own is what a simple model says.

use std::collections::{BTreeMap, BTreeSet};

use metadata::access::{
    AccessCommand, ChangeUser, MemberName, Need, Right, Role, Visibility, decide,
};
use metadata::{Command, Refusal, Reply, keys};
use proptest::prelude::*;

use crate::access_world::{
    ADMIN, asked, by_system, create_project, create_token, create_user, group, guarded, name,
    project, set_member, user,
};
use crate::world::{World, put, repo};

const USERS: u8 = 4;
const GROUPS: u8 = 3;
const PROJECTS: u8 = 3;

#[derive(Debug, Clone)]
enum Wish {
    CreateUser(u8),
    DeleteUser(u8),
    Disable(u8, bool),
    Promote(u8, bool),
    CreateGroup(u8),
    DeleteGroup(u8),
    Join(u8, u8, bool),
    CreateProject(u8, Visibility),
    Show(u8, Visibility),
    DeleteProject(u8),
    Member(u8, u8, Option<Role>),
    GroupMember(u8, u8, Option<Role>),
    Token(u8, u128),
    Push(u8, u8),
}

fn wish() -> impl Strategy<Value = Wish> {
    let role = || prop::option::weighted(0.8, prop::sample::select(Role::ALL.to_vec()));
    let visibility = || prop::sample::select(Visibility::ALL.to_vec());
    let (user, group, project) = (0..USERS, 0..GROUPS, 0..PROJECTS);
    prop_oneof![
        6 => user.clone().prop_map(Wish::CreateUser),
        2 => user.clone().prop_map(Wish::DeleteUser),
        2 => (user.clone(), any::<bool>()).prop_map(|(u, d)| Wish::Disable(u, d)),
        1 => (user.clone(), any::<bool>()).prop_map(|(u, p)| Wish::Promote(u, p)),
        4 => group.clone().prop_map(Wish::CreateGroup),
        1 => group.clone().prop_map(Wish::DeleteGroup),
        6 => (group.clone(), user.clone(), any::<bool>()).prop_map(|(g, u, i)| Wish::Join(g, u, i)),
        4 => (project.clone(), visibility()).prop_map(|(p, v)| Wish::CreateProject(p, v)),
        2 => (project.clone(), visibility()).prop_map(|(p, v)| Wish::Show(p, v)),
        2 => project.clone().prop_map(Wish::DeleteProject),
        6 => (project.clone(), user.clone(), role()).prop_map(|(p, u, r)| Wish::Member(p, u, r)),
        6 => (project.clone(), group, role()).prop_map(|(p, g, r)| Wish::GroupMember(p, g, r)),
        2 => (user.clone(), 0..4_u128).prop_map(|(u, t)| Wish::Token(u, t)),
        4 => (user, project).prop_map(|(u, p)| Wish::Push(u, p)),
    ]
}

#[derive(Default)]
struct Model {
    /// Whether they are disabled, and administrators.
    users: BTreeMap<u8, (bool, bool)>,
    groups: BTreeMap<u8, BTreeSet<u8>>,
    projects: BTreeMap<u8, Visibility>,
    members: BTreeMap<(u8, u8), Role>,
    group_members: BTreeMap<(u8, u8), Role>,
}

impl Model {
    fn may(&self, user: u8, project: u8, right: Right) -> bool {
        let Some((false, is_admin)) = self.users.get(&user) else {
            return false;
        };
        let visibility = self.projects.get(&project);
        let is_open = right == Right::Pull
            && matches!(visibility, Some(Visibility::Internal | Visibility::Public));
        let own = self.members.get(&(project, user)).copied();
        let groups = self
            .groups
            .iter()
            .filter(|(_, users)| users.contains(&user));
        let by_group = groups.filter_map(|(group, _)| self.group_members.get(&(project, *group)));
        let highest = by_group.copied().chain(own).max();
        let rules = *is_admin && (right != Right::Push || visibility.is_some());
        rules || is_open || highest.is_some_and(|role| role.has(right))
    }
}

fn user_name(user: u8) -> String {
    format!("user{user}")
}

fn group_name(number: u8) -> metadata::access::GroupName {
    group(&format!("group{number}"))
}

fn team(number: u8) -> String {
    format!("team{number}")
}

fn change(number: u8, is_admin: Option<bool>, is_disabled: Option<bool>) -> AccessCommand {
    AccessCommand::ChangeUser(ChangeUser {
        user: name(&user_name(number)),
        is_admin,
        is_disabled,
        email: None,
    })
}

/// Applies a wish to both.
fn grant_wish(world: &mut World, model: &mut Model, wish: &Wish) {
    let mut done = |command| world.apply(by_system(command)) == Reply::Done;
    match *wish {
        Wish::CreateUser(u) => {
            if done(create_user(&user_name(u))) {
                assert_eq!(model.users.insert(u, (false, false)), None);
            }
        }
        Wish::DeleteUser(u) => {
            let user = name(&user_name(u));
            if done(AccessCommand::DeleteUser { user }) {
                model.users.remove(&u).expect("it was there");
                model.members.retain(|(_, user), _| *user != u);
                model.groups.values_mut().for_each(|users| {
                    users.remove(&u);
                });
            }
        }
        Wish::Disable(u, is_disabled) => {
            if done(change(u, None, Some(is_disabled))) {
                model.users.get_mut(&u).expect("it is there").0 = is_disabled;
            }
        }
        Wish::Promote(u, is_admin) => {
            if done(change(u, Some(is_admin), None)) {
                model.users.get_mut(&u).expect("it is there").1 = is_admin;
            }
        }
        Wish::CreateGroup(g) => {
            let group = group_name(g);
            assert!(done(AccessCommand::CreateGroup { group }));
            model.groups.entry(g).or_default();
        }
        Wish::DeleteGroup(g) => {
            let group = group_name(g);
            if done(AccessCommand::DeleteGroup { group }) {
                model.groups.remove(&g).expect("it was there");
                model.group_members.retain(|(_, group), _| *group != g);
            }
        }
        Wish::Join(g, u, is_in) => {
            let (group, user) = (group_name(g), name(&user_name(u)));
            let is_done = done(AccessCommand::SetGroupMember { group, user, is_in });
            if is_done && is_in {
                model.groups.get_mut(&g).expect("it is there").insert(u);
            } else if is_done {
                model.groups.get_mut(&g).expect("it is there").remove(&u);
            }
        }
        Wish::CreateProject(p, visibility) => {
            if done(create_project(&team(p), visibility)) {
                assert_eq!(model.projects.insert(p, visibility), None);
            }
        }
        Wish::Show(p, visibility) => {
            let project = project(&team(p));
            let show = AccessCommand::SetVisibility {
                project,
                visibility,
            };
            if done(show) {
                model.projects.insert(p, visibility).expect("it is there");
            }
        }
        Wish::DeleteProject(p) => {
            let project = project(&team(p));
            if done(AccessCommand::DeleteProject { project }) {
                model.projects.remove(&p).expect("it was there");
                model.members.retain(|(project, _), _| *project != p);
                model.group_members.retain(|(project, _), _| *project != p);
            }
        }
        Wish::Member(p, u, role) => {
            if done(set_member(&team(p), user(&user_name(u)), role)) {
                set(&mut model.members, (p, u), role);
            }
        }
        Wish::GroupMember(p, g, role) => {
            if done(set_member(&team(p), MemberName::Group(group_name(g)), role)) {
                set(&mut model.group_members, (p, g), role);
            }
        }
        Wish::Token(u, token) => drop(done(create_token(&user_name(u), token, None))),
        Wish::Push(u, p) => push(world, model, u, p),
    }
}

fn set(members: &mut BTreeMap<(u8, u8), Role>, key: (u8, u8), role: Option<Role>) {
    match role {
        Some(role) => drop(members.insert(key, role)),
        None => drop(members.remove(&key)),
    }
}

fn push(world: &mut World, model: &Model, u: u8, p: u8) {
    let account = name(&user_name(u));
    if world.row(&keys::account(&account)).is_none() {
        return;
    }
    let asker = world.asker(account.as_str());
    let image = put(&repo(&format!("{}/app", team(p))), 1, &["v1"]);
    let reply = world.apply(asked(&asker, Command::PutManifest(image)));
    let is_denied = matches!(reply, Reply::Refused(Refusal::Denied(_)));
    assert_eq!(is_denied, !model.may(u, p, Right::Push), "{reply:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn rights_are_those_of_a_simple_model(wishes in prop::collection::vec(wish(), 1..80)) {
        let mut world = guarded();
        let mut model = Model::default();
        for wish in &wishes {
            grant_wish(&mut world, &mut model, wish);
        }
        for u in 0..USERS {
            if !model.users.contains_key(&u) {
                continue;
            }
            let asker = world.asker(&user_name(u));
            for p in 0..PROJECTS {
                for right in Right::ALL {
                    let need = Need::Repository(repo(&format!("{}/app", team(p))), right);
                    let may = decide(&world.tables, &asker, &need).unwrap().is_allowed();
                    prop_assert_eq!(may, model.may(u, p, right), "user {} project {} {:?}", u, p, right);
                }
            }
        }
        prop_assert!(world.row(&keys::account(&name(ADMIN))).is_some());
    }
}

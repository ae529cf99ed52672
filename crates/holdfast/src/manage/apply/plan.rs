//! The difference between what a file says and what there is. Pure.
//!
//! What lets somebody in comes before what shuts somebody out, and what changes the role of who asks comes last, so that they do not
//! lose the right to the rest half-way.

use management::{Grant, MemberKind, NewRobot, RobotChange, Role, Visibility};

use super::current::{Current, CurrentProject, Members, Robots};
use super::step::Step;
use super::wanted::{Wanted, WantedMember, WantedProject, WantedRobot};

/// The steps from `current` to `wanted`, in the order in which they are to be taken.
pub fn plan(wanted: &Wanted, current: &Current) -> Vec<Step> {
    let mut steps = Vec::new();
    groups(wanted, current, &mut steps);
    for project in &wanted.projects {
        self::project(project, current, &mut steps);
    }
    let of_all = wanted.robots.iter();
    for robot in of_all {
        self::robot(robot, None, &current.robots, &mut steps);
    }
    steps.sort_by_key(|step| match (step, &current.me) {
        (step, Some(me)) if step.is_about_role_of(me) => 2,
        (step, _) if step.takes() => 1,
        _ => 0,
    });
    steps
}

fn groups(wanted: &Wanted, current: &Current, steps: &mut Vec<Step>) {
    for group in &wanted.groups {
        let name = &group.name;
        let has = current.groups.get(name);
        if has.is_none() {
            steps.push(Step::CreateGroup(name.clone()));
        }
        let Some(wants) = &group.members else {
            continue;
        };
        let has = has.cloned().unwrap_or_default();
        let step = |user: &String, is_in| Step::SetGroupMember {
            group: name.clone(),
            user: user.clone(),
            is_in,
        };
        steps.extend(wants.difference(&has).map(|user| step(user, true)));
        steps.extend(has.difference(wants).map(|user| step(user, false)));
    }
}

fn project(wanted: &WantedProject, current: &Current, steps: &mut Vec<Step>) {
    let name = &wanted.name;
    let made;
    let has = match current.projects.get(name) {
        Some(has) => has,
        None => {
            made = new_project(wanted, current.me.as_deref());
            let visibility = made.visibility;
            let project = name.clone();
            steps.push(Step::CreateProject {
                project,
                visibility,
            });
            &made
        }
    };
    if let Some(visibility) = wanted.visibility
        && visibility != has.visibility
    {
        steps.push(Step::SetVisibility {
            project: name.clone(),
            from: has.visibility,
            to: visibility,
        });
    }
    if let Some(wants) = &wanted.members {
        members(name, wants, &has.members, steps);
    }
    let Some(wants) = &wanted.robots else { return };
    for robot in wants {
        self::robot(robot, Some(name), &has.robots, steps);
    }
    let names: Vec<String> = wants
        .iter()
        .map(|robot| robot.whole_name(Some(name)))
        .collect();
    let gone = has.robots.keys().filter(|robot| !names.contains(robot));
    steps.extend(gone.map(|robot| Step::DeleteRobot(robot.clone())));
}

/// A project as it is when it was just made: its maker owns it.
fn new_project(wanted: &WantedProject, maker: Option<&str>) -> CurrentProject {
    let owner = |maker: &str| ((MemberKind::User, maker.to_owned()), Role::Owner);
    CurrentProject {
        visibility: wanted.visibility.unwrap_or(Visibility::Private),
        members: maker.map(owner).into_iter().collect(),
        robots: Robots::new(),
    }
}

fn members(project: &str, wanted: &[WantedMember], has: &Members, steps: &mut Vec<Step>) {
    let mut wants = Members::new();
    for member in wanted {
        if let Some((kind, name)) = member.name() {
            wants.insert((kind, name.to_owned()), member.role);
        }
    }
    let step = |(kind, name): &(MemberKind, String), from, to| Step::SetMember {
        project: project.to_owned(),
        kind: *kind,
        name: name.clone(),
        from,
        to,
    };
    for (member, role) in &wants {
        let from = has.get(member).copied();
        if from != Some(*role) {
            steps.push(step(member, from, Some(*role)));
        }
    }
    let gone = has
        .iter()
        .filter(|(member, _)| !wants.contains_key(*member));
    steps.extend(gone.map(|(member, role)| step(member, Some(*role), None)));
}

fn robot(wanted: &WantedRobot, project: Option<&str>, has: &Robots, steps: &mut Vec<Step>) {
    let name = wanted.whole_name(project);
    let Some(has) = has.get(&name) else {
        let robot = NewRobot {
            name: wanted.name.clone(),
            project: project.map(ToOwned::to_owned),
            grants: wanted.grants.clone(),
            expires: wanted.expires,
            description: wanted.description.clone(),
        };
        steps.push(Step::CreateRobot { name, robot });
        return;
    };
    let is_granted = in_order(&has.grants) == in_order(&wanted.grants);
    let is_timed = has.expires == wanted.expires;
    if is_granted && is_timed {
        return;
    }
    let change = RobotChange {
        grants: (!is_granted).then(|| wanted.grants.clone()),
        expires: (!is_timed).then_some(wanted.expires),
        is_disabled: None,
    };
    steps.push(Step::ChangeRobot { name, change });
}

/// Grants in an order of their own: that in which they are written means nothing.
fn in_order(grants: &[Grant]) -> Vec<Grant> {
    let mut grants = grants.to_vec();
    for grant in &mut grants {
        grant.rights.sort_unstable();
        grant.rights.dedup();
    }
    grants.sort_unstable();
    grants
}

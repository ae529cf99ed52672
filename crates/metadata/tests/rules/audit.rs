//! What somebody did is recorded by the entry that did it, and a record that is taken out shows. Rule 8.4.

use metadata::access::{
    AccessAnswer, AccessCommand, AccessQuery, AuditPage, AuditRow, RefusalSum, Visibility,
};
use metadata::{Command, PrincipalName, Reply, Tables, invariant, keys};

use crate::access_world::{ADMIN, asked, by_system, create_project, create_user, guarded};
use crate::world::{World, put, repo};

fn page() -> AuditPage {
    AuditPage {
        before: None,
        limit: 100,
        by: None,
        action: None,
        target: None,
        from: None,
        until: None,
    }
}

/// The records that are asked for, newest first, and where to go on.
fn records(world: &World, page: AuditPage) -> (Vec<String>, Option<u64>) {
    match world.access(AccessQuery::Audit(page)) {
        AccessAnswer::Audit { records, next } => {
            let told = records.into_iter().map(|view| {
                let AuditRow {
                    by,
                    action,
                    target,
                    detail,
                    ..
                } = view.row;
                format!("{by} {action} {target} {detail}")
                    .trim_end()
                    .to_owned()
            });
            (told.collect(), next)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn changes_are_recorded_with_who_made_them_and_refusals_are_not() {
    let mut world = guarded();
    let admin = world.asker(ADMIN);
    world.access_by(&admin, create_user("ann"));
    let ann = world.asker("ann");
    world.access_by(&ann, create_project("team", Visibility::Public));
    world.refused_by(&ann, by_system(create_user("ben")));
    let image = put(&repo("team/app"), 1, &["latest", "v1"]);
    let digest = image.digest;
    let pushed = world.apply(asked(&ann, Command::PutManifest(image)));
    assert!(matches!(pushed, Reply::ManifestPut { .. }), "{pushed:?}");
    let (told, next) = records(&world, page());
    assert_eq!(
        told,
        [
            format!("ann image.push team/app {digest} latest v1").as_str(),
            "ann project.create team public",
            "admin user.create ann",
            "system access.on  admin admin",
        ]
    );
    assert_eq!(next, None);
}

#[test]
fn records_are_paged_and_filtered() {
    let mut world = guarded();
    let admin = world.asker(ADMIN);
    for number in 0..600 {
        world.checks_invariants = number % 100 == 0;
        world.access_by(&admin, create_user(&format!("user{number}")));
    }
    let mut all = Vec::new();
    let mut before = None;
    loop {
        let (told, next) = records(
            &world,
            AuditPage {
                before,
                limit: 70,
                ..page()
            },
        );
        assert!(told.len() <= 70);
        all.extend(told);
        match next {
            Some(next) => before = Some(next),
            None => break,
        }
    }
    assert_eq!(all.len(), 601);
    assert_eq!(all[0], "admin user.create user599");
    assert_eq!(all[600], "system access.on  admin admin");
    let only = |filter: AuditPage| records(&world, filter).0.len();
    let by = Some(PrincipalName("system".into()));
    assert_eq!(only(AuditPage { by, ..page() }), 1);
    let action = Some("user.".into());
    assert_eq!(only(AuditPage { action, ..page() }), 100);
    let target = Some("user12".into());
    assert_eq!(only(AuditPage { target, ..page() }), 11);
}

#[test]
fn record_that_is_taken_out_or_changed_shows() {
    let whole = || {
        let mut world = guarded();
        for number in 0..5 {
            world.system(create_user(&format!("user{number}")));
        }
        world
    };
    let world = whole();
    invariant::audit_is_a_chain(&world.tables).unwrap();
    let key = keys::audit(3);
    let mut row: AuditRow = world.row(&key).unwrap();
    let mut without = whole();
    without.tables.remove(key.table(), key.bytes()).unwrap();
    invariant::audit_is_a_chain(&without.tables).unwrap_err();
    let mut changed = whole();
    row.target = "nobody".into();
    changed
        .tables
        .put(key.table(), key.bytes(), metadata::Row::Audit(row))
        .unwrap();
    invariant::audit_is_a_chain(&changed.tables).unwrap_err();
}

#[test]
fn refusals_are_recorded_in_sums() {
    let mut world = guarded();
    let sum = |target: String| RefusalSum {
        by: PrincipalName("ann".into()),
        from: "192.0.2.7".parse().ok(),
        action: "push".into(),
        target: target.into(),
        times: 12,
    };
    world.system(AccessCommand::NoteRefusals(vec![
        sum("team/app".to_owned()),
    ]));
    assert_eq!(
        records(&world, page()).0[0],
        "ann refused team/app push 12 times"
    );
    let long = AccessCommand::NoteRefusals(vec![sum("x".repeat(10_000))]);
    world.refused(by_system(long));
}

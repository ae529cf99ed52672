//! The first administrator, and lost passwords, with a log in memory that also loses replies.

use std::os::unix::fs::OpenOptionsExt as _;
use std::time::Duration;

use auth::PasswordChecker;
use metadata::access::{AuditPage, ChangeUser};
use ports::metadata_store::faulty::{Call, Fault, FaultPlan, FaultyMetadataStore};
use ports::metadata_store::memory::MemoryMetadataStore;

use super::*;
use crate::access::{Switched, at_start};
use crate::config::{Access, Configuration, Given};
use crate::failure::Failure;

fn settings(flags: &[(&str, &str)]) -> Access {
    let on = [("access.mode", "on")];
    let flags = on.iter().chain(flags);
    let given = Given {
        file: None,
        flags: flags
            .map(|(key, value)| ("--set", (*key).to_owned(), (*value).to_owned()))
            .collect(),
    };
    let configuration = Configuration::load(&given, std::iter::empty()).expect("it is right");
    configuration.settings.access
}

fn member(log: &Arc<MemoryMetadataStore>) -> MachineAccess {
    MachineAccess::new(Arc::clone(log) as _, true)
}

async fn started(access: &MachineAccess, flags: &[(&str, &str)]) -> Result<Switched, Failure> {
    at_start(access, &settings(flags)).await
}

/// The account's kept hash is that of this password.
async fn logs_in(access: &MachineAccess, user: &str, password: &str) -> bool {
    let query = AccessQuery::Credentials {
        name: AccountName::parse(user).expect("a name"),
        token: None,
    };
    let Some(found) = access.account(query).await.expect("it answers") else {
        return false;
    };
    let AccountKind::User { password: kept, .. } = &found.row.kind else {
        return false;
    };
    let checker = PasswordChecker::new(1, Duration::from_secs(30));
    let shown = password.to_owned().into();
    checker
        .check(shown, kept.as_ref())
        .await
        .expect("it is checked")
        && !found.row.is_disabled
}

async fn audited(access: &MachineAccess) -> Vec<String> {
    let page = AuditPage {
        before: None,
        limit: 100,
        by: None,
        action: None,
        target: None,
        from: None,
        until: None,
    };
    let query = Query::Access(Box::new(AccessQuery::Audit(page)));
    let deadline = Deadline::now() + ANSWER_TIME_MAX;
    let answer = access.log.read(query, deadline).await.expect("it answers");
    let Answer::Access(answer) = answer.answer else {
        panic!("{answer:?}");
    };
    let AccessAnswer::Audit { records, .. } = *answer else {
        panic!("{answer:?}");
    };
    let told = records.into_iter().rev().map(|record| {
        let row = record.row;
        format!("{} {} {} {}", row.by, row.action, row.target, row.detail)
    });
    told.map(|line| line.trim_end().to_owned()).collect()
}

#[tokio::test]
async fn first_start_makes_the_administrator_and_the_next_ones_nothing() {
    let log = Arc::new(MemoryMetadataStore::new());
    let access = member(&log);
    let Ok(Switched::Drawn(password)) = started(&access, &[]).await else {
        panic!("it was to be switched on");
    };
    assert_eq!(password.len(), 24);
    assert!(logs_in(&access, ADMIN, &password).await);
    for _ in 0..2 {
        let again = started(&access, &[]).await;
        assert!(matches!(again, Ok(Switched::Nothing)), "{again:?}");
    }
    assert!(logs_in(&access, ADMIN, &password).await);
    assert_eq!(audited(&access).await, ["system access.on  admin admin"]);
}

#[tokio::test]
async fn of_members_that_start_at_once_one_shows_the_password_that_counts() {
    let log = Arc::new(MemoryMetadataStore::new());
    let starts = (0..5).map(|_| {
        let access = member(&log);
        tokio::spawn(async move { started(&access, &[]).await })
    });
    let mut shown = Vec::new();
    for start in starts.collect::<Vec<_>>() {
        match start.await.expect("no panic").expect("it starts") {
            Switched::Drawn(password) => shown.push(password),
            Switched::Nothing | Switched::OldAdmin => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(shown.len(), 1);
    assert!(logs_in(&member(&log), ADMIN, &shown[0]).await);
    assert_eq!(audited(&member(&log)).await.len(), 1);
}

#[tokio::test]
async fn start_whose_reply_was_lost_still_shows_the_password() {
    let inner = Arc::new(MemoryMetadataStore::new());
    let plan = FaultPlan::none().on(Call::Propose, 1, Fault::After);
    let log = Arc::new(FaultyMetadataStore::new(Arc::clone(&inner) as _, plan));
    let access = MachineAccess::new(log, true);
    let Ok(Switched::Drawn(password)) = started(&access, &[]).await else {
        panic!("its own effect is known again");
    };
    assert!(logs_in(&member(&inner), ADMIN, &password).await);
}

#[tokio::test]
async fn administrator_of_before_keeps_the_password() {
    let log = Arc::new(MemoryMetadataStore::new());
    let access = member(&log);
    let first = access.switch_on_now().await.expect("it answers");
    let password = first.password.expect("it was made");
    assert!(access.switch_off().await.expect("it answers").was_on);
    assert!(!access.switch_off().await.expect("it answers").was_on);
    let again = started(&access, &[]).await;
    assert!(matches!(again, Ok(Switched::OldAdmin)), "{again:?}");
    assert!(logs_in(&access, ADMIN, &password).await);
    let lines = audited(&access).await;
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert_eq!(lines[1], "system access.off");
}

#[tokio::test]
async fn password_comes_from_a_file_and_settings_with_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("password");
    let mut options = std::fs::OpenOptions::new();
    let mut written = options
        .create(true)
        .write(true)
        .mode(0o600)
        .open(&file)
        .expect("a file");
    std::io::Write::write_all(&mut written, b"planted-secret\n").expect("written");
    let path = file.display().to_string();
    let log = Arc::new(MemoryMetadataStore::new());
    let access = member(&log);
    let flags = [
        ("access.admin_password_file", path.as_str()),
        ("access.auto_create_projects", "true"),
    ];
    let switched = started(&access, &flags).await;
    assert!(
        matches!(&switched, Ok(Switched::FromFile(from)) if *from == file),
        "{switched:?}"
    );
    assert!(logs_in(&access, ADMIN, "planted-secret").await);
    let state = access.state().await.expect("it answers");
    assert!(state.is_on && state.auto_create_projects);
    // It was needed once.
    std::fs::remove_file(&file).expect("removed");
    let again = started(&access, &flags).await;
    assert!(matches!(again, Ok(Switched::Nothing)), "{again:?}");
}

#[tokio::test]
async fn file_that_holds_no_password_keeps_the_node_from_starting() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("password");
    for content in [None, Some("short\n"), Some("\n")] {
        if let Some(content) = content {
            std::fs::write(&file, content).expect("written");
        }
        let log = Arc::new(MemoryMetadataStore::new());
        let path = file.display().to_string();
        let failed = started(&member(&log), &[("access.admin_password_file", &path)]).await;
        let told = failed.expect_err("there is no password").lines;
        assert!(told[0].contains("access.admin_password_file"), "{told:?}");
        assert!(!told[0].contains("short\n"), "{told:?}");
        assert!(!member(&log).state().await.expect("it answers").is_on);
    }
}

#[tokio::test]
async fn gateway_waits_for_a_member() {
    let log = Arc::new(MemoryMetadataStore::new());
    let gateway = MachineAccess::new(Arc::clone(&log) as _, false);
    let waiting = tokio::spawn({
        let gateway = gateway.clone();
        async move { started(&gateway, &[]).await }
    });
    for refused in [
        gateway.switch_on_now().await.err(),
        gateway.switch_off().await.err(),
        gateway.reset(ADMIN, false).await.err(),
    ] {
        assert!(
            matches!(refused, Some(AccessFailure::Gateway)),
            "{refused:?}"
        );
    }
    assert!(!waiting.is_finished());
    let made = started(&member(&log), &[]).await;
    assert!(matches!(made, Ok(Switched::Drawn(_))), "{made:?}");
    let waited = waiting.await.expect("no panic");
    assert!(matches!(waited, Ok(Switched::Nothing)), "{waited:?}");
}

#[tokio::test]
async fn member_without_a_quorum_goes_on_where_access_was_on() {
    let inner = Arc::new(MemoryMetadataStore::new());
    member(&inner).switch_on_now().await.expect("it answers");
    let cut = FaultyMetadataStore::new(
        Arc::clone(&inner) as _,
        FaultPlan::always(Call::Read, Fault::Stale),
    );
    let started = started(&MachineAccess::new(Arc::new(cut), true), &[]).await;
    assert!(matches!(started, Ok(Switched::Nothing)), "{started:?}");
}

fn change(user: &str, is_admin: bool, is_disabled: bool) -> AccessCommand {
    AccessCommand::ChangeUser(ChangeUser {
        user: AccountName::parse(user).expect("a name"),
        is_admin: Some(is_admin),
        is_disabled: Some(is_disabled),
        email: None,
    })
}

#[tokio::test]
async fn lost_administrator_is_mended_however_it_was_lost() {
    let log = Arc::new(MemoryMetadataStore::new());
    let access = member(&log);
    let old = access.switch_on_now().await.expect("it answers").password;
    let other = access.reset("ann", true).await.expect("it is made");
    assert!(other.is_made && other.is_on && logs_in(&access, "ann", &other.password).await);
    let admin = name_of_admin();
    for lose in [
        None,
        Some(change(ADMIN, false, false)),
        Some(change(ADMIN, true, true)),
        Some(AccessCommand::DeleteUser {
            user: admin.clone(),
        }),
    ] {
        let is_gone = matches!(lose, Some(AccessCommand::DeleteUser { .. }));
        if let Some(lose) = lose.clone() {
            access.change(lose).await.expect("ann remains");
        }
        let before = generation(&access).await;
        let reset = access.reset(ADMIN, false).await.expect("it is mended");
        assert_eq!(
            (reset.is_made, reset.is_locked),
            (is_gone, false),
            "{lose:?}"
        );
        assert!(logs_in(&access, ADMIN, &reset.password).await, "{lose:?}");
        assert_ne!(old.as_ref(), Some(&reset.password));
        assert!(generation(&access).await > before, "{lose:?}");
        // The only one who rules, again.
        access
            .change(change("ann", false, false))
            .await
            .expect("admin rules");
        access
            .change(change("ann", true, false))
            .await
            .expect("she is there");
    }
    let lines = audited(&access).await;
    assert!(
        lines
            .iter()
            .any(|line| line == "system user.password admin"),
        "{lines:?}"
    );
}

async fn generation(access: &MachineAccess) -> u64 {
    let name = name_of_admin();
    let found = access.account(AccessQuery::Account { name }).await;
    found
        .expect("it answers")
        .map_or(0, |found| found.row.generation)
}

#[tokio::test]
async fn others_get_a_password_and_stay_what_they_are() {
    let log = Arc::new(MemoryMetadataStore::new());
    let access = member(&log);
    access.reset("ann", true).await.expect("it is made");
    access
        .change(change("ann", false, true))
        .await
        .expect("access is off");
    let reset = access.reset("ann", false).await.expect("she is there");
    assert!(!reset.is_made && reset.is_locked && !reset.is_on);
    for (user, why) in [
        ("bob", "there is no user `bob`"),
        ("robot$ci", "holdfast robot renew"),
        ("a b", "no user's name"),
    ] {
        let refused = access
            .reset(user, false)
            .await
            .err()
            .expect("it is refused");
        assert!(refused.to_string().contains(why), "{refused}");
    }
}

//! Compare-and-swap on tags, and requests that are sent again. Rule 3.2; RFC 9110, section 13.

use metadata::{
    Command, ManifestReference, Precondition, PutManifest, Refusal, Reply, TableId, keys,
};
use oci::{Digest, RepositoryName, Tag};

use crate::world::{AGAIN, CREATED, World, blob, manifest, naming, put, repo, tag, who};

fn when(mut put: PutManifest, precondition: Precondition) -> PutManifest {
    put.precondition = Some(precondition);
    put
}

fn named(mut put: PutManifest, key: &str) -> PutManifest {
    put.idempotency_key = Some(key.to_owned());
    put
}

fn failed(tag: Option<Tag>, current: Option<Digest>) -> Refusal {
    Refusal::PreconditionFailed { tag, current }
}

fn at(world: &World, repository: &RepositoryName, name: &str) -> Option<Digest> {
    let row = world.row(&keys::tag(repository, &tag(name)));
    row.map(|row| row.digest)
}

fn delete_tag(name: &str, precondition: Option<Precondition>) -> Command {
    Command::DeleteTag {
        repository: repo("a"),
        tag: tag(name),
        precondition,
        principal: who("ann"),
    }
}

#[test]
fn a_tag_moves_only_if_its_precondition_holds() {
    use Precondition::{Absent, Exists, Matches, MatchesNone};
    let (one, two) = (manifest(1), manifest(2));
    // Where the tag points before, what is asked, whether it holds.
    let cases = [
        (None, Absent, true),
        (Some(1), Absent, false),
        (None, Exists, false),
        (Some(1), Exists, true),
        (None, Matches(vec![one]), false),
        (Some(1), Matches(vec![one]), true),
        (Some(1), Matches(vec![two, one]), true),
        (Some(1), Matches(vec![two]), false),
        (None, MatchesNone(vec![one]), true),
        (Some(1), MatchesNone(vec![one]), false),
        (Some(1), MatchesNone(vec![two]), true),
    ];
    for (before, precondition, holds) in cases {
        let mut world = World::new();
        if let Some(number) = before {
            world.put(put(&repo("a"), number, &["v1"]));
        }
        let reply = world.put(when(put(&repo("a"), 3, &["v1"]), precondition.clone()));
        let current = before.map(manifest);
        let expected = match holds {
            true => CREATED,
            false => Reply::Refused(failed(Some(tag("v1")), current)),
        };
        assert_eq!(reply, expected, "{before:?} {precondition:?}");
        let after = if holds { Some(manifest(3)) } else { current };
        assert_eq!(at(&world, &repo("a"), "v1"), after);
    }
}

#[test]
fn all_tags_move_or_none() {
    let mut world = World::new();
    let name = repo("a");
    world.put(put(&name, 1, &["b"]));
    let refusal = world.refused(Command::PutManifest(when(
        put(&name, 2, &["a", "b", "c"]),
        Precondition::Absent,
    )));
    assert_eq!(refusal, failed(Some(tag("b")), Some(manifest(1))));
    assert_eq!(
        (at(&world, &name, "a"), at(&world, &name, "c")),
        (None, None)
    );
}

#[test]
fn without_tags_the_precondition_is_about_the_link() {
    let mut world = World::new();
    let name = repo("a");
    let matching = when(put(&name, 1, &[]), Precondition::Exists);
    assert_eq!(
        world.refused(Command::PutManifest(matching.clone())),
        failed(None, None)
    );
    assert_eq!(
        world.put(when(put(&name, 1, &[]), Precondition::Absent)),
        CREATED
    );
    world.now += 10_001;
    let refusal = world.refused(Command::PutManifest(when(
        put(&name, 1, &[]),
        Precondition::Absent,
    )));
    assert_eq!(refusal, failed(None, Some(manifest(1))));
    assert_eq!(world.put(matching), AGAIN);
}

#[test]
fn missing_blobs_are_told_before_a_failed_precondition() {
    let mut world = World::new();
    let absent = manifest(9);
    let lacking = naming(
        put(&repo("a"), 1, &["v1"]),
        &[metadata::ManifestReference::RequiredBlob(absent)],
    );
    let refusal = world.refused(Command::PutManifest(when(lacking, Precondition::Exists)));
    assert_eq!(
        refusal,
        Refusal::BlobsUnknown {
            digests: vec![absent]
        }
    );
}

#[test]
fn a_conditional_put_that_is_sent_again_gets_the_first_answer() {
    let mut world = World::new();
    let request = when(put(&repo("a"), 1, &["v1"]), Precondition::Absent);
    assert_eq!(world.put(request.clone()), CREATED);
    world.now += 10_000;
    assert_eq!(world.put(request.clone()), CREATED, "within the hold time");
    let mut other = request.clone();
    other.principal = who("ben");
    let refusal = failed(Some(tag("v1")), Some(manifest(1)));
    assert_eq!(world.refused(Command::PutManifest(other)), refusal);
    world.now += 1;
    assert_eq!(world.refused(Command::PutManifest(request)), refusal);
}

#[test]
fn a_refused_put_is_decided_anew_when_it_is_sent_again() {
    let mut world = World::new();
    let request = when(
        put(&repo("a"), 2, &["v1"]),
        Precondition::Matches(vec![manifest(1)]),
    );
    assert_eq!(
        world.refused(Command::PutManifest(request.clone())),
        failed(Some(tag("v1")), None)
    );
    world.put(put(&repo("a"), 1, &["v1"]));
    assert_eq!(world.put(request), CREATED);
}

#[test]
fn a_success_that_no_longer_stands_is_not_repeated() {
    let mut world = World::new();
    let name = repo("a");
    let lock = when(put(&name, 1, &["lock"]), Precondition::Absent);
    assert_eq!(world.put(lock.clone()), CREATED);
    assert_eq!(world.apply(delete_tag("lock", None)), Reply::Done);
    assert_eq!(
        world.put(lock.clone()),
        AGAIN,
        "the lock is taken again, not imagined"
    );
    assert_eq!(at(&world, &name, "lock"), Some(manifest(1)));

    world.put(put(&name, 2, &["lock"]));
    let refusal = world.refused(Command::PutManifest(lock));
    assert_eq!(refusal, failed(Some(tag("lock")), Some(manifest(2))));
}

#[test]
fn an_idempotency_key_names_one_request_for_ten_minutes() {
    let mut world = World::new();
    let request = named(put(&repo("a"), 1, &["v1"]), "k");
    assert_eq!(world.put(request.clone()), CREATED);
    world.put(put(&repo("a"), 2, &["v1"]));
    world.now += 10 * 60 * 1_000;
    assert_eq!(world.put(request.clone()), CREATED, "the first answer");
    assert_eq!(
        at(&world, &repo("a"), "v1"),
        Some(manifest(2)),
        "and no second effect"
    );

    let reused = Refusal::IdempotencyKeyReused {
        repository: repo("a"),
    };
    for other in [
        put(&repo("b"), 1, &["v1"]),
        put(&repo("a"), 2, &["v1"]),
        put(&repo("a"), 1, &["v2"]),
        when(put(&repo("a"), 1, &["v1"]), Precondition::Exists),
    ] {
        assert_eq!(
            world.refused(Command::PutManifest(named(other, "k"))),
            reused
        );
    }
    let mut of_another = request.clone();
    of_another.principal = who("ben");
    assert_eq!(world.put(of_another), AGAIN);
    world.now += 1;
    assert_eq!(world.put(request), AGAIN);
}

#[test]
fn what_was_refused_by_its_key_has_no_effect_later() {
    let mut world = World::new();
    world.put(put(&repo("a"), 1, &["v1"]));
    let conditional = when(put(&repo("a"), 2, &["v1"]), Precondition::Absent);
    let request = named(conditional.clone(), "k");
    let refusal = failed(Some(tag("v1")), Some(manifest(1)));
    let asked = Command::PutManifest(request.clone());
    assert_eq!(world.refused(asked.clone()), refusal);
    world.apply(delete_tag("v1", None));
    // A node that stood still goes on with it.
    world.now += 10 * 60 * 1_000;
    assert_eq!(world.refused(asked.clone()), refusal, "the first answer");
    assert_eq!(at(&world, &repo("a"), "v1"), None, "and no effect");
    // Whoever asks anew does so by another key, or by none.
    assert_eq!(world.put(conditional.clone()), CREATED);
    world.apply(delete_tag("v1", None));
    assert_eq!(world.put(named(conditional, "l")), AGAIN);
    // The one without a key is forgotten, too.
    world.now += 10_001;
    assert_eq!(
        world.refused(asked),
        failed(Some(tag("v1")), Some(manifest(2))),
        "forgotten, it is decided anew"
    );
}

#[test]
fn correction_of_the_time_forgets_no_answer() {
    let mut world = World::new();
    let conditional = when(put(&repo("a"), 1, &["v1"]), Precondition::Absent);
    let key = named(put(&repo("a"), 2, &["v2"]), "k");
    assert_eq!(world.put(conditional.clone()), CREATED);
    assert_eq!(world.put(key.clone()), CREATED);
    let to = metadata::LogTime(world.now + 60 * 60 * 1_000);
    world.apply(Command::CorrectTime { to });
    world.now = to.0;
    world.put(when(put(&repo("a"), 3, &["v3"]), Precondition::Absent));
    assert_eq!(world.put(conditional.clone()), CREATED, "the first answer");
    assert_eq!(world.put(key.clone()), CREATED, "the first answer");
    // Time that passes does.
    world.now += 10_001;
    world.refused(Command::PutManifest(conditional));
    world.now += 10 * 60 * 1_000;
    assert_eq!(world.put(key), AGAIN);
}

#[test]
fn blobs_that_were_absent_stay_so_for_the_request_of_the_key() {
    let mut world = World::new();
    let layer = ManifestReference::RequiredBlob(blob(7));
    let asked = Command::PutManifest(named(naming(put(&repo("a"), 1, &["v1"]), &[layer]), "k"));
    let refusal = world.refused(asked.clone());
    assert!(
        matches!(refusal, Refusal::BlobsUnknown { .. }),
        "{refusal:?}"
    );
    world.push_blob(&repo("a"), 7);
    assert_eq!(world.refused(asked), refusal);
}

#[test]
fn first_answers_are_forgotten() {
    let mut world = World::new();
    for number in 0..40 {
        world.now += 60_000;
        let request = when(
            put(&repo("a"), number, &["v1"]),
            Precondition::MatchesNone(vec![]),
        );
        world.put(named(request, &format!("k{number}")));
    }
    assert!(world.count(TableId::RecentPut) <= 2);
    assert!(world.count(TableId::IdempotencyKey) <= 12);
    assert!(world.count(TableId::FirstAnswerOrder) <= 14);
}

#[test]
fn a_tag_is_deleted_only_if_its_precondition_holds() {
    let mut world = World::new();
    assert_eq!(
        world.refused(delete_tag("v1", None)),
        Refusal::RepositoryUnknown
    );
    world.put(put(&repo("a"), 1, &["v1", "v2"]));
    assert_eq!(world.refused(delete_tag("v3", None)), Refusal::TagUnknown);
    let refusal = world.refused(delete_tag(
        "v1",
        Some(Precondition::Matches(vec![manifest(2)])),
    ));
    assert_eq!(refusal, failed(Some(tag("v1")), Some(manifest(1))));
    let matching = Precondition::Matches(vec![manifest(1)]);
    assert_eq!(world.apply(delete_tag("v1", Some(matching))), Reply::Done);
    assert_eq!(world.apply(delete_tag("v2", None)), Reply::Done);
    assert_eq!(world.count(TableId::ManifestTag), 0);
    assert_eq!(
        world.count(TableId::ManifestLink),
        1,
        "a link holds a manifest, not its tags"
    );
    world.put(put(&repo("a"), 1, &["v1"]));
    let row = world
        .row(&keys::tag(&repo("a"), &tag("v1")))
        .expect("it is there");
    assert_eq!(row.version, 1, "a new life");
}

#[test]
fn an_answer_that_was_given_again_is_remembered_as_long_as_a_first_one() {
    let mut world = World::new();
    let name = repo("a");
    let lock = when(put(&name, 1, &["lock"]), Precondition::Absent);
    assert_eq!(world.put(lock.clone()), CREATED);
    world.apply(delete_tag("lock", None));
    world.now += 9_000;
    assert_eq!(world.put(lock.clone()), AGAIN);
    world.now += 2_000;
    // Forgets what is older than the hold time: the first answer, but not the second under the same key.
    world.put(when(put(&name, 2, &["v1"]), Precondition::Absent));
    assert_eq!(world.put(lock), AGAIN);
}

//! What is due, and what opens.

use super::*;

fn key(number: u32, created_day: u64) -> TokenKeyView {
    TokenKeyView {
        number,
        public: Bytes::new(),
        sealed: None,
        created: LogTime(created_day * DAY_MS),
    }
}

fn due_on(day: u64, keys: &[TokenKeyView]) -> Due {
    due(keys, true, &UpkeepRow::default(), LogTime(day * DAY_MS))
}

#[test]
fn first_key_comes_at_once_and_the_next_after_30_days() {
    assert_eq!(due_on(0, &[]).make_after, Some(0));
    let first = [key(7, 10)];
    assert_eq!(due_on(39, &first), Due::default());
    assert_eq!(due_on(40, &first).make_after, Some(7));
    let both = [key(7, 10), key(8, 40)];
    assert_eq!(due_on(40, &both), Due::default());
}

#[test]
fn key_that_cannot_be_opened_is_followed_by_one_that_can() {
    let keys = [key(7, 10)];
    let due = due(&keys, false, &UpkeepRow::default(), LogTime(10 * DAY_MS));
    assert_eq!(due.make_after, Some(7));
}

#[test]
fn key_ends_when_its_last_token_has() {
    let keys = [key(7, 10), key(8, 40), key(9, 70)];
    // The last of 7 was signed on day 40, or a day later by a member that was cut off.
    assert!(due_on(40 + 90, &keys).drop.is_empty());
    assert_eq!(due_on(40 + 90 + 1, &keys).drop, [7]);
    assert_eq!(due_on(70 + 90 + 1, &keys).drop, [7, 8]);
    // The one that signs never ends by age.
    assert_eq!(due_on(10_000, &keys).drop, [7, 8]);
}

#[test]
fn corrected_clock_ends_no_key() {
    let keys = [key(7, 10), key(8, 40)];
    let corrected = UpkeepRow {
        corrected: Some(LogTime(1_000 * DAY_MS)),
        ..UpkeepRow::default()
    };
    let now = LogTime(1_000 * DAY_MS + DAY_MS / 2);
    assert_eq!(due(&keys, true, &corrected, now), Due::default());
}

#[test]
fn private_half_opens_with_its_key_in_its_place_only() {
    let (ours, theirs) = (RecoveryKey::generate(), RecoveryKey::generate());
    let (new, other) = (NewKey::draw(), NewKey::draw());
    let view = |public: &[u8]| TokenKeyView {
        number: 1,
        public: Bytes::copy_from_slice(public),
        sealed: Some(seal(&ours, &new).into()),
        created: LogTime(0),
    };
    assert!(open(&ours, &view(&new.public)).is_ok());
    let foreign = open(&theirs, &view(&new.public)).err();
    assert_eq!(foreign, Some(OpenError::OtherKey));
    let moved = open(&ours, &view(&other.public)).err();
    assert_eq!(moved, Some(OpenError::Damaged));
}

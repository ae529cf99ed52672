//! Records about access that no build wrote, or only a newer one, are refused and never read as something else.

use metadata::access::Asker;
use metadata::{Command, Refusal, Reply, TableId};

use crate::{access_samples, samples};

fn row(table: TableId, variant: &str) -> Vec<u8> {
    let mut rows = access_samples::rows().into_iter();
    let found = rows.find(|(of, named, _)| *of == table && *named == variant);
    wire::encode_row(&found.unwrap().2)
}

/// Puts `new` in the place of the only `old`; they are equally long, so that nothing around them changes.
fn replaced(bytes: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    assert_eq!(old.len(), new.len());
    let places: Vec<_> = (0..=bytes.len() - old.len())
        .filter(|at| bytes[*at..].starts_with(old))
        .collect();
    assert_eq!(places.len(), 1, "{old:?} occurs otherwise than once");
    let mut bytes = bytes.to_vec();
    bytes[places[0]..places[0] + old.len()].copy_from_slice(new);
    bytes
}

#[track_caller]
fn refused(table: TableId, bytes: &[u8], why: &str) {
    let error = wire::decode_row(table, bytes).unwrap_err().to_string();
    assert!(error.contains(why), "{error}");
}

#[test]
fn word_of_a_newer_build_is_refused() {
    // The visibility is the first field of a project's row, the role of a member's.
    for (table, variant, known) in [
        (TableId::Project, "public", 3),
        (TableId::Member, "owner", 4),
    ] {
        let mut bytes = row(table, variant);
        assert_eq!(bytes[..2], [0x08, known]);
        bytes[1] = known + 1;
        refused(table, &bytes, "unknown to this build");
    }
    let bytes = row(TableId::Account, "robot");
    let rights = replaced(&bytes, &[1, 2, 3, 4, 5], &[1, 2, 3, 4, 6]);
    refused(TableId::Account, &rights, "a right: 6 is unknown");

    // The word is the last byte of these refusals.
    let has_word = |refusal: &Refusal| {
        matches!(
            refusal,
            Refusal::Denied(_) | Refusal::Unknown(_) | Refusal::Exists(_)
        )
    };
    for refusal in access_samples::refusals().into_iter().filter(has_word) {
        let mut bytes = wire::encode_reply(&Reply::Refused(refusal));
        for unknown in [0, 7] {
            *bytes.last_mut().unwrap() = unknown;
            let error = wire::decode_reply(&bytes).unwrap_err().to_string();
            assert!(error.contains("unknown to this build"), "{error}");
        }
    }
}

#[test]
fn name_pattern_or_address_that_cannot_be_is_refused() {
    let token = row(TableId::AccessToken, "");
    let no_account = replaced(&token, b"ann", b"-nn");
    refused(TableId::AccessToken, &no_account, "an account's name");
    let robot = row(TableId::Account, "robot");
    let pattern = replaced(&robot, b"*/base", b"*/BASE");
    refused(TableId::Account, &pattern, "a pattern of repositories");
    let audit = row(TableId::Audit, "");
    let address = replaced(&audit, b"192.0.2.7", b"192.0.2.x");
    refused(TableId::Audit, &address, "a client's address");
}

#[test]
fn hash_of_another_length_is_refused() {
    // The chain's value is the last field of both.
    for table in [TableId::Access, TableId::Audit] {
        let mut bytes = row(table, "");
        let length = bytes.len() - 33;
        assert_eq!(bytes[length], 32);
        bytes.pop();
        bytes[length] = 31;
        refused(table, &bytes, "not 32 bytes long");
    }
}

#[test]
fn account_that_is_neither_a_user_nor_a_robot_is_refused() {
    // When it was made, and no more.
    refused(TableId::Account, &[0x18, 0x05], "the kind of an account");
}

#[test]
fn command_that_was_asked_for_is_not_asked_for_again() {
    let asked = |command| Command::Asked {
        asker: Asker::anonymous(),
        command: Box::new(command),
    };
    let once = asked(Command::AdoptBlobs);
    let bytes = wire::encode_entry(&samples::entry(once.clone()));
    assert_eq!(wire::decode_entry(&bytes).unwrap().command, once);

    let mut deep = asked(once);
    for _ in 0..200 {
        let bytes = wire::encode_entry(&samples::entry(deep.clone()));
        assert!(wire::decode_entry(&bytes).is_err());
        deep = asked(deep);
    }
}

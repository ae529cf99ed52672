//! Tests of recovery keys: people write them down, and read them back with mistakes.

use proptest::prelude::*;

use super::*;

fn read(text: &str) -> Result<[u8; KEY_BYTES], RecoveryKeyError> {
    text.parse::<RecoveryKey>().map(|key| *key.as_bytes())
}

proptest! {
    #[test]
    fn every_key_comes_back_however_it_is_written(bytes in any::<[u8; 32]>()) {
        let text = RecoveryKey::from_bytes(bytes).to_string();
        prop_assert_eq!(text.len(), CHARS + CHARS / GROUP_CHARS - 1);
        prop_assert_eq!(read(&text), Ok(bytes));
        prop_assert_eq!(read(&text.to_lowercase()), Ok(bytes));
        prop_assert_eq!(read(&text.replace('-', " \n")), Ok(bytes));
        prop_assert_eq!(read(&text.replace('-', "")), Ok(bytes));
        prop_assert_eq!(read(&text.replace('0', "O").replace('1', "l")), Ok(bytes));
        prop_assert_eq!(read(&text.replace('0', "o").replace('1', "I")), Ok(bytes));
    }

    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,100}") {
        let _ = read(&text);
    }
}

#[test]
fn one_wrong_character_is_found_wherever_it_is() {
    let key = RecoveryKey::from_bytes(std::array::from_fn(|at| u8::try_from(at * 7).unwrap()));
    let text = key.to_string().replace('-', "");
    for at in 0..text.len() {
        for digit in DIGITS {
            let mut changed = text.clone();
            changed.replace_range(at..=at, &char::from(*digit).to_string());
            if changed != text {
                assert_eq!(read(&changed), Err(RecoveryKeyError::Checksum), "{at}");
            }
        }
    }
}

#[test]
fn refusals_say_what_is_wrong() {
    let text = RecoveryKey::from_bytes([1; 32]).to_string();
    let short = RecoveryKeyError::Short { missing: 2 };
    assert_eq!(read(&text[..text.len() - 2]), Err(short));
    assert_eq!(read(&format!("{text}7")), Err(RecoveryKeyError::Long));
    let typed = format!("{}u{}", &text[..6], &text[7..]);
    assert_eq!(
        read(&typed),
        Err(RecoveryKeyError::Character { position: 6 })
    );
    assert_eq!(read(""), Err(RecoveryKeyError::Short { missing: 56 }));
}

#[test]
fn key_comes_back_from_its_file() {
    let folder = tempfile::tempdir().unwrap();
    assert!(RecoveryKey::load(folder.path()).unwrap().is_none());
    let key = RecoveryKey::generate();
    key.save(folder.path()).unwrap();
    let loaded = RecoveryKey::load(folder.path()).unwrap().unwrap();
    assert_eq!(loaded.as_bytes(), key.as_bytes());
    let path = RecoveryKey::path(folder.path());
    durable_file::write_secret(&path, b"0000").unwrap();
    let message = RecoveryKey::load(folder.path()).unwrap_err().to_string();
    assert!(
        message.contains("cluster.key: the recovery key is too short"),
        "{message}"
    );
    assert!(message.ends_with(WRITE_AGAIN), "{message}");
}

#[test]
fn debug_shows_a_name_and_not_the_key() {
    let key = RecoveryKey::from_bytes([1; 32]);
    assert_eq!(
        format!("{key:?}"),
        format!("RecoveryKey({})", hex::encode(key.id()))
    );
    assert_ne!(key.id(), RecoveryKey::from_bytes([2; 32]).id());
}

//! Chooses what a worker does next.

use crate::content::{Content, Dice};
use crate::ledger::Ledger;
use crate::operation::{Operation, manifest};

/// Something that must succeed in this state.
pub fn choose(number: usize, ledger: &Ledger, dice: &mut Dice) -> Operation {
    let repository = format!("faults/worker-{number}");
    let elsewhere = format!("faults/mounted-{number}");
    if let Some(upload) = ledger.uploads.first() {
        let left = upload.content.size() - upload.offset;
        return match dice.below(8) {
            0 => Operation::Cancel,
            1..=5 if left > 2 => Operation::Write {
                to: upload.offset + 2 + dice.below(left - 2),
            },
            _ => Operation::Close,
        };
    }
    let mine: Vec<(&String, Content)> = ledger
        .blobs
        .iter()
        .filter(|((of, _), _)| *of == repository)
        .filter_map(|((_, digest), content)| Some((digest, (*content)?)))
        .collect();
    let named = |digest: &str| {
        ledger
            .manifests
            .values()
            .flatten()
            .any(|payload| payload.contains(digest))
    };
    let tags: Vec<(&String, &String)> = ledger
        .tags
        .iter()
        .filter_map(|((_, tag), to)| Some((tag, to.as_ref()?)))
        .collect();
    let choice = dice.below(20);
    match (
        choice,
        dice.one_of(&mine).copied(),
        dice.one_of(&tags).copied(),
    ) {
        (0..=1, ..) => {
            let size = if dice.below(12) == 0 {
                6 << 20
            } else {
                200 + dice.below(200_000)
            };
            Operation::Open {
                repository,
                content: Content::new(dice.next(), size),
            }
        }
        (2..=3, Some((digest, _)), _) => Operation::Mount {
            from: repository,
            repository: elsewhere,
            digest: digest.clone(),
        },
        (4..=11, Some((_, layer)), _) => {
            let config = dice.one_of(&mine).map_or(layer, |(_, config)| *config);
            let note = "x".repeat(if dice.below(8) == 0 {
                20_000
            } else {
                dice.below(2000)
            });
            let payload = manifest(&config, &layer, &format!("{} {note}", dice.next()));
            Operation::PutManifest {
                repository,
                tag: format!("v{}", dice.below(30)),
                payload,
            }
        }
        (12, _, Some((tag, _))) => Operation::DeleteTag {
            repository,
            tag: tag.clone(),
        },
        (13, _, Some((_, digest))) => Operation::DeleteManifest {
            repository,
            digest: digest.clone(),
        },
        (14, Some((digest, _)), _) if !named(digest) => Operation::DeleteBlob {
            repository,
            digest: digest.clone(),
        },
        _ => Operation::PushBlob {
            repository,
            content: Content::new(dice.next(), 1 + dice.below(60_000)),
        },
    }
}

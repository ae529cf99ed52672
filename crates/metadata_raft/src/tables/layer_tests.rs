//! The file and what lies above it read as one table, whatever was changed, frozen and written, in whichever order.

use std::ops::ControlFlow;

use metadata::{MemoryTables, ReadTables, Row, TableId, Tables};
use redb::Database;

use super::adapter::Layers;
use super::file::{begin_durable, create, rows_of, write_changes};

const TABLE: TableId = TableId::ProjectCount;
const STEPS: u64 = 6_000;
const KEYS: u64 = 40;

/// Numbers that look random and are the same each time (Knuth's MMIX generator).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

fn key(number: u64) -> Vec<u8> {
    format!("key {number:03}").into_bytes()
}

fn scanned(
    tables: &impl ReadTables,
    from: u64,
    to: Option<u64>,
    max: usize,
) -> Vec<(Vec<u8>, Row)> {
    let mut found = Vec::new();
    let to = to.map(key);
    let visit = &mut |key: &[u8], row| {
        found.push((key.to_owned(), row));
        match found.len() < max {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        }
    };
    tables
        .scan(TABLE, &key(from), to.as_deref(), visit)
        .unwrap();
    found
}

fn write_frozen(database: &Database, layers: &mut Layers) {
    let transaction = begin_durable(database).unwrap();
    write_changes(&transaction, layers.frozen()).unwrap();
    transaction.commit().unwrap();
    layers.written(rows_of(database).unwrap());
}

#[test]
fn file_and_layers_are_one_table() {
    let folder = tempfile::tempdir().unwrap();
    let database = create(&folder.path().join("tables.redb"), 1024 * 1024).unwrap();
    let mut layers = Layers::of_file(rows_of(&database).unwrap());
    let mut model = MemoryTables::default();
    // A neighbour, which no scan may see.
    layers
        .put(TableId::BlobHolder, &key(1), Row::Present)
        .unwrap();
    let mut numbers = Numbers(7);
    let mut is_frozen = false;
    let mut kept: Vec<(Layers, MemoryTables)> = Vec::new();
    for step in 0..STEPS {
        let at = key(numbers.below(KEYS));
        match numbers.below(20) {
            0..=8 => {
                let row = Row::Count(step);
                layers.put(TABLE, &at, row.clone()).unwrap();
                model.put(TABLE, &at, row).unwrap();
            }
            9..=13 => {
                layers.remove(TABLE, &at).unwrap();
                model.remove(TABLE, &at).unwrap();
            }
            14..=15 if is_frozen => {
                write_frozen(&database, &mut layers);
                is_frozen = false;
            }
            14..=15 => {
                layers.freeze();
                is_frozen = true;
            }
            16 => kept.push((layers.clone(), model.clone())),
            _ => {
                let (from, to) = (numbers.below(KEYS), numbers.below(KEYS + 10));
                let to = (to < KEYS).then_some(to);
                let max = 1 + usize::try_from(numbers.below(KEYS)).unwrap();
                assert_eq!(
                    scanned(&layers, from, to, max),
                    scanned(&model, from, to, max)
                );
                assert_eq!(
                    layers.get(TABLE, &at).unwrap(),
                    model.get(TABLE, &at).unwrap()
                );
            }
        }
        if kept.len() > 5 {
            // What was read before stays as it was, whatever has been changed and written since.
            for (layers, model) in kept.drain(..) {
                assert_eq!(
                    scanned(&layers, 0, None, 1_000),
                    scanned(&model, 0, None, 1_000)
                );
            }
        }
    }
}

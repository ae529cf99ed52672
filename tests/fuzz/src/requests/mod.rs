//! Sequences of requests to a registry in memory, by the real server, use-cases and state machine, with a model of the
//! distribution specification that knows which answers are right and what is there in the end.
//!
//! An input is a list of records of eight bytes, each an operation on a small world of repositories, tags, blobs and manifests
//! ([`universe`]). So any bytes are a sequence, and a sequence that fails is made smaller like any other input. Some operations
//! send a request that was damaged on its way: of these nobody knows what they mean, but none may be answered by a 5xx, and they
//! name repositories of their own.

mod damaged;
mod end;
mod manifests;
mod model;
mod reads;
mod universe;
mod uploads;

use crate::target::{Shape, Target, Verdict};
use crate::web::{Answer, Connection, World};
use model::Model;

/// The bytes of one operation.
const RECORD: usize = 8;
/// The most operations of a sequence.
const OPERATIONS_MAX: usize = 48;

/// One operation: what is done, and numbers to choose by.
type Operation = [u8; RECORD];

/// A sequence under way.
struct Run<'a> {
    connection: Option<Connection<'a>>,
    world: &'a World,
    model: Model,
    asked: u64,
    good: u64,
}

impl Run<'_> {
    /// Sends a request and gives its answer, which is checked for what holds of each.
    fn ask(&mut self, method: &str, target: &str, headers: &str, body: &[u8]) -> Answer {
        let request = crate::targets::request(method, target, headers, body);
        let is_head = method == "HEAD";
        let world = self.world;
        let connection = self.connection.get_or_insert_with(|| world.connect());
        let answer = match connection.ask(&request, is_head) {
            Some(answer) => answer,
            None => {
                // The answer before it was the last of its connection.
                let fresh = self.connection.insert(world.connect());
                fresh
                    .ask(&request, is_head)
                    .expect("a new connection is served")
            }
        };
        answer.check(is_head);
        self.asked += 1;
        self.good += u64::from(answer.status < 400);
        answer
    }
}

/// Fails unless the answer has one of these statuses, and an error the right code.
#[track_caller]
fn expect(answer: &Answer, request: &str, status: u16, code: &str) {
    assert_eq!(answer.status, status, "{request}: {answer:?}");
    if status >= 400 && !request.starts_with("HEAD") {
        assert_eq!(
            answer.code().as_deref(),
            Some(code),
            "{request}: {answer:?}"
        );
    }
}

fn check(input: &[u8]) -> Verdict {
    let world = World::new(|_| {});
    let mut run = Run {
        connection: None,
        world: &world,
        model: Model::default(),
        asked: 0,
        good: 0,
    };
    for operation in input.chunks_exact(RECORD).take(OPERATIONS_MAX) {
        let operation: &Operation = operation.try_into().expect("chunks of this length");
        match operation[0] % 16 {
            0 | 1 => uploads::push_whole(&mut run, operation),
            2 => uploads::open(&mut run, operation),
            3 | 4 => uploads::write(&mut run, operation),
            5 => uploads::close(&mut run, operation),
            6 => uploads::look_or_cancel(&mut run, operation),
            7 => uploads::mount(&mut run, operation),
            8 => reads::blob(&mut run, operation),
            9..=11 => manifests::push(&mut run, operation),
            12 => reads::manifest(&mut run, operation),
            13 => manifests::delete(&mut run, operation),
            14 => reads::list(&mut run, operation),
            _ => damaged::send(&mut run, operation),
        }
    }
    end::compare(&mut run);
    metadata::invariant::check_all(&world.log.tables()).expect("the tables are sound");
    Verdict {
        units: run.asked,
        accepted: run.good,
        way: run.good,
    }
}

/// Sequences of requests, with the model as oracle.
pub static REQUESTS: Target = Target {
    name: "requests",
    seeds: Vec::new,
    generate: Some(|dice| {
        let count = 4 + dice.below(OPERATIONS_MAX - 4);
        (0..count * RECORD).map(|_| dice.byte()).collect()
    }),
    shape: Shape::Records(RECORD),
    repair: None,
    fresh: || {},
    check,
};

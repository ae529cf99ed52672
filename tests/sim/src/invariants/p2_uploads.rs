//! P2 of uploads: what clients did to an upload through all nodes, and what they were told, is what one node could have done.

use linearizability::upload::{Input, Output, Upload as UploadModel};
use linearizability::{History, Operation, Outcome, STEPS_MAX, Ticket, Verdict};
use oci::UploadId;
use parking_lot::Mutex;
use registry::Error;

use crate::census::Kind;
use crate::clients::Told;
use crate::machine::elapsed;
use crate::world::World;

/// The history of an upload has an order.
pub const UPLOADS: &str = "P2 upload history";

/// The histories of all uploads.
#[derive(Debug, Default)]
pub struct Uploads(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    history: History<UploadId, Input, Output>,
    writers: u32,
}

/// A request that writes to an upload, or ends it, and was not answered yet.
#[derive(Debug, Clone, Copy)]
pub struct Writing {
    /// It takes the upload, unless it brings nothing.
    take: Option<Ticket>,
    /// What it asks then.
    end: Ticket,
}

/// The time of a history.
#[must_use]
pub fn now() -> u64 {
    elapsed().as_micros() as u64
}

impl Uploads {
    fn called(&self, client: u64, upload: UploadId, input: Input) -> Ticket {
        let inner = &mut *self.0.lock();
        inner
            .history
            .called(now(), &client.to_string(), upload, input)
    }

    /// An upload was opened by a request that was sent at `called`.
    pub fn opened(&self, client: u64, upload: UploadId, called: u64) {
        let inner = &mut *self.0.lock();
        let ticket = inner
            .history
            .called(called, &client.to_string(), upload, Input::Begin);
        inner.history.returned(now(), ticket, Output::Done);
    }

    /// The bytes from here to there are sent.
    pub fn writes(&self, client: u64, upload: UploadId, from: u64, to: u64) -> Writing {
        let writer = self.next_writer();
        let take = self.called(client, upload, Input::Take { writer, from, to });
        let end = self.called(client, upload, Input::Write { writer, to });
        Writing {
            take: Some(take),
            end,
        }
    }

    /// The bytes from here to the end, which may be none, are sent with the wish that the upload becomes a blob.
    pub fn finishes(&self, client: u64, upload: UploadId, from: u64, total: u64) -> Writing {
        let writer = (from < total).then(|| self.next_writer());
        let take = writer.map(|writer| {
            let to = total;
            self.called(client, upload, Input::Take { writer, from, to })
        });
        let end = self.called(client, upload, Input::Finish { total, writer });
        Writing { take, end }
    }

    fn next_writer(&self) -> u32 {
        let inner = &mut *self.0.lock();
        inner.writers += 1;
        inner.writers
    }

    /// The answer to a write.
    pub fn written(&self, writing: Writing, told: &Told<registry::UploadStatus>) {
        let Told::Done(status) = told else {
            return self.refused(writing, told, true);
        };
        let inner = &mut *self.0.lock();
        if let Some(take) = writing.take {
            inner.history.returned(now(), take, Output::Done);
        }
        inner
            .history
            .returned(now(), writing.end, Output::At(status.offset));
    }

    /// The answer to a request that ends an upload. One that failed may have sealed it, and then anybody may finish it.
    pub fn finished<T>(&self, writing: Writing, told: &Told<T>) {
        if let Told::Done(_) = told {
            let inner = &mut *self.0.lock();
            inner.history.returned(now(), writing.end, Output::Done);
            return;
        }
        self.refused(writing, told, false);
    }

    fn refused<T>(&self, writing: Writing, told: &Told<T>, is_write: bool) {
        let inner = &mut *self.0.lock();
        let history = &mut inner.history;
        match told {
            Told::Unsent => {
                history.never_happened(writing.end);
                if let Some(take) = writing.take {
                    history.never_happened(take);
                }
            }
            Told::No(Error::UploadUnknown | Error::NameUnknown) => {
                history.returned(now(), writing.end, Output::Gone);
            }
            Told::No(Error::OffsetMismatch { acknowledged }) if is_write => {
                history.returned(now(), writing.end, Output::Refused(*acknowledged));
            }
            // It may have taken the upload, but the end that it asked for will never come.
            Told::No(_) if is_write => history.never_happened(writing.end),
            Told::No(Error::DigestMismatch { .. }) => history.never_happened(writing.end),
            Told::No(_) | Told::Unknown | Told::Done(_) => {}
        }
    }

    /// It is asked how far an upload is.
    pub fn asks(&self, client: u64, upload: UploadId) -> Ticket {
        self.called(client, upload, Input::Status)
    }

    /// The answer to that, or to a cancellation: `done` says what it means that it was done.
    pub fn answered<T>(&self, ticket: Ticket, told: &Told<T>, done: impl Fn(&T) -> Output) {
        let inner = &mut *self.0.lock();
        match told {
            Told::Done(it) => inner.history.returned(now(), ticket, done(it)),
            Told::No(Error::UploadUnknown | Error::NameUnknown) => {
                inner.history.returned(now(), ticket, Output::Gone);
            }
            Told::No(_) | Told::Unsent => inner.history.never_happened(ticket),
            Told::Unknown => {}
        }
    }

    /// An upload is given up.
    pub fn cancels(&self, client: u64, upload: UploadId) -> Ticket {
        self.called(client, upload, Input::Cancel)
    }
}

/// Checks every history.
pub fn check(world: &World) {
    let histories = world.watch.uploads.0.lock().history.by_key();
    for (upload, mut history) in histories {
        world.census.count(Kind::Invariant, UPLOADS);
        // Sweeps end what is idle, and whoever completes an upload gives it up when it cannot be completed.
        let began = history.first().map_or(0, |first| first.called);
        let at = history.partition_point(|operation| operation.called <= began);
        history.insert(
            at,
            Operation {
                client: "sweep".to_owned(),
                input: Input::Cancel,
                called: began,
                outcome: Outcome::Unknown,
            },
        );
        match linearizability::check(&UploadModel, &history, STEPS_MAX) {
            Verdict::Linearizable => {}
            Verdict::NotLinearizable(why) => {
                for line in why.to_string().lines() {
                    world.trace.note(format_args!("{line}"));
                }
                let (unexplained, states) = (&why.unexplained, why.possible_states.join("; or "));
                world.breach("P2", format!("upload {upload}: nothing explains `{unexplained}`; it could have been {states}"));
            }
            Verdict::Undecided { operations, steps } => {
                let said = format!(
                    "upload {upload}: {operations} operations were not decided in {steps} steps"
                );
                world.breach("P2", said);
            }
        }
    }
}

//! Uploads that go from node to node, with a second writer now and then, all taken down in a history.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, HeaderValue, RANGE};
use http::{Method, Response, StatusCode};
use linearizability::upload::{Input, Output};
use linearizability::{Outcome, Ticket};
use rand::rngs::SmallRng;
use rand::{Rng, RngExt, SeedableRng};

use super::ask::{NoAnswer, Way};
use super::images::{a_request, place};
use super::{World, lock};
use crate::client::full;
use crate::image::digest_of;

const BYTES: std::ops::Range<usize> = 2_000..100_000;
const CHUNKS: usize = 3;

/// So often it is asked again how far an upload is, or its end is sent again.
const TRIES: usize = 40;

const PAUSE: Duration = Duration::from_millis(250);

/// So long each worker rests between two uploads.
const REST: Duration = Duration::from_millis(200);

/// One client of uploads.
struct Uploader {
    world: Arc<World>,
    name: String,
    random: SmallRng,
    ways: Vec<Way>,
}

/// An upload that is open.
struct Open {
    key: String,
    bytes: Bytes,
    location: String,
    writers: u32,
}

pub(super) async fn upload_on(world: Arc<World>, number: u32) {
    let mut ways = vec![Way::front(&world)];
    ways.extend(world.plan.nodes.iter().map(|(_, node)| Way::to(node)));
    let mut uploader = Uploader {
        name: format!("u{number}"),
        random: SmallRng::seed_from_u64(world.plan.seed.rotate_left(33) ^ u64::from(number)),
        ways,
        world: world.clone(),
    };
    let mut count = 0_u64;
    while !world.ended.load(Ordering::Relaxed) {
        count += 1;
        uploader.one(format!("u{number}-{count}")).await;
        tokio::time::sleep(REST).await;
    }
}

impl Uploader {
    fn called(&self, key: &str, input: Input) -> Ticket {
        let mut history = lock(&self.world.uploads);
        let at = self.world.timeline.now_us();
        history.called(at, &self.name, key.to_owned(), input)
    }

    fn returned(&self, ticket: Ticket, output: Output) {
        let at = self.world.timeline.now_us();
        lock(&self.world.uploads).returned(at, ticket, output);
    }

    /// What was never sent did not happen; everything else may have, or may yet. Then a moment's rest.
    async fn no_answer(&self, ticket: Ticket, no: &NoAnswer) {
        if no.was_never_sent {
            lock(&self.world.uploads).never_happened(ticket);
        }
        tokio::time::sleep(PAUSE).await;
    }

    fn any_way(&mut self) -> &mut Way {
        let chosen = self.random.random_range(0..self.ways.len());
        &mut self.ways[chosen]
    }

    async fn one(&mut self, key: String) {
        let mut bytes = vec![0; self.random.random_range(BYTES)];
        self.random.fill_bytes(&mut bytes);
        let repository = format!("{}/uploads", self.world.plan.repository);
        let mut post = a_request(Method::POST, &format!("/v2/{repository}/blobs/uploads/"));
        post.headers_mut().insert(CONTENT_LENGTH, 0.into());
        let world = self.world.clone();
        let ticket = self.called(&key, Input::Begin);
        // Without an answer nobody knows what it is called; the registry forgets it in its time.
        let Ok(reply) = self.any_way().ask(&world, post).await else {
            return;
        };
        if !world.expect(&reply, StatusCode::ACCEPTED, "an upload's opening") {
            return;
        }
        self.returned(ticket, Output::Done);
        let mut open = Open {
            key,
            bytes: bytes.into(),
            location: place(&reply, None),
            writers: 0,
        };
        if self.write_all(&mut open).await {
            match self.random.random_range(0..10) {
                0 => self.cancel(&open).await,
                _ => self.finish(&open, &repository).await,
            }
        }
    }

    /// Writes chunk after chunk; `false` if it is not known how far it is.
    async fn write_all(&mut self, open: &mut Open) -> bool {
        let total = open.bytes.len();
        let mut at = 0;
        for _ in 0..TRIES {
            if at >= total {
                return true;
            }
            let to = (at + total.div_ceil(CHUNKS)).min(total);
            let contended = self.random.random_range(0..6) == 0;
            let known = match contended {
                true => self.write_twice(open, (at, to)).await,
                false => {
                    let chosen = self.random.random_range(0..self.ways.len());
                    let way = &mut self.ways[chosen];
                    open.writers += 1;
                    let writer = (open.writers, at, to);
                    write(&self.world, way, &self.name, open, writer).await
                }
            };
            at = match known {
                Some((next, location)) => {
                    open.location = location;
                    next
                }
                None => match self.status(open).await {
                    Some(next) => next,
                    None => return false,
                },
            };
        }
        false
    }

    /// The same bytes by two writers at once, as when a client believes that its connection is dead.
    async fn write_twice(
        &mut self,
        open: &mut Open,
        (at, to): (usize, usize),
    ) -> Option<(usize, String)> {
        let second = self.random.random_range(0..self.ways.len());
        let mut other = match second {
            0 => Way::front(&self.world),
            node => Way::to(&self.world.plan.nodes[node - 1].1),
        };
        let first = self.random.random_range(0..self.ways.len());
        open.writers += 2;
        let (a, b) = ((open.writers - 1, at, to), (open.writers, at, to));
        let other_name = format!("{}b", self.name);
        tokio::join!(
            write(&self.world, &mut self.ways[first], &self.name, open, a),
            write(&self.world, &mut other, &other_name, open, b)
        );
        // Whoever won: the next is told by a status.
        None
    }

    async fn status(&mut self, open: &mut Open) -> Option<usize> {
        let world = self.world.clone();
        for _ in 0..TRIES {
            let ticket = self.called(&open.key, Input::Status);
            let request = a_request(Method::GET, &open.location);
            let reply = self.any_way().ask(&world, request).await;
            match reply {
                Ok(reply) if reply.status() == StatusCode::NO_CONTENT => {
                    let location = place(&reply, None);
                    let at = offset(&location)?;
                    self.returned(ticket, Output::At(at as u64));
                    open.location = location;
                    return Some(at);
                }
                Ok(reply) if reply.status() == StatusCode::NOT_FOUND => {
                    self.returned(ticket, Output::Gone);
                    return None;
                }
                Ok(reply) => {
                    world.breach(format!("status of {}: {}", open.key, reply.status()));
                    return None;
                }
                Err(no) => self.no_answer(ticket, &no).await,
            }
        }
        None
    }

    async fn cancel(&mut self, open: &Open) {
        let world = self.world.clone();
        let ticket = self.called(&open.key, Input::Cancel);
        let request = a_request(Method::DELETE, &open.location);
        if let Ok(reply) = self.any_way().ask(&world, request).await {
            match reply.status() {
                StatusCode::NO_CONTENT => self.returned(ticket, Output::Done),
                StatusCode::NOT_FOUND => self.returned(ticket, Output::Gone),
                status => world.breach(format!("cancel of {}: {status}", open.key)),
            }
        }
    }

    async fn finish(&mut self, open: &Open, repository: &str) {
        let world = self.world.clone();
        let digest = digest_of(&open.bytes);
        let (total, writer) = (open.bytes.len() as u64, None);
        let mark = if open.location.contains('?') {
            '&'
        } else {
            '?'
        };
        let path = format!("{}{mark}digest={digest}", open.location);
        for _ in 0..TRIES {
            let ticket = self.called(&open.key, Input::Finish { total, writer });
            let mut put = a_request(Method::PUT, &path);
            put.headers_mut().insert(CONTENT_LENGTH, 0.into());
            let reply = match self.any_way().ask(&world, put).await {
                Ok(reply) => reply,
                Err(no) => {
                    self.no_answer(ticket, &no).await;
                    continue;
                }
            };
            match reply.status() {
                StatusCode::CREATED => self.returned(ticket, Output::Done),
                StatusCode::NOT_FOUND => self.returned(ticket, Output::Gone),
                StatusCode::BAD_REQUEST | StatusCode::RANGE_NOT_SATISFIABLE => {
                    self.returned(ticket, Output::Mismatch);
                }
                status => world.breach(format!("end of {}: {status}", open.key)),
            }
            break;
        }
        let ticket = self.called(&open.key, Input::Fetch);
        let head = a_request(Method::HEAD, &format!("/v2/{repository}/blobs/{digest}"));
        match self
            .any_way()
            .ask(&world, head)
            .await
            .map(|reply| reply.status())
        {
            Ok(StatusCode::OK) => self.returned(ticket, Output::Done),
            Ok(StatusCode::NOT_FOUND) => self.returned(ticket, Output::Gone),
            Ok(status) => world.breach(format!("HEAD of the blob of {}: {status}", open.key)),
            Err(_) => lock(&world.uploads).never_happened(ticket),
        }
    }
}

/// One `PATCH`. Gives the next offset and location if they are known.
async fn write(
    world: &World,
    way: &mut Way,
    name: &str,
    open: &Open,
    (writer, from, to): (u32, usize, usize),
) -> Option<(usize, String)> {
    let (from_u64, to_u64) = (from as u64, to as u64);
    let tickets = {
        let mut history = lock(&world.uploads);
        let at = world.timeline.now_us();
        let both =
            linearizability::upload::write(name, (writer, from_u64, to_u64), at, Outcome::Unknown);
        both.map(|half| history.called(at, name, open.key.clone(), half.input))
    };
    let mut patch = a_request(Method::PATCH, &open.location);
    let range = HeaderValue::from_str(&format!("{from}-{}", to - 1)).expect("digits are ASCII");
    patch.headers_mut().insert(CONTENT_RANGE, range);
    *patch.body_mut() = full(open.bytes.slice(from..to));
    let reply = match way.ask(world, patch).await {
        Ok(reply) => reply,
        Err(no) => {
            if no.was_never_sent {
                let mut history = lock(&world.uploads);
                for ticket in tickets {
                    history.never_happened(ticket);
                }
            }
            return None;
        }
    };
    let returned = |ticket, output| {
        let at = world.timeline.now_us();
        lock(&world.uploads).returned(at, ticket, output);
    };
    match reply.status() {
        StatusCode::ACCEPTED => {
            let location = place(&reply, None);
            let at = offset(&location)?;
            returned(tickets[0], Output::Done);
            returned(tickets[1], Output::At(at as u64));
            Some((at, location))
        }
        StatusCode::RANGE_NOT_SATISFIABLE => {
            if let Some(at) = stands_at(&reply) {
                returned(tickets[1], Output::Refused(at));
            }
            None
        }
        StatusCode::NOT_FOUND => {
            returned(tickets[1], Output::Gone);
            None
        }
        status => {
            let body = String::from_utf8_lossy(reply.body());
            world.breach(format!("a chunk of {}: {status}: {body}", open.key));
            None
        }
    }
}

/// The acknowledged offset that a location carries.
fn offset(location: &str) -> Option<usize> {
    let (_, query) = location.split_once('?')?;
    let at = query.split('&').find_map(|pair| pair.strip_prefix("at="))?;
    at.parse().ok()
}

/// The offset of a `Range: 0-N`; `None` for `0-0`, which may be nothing or one byte.
fn stands_at(reply: &Response<Bytes>) -> Option<u64> {
    let range = reply.headers().get(RANGE)?.to_str().ok()?;
    let last: u64 = range.strip_prefix("0-")?.parse().ok()?;
    (last > 0).then_some(last + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_read_from_replies() {
        assert_eq!(offset("/v2/a/blobs/uploads/x?at=17&more=1"), Some(17));
        assert_eq!(offset("/v2/a/blobs/uploads/x"), None);
        let reply = |range: &str| {
            Response::builder()
                .header(RANGE, range)
                .body(Bytes::new())
                .unwrap()
        };
        assert_eq!(stands_at(&reply("0-9")), Some(10));
        assert_eq!(stands_at(&reply("0-0")), None);
    }
}

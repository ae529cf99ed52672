//! How often a password may be tried with a request, and how much may be pulled: told, and never waited for.

use std::sync::Arc;
use std::time::Duration;

use api::Limits;
use metadata::access::AccessCommand;
use ports::{LoginTicket, PullAnswer, PullGate, PullLimit, PullSource};

use crate::access::{House, basic};
use crate::client::{Answer, Call, call, get};

const MANIFEST: &str = "/v2/team/app/manifests/v1";
const OPEN: &str = "/v2/open/app/manifests/v1";

/// A gate that counts for the test's address and accounts, and never forgets.
#[derive(Default)]
struct Counting(Arc<std::sync::Mutex<Counts>>);

#[derive(Default)]
struct Counts {
    failures: u32,
    pulls: std::collections::HashMap<PullSource, u32>,
}

impl Counting {
    fn counts(&self) -> std::sync::MutexGuard<'_, Counts> {
        self.0.lock().expect("no panic")
    }

    fn answer(&self, source: &PullSource, limit: PullLimit, takes: bool) -> PullAnswer {
        let mut counts = self.counts();
        let taken = counts.pulls.entry(source.clone()).or_default();
        let allowed = *taken < limit.pulls;
        *taken += u32::from(allowed && takes);
        PullAnswer {
            allowed,
            limit,
            remaining: limit.pulls - *taken,
            retry_after: Duration::from_millis(1_500),
            source: source.to_string().into(),
        }
    }
}

impl PullGate for Counting {
    fn take_pull(&self, source: &PullSource, limit: PullLimit) -> PullAnswer {
        self.answer(source, limit, true)
    }

    fn look_at_pulls(&self, source: &PullSource, limit: PullLimit) -> PullAnswer {
        self.answer(source, limit, false)
    }

    fn begin_login_now(
        &self,
        account: &str,
        address: std::net::IpAddr,
    ) -> Result<LoginTicket, Duration> {
        assert!(address.is_loopback() && !account.contains("password"));
        if self.counts().failures >= 3 {
            return Err(Duration::from_millis(2_100));
        }
        let counts = Arc::clone(&self.0);
        Ok(LoginTicket::new(move |outcome| {
            let failed = outcome == ports::LoginOutcome::Failed;
            counts.lock().expect("no panic").failures += u32::from(failed);
        }))
    }
}

async fn house(account: Option<u32>, address: Option<u32>) -> House {
    let limit = |pulls| PullLimit {
        pulls,
        window: Duration::from_secs(21_600),
    };
    House::limited(Some(Limits {
        gate: Arc::new(Counting::default()),
        account: account.map(limit),
        address: address.map(limit),
    }))
    .await
}

fn left(answer: &Answer) -> Option<&str> {
    answer.header("ratelimit-remaining")
}

fn head(path: &str) -> Call {
    call("HEAD", path)
}

#[tokio::test]
async fn pulls_are_counted_for_an_account_and_for_an_address() {
    let house = house(Some(3), Some(1)).await;
    for remaining in ["2;w=21600", "1;w=21600", "0;w=21600"] {
        let answer = house.ask(Some("guest"), get(MANIFEST)).await.expect(200);
        assert_eq!(left(&answer), Some(remaining));
        assert_eq!(answer.header("ratelimit-limit"), Some("3;w=21600"));
        assert_eq!(answer.header("docker-ratelimit-source"), Some("guest"));
    }
    let refused = house.ask(Some("guest"), get(MANIFEST)).await;
    let refused = refused.expect_error(429, "TOOMANYREQUESTS");
    assert_eq!(refused.header("retry-after"), Some("2"));
    assert_eq!(left(&refused), Some("0;w=21600"));
    assert_eq!(refused.header("ratelimit-limit"), Some("3;w=21600"));
    // Others have their own, and whoever is nobody has the address's.
    house.ask(Some("owner"), get(MANIFEST)).await.expect(200);
    let answer = house.ask(None, get(OPEN)).await.expect(200);
    assert_eq!(answer.header("docker-ratelimit-source"), Some("127.0.0.1"));
    house.ask(None, get(OPEN)).await.expect(429);
}

#[tokio::test]
async fn heads_blobs_and_what_is_refused_cost_nothing() {
    let house = house(Some(1), Some(1)).await;
    for _ in 0..3 {
        let answer = house.ask(None, head(OPEN)).await.expect(200);
        assert_eq!(left(&answer), Some("1;w=21600"));
        house.ask(None, get(MANIFEST)).await.expect(401);
        house.ask(Some("stranger"), get(MANIFEST)).await.expect(403);
        let absent = get("/v2/open/app/manifests/absent");
        house.ask(Some("stranger"), absent).await.expect(404);
        house
            .ask(None, get("/v2/open/app/tags/list"))
            .await
            .expect(200);
    }
    house.ask(None, get(OPEN)).await.expect(200);
    let answer = house.ask(None, head(OPEN)).await.expect(200);
    assert_eq!(left(&answer), Some("0;w=21600"));
    // Who may not know is told the same as before.
    house.ask(None, get(MANIFEST)).await.expect(401);
    house.ask(Some("stranger"), get(OPEN)).await.expect(200);
}

#[tokio::test]
async fn without_a_limit_nothing_is_counted_or_told() {
    let house = house(None, None).await;
    for _ in 0..3 {
        let answer = house.ask(Some("guest"), get(MANIFEST)).await.expect(200);
        assert_eq!(left(&answer), None);
    }
}

#[tokio::test]
async fn wrong_passwords_are_held_up_and_right_ones_that_are_known_are_not() {
    let house = house(None, None).await;
    let entries = house.log.commands().len();
    house.ask(Some("guest"), get(MANIFEST)).await.expect(200);
    let guess = || get(MANIFEST).header("Authorization", basic("guest", "a guess"));
    for _ in 0..3 {
        house.server.send(guess()).await.expect(401);
    }
    let held = house.server.send(guess()).await;
    let held = held.expect_error(429, "TOOMANYREQUESTS");
    assert_eq!(held.header("retry-after"), Some("3"));
    assert_eq!(held.header("www-authenticate"), None);
    house.ask(Some("owner"), get(MANIFEST)).await.expect(429);
    house.ask(Some("guest"), get(MANIFEST)).await.expect(200);
    house.ask(None, get(OPEN)).await.expect(200);
    // Tokens are not guessed.
    let token = get(MANIFEST).header("Authorization", house.token("guest", Vec::new()));
    house.server.send(token).await.expect(401);
    assert_eq!(house.log.commands().len(), entries);
    // Where nobody has to prove anything, nobody is held up.
    house.change(AccessCommand::SwitchOff).await;
    house.server.send(guess()).await.expect(200);
}

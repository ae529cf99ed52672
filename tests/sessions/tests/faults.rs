//! Redis killed, hung, made read-only, full and failed over: every call ends by its deadline, the gate of pulls and pushes
//! notices nothing, what stops is told, and everything works again when Redis does.
#![expect(
    clippy::unwrap_used,
    reason = "clippy sees tests only in functions with an attribute"
)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use harness::RedisServer;
use harness::redis::MASTER;
use ports::{LoginGate, PullGate, PullLimit, PullSource, RandomIds, SessionId, SessionStore};
use sessions::{RedisPlace, RedisSettings, RedisStore, Sessions, SessionsSettings, Status};
use sessions_suite::{LONG, SOON, alice, connected, goes_away, impatient, session, works_again};

/// Far more than a call may take, and far less than a lost second: a loaded machine may be late.
const LATE: Duration = Duration::from_millis(500);

fn alone(server: &RedisServer) -> RedisSettings {
    impatient(RedisPlace::Alone(server.url()))
}

/// No call takes longer than its deadline, and calls in the open take no time.
async fn calls_end_in_time(store: &RedisStore) {
    let key = SessionId::fresh(&RandomIds).key();
    for _ in 0..20 {
        let begun = Instant::now();
        assert!(store.get(&key).await.is_err());
        assert!(begun.elapsed() < LATE, "{:?}", begun.elapsed());
    }
    let begun = Instant::now();
    for _ in 0..1000 {
        let _ = store.get(&key).await;
    }
    assert!(begun.elapsed() < 2 * LATE, "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_is_noticed_at_once_and_found_again() {
    let mut server = RedisServer::start(&[]).unwrap();
    let store = connected(&alone(&server)).await;
    works_again(&store).await;
    server.kill();
    goes_away(&store).await;
    calls_end_in_time(&store).await;
    server.restart().unwrap();
    works_again(&store).await;
    assert_eq!(store.status(), Status::Shared);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hung_server_costs_a_few_deadlines_and_no_more() {
    let mut server = RedisServer::start(&[]).unwrap();
    let store = connected(&alone(&server)).await;
    server.process().pause().unwrap();
    let begun = Instant::now();
    let why = goes_away(&store).await;
    assert!(begun.elapsed() < 2 * LATE, "{:?}", begun.elapsed());
    assert!(why.contains("no answer in 50ms"), "{why}");
    calls_end_in_time(&store).await;
    server.process().resume().unwrap();
    works_again(&store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hung_server_is_noticed_though_nobody_asks_it() {
    let mut server = RedisServer::start(&[]).unwrap();
    let store = connected(&alone(&server)).await;
    server.process().pause().unwrap();
    let deadline = Instant::now() + SOON;
    while store.status() == Status::Shared {
        assert!(Instant::now() < deadline, "it is not noticed");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    server.process().resume().unwrap();
    assert!(store.wait(SOON).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_became_read_only_is_away() {
    let server = RedisServer::start(&[]).unwrap();
    let other = RedisServer::start(&[]).unwrap();
    let store = connected(&alone(&server)).await;
    works_again(&store).await;
    let port = other.port.to_string();
    server.say(&["REPLICAOF", &other.host, &port]).unwrap();
    let why = goes_away(&store).await.to_lowercase();
    assert!(
        why.contains("read only") || why.contains("readonly"),
        "{why}"
    );
    calls_end_in_time(&store).await;
    server.say(&["REPLICAOF", "NO", "ONE"]).unwrap();
    works_again(&store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_server_is_away() {
    let server = RedisServer::start(&["--maxmemory-policy", "noeviction"]).unwrap();
    let store = connected(&alone(&server)).await;
    server.say(&["CONFIG", "SET", "maxmemory", "1"]).unwrap();
    let why = goes_away(&store).await;
    assert!(why.contains("OOM"), "{why}");
    server.say(&["CONFIG", "SET", "maxmemory", "0"]).unwrap();
    works_again(&store).await;
}

async fn fails_over(hang: bool) {
    let mut master = RedisServer::start(&[]).unwrap();
    let mut replica = master.replica().unwrap();
    let mut sentinels: Vec<_> = (0..3).map(|_| master.sentinel(2).unwrap()).collect();
    for sentinel in &mut sentinels {
        let ask = ["SENTINEL", "CKQUORUM", MASTER];
        sentinel.wait_to_say(&ask, "OK 3 usable").unwrap();
        let ask = ["SENTINEL", "REPLICAS", MASTER];
        sentinel.wait_to_say(&ask, &replica.host).unwrap();
    }
    let store = connected(&impatient(RedisPlace::Sentinel {
        sentinels: sentinels.iter().map(RedisServer::url).collect(),
        master: MASTER.to_owned(),
    }))
    .await;
    let key = SessionId::fresh(&RandomIds).key();
    store.put(&key, &session(), LONG).await.unwrap();
    replica
        .wait_to_say(&["EXISTS", &format!("holdfast:s:{key}")], "1")
        .unwrap();
    match hang {
        true => master.process().pause().unwrap(),
        false => master.kill(),
    }
    goes_away(&store).await;
    calls_end_in_time(&store).await;
    works_again(&store).await;
    replica.wait_to_say(&["ROLE"], "master").unwrap();
    let kept = store.get(&key).await.unwrap();
    assert_eq!(kept, Some(session()), "what was replicated is kept");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sentinels_give_a_dead_masters_place_to_its_replica() {
    fails_over(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sentinels_give_a_hung_masters_place_to_its_replica() {
    fails_over(true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_without_one_of_its_masters_is_away_until_it_is_back() {
    let mut nodes = RedisServer::cluster(3).unwrap();
    let urls = nodes.iter().map(RedisServer::url).collect();
    let store = connected(&impatient(RedisPlace::Cluster(urls))).await;
    works_again(&store).await;
    nodes[1].kill();
    goes_away(&store).await;
    // Other nodes may still answer for a moment; none waits.
    let key = SessionId::fresh(&RandomIds).key();
    for _ in 0..50 {
        let begun = Instant::now();
        let _ = store.get(&key).await;
        assert!(begun.elapsed() < LATE, "{:?}", begun.elapsed());
    }
    nodes[1].restart().unwrap();
    for node in &mut nodes {
        node.wait_to_say(&["CLUSTER", "INFO"], "cluster_state:ok")
            .unwrap();
    }
    works_again(&store).await;
}

const HUNDRED: PullLimit = PullLimit {
    pulls: 100,
    window: Duration::from_secs(600),
};

fn node(settings: RedisSettings) -> Sessions {
    Sessions::start(&SessionsSettings {
        redis: Some(settings),
        ..SessionsSettings::default()
    })
    .unwrap()
}

async fn shared(nodes: &[Sessions]) {
    let deadline = Instant::now() + SOON;
    while nodes.iter().any(|node| node.status() != Status::Shared) {
        assert!(Instant::now() < deadline, "{}", nodes[0].status());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_count_pulls_together_and_a_hung_redis_delays_none() {
    let mut server = RedisServer::start(&[]).unwrap();
    let nodes: Vec<_> = (0..2).map(|_| node(alone(&server))).collect();
    shared(&nodes).await;
    let source = PullSource::Account(alice());
    let gates: Vec<Arc<dyn PullGate>> = nodes.iter().map(Sessions::pull_gate).collect();
    for pull in 0..40 {
        assert!(gates[pull % 2].take_pull(&source, HUNDRED).allowed);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // Each knows of most of what the other one has pulled.
    let known = gates[0].look_at_pulls(&source, HUNDRED).remaining;
    assert!((40..=65).contains(&known), "{known}");

    server.process().pause().unwrap();
    let mut longest = Duration::ZERO;
    let mut allowed = 0;
    for pull in 0..400 {
        let begun = Instant::now();
        allowed += u32::from(gates[pull % 2].take_pull(&source, HUNDRED).allowed);
        longest = longest.max(begun.elapsed());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(longest < Duration::from_millis(40), "{longest:?}");
    assert!((60..=160).contains(&allowed), "{allowed}");
    assert!(matches!(nodes[0].status(), Status::Away(_)));

    server.process().resume().unwrap();
    shared(&nodes).await;
    let deadline = Instant::now() + SOON;
    for gate in &gates {
        while gate.take_pull(&source, HUNDRED).allowed {
            assert!(Instant::now() < deadline, "the limit is not shared again");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn throttling_holds_across_nodes_and_without_redis_on_each() {
    let mut server = RedisServer::start(&[]).unwrap();
    let settings = RedisSettings {
        call_timeout: Duration::from_secs(5),
        ..alone(&server)
    };
    let nodes: Vec<_> = (0..3).map(|_| node(settings.clone())).collect();
    shared(&nodes).await;
    let gates: Vec<Arc<dyn LoginGate>> = nodes.iter().map(Sessions::login_gate).collect();
    let (here, elsewhere) = ([203, 0, 113, 9].into(), [203, 0, 113, 10].into());
    let mut guesses = 0;
    for number in 0..30 {
        guesses += u32::from(gates[number % 3].begin_login("alice", here).await.is_ok());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!((5..=8).contains(&guesses), "{guesses}");
    for gate in &gates {
        let right = gate.begin_login("alice", elsewhere).await;
        right
            .expect("nobody is locked out from elsewhere")
            .succeeded();
    }
    server.kill();
    goes_away_for(&nodes, &gates, elsewhere).await;
    let mut guesses = 0;
    for _ in 0..30 {
        let begun = Instant::now();
        guesses += u32::from(gates[0].begin_login("bob", here).await.is_ok());
        assert!(begun.elapsed() < LATE);
    }
    assert_eq!(guesses, 6, "each node counts alone");
}

/// Logs in until each node has noticed that Redis is away.
async fn goes_away_for(
    nodes: &[Sessions],
    gates: &[Arc<dyn LoginGate>],
    address: std::net::IpAddr,
) {
    let deadline = Instant::now() + SOON;
    for (node, gate) in nodes.iter().zip(gates) {
        while !matches!(node.status(), Status::Away(_)) {
            let right = gate.begin_login("alice", address).await;
            right.expect("a right password goes on").succeeded();
            assert!(Instant::now() < deadline);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dump_lets_nobody_in_and_names_nobody_who_failed() {
    let mut server = RedisServer::start(&[]).unwrap();
    let nodes = [node(alone(&server))];
    shared(&nodes).await;
    let id = SessionId::fresh(&RandomIds);
    let store = nodes[0].store();
    store.put(&id.key(), &session(), LONG).await.unwrap();
    let from = [203, 0, 113, 9].into();
    drop(
        nodes[0]
            .login_gate()
            .begin_login("planted-secret", from)
            .await,
    );
    let failed = ["HGET", "holdfast:f:203.0.113.9", "count"];
    server.wait_to_say(&failed, "1").unwrap();
    let keys = server.say(&["KEYS", "*"]).unwrap();
    let mut dump = keys.clone();
    for key in keys.lines() {
        let kind = server.say(&["TYPE", key]).unwrap();
        dump += &match kind.trim() {
            "hash" => server.say(&["HGETALL", key]).unwrap(),
            "zset" => server.say(&["ZRANGE", key, "0", "-1"]).unwrap(),
            other => panic!("{key} is a {other}"),
        };
    }
    assert!(dump.contains(&id.key().to_string()), "{dump}");
    assert!(!dump.contains(&id.reveal()), "{dump}");
    assert!(!dump.contains("planted"), "{dump}");
}

//! The audit: paged, filtered, exported.

use serde_json::{Value, json};

use crate::fixture::World;

/// A registry where `admin` made groups `g0` to `g{count - 1}`.
async fn with_groups(count: usize) -> World {
    let world = World::new();
    for number in 0..count {
        let new = json!({"name": format!("g{number}")});
        world.ask("admin", "POST", "/groups", new).await.expect(204);
    }
    world
}

#[tokio::test]
async fn records_are_newest_first_and_pages_join() {
    let world = with_groups(7).await;
    let mut targets = Vec::new();
    let mut path = "/audit?n=3&action=group.&by=admin".to_owned();
    loop {
        let page = world
            .ask("admin", "GET", &path, Value::Null)
            .await
            .expect(200)
            .json();
        for record in page["records"].as_array().unwrap() {
            assert_eq!(record["by"], "admin");
            assert_eq!(record["chain"].as_str().unwrap().len(), 64);
            targets.push(record["target"].as_str().unwrap().to_owned());
        }
        match page["next"].as_u64() {
            Some(next) => path = format!("/audit?n=3&action=group.&by=admin&before={next}"),
            None => break,
        }
    }
    assert_eq!(targets, ["g6", "g5", "g4", "g3", "g2", "g1", "g0"]);
}

#[tokio::test]
async fn filters_are_of_who_what_and_when() {
    let world = with_groups(2).await;
    let new = json!({"name": "mine"});
    world
        .ask("guest", "POST", "/projects", new)
        .await
        .expect(201);
    let found = async |filter: &str| {
        let path = format!("/audit?{filter}");
        let page = world
            .ask("admin", "GET", &path, Value::Null)
            .await
            .expect(200)
            .json();
        page["records"].as_array().unwrap().len()
    };
    assert_eq!(found("by=guest").await, 1);
    assert_eq!(found("by=guest&action=group.").await, 0);
    assert_eq!(found("target=g1").await, 1);
    assert_eq!(found("by=admin&from=2020-01-01T00:00:00Z").await, 2);
    assert_eq!(found("until=2020-01-01T00:00:00Z").await, 0);
}

#[tokio::test]
async fn export_is_every_record_a_line() {
    // More than a page of an export.
    let world = with_groups(1_005).await;
    let export = world
        .ask(
            "admin",
            "GET",
            "/audit/export?action=group.&by=admin",
            Value::Null,
        )
        .await
        .expect(200);
    assert_eq!(export.headers["content-type"], "application/jsonl");
    let lines: Vec<Value> = export
        .text
        .lines()
        .map(|line| serde_json::from_str(line).expect("a line is JSON"))
        .collect();
    assert_eq!(lines.len(), 1_005);
    assert_eq!(
        (&lines[0]["target"], &lines[1_004]["target"]),
        (&json!("g1004"), &json!("g0"))
    );
}

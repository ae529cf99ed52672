//! The OpenAPI document that is checked in is the one that is served. `UPDATE_EXPECT=1` writes it.

use serde_json::Value;

use crate::fixture::World;

#[test]
fn document_is_the_one_of_the_reference() {
    let document = management::document().to_pretty_json().unwrap();
    let reference = expect_test::expect_file!["../../../../docs/reference/openapi.json"];
    reference.assert_eq(&format!("{document}\n"));
}

#[tokio::test]
async fn document_is_served_to_everyone() {
    let world = World::open();
    let served = world
        .ask("nobody", "GET", "/openapi.json", Value::Null)
        .await
        .expect(200);
    assert_eq!(served.headers["content-type"], "application/json");
    assert_eq!(
        served.json(),
        serde_json::to_value(management::document()).unwrap()
    );
}

#[test]
fn every_operation_says_whether_it_may_be_repeated() {
    let document = serde_json::to_value(management::document()).unwrap();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let words = operation["description"].as_str().unwrap_or_default();
            let says = words.contains("repeated") || words.contains("repetition");
            assert!(says, "{method} {path}: {words}");
            assert!(operation["operationId"].is_string(), "{method} {path}");
        }
    }
}

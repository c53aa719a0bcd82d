//! Tests of the answers that no command prints.

use std::fs;

use crate::{
    server::json,
    site::{Served, damage, run},
};

#[test]
fn table_has_the_settings_of_all_runs_and_what_is_damaged() {
    let served = Served::new(None);
    let empty = json(&served.get("/api/v1/table").2);
    assert_eq!(empty, serde_json::json!({ "runs": [], "settings": {}, "skipped": [] }));
    let names = [1, 2, 3].map(|seed| run(&served.root, seed));
    damage(&served.root, &names[2]);
    let path = served.root.join(&names[1]).join("run.json");
    fs::write(&path, fs::read_to_string(&path).unwrap().replace("\"kind\": \"federated\"", "\"kind\": \"federated\", \"threads\": 2.0"))
        .unwrap();
    // From the folders, and from the index.
    for _ in 0..2 {
        let table = json(&served.get("/api/v1/table").2);
        assert_eq!(table["runs"], json(&served.get("/api/v1/runs").2));
        let order: Vec<_> = table["runs"].as_array().unwrap().iter().map(|run| run["run"].as_str().unwrap()).collect();
        assert_eq!(order.len(), 2);
        assert_eq!(table["settings"]["kind"], serde_json::json!({ "values": ["federated"] }));
        let of: Vec<_> = order.iter().map(|run| if *run == names[1] { serde_json::json!(0) } else { serde_json::Value::Null }).collect();
        assert_eq!(table["settings"]["threads"], serde_json::json!({ "values": [2.0], "of": of }));
        assert_eq!(table["skipped"][0]["run"], names[2].as_str());
        assert!(table["skipped"][0]["problem"].as_str().unwrap().contains("line"), "{table}");
        assert_eq!(table["runs"][0]["curve"], serde_json::json!({ "figure": "accuracy", "points": [[0, 0.5], [1, 0.5], [2, 0.5]] }));
    }
}

//! Tests of the answers that no command prints.

use std::{collections::BTreeSet, fs};

use fltk_core::{
    event::RunEvent,
    ids::{ClientId, Round},
    metrics::TrainSummary,
};
use fltk_records::{RunFolder, compare::compare};

use crate::{
    server::{chunks, json},
    site::{Served, at, begin, damage, go_on, name, run, stream},
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
        let runs = json(&served.get("/api/v1/runs").2);
        assert_eq!(table["runs"].as_array().unwrap().len(), runs.as_array().unwrap().len());
        for (line, run) in table["runs"].as_array().unwrap().iter().zip(runs.as_array().unwrap()) {
            // The curves are as short as a sketch of them.
            line.as_object().unwrap().iter().for_each(|(field, value)| assert_eq!(value, &run[field], "{field}"));
            let fields: BTreeSet<&str> = line.as_object().unwrap().keys().map(String::as_str).collect();
            let expected = "run experiment task kind network dataset seed status step num_steps accuracy loss best_accuracy curve train_seconds started_at";
            assert_eq!(fields, expected.split(' ').collect());
        }
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

#[test]
fn clients_of_a_run_are_listed_by_round() {
    let served = Served::new(None);
    let mut recorder = begin(&served.root, 1, 1);
    let train = TrainSummary { num_samples: 600, num_steps: 19, loss: Some(0.5) };
    let trained = RunEvent::ClientTrained {
        round: Round(1),
        client: ClientId(4),
        train,
        seconds: 0.25,
        virtual_seconds: None,
        staleness: None,
        malicious: false,
    };
    recorder.record(&trained, at(2)).unwrap();
    let expected = serde_json::json!({
        "rounds": [1], "clients": [4], "trained": [[1, 4, 0.5, 600, 0.25, null, false]], "absent": [], "tested": [],
    });
    let (code, head, body) = served.get(&format!("/api/v1/runs/{}/clients", name(1)));
    assert_eq!((code, json(&chunks(&body))), (200, expected));
    assert!(head.contains("content-type: application/json"), "{head}");
}

#[test]
fn compared_runs_are_what_the_command_prints() {
    let served = Served::new(None);
    let names = [1, 2].map(|seed| run(&served.root, seed));
    let runs: Vec<_> = names.iter().map(|name| RunFolder::open(served.root.join(name)).unwrap().read().unwrap()).collect();
    let (code, _, body) = served.get(&format!("/api/v1/compare?run={}&run={}&run={}", names[0], names[1], names[0]));
    assert_eq!((code, json(&body)), (200, serde_json::to_value(compare(&runs)).unwrap()));
    for (query, code, words) in [
        ("", 400, "no run is named"),
        ("?run=none", 404, "not a run's folder"),
        ("?run=..%2Fsecret", 400, "can't be the name"),
        ("?runs=a", 400, "only run"),
        (&*format!("?{}", (0..501).map(|index| format!("run={index}&")).collect::<String>()), 400, "more than 500"),
    ] {
        let (found, _, body) = served.get(&format!("/api/v1/compare{query}"));
        assert_eq!(found, code, "{body}");
        assert!(json(&body)["error"].as_str().unwrap().contains(words), "{body}");
    }
}

#[test]
fn course_of_a_stream_is_found_by_its_folder() {
    let served = Served::new(None);
    stream(&served.root, "s-1", "job-1");
    stream(&served.root, "s-2", "damaged");
    fs::rename(served.root.join("s-1"), served.root.join("copy")).unwrap();
    let timeline = json(&served.get("/api/v1/streams/copy/timeline").2);
    assert_eq!((&timeline["stream"], &timeline["experiment"], &timeline["classes"][0]), (&"copy".into(), &"s".into(), &"small".into()));
    for (path, code, words) in [
        ("/api/v1/streams/s-2/timeline", 500, "the experiment is damaged"),
        ("/api/v1/streams/none/timeline", 404, "not a stream's folder"),
        ("/api/v1/runs/none/clients", 404, "not a run's folder"),
    ] {
        let (found, _, body) = served.get(path);
        assert!(found == code && json(&body)["error"].as_str().unwrap().contains(words), "{path}: {found} {body}");
    }
}

#[test]
fn hostile_names_lead_nowhere() {
    let served = Served::new(None);
    let outside = served.root.parent().unwrap().join("outside");
    fs::create_dir(&outside).unwrap();
    let run = run(&outside, 1);
    std::os::unix::fs::symlink(outside.join(&run), served.root.join("link")).unwrap();
    stream(&outside, "s-1", "job-1");
    std::os::unix::fs::symlink(outside.join("s-1"), served.root.join("stream-link")).unwrap();
    let out = format!("..%2Foutside%2F{run}");
    for name in ["..", ".", "%2e%2e", &out, "link", "a%00b", "a%0ab", "%ff", ".hidden", &"a".repeat(5000)] {
        for path in [format!("/api/v1/runs/{name}/clients"), format!("/api/v1/runs/{name}/live"), format!("/api/v1/compare?run={name}")] {
            let (code, _, body) = served.get(&path);
            assert!(matches!(code, 400 | 404 | 414 | 431), "{path}: {code} {body}");
        }
    }
    for name in ["..", "..%2Foutside%2Fs-1", "stream-link", "%ff"] {
        for what in ["timeline", "live"] {
            let (code, _, body) = served.get(&format!("/api/v1/streams/{name}/{what}"));
            assert!(matches!(code, 400 | 404), "{name} {what}: {code} {body}");
        }
    }
}

#[test]
fn table_is_sent_again_only_if_it_has_changed() {
    let served = Served::new(None);
    let ask = |known: &str| {
        let (code, head, body) = served.ask("GET", "/api/v1/table", &format!("If-None-Match: {known}\r\n"));
        let etag = head.lines().find_map(|line| line.split_once(": ").filter(|(name, _)| name.eq_ignore_ascii_case("etag")));
        (code, etag.expect("it has one").1.to_owned(), body)
    };
    let (code, none, body) = ask("\"another\"");
    assert_eq!((code, json(&body)["runs"].as_array().unwrap().len()), (200, 0));
    let mut recorder = begin(&served.root, 1, 2);
    let (code, first, body) = ask(&none);
    assert_eq!((code, &json(&body)["runs"][0]["step"]), (200, &1.into()));
    assert_eq!(ask(&first), (304, first.clone(), String::new()));
    go_on(&mut recorder, 2);
    let (code, second, body) = ask(&first);
    assert_eq!((code, &json(&body)["runs"][0]["step"], &json(&body)["runs"][0]["status"]), (200, &2.into(), &"running".into()));
    // Only the lock is gone: nothing was written.
    drop(recorder);
    let (code, _, body) = ask(&second);
    assert_eq!((code, &json(&body)["runs"][0]["status"]), (200, &"interrupted".into()));
    fs::remove_dir_all(served.root.join(name(1))).unwrap();
    assert_eq!(ask("\"another\"").1, none);
}

#[test]
fn time_line_is_folded_again_only_if_it_has_changed() {
    let served = Served::new(None);
    stream(&served.root, "s-1", "job-1");
    stream(&served.root, "s-3", "job-3");
    let etag = |name: &str, known: &str| {
        let (code, head, _) = served.ask("GET", &format!("/api/v1/streams/{name}/timeline"), &format!("If-None-Match: {known}\r\n"));
        let etag = head.lines().find_map(|line| line.split_once(": ").filter(|(name, _)| name.eq_ignore_ascii_case("etag")));
        (code, etag.map(|(_, value)| value.to_owned()))
    };
    let first = etag("s-1", "").1.expect("it isn't running");
    assert_eq!(etag("s-1", &first), (304, Some(first.clone())));
    // Another stream has an answer of its own.
    assert_eq!(etag("s-3", &first).0, 200);
    assert_eq!(etag("s-1", &first).0, 304);
}

//! Tests of `fltk strategies`: the arithmetic of strategies by figures worked out by hand, and cases that are wrong.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;

use std::{
    cell::RefCell,
    fs,
    io::Write as _,
    path::Path,
    process::{Output, Stdio},
};

use common::{fltk, json, run};
use serde_json::{Value, json};

/// Runs `fltk strategies apply - --output json` with `case` as its input.
fn apply_text(case: &str) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let mut child = fltk(folder.path())
        .args(["strategies", "apply", "-", "--output", "json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(case.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

/// Returns the answers to a case.
fn apply(case: &Value) -> Vec<Value> {
    let output = apply_text(&case.to_string());
    assert!(output.status.success(), "{case}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Returns the message about a case that is wrong.
fn refusal(case: &str) -> String {
    let output = apply_text(case);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(3), &b""[..]), "{case}: {said}");
    said
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

fn assert_close(found: &Value, expected: &[f64]) {
    let found = numbers(found);
    assert_eq!(found.len(), expected.len(), "{found:?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() <= 1e-6 * expected.abs().max(0.1), "{found} isn't {expected}");
    }
}

/// tau_eff = (10 + 30) / 2 = 20; each change counts with 1/2 * 20 / its steps: 1 and 1/3. D1 = (1, 2), D2 = (6, -3). Written as a sum of models,
/// their weights are 1 and 1/3, and the global one keeps -1/3.
#[test]
fn fednova_weighs_changes_and_not_models() {
    let case = json!({
        "strategy": "FedNova",
        "global": { "x": [3, -2] },
        "updates": [
            { "client": 0, "samples": 50, "steps": 10, "values": { "x": [4, 0] } },
            { "client": 1, "samples": 50, "steps": 30, "values": { "x": [9, -5] } },
        ],
    });
    assert_close(&apply(&case)[0]["global"]["x"], &[3.0 + 1.0 + 2.0, -2.0 + 2.0 - 1.0]);
    // With momentum, a client says its normalizer itself: 5 and 15 have the same ratio, and tau_eff 10.
    let mut given = case.clone();
    given["updates"][0]["extra"] = json!({ "normalizer": 5 });
    given["updates"][1]["extra"] = json!({ "normalizer": 15 });
    assert_close(&apply(&given)[0]["global"]["x"], &[6.0, -1.0]);
    given["updates"][1]["extra"] = json!({ "normalizer": 5 });
    assert_close(&apply(&given)[0]["global"]["x"], &[3.0 + (1.0 + 6.0) / 2.0, -2.0 + (2.0 - 3.0) / 2.0]);
}

/// D = 0.1 in both rounds: m = 0.01, v = 0.99 * 0.01 + 0.01 * 0.01 = 0.01, and 0.01 / (0.1 + 0.1) = 0.05; then m = 0.009 + 0.01 = 0.019,
/// v = 0.01, and 0.019 / 0.2 = 0.095.
#[test]
fn fedadam_goes_on_from_its_moments() {
    let update = |x: f64| json!([{ "values": { "x": [x] } }, { "values": { "x": [x] } }]);
    let strategy = json!({ "type": "FedAdam", "learning_rate": 1, "tau": 0.1 });
    let case = json!([{ "strategy": strategy, "global": { "x": [0] }, "updates": update(0.1) }, { "updates": update(0.15) }]);
    let answers = apply(&case);
    assert_eq!(answers.len(), 2);
    let check = |answer: &Value, [x, m, v]: [f64; 3]| {
        assert_close(&answer["global"]["x"], &[x]);
        assert_close(&answer["state"]["m"]["x"], &[m]);
        assert_close(&answer["state"]["v"]["x"], &[v]);
    };
    check(&answers[0], [0.05, 0.01, 0.01]);
    check(&answers[1], [0.145, 0.019, 0.01]);
}

#[test]
fn answers_copied_into_the_next_case_give_the_same_bits() {
    for flavor in ["paper", "flower"] {
        let update = |x: f64, y: f64| json!([{ "values": { "x": [x, 7.0385307e-26] } }, { "samples": 2, "values": { "x": [y, 1e-45] } }]);
        let strategy = json!({ "type": "FedAdam", "flavor": flavor });
        let whole = json!([
            { "strategy": strategy, "global": { "x": [0.1, 7.0385307e-26] }, "updates": update(0.3, 0.7) },
            { "updates": update(0.2, 1.1) },
        ]);
        let answers = apply(&whole);
        let (first, round) = (&answers[0], 2);
        let next = json!({ "strategy": strategy, "round": round, "global": first["global"], "state": first["state"], "updates": update(0.2, 1.1) });
        assert_eq!(apply(&next)[0], answers[1], "{flavor}");
        // The exponent of Flower's correction is that of the round.
        let mut again = next.clone();
        again["round"] = json!(1);
        assert_eq!(apply(&again)[0]["global"] == answers[1]["global"], flavor == "paper");
    }
}

/// w' = 0 + mean(1, 3) = 2, whatever samples they hold, and c' = 0.1 + 2/4 * mean(0.4, 0.8) = 0.4.
#[test]
fn scaffolds_control_variate_moves_by_the_share_of_clients_that_answered() {
    let case = json!({
        "strategy": { "type": "SCAFFOLD" },
        "clients": 4,
        "global": { "x": [0], "running_mean": [0] },
        "state": { "control": { "x": [0.1] } },
        "updates": [
            { "client": 3, "samples": 9, "values": { "x": [3], "running_mean": [4] }, "extra": { "control_change": { "x": [0.8] } } },
            { "client": 1, "samples": 1, "values": { "x": [1], "running_mean": [24] }, "extra": { "control_change": { "x": [0.4] } } },
        ],
    });
    let answer = &apply(&case)[0];
    assert_close(&answer["global"]["x"], &[2.0]);
    assert_close(&answer["global"]["running_mean"], &[6.0]);
    assert_close(&answer["state"]["control"]["x"], &[0.4]);
    // Without `clients` there are as many as the largest number needs, 4; a fifth makes the step smaller.
    let without = |clients: Value| {
        let mut case = case.clone();
        case["clients"] = clients;
        apply(&case)[0]["state"]["control"]["x"].clone()
    };
    assert_close(&without(Value::Null), &[0.4]);
    assert_close(&without(json!(5)), &[0.1 + 2.0 / 5.0 * 0.6]);
}

/// L = 1/0.5 = 2, d = (-2, -6), h = (1 * 4 + 2 * 1, 1 * 36 + 2 * 2) = (6, 40): w' = (1 * 2 + 2 * 6) / 46.
#[test]
fn qfedavg_takes_the_clients_rate_of_the_round() {
    let updates = json!([
        { "samples": 1, "values": { "x": [1] }, "extra": { "loss": 1 } },
        { "samples": 99, "values": { "x": [3] }, "extra": { "loss": 2 } },
    ]);
    let case = |q: f64, rate: f64| json!({ "strategy": { "type": "QFedAvg", "q": q }, "client_learning_rate": rate, "global": { "x": [0] }, "updates": updates });
    assert_close(&apply(&case(1.0, 0.5))[0]["global"]["x"], &[14.0 / 46.0]);
    // L = 10, d = (-10, -30), h = (100 + 10, 900 + 20): (10 + 60) / 1030.
    assert_close(&apply(&case(1.0, 0.1))[0]["global"]["x"], &[70.0 / 1030.0]);
    assert_close(&apply(&case(0.0, 0.5))[0]["global"]["x"], &[2.0]);
    // The rate stays until another is given.
    let mut rounds = vec![case(1.0, 0.5), json!({ "updates": updates }), json!({ "client_learning_rate": 0.1, "updates": updates })];
    let answers = apply(&json!(rounds));
    let alone = |before: &Value, rate: f64| {
        let mut case = case(1.0, rate);
        case["global"] = before["global"].clone();
        apply(&case)[0].clone()
    };
    assert_eq!(answers[1], alone(&answers[0], 0.5));
    assert_eq!(answers[2], alone(&answers[1], 0.1));
    rounds[0]["client_learning_rate"] = Value::Null;
    assert!(refusal(&json!(rounds).to_string()).contains("rounds[0]: `QFedAvg` needs `client_learning_rate`"));
}

/// Ten clients, of which the fourth lies.
fn robust_case(strategy: &Value, liar: impl Fn(&mut Value)) -> Value {
    let mut updates: Vec<Value> = (0..10_u32)
        .map(|client| {
            let place = f64::from(client);
            let values = json!({
                "weight": [[place, -place], [place * place, 1.0]],
                "bn.running_mean": [0.5 * place, 3.0],
                "bn.running_var": [1.0 + place, 2.0],
                "bn.num_batches_tracked": 40 + client,
                "bias": [0.1 * place],
            });
            json!({ "client": client, "samples": 10 + client, "steps": 5, "values": values })
        })
        .collect();
    liar(&mut updates[3]);
    let global = json!({
        "weight": [[0, 0], [0, 1]], "bn.running_mean": [0, 0], "bn.running_var": [1, 1], "bn.num_batches_tracked": 4, "bias": [0],
    });
    let mut case = json!({ "strategy": strategy, "global": global, "updates": updates });
    if strategy["type"] == "FLTrust" {
        case["root"] = json!({ "values": updates_of_server() });
    }
    case
}

/// The model that the server trained itself.
fn updates_of_server() -> Value {
    json!({
        "weight": [[0.5, -0.5], [0.25, 1.0]], "bn.running_mean": [1e9, 1e9], "bn.running_var": [1e9, 1e9], "bn.num_batches_tracked": 5,
        "bias": [0.1],
    })
}

fn robust() -> Vec<Value> {
    let all = [
        json!({ "type": "Median" }),
        json!({ "type": "TrimmedMean", "beta": 0.2 }),
        json!({ "type": "Krum" }),
        json!({ "type": "MultiKrum", "m": 3 }),
        json!({ "type": "Bulyan" }),
        json!({ "type": "GeometricMedian" }),
        json!({ "type": "NormClipping", "max_norm": 5 }),
        json!({ "type": "FLTrust" }),
    ];
    let names: Vec<&str> = all.iter().map(|strategy| strategy["type"].as_str().unwrap()).collect();
    let rules: Vec<&str> =
        fltk_fed::strategy::CATALOGUE.iter().filter(|strategy| strategy.is_robust()).map(|strategy| strategy.name()).collect();
    assert_eq!(names, rules, "a new rule belongs here");
    all.to_vec()
}

#[test]
fn a_client_that_lies_in_statistics_and_samples_moves_nothing_under_robust_rules() {
    for strategy in robust() {
        let honest = apply(&robust_case(&strategy, |_| ()));
        let lied = apply(&robust_case(&strategy, |update| {
            update["values"]["bn.running_var"] = json!([1e30, 1e30]);
            update["values"]["bn.running_mean"] = json!([-1e30, 1e30]);
            update["samples"] = json!(1_u64 << 52);
        }));
        let mut greedy = robust_case(&strategy, |update| update["samples"] = json!(1_u64 << 53));
        greedy["updates"][4]["samples"] = json!(1_u64 << 53);
        assert_eq!(apply(&greedy), honest, "{strategy}");
        let [honest, lied] = [&honest[0]["global"], &lied[0]["global"]];
        for parameter in ["weight", "bias"] {
            assert_eq!(lied[parameter], honest[parameter], "{strategy}");
        }
        let within = |name: &str, [least, most]: [f64; 2]| {
            assert!(numbers(&lied[name]).into_iter().all(|value| (least..=most).contains(&value)), "{strategy}: {lied}");
        };
        within("bn.running_var", [1.0, 10.0]);
        within("bn.running_mean", [0.0, 4.5]);
    }
    // The same lie under FedAvg: the test would notice if it were hidden.
    let averaged = apply(&robust_case(&json!("FedAvg"), |update| update["values"]["bn.running_var"] = json!([1e30, 1e30])));
    assert!(numbers(&averaged[0]["global"]["bn.running_var"])[0] > 1e28);
}

#[test]
fn an_update_that_is_not_finite_counts_as_failed_under_robust_rules() {
    for strategy in robust() {
        let mut without = robust_case(&strategy, |_| ());
        without["updates"].as_array_mut().unwrap().remove(3);
        let expected = apply(&without);
        for value in [json!("NaN"), json!("-Infinity"), json!(1e39)] {
            for tensor in ["bias", "bn.running_mean"] {
                let case = robust_case(&strategy, |update| {
                    update["values"][tensor] = if tensor == "bias" { json!([value]) } else { json!([0, value]) }
                });
                assert_eq!(apply(&case), expected, "{strategy} {value}");
            }
        }
    }
    let output = apply_text(&robust_case(&json!("Median"), |update| update["values"]["bias"] = json!(["NaN"])).to_string());
    assert!(String::from_utf8_lossy(&output.stderr).contains("round 1: client 3 failed: its update isn't finite"));
    let case = robust_case(&json!("FedAvg"), |update| update["values"]["bias"] = json!(["NaN"]));
    let said = refusal(&case.to_string());
    assert!(said.contains("standard input: updates[3].values.bias: client 3 sends NaN, which isn't finite"), "{said}");
    // Four are left of five, and Krum needs five.
    let mut few = robust_case(&json!("Krum"), |update| update["values"]["bias"] = json!(["Infinity"]));
    few["updates"].as_array_mut().unwrap().truncate(5);
    let said = refusal(&few.to_string());
    assert!(said.contains("updates: `Krum` with `f: 1` needs at least 2 f + 3 = 5 updates in a round, and there are 4"), "{said}");
}

#[test]
fn every_strategy_is_listed_and_shows_a_case_that_can_be_applied() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let listed = json(at, &["strategies", "list", "--output", "json"]);
    let names: Vec<&str> = listed.as_array().unwrap().iter().map(|strategy| strategy["name"].as_str().unwrap()).collect();
    assert_eq!(names, fltk::catalogues().strategies.names().collect::<Vec<_>>());
    let text = String::from_utf8(run(at, &["strategies", "list"]).stdout).unwrap();
    for (strategy, listed) in fltk_fed::strategy::CATALOGUE.iter().zip(listed.as_array().unwrap()) {
        let name = strategy.name();
        assert!(text.contains(name) && listed["paper"].as_str().unwrap().contains("20") && listed["parameters"].is_array(), "{listed}");
        let shown = json(at, &["strategies", "show", name, "--output", "json"]);
        let named = |key: &str| -> Vec<String> {
            shown[key].as_array().unwrap().iter().map(|value| value["name"].as_str().unwrap().to_owned()).collect()
        };
        let wanted = strategy.extras.iter().map(|extra| extra.name).chain(strategy.arrays.iter().map(|array| array.name));
        assert_eq!(named("extra"), wanted.collect::<Vec<_>>());
        assert_eq!(named("state"), strategy.state.iter().map(|kept| kept.name).collect::<Vec<_>>());
        let answers = apply(&shown["case"]);
        assert_eq!(answers.len(), if strategy.state.is_empty() { 1 } else { 2 }, "{name}");
        for answer in &answers {
            assert_ne!(answer["global"]["x"], json!([0.0, 1.0]), "{name}: the case changes nothing");
            let state: Vec<&str> = answer["state"].as_object().unwrap().keys().map(String::as_str).collect();
            assert_eq!(state, named("state"), "{name}");
        }
        // The case at the end of the text is the same one.
        let text = String::from_utf8(run(at, &["strategies", "show", name]).stdout).unwrap();
        let (_, case) = text.split_once("CASE.json`:\n\n").unwrap();
        assert_eq!(serde_json::from_str::<Value>(case).unwrap(), shown["case"], "{name}");
        assert!(named("extra").iter().chain(&named("state")).all(|value| text.contains(value.as_str())), "{text}");
    }
    let unknown = run(at, &["strategies", "show", "fedadam"]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("did you mean `FedAdam`?"));
}

#[test]
fn tensors_keep_the_files_order_and_shapes_and_counters_are_the_largest() {
    let text = r#"{ "strategy": "FedAvg", "global": { "z": [[0, 0], [0, 0]], "num_batches_tracked": 5, "a": 1, "e": [[], []] }, "updates": [
        { "client": 7, "values": { "num_batches_tracked": 9, "a": 3, "e": [[], []], "z": [[1, 2], [3, 4]] } },
        { "client": 2, "values": { "a": 0, "z": [[3, 2], [1, 0.5]], "num_batches_tracked": 7, "e": [[], []] } } ] }"#;
    let output = apply_text(text);
    let compact: String = String::from_utf8(output.stdout).unwrap().split_whitespace().collect();
    assert_eq!(compact, r#"[{"global":{"z":[[2.0,2.0],[2.0,2.25]],"num_batches_tracked":9,"a":1.5,"e":[[],[]]},"state":{}}]"#);
}

#[test]
fn tables_show_each_round() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let update = |x: &str| format!(r#"[{{ "values": {{ "x": [{x}, 1] }} }}, {{ "client": 5, "values": {{ "x": [4, 1] }} }}]"#);
    let case = format!(
        r#"[{{ "strategy": "Median", "global": {{ "x": [0, 0] }}, "updates": {} }}, {{ "updates": {} }}]"#,
        update("2"),
        update("\"NaN\"")
    );
    fs::write(at.join("case.json"), case).unwrap();
    let shown = String::from_utf8(run(at, &["strategies", "apply", "case.json"]).stdout).unwrap();
    let lines: Vec<String> = shown.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    let expected = [
        "round 1",
        "shape before after",
        "x [2] 0, 0 3, 1",
        "",
        "round 2",
        "client 0 failed: its update isn't finite",
        "shape before after",
        "x [2] 3, 1 4, 1",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn wrong_cases_are_refused_with_their_place() {
    let others = RefCell::new(Vec::new());
    let check = |case: &str, expected: &[&str]| {
        let said = refusal(case);
        if !expected.iter().all(|words| said.contains(words)) {
            let case: String = case.chars().take(300).collect();
            others.borrow_mut().push(format!("{case}\nisn't refused with {expected:?} but:\n{said}"));
        }
    };
    // Text that isn't a case: line and column.
    check("", &["standard input:1:0: EOF while parsing"]);
    check("[", &["standard input:1:1: EOF"]);
    check("3", &["standard input:1:1: invalid type", "a round, or a list of rounds"]);
    check("[]", &["there are no rounds"]);
    check("{\n \"updatess\": [] }", &["standard input:2:11: unknown field `updatess`, expected one of"]);
    check(r#"{ "strategy": "FedAvg", "global": { "x": 1 } }"#, &["missing field `updates`"]);
    check(r#"{ "updates": [], "updates": [] }"#, &["duplicate field `updates`"]);
    check(r#"{ "updates": [{ "values": { "x": 1 }, "sample": 3 }] }"#, &["unknown field `sample`"]);
    check(r#"{ "updates": [{ "values": { "x": 1 }, "samples": -3 }] }"#, &["standard input:1:51", "`-3`", "from 0 to 2^53"]);
    check(r#"{ "updates": [{ "values": { "x": 1 }, "steps": 0.5 }] }"#, &["`0.5`", "from 0 to 2^53"]);
    check(r#"{ "updates": [{ "values": { "x": 1 }, "steps": 9007199254740993 }] }"#, &["from 0 to 2^53"]);
    check(r#"{ "updates": [{ "values": { "x": 1, "x": 2 } }] }"#, &["standard input:1:39: this tensor is there twice"]);
    check(r#"{ "updates": [{ "values": { "x": [1, [2]] } }] }"#, &["a list beside numbers"]);
    check(r#"{ "updates": [{ "values": { "x": 1 }, "extra": { "a": 1, "a": 2 } }] }"#, &["this name is there twice"]);
    check(r#"[["FedAvg", { "x": 1 }, []]]"#, &["invalid type: sequence, expected an object"]);
    check(r#"{ "updates": [[0, 1, 1, { "x": 1 }, {}]] }"#, &["invalid type: sequence, expected an object"]);
    check(&format!(r#"{{ "strategy": {{ "type": {}"#, "[".repeat(100_000)), &["recursion limit exceeded"]);
    check(r#"{ "updates": [] } x"#, &["standard input:1:19: trailing characters"]);
    check(r#"{ "a\u001b[31m": 1 }"#, &["unknown field", "`a [31m`"]);

    // A case that doesn't hold together: the path. In a list, it begins with the round.
    let round = |strategy: &str, update: &str, more: &str| {
        format!(r#"{{ "strategy": {strategy}, "global": {{ "x": [0, 0], "bn.running_var": [1] }}, "updates": [{update}]{more} }}"#)
    };
    let fine = r#"{ "values": { "x": [1, 2], "bn.running_var": [1] } }"#;
    assert!(apply_text(&round("\"FedAvg\"", fine, "")).status.success());
    let fedavg = |update: &str| round("\"FedAvg\"", update, "");
    check(&format!("[{}, {}]", fedavg(fine), fedavg(fine)), &["rounds[1].strategy: only the first round has this"]);
    check(
        &format!(r#"[{}, {{ "updates": [{{ "values": {{ "x": [1, 2] }} }}] }}]"#, fedavg(fine)),
        &["rounds[1].updates[0].values.bn.running_var: it is missing"],
    );
    check(
        &fedavg(r#"{ "values": { "x": [1], "bn.running_var": [1] } }"#),
        &["updates[0].values.x: its shape is [1], and in `global` it is [2]"],
    );
    check(
        &fedavg(r#"{ "values": { "x": [1, 2], "bn.runing_var": [1] } }"#),
        &[
            "updates[0].values.bn.running_var: it is missing, and `global` has no `bn.runing_var`",
            "did you mean `bn.running_var` by `bn.runing_var`?",
        ],
    );
    check(
        &fedavg(r#"{ "values": { "y": [1, 2], "bn.running_var": [1] } }"#),
        &["values.x: it is missing, and `global` has no `y`, which is"],
    );
    check(
        &fedavg(r#"{ "values": { "x": [1e40, 2], "bn.running_var": [1] } }"#),
        &["values.x: client 0 sends 1e40, which is beyond the range"],
    );
    check(&fedavg(r#"{ "values": { "x": [1, NaN] } }"#), &["hint: JSON has no such number", "\"NaN\""]);
    check(&fedavg(r#"{ "values": { "x": [1, 2], "y": 1, "bn.running_var": [1] } }"#), &["updates[0].values.y: `global` has no such"]);
    check(
        &fedavg(&format!("{fine}, {}", fine.replace("{ \"values\"", "{ \"client\": 0, \"values\""))),
        &["updates[1].client: client 0 is there twice"],
    );
    check(&fedavg(&fine.replace("{ \"values\"", "{ \"client\": 4294967296, \"values\"")), &["are too many"]);
    check(&fedavg(&fine.replace("{ \"values\"", "{ \"samples\": 0, \"values\"")), &["updates[0].samples: it is 0"]);
    let many = fine.replace("{ \"values\"", "{ \"samples\": 9007199254740992, \"values\"");
    check(&fedavg(&format!("{many}, {fine}")), &["more than 2^53 samples in total"]);
    check(&fedavg(""), &["updates: there are none"]);
    check(&fedavg(&vec![fine; 1001].join(",")), &["at most 1000 updates are combined here"]);
    check(&round("\"FedAvg\"", fine, r#", "clients": 0"#), &["clients: 0 are fewer than the 1"]);
    check(&round("\"FedAvg\"", fine, r#", "round": 0"#), &["round: rounds are numbered from 1"]);
    check(&round("\"FedAvg\"", fine, r#", "client_learning_rate": 0"#), &["client_learning_rate: it is 0"]);
    check(
        &round("\"FedAvg\"", fine, r#", "state": { "m": { "x": [1, 2] } }"#),
        &["state.m: `FedAvg` doesn't keep this", "it keeps nothing"],
    );
    check(&round("\"FedAdam\"", fine, r#", "state": { "m": 1 }"#), &["state.m: it is an array"]);
    check(
        &round("\"FedAdam\"", fine, r#", "state": { "m": { "x": [1, 2], "bn.running_var": [1] } }"#),
        &["state.m.bn.running_var: `global` has no such parameter"],
    );
    check(&round("\"FedAdam\"", fine, r#", "state": { "v": { "x": [1, "NaN"] } }"#), &["state.v: it has a value that isn't finite"]);
    check(
        &fine.replace("{ \"values\"", "{ \"updates\": [], \"strategy\": \"FedAvg\", \"global\"").replace("[1, 2]", "[1, \"NaN\"]"),
        &["global.x: it has the value NaN"],
    );
    check(r#"{ "updates": [] }"#, &["`strategy` is missing"]);
    check(r#"{ "strategy": "FedAvg", "updates": [] }"#, &["`global` is missing"]);
    check(r#"{ "strategy": "FedAvg", "global": {}, "updates": [] }"#, &["global: it has no tensors"]);

    // Settings, as in an experiment file.
    check(&round("\"FedAvgg\"", fine, ""), &["standard input: strategy", "did you mean `FedAvg`"]);
    check(
        &round(r#"{ "type": "FedAdam", "tao": 1 }"#, fine, ""),
        &["standard input: strategy:1:19", "`tao` isn't a key", "known here: `type`"],
    );
    check(&round(r#"{ "type": "FedAdam", "tau": 0 }"#, fine, ""), &["`tau` must be above 0"]);
    check(&round(r#"{ "type": "FedAdam", "tau": 1, "tau": 2 }"#, fine, ""), &["this setting is there twice"]);
    check(&round(r#"{ "type": "MultiKrum" }"#, fine, ""), &["`m`"]);
    check(&round("\"Krum\"", fine, ""), &["2 f + 3 = 5", "a round has as many clients as finite updates"]);
    check(&round("\"Cyclic\"", &format!("{fine}, {fine}"), ""), &["`Cyclic` trains one client in a round"]);

    // What a strategy wants of clients.
    let with = |extra: &str| fine.replace("] } }", &format!("] }}, \"extra\": {extra} }}"));
    let qfedavg = |extra: &str| round("\"QFedAvg\"", &with(extra), r#", "client_learning_rate": 1"#);
    check(&qfedavg("{}"), &["updates[0].extra: `loss` is missing", "it wants {\"loss\": NUMBER}"]);
    check(&qfedavg(r#"{ "loss": -1 }"#), &["updates[0].extra.loss: -1 is impossible"]);
    check(&qfedavg(r#"{ "loss": "NaN" }"#), &["updates[0].extra.loss: NaN is impossible"]);
    check(&qfedavg(r#"{ "loss": 1, "los": 1 }"#), &["updates[0].extra.los: `QFedAvg` doesn't want this"]);
    check(&round("\"FedNova\"", &with(r#"{ "normalizer": 0 }"#), ""), &["extra.normalizer: 0 is impossible for a client that took 1 step"]);
    let scaffold = |extra: &str| round("\"SCAFFOLD\"", &with(extra), "");
    check(&scaffold("{}"), &["`control_change` is missing"]);
    check(&scaffold(r#"{ "control_change": 1 }"#), &["extra.control_change: `SCAFFOLD` doesn't want this", "{TENSOR: VALUES}"]);
    check(&scaffold(r#"{ "control_change": { "x": [1] } }"#), &["extra.control_change.x: its shape is [1]"]);
    check(
        &scaffold(r#"{ "control_change": { "x": [1, 1e39] } }"#),
        &["extra.control_change.x: it has the value 1e39, which is beyond the range of f32"],
    );

    // Figures that overflow.
    let far = r#"{ "values": { "x": [3e38, 0], "bn.running_var": [1] } }"#;
    let fast = r#"{ "type": "FedAvgM", "learning_rate": 10 }"#;
    check(&round(fast, far, ""), &["`x` of the next model has the value inf"]);
    let others = others.into_inner();
    assert!(others.is_empty(), "{}", others.join("\n"));
}

#[test]
fn files_that_cannot_be_cases_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let refused = |name: &str, expected: &str| {
        let output = run(at, &["strategies", "apply", name]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(3), "{said}");
        assert!(said.contains(name) && said.contains(expected), "{said}");
    };
    refused("missing.json", "No such file");
    refused(".", "not a file");
    fs::write(at.join("latin1.json"), b"{\n\"caf\xe9\": 1}").unwrap();
    refused("latin1.json", "line 2, column 5");
    fs::File::create(at.join("huge.json")).unwrap().set_len((64 << 20) + 1).unwrap();
    refused("huge.json", "more bytes than such a file may have");
    assert!(Path::new("/dev/zero").exists());
    refused("/dev/zero", "not a file");
}

#[test]
fn the_page_about_strategies_has_all_of_them_and_its_example_holds() {
    let page = fs::read_to_string(common::repository().join("docs/strategies.md")).unwrap();
    let rows: String = page.lines().filter(|line| line.starts_with("| `")).collect();
    for name in fltk::catalogues().strategies.names() {
        assert!(rows.contains(&format!("`{name}`")), "docs/strategies.md says nothing about `{name}`");
    }
    let blocks: Vec<Value> =
        page.split("```json\n").skip(1).map(|rest| serde_json::from_str(rest.split("```").next().unwrap()).unwrap()).collect();
    let [case, answers] = blocks.as_slice() else { panic!("{blocks:?}") };
    assert_eq!(&json!(apply(case)), answers);
}

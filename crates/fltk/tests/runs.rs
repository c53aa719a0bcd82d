//! Tests of `fltk runs` on records that were made without training: the names of runs, and tables without rows.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;
#[path = "../../fltk-records/src/samples.rs"]
mod samples;

use std::path::Path;

use common::{json, run};
use fltk_core::{
    client_test::{ClientFigures, ClientTestSummary},
    event::RunEvent,
    ids::{ClientId, Round},
};
use fltk_records::{Hyperparameter, RunDescription, RunFolder, RunRecorder, StreamFolder, StreamTexts};
use samples::{at, description, exp, round, started, stream_description};

/// Creates a run with these events, and returns its name.
fn create(root: &Path, description: &RunDescription, events: &[RunEvent]) -> String {
    let id = format!("{:08x}", description.seed.0);
    let folder = RunFolder::create(root, &exp(), at(0), &id, "name: exp\n", description).unwrap();
    let name = folder.name();
    let (mut recorder, _) = RunRecorder::open(folder, "a test").unwrap();
    events.iter().for_each(|event| recorder.record(event, at(1)).unwrap());
    name
}

fn said(folder: &Path, args: &[&str], code: i32) -> String {
    let output = run(folder, args);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "fltk {args:?}: {said}");
    said
}

#[test]
fn runs_are_found_by_the_name_that_they_were_started_with() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let create = |seed, name: Option<&str>| {
        let named = RunDescription { group_name: name.map(str::to_owned), ..description(seed) };
        create(&at.join("runs"), &named, &[started(0), round(1, 0.5)])
    };
    let (alone, first, second) = (create(1, Some("alone")), create(2, Some("nightly")), create(3, Some("nightly")));
    create(4, None);
    let shown = |name: &str| json(at, &["runs", "show", name, "--output", "json"])["summary"]["run"].as_str().unwrap().to_owned();
    assert_eq!(shown("alone"), alone);
    assert_eq!(shown(&first), first, "the name of a folder");
    let refusal = said(at, &["runs", "show", "nightly"], 6);
    for words in ["2 runs were started as `nightly`", &format!("hint: name one of them: `{first}`, `{second}`")] {
        assert!(refusal.contains(words), "no `{words}` in {refusal}");
    }
    let exported = json(at, &["runs", "export", "nightly", "alone", "--format", "json"]);
    assert_eq!(json(at, &["runs", "export", "nightly", "alone", "--output", "json"]), exported);
    assert!(said(at, &["runs", "export", "--format", "csv", "--output", "json"], 2).contains("differ\nhint: leave out one of them"));
    let names: Vec<&str> = exported.as_array().unwrap().iter().map(|row| row["run"].as_str().unwrap()).collect();
    assert_eq!(names, [&first, &second, &alone]);
    assert!(said(at, &["runs", "show", "nobody"], 6).contains("`nobody` is not a run's folder"));
    let texts = StreamTexts { experiment: "name: exp\n".to_owned(), ..StreamTexts::default() };
    StreamFolder::create::<RunEvent>(&at.join("runs"), &stream_description("batch", "exp"), &texts).unwrap();
    assert!(said(at, &["runs", "show", "batch"], 6).contains("`batch` is a stream, not a run\nhint: `fltk runs jobs batch`"));
}

#[test]
fn tables_of_clients_without_rows_say_why() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let create = |seed, fraction: Option<f64>, is_tested: bool, figures: Option<ClientFigures>| {
        let mut description = description(seed);
        let settings = &mut description.hyperparameters.0;
        settings.extend(fraction.map(|fraction| ("federated.client_test_fraction".to_owned(), Hyperparameter::Number(fraction))));
        let summary =
            ClientTestSummary { num_clients: 1, num_samples: 5, accuracy: 0.5, worst_decile: 0.5, variance: 0.0, weighted_accuracy: 0.5 };
        let mut ended = round(1, 0.5);
        if let RunEvent::RoundEnded { client_test, .. } = &mut ended {
            *client_test = is_tested.then_some(summary);
        }
        let test = figures.map(|test| RunEvent::ClientTested { round: Round(1), client: ClientId(0), test });
        create(&at.join("runs"), &description, &[vec![started(0)], Vec::from_iter(test), vec![ended]].concat())
    };
    let silent = create(1, Some(0.2), true, None);
    create(2, Some(0.2), true, None);
    let untested = create(3, Some(0.2), false, None);
    let without = create(4, None, false, None);
    let export = |runs: &[&str]| said(at, &[&["runs", "export", "--clients"], runs].concat(), 0);
    let all = export(&[]);
    for words in [
        format!("`{silent}` and 1 other run have no rows: `client_figures: []`"),
        format!("`{untested}` has no rows: no client was tested so far"),
        format!("`{without}` has no rows: no client has test samples of its own"),
    ] {
        assert!(all.contains(&words), "no `{words}` in {all}");
    }
    let accuracy = ClientFigures { num_samples: None, loss: None, accuracy: Some(0.5) };
    let recorded = create(5, Some(0.2), true, Some(accuracy));
    assert_eq!(export(&[&recorded]), "");
    assert_eq!(said(at, &["runs", "export"], 0), "");
}

/// Creates three runs of each of two strategies.
fn create_groups(at: &Path) -> Vec<String> {
    let strategies = [("FedAvg", 0.0), ("FedProx", 0.2)];
    let runs = strategies.iter().enumerate().flat_map(|(index, strategy)| (1..4).map(move |seed| (index, strategy, seed)));
    let create = |(index, (name, more), seed): (usize, &(&str, f64), u64)| {
        let mut description = description(seed);
        description.hyperparameters.0.insert("federated.strategy.type".to_owned(), Hyperparameter::Text((*name).to_owned()));
        description.host.cpu = "a *CPU* | of 2026".to_owned();
        let accuracy = 0.5 + 0.01 * seed as f64 + more * (1.0 + 0.1 * (seed * seed) as f64);
        let id = format!("{:08x}", 16 * index as u64 + seed);
        let folder = RunFolder::create(&at.join("runs"), &exp(), at_second(0), &id, "name: exp\n", &description).unwrap();
        let name = folder.name();
        let (mut recorder, _) = RunRecorder::open(folder, "a test").unwrap();
        for event in [started(0), round(1, 0.1), round(2, accuracy), samples::finished()] {
            recorder.record(&event, at_second(1)).unwrap();
        }
        name
    };
    runs.map(create).collect()
}

fn at_second(second: i64) -> jiff::Timestamp {
    samples::at(second)
}

#[test]
fn comparison_has_intervals_and_tests_in_plain_words() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let runs = create_groups(at);
    let args: Vec<&str> = ["runs", "compare"].into_iter().chain(runs.iter().map(String::as_str)).collect();
    let output = run(at, &args);
    let text = String::from_utf8(output.stdout).unwrap();
    for words in [
        // 0.52 ± 4.3027 * 0.01 / sqrt(3).
        "0.5200 ± 0.0248",
        "± its interval of 95 %, by Student's t",
        "federated.strategy.type  FedAvg (1), FedProx (2)",
        "paired t, 2.0 df",
        "accuracy of 2 is higher than of 1",
        "loss of 1 is higher than of 2",
    ] {
        assert!(text.contains(words), "no `{words}` in {text}");
    }
    let compared = json(at, &[&args[..], &["--output", "json"]].concat());
    assert_eq!(compared["tests"].as_array().unwrap().len(), 2);
    assert_eq!(compared["groups"][0]["accuracy"]["interval"].as_array().unwrap().len(), 2);
    // A single group has nothing to be compared with.
    let alone = run(at, &["runs", "compare", &runs[0], &runs[1]]);
    let text = String::from_utf8(alone.stdout).unwrap();
    assert!(!text.contains("Holm") && !text.contains("setting"), "{text}");
}

#[test]
fn a_report_is_a_page_that_is_not_replaced_by_accident() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let runs = create_groups(at);
    let report = |more: &[&str], code| {
        let args: Vec<&str> = ["report"].into_iter().chain(runs.iter().map(String::as_str)).chain(more.iter().copied()).collect();
        said(at, &args, code)
    };
    report(&["--out", "report.md"], 0);
    let page = std::fs::read_to_string(at.join("report.md")).unwrap();
    for words in [
        "# exp\n\n6 runs in 2 groups, begun on 2026-01-02.\n",
        "| federated.strategy.type | FedAvg (1), FedProx (2) |",
        "| 1 | exp/task | 3 | 0.5200 ± 0.0248 | 0.4800 ± 0.0248 | 1.0000 ± 0.0000 |",
        "| paired t, 2.0 df | accuracy of 2 is higher than of 1 |",
        "| 1 | ▁▅ | 1 to 2 | 0.5200 |",
        "\nEach configuration was run once with each of 3 seeds: 1, 2 and 3.\n",
        "\n## References\n\n```bibtex\n@misc{fltk,\n",
        "| mnist/train | sha256:00 |",
        "| cpu | a \\*CPU\\* \\| of 2026 |",
    ] {
        assert!(page.contains(words), "no `{words}` in {page}");
    }
    assert!(report(&["--out", "report.md"], 1).contains("`report.md` is there already\nhint: `--force` replaces it"));
    report(&["--out", "report.md", "--force", "--title", "A [title](x)"], 0);
    let page = std::fs::read_to_string(at.join("report.md")).unwrap();
    assert!(page.starts_with("# A \\[title\\](x)\n\n6 runs in 2 groups, begun on 2026-01-02.\n"), "{page}");
    // One page in one file, by the ending of its name; texts in it are no markup.
    report(&["--out", "report.html", "--title", "<script>1</script>"], 0);
    let page = std::fs::read_to_string(at.join("report.html")).unwrap();
    assert!(page.starts_with("<!doctype html>") && !page.contains("<script>1") && page.contains("script-src 'sha256-"), "{page:.200}");
    assert!(runs.iter().all(|run| page.contains(&format!("\"runs/{run}/clients\":"))) && page.contains("\"compare?run="));
    assert!(report(&["--out", "report.pdf"], 1).contains("--format html"));
    // Without a file it is data on standard output.
    let output = run(at, &["report", &runs[0]]);
    assert!(String::from_utf8(output.stdout).unwrap().starts_with("# exp\n\n1 run in 1 group"));
    assert!(said(at, &["report", "nobody"], 6).contains("`nobody` is not a run's folder"));
}

//! Snapshots of reports: each file in `tests/broken/` is refused, and its report is kept as a snapshot for people to read.

use std::{fs, path::Path};

use fltk_catalogue::catalogues;
use fltk_experiment::{Override, Report, SourceFile, parse};

fn source(path: &str) -> SourceFile {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    SourceFile { name: path.rsplit('/').next().unwrap_or(path).to_owned(), text }
}

fn refuse(files: &[SourceFile], overrides: &[&str]) -> Report {
    let overrides: Vec<Override> = overrides.iter().map(|set| set.parse().expect("a path and a value")).collect();
    let report = parse(files, &overrides, catalogues()).expect_err("a broken file is refused");
    assert!(report.has_errors());
    report
}

#[test]
fn broken_files_are_refused_with_hints() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/broken");
    let mut names: Vec<String> =
        fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("readable").file_name().into_string().expect("UTF-8")).collect();
    names.sort();
    assert!(names.len() >= 10);
    for name in names {
        let report = refuse(&[source(&format!("tests/broken/{name}"))], &[]);
        insta::assert_snapshot!(name.replace('.', "_"), report.render(false));
    }
}

#[test]
fn overrides_are_checked_like_files() {
    let file = source("../../examples/quickstart.yaml");
    let sets = ["tasks.0.federated.clients_per_round=21", "tasks.0.train.batch_sise=3", "tasks.7.name=x", "seeds=[1, x]"];
    insta::assert_snapshot!("overrides", refuse(&[file], &sets).render(false));
}

#[test]
fn simulated_arrivals_need_gaps_and_probabilities() {
    let cluster = source("../../configs/example_cloud_experiment.json");
    let mut arrival = source("../../configs/federated_tasks/example_arrival_config.json");
    arrival.text = arrival.text.replace("      \"lambda\": 1.5,\n", "").replace("          \"classProbability\": 1.0,\n", "");
    insta::assert_snapshot!("simulated", refuse(&[cluster, arrival], &[]).render(false));
}

#[test]
fn reports_are_available_as_json() {
    let report = refuse(&[source("tests/broken/twice.yaml")], &[]);
    insta::assert_json_snapshot!("twice_as_json", report.to_json());
}

#[test]
fn colors_are_used_on_request() {
    let report = refuse(&[source("tests/broken/twice.yaml")], &[]);
    assert!(report.render(true).contains('\u{1b}'));
    assert!(!report.render(false).contains('\u{1b}'));
}

#[test]
fn unrelated_files_are_refused() {
    let ours = source("../../examples/quickstart.yaml");
    let report = refuse(&[ours.clone(), ours], &[]);
    assert!(report.render(false).contains("don't make one experiment"), "{report}");
    assert!(refuse(&[], &[]).render(false).contains("0 files"));
}

#[test]
fn reports_on_large_invalid_files_are_truncated() {
    let keys: String = (0..180).map(|key| format!("k{key}: {{}}, ")).collect();
    let tasks: String = (0..400).map(|_| format!("  - {{ {keys} }}\n")).collect();
    let report = refuse(&[SourceFile { name: "large.yaml".into(), text: format!("name: large\ntasks:\n{tasks}") }], &[]);
    let drawn = report.render(false);
    assert!(report.problems.len() > 10_000);
    assert!(drawn.len() < 100_000 && drawn.ends_with("more problems"), "{} bytes", drawn.len());
}

//! Every file in `examples/` and `configs/` is read, and is the same after a round trip through our own format.

use std::{
    fs,
    path::{Path, PathBuf},
};

use fltk_catalogue::catalogues;
use fltk_core::{
    catalogue::Choice,
    experiment::{Duration, Experiment, Gaps, OrchestratorType, Setting},
};
use fltk_experiment::{FileKind, SourceFile, file_kind, json_schema, parse, parse_cluster, to_yaml};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn source(path: &str) -> SourceFile {
    let text = fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    SourceFile { name: path.to_owned(), text }
}

fn experiment(paths: &[&str]) -> Experiment {
    let files: Vec<_> = paths.iter().map(|path| source(path)).collect();
    match parse(&files, &[], catalogues()) {
        Ok(parsed) => parsed.experiment,
        Err(report) => panic!("{report}"),
    }
}

/// Returns plain SGD with these values.
fn sgd(learning_rate: f64, momentum: f64) -> Choice {
    let given = Choice::new("SGD").with("learning_rate", learning_rate).with("momentum", momentum);
    given.with("weight_decay", 0.0).with("nesterov", false)
}

/// Checks that the written experiment reads back the same.
fn check_round_trip(experiment: &Experiment) {
    let text = to_yaml(experiment);
    let parsed = parse(&[SourceFile { name: "written.yaml".into(), text: text.clone() }], &[], catalogues())
        .unwrap_or_else(|report| panic!("{report}\n{text}"));
    assert_eq!(parsed.experiment, experiment.clone().with_newest_defaults(), "{text}");
    assert!(parsed.warnings.is_empty(), "{}", parsed.warnings);
}

#[test]
fn readme_shows_the_quickstart() {
    let file = source("examples/quickstart.yaml").text;
    let shown: String = file.lines().skip_while(|line| line.starts_with('#')).map(|line| format!("{line}\n")).collect();
    assert!(source("README.md").text.contains(&format!("```yaml\n{shown}```\n")), "README.md shows another file");
}

#[test]
fn examples_are_read_without_warnings_and_written_back() {
    let mut names: Vec<_> =
        fs::read_dir(root().join("examples")).expect("a folder").map(|entry| entry.expect("readable").file_name()).collect();
    names.push("python/experiment.yaml".into());
    names.sort();
    assert!(names.len() >= 6);
    for name in names {
        let name = name.to_string_lossy();
        // A file with settings for pods is not an experiment.
        if !name.ends_with(".yaml") || file_kind(&source(&format!("examples/{name}"))) == FileKind::Kubernetes {
            continue;
        }
        let parsed = parse(&[source(&format!("examples/{name}"))], &[], catalogues()).unwrap_or_else(|report| panic!("{report}"));
        assert!(parsed.warnings.is_empty(), "{}", parsed.warnings);
        if !name.contains('/') {
            assert_eq!(format!("{}.yaml", parsed.experiment.name), name);
        }
        check_round_trip(&parsed.experiment);
    }
}

#[test]
fn configs_are_read_and_written_back() {
    let clusters =
        ["configs/example_cloud_experiment.json", "configs/test/test_experiment.json", "configs/seed_era/example_cloud_experiment.json"];
    let arrivals = [
        "configs/distributed_tasks/example_arrival_config.json",
        "configs/federated_tasks/example_arrival_config.json",
        "configs/seed_era/example_arrival_config.json",
        "configs/tasks/example_arrival_config.json",
    ];
    for arrival in arrivals {
        check_round_trip(&experiment(&[arrival]));
        for cluster in clusters {
            check_round_trip(&experiment(&[cluster, arrival]));
            assert_eq!(experiment(&[cluster, arrival]), experiment(&[arrival, cluster]));
        }
    }
    for cluster in clusters {
        parse_cluster(&source(cluster), catalogues()).unwrap_or_else(|report| panic!("{report}"));
    }
    let on_disk = walk(&root().join("configs")).into_iter().filter(|path| path.extension().is_some_and(|ending| ending == "json")).count();
    assert_eq!(on_disk, clusters.len() + arrivals.len(), "a file in configs/ isn't tested here");
}

fn walk(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("readable").path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

#[test]
fn federated_example_of_kfltk_has_the_expected_meaning() {
    let experiment = experiment(&["configs/test/test_experiment.json", "configs/federated_tasks/example_arrival_config.json"]);
    assert_eq!(experiment.name, "cloud_experiment");
    assert_eq!(experiment.seeds.iter().map(|seed| seed.0).collect::<Vec<_>>(), [44]);
    let task = &experiment.tasks[0];
    // Clients train with the worker's block, merged over the default.
    assert_eq!(task.training().expect("it trains").train.batch_size, 500);
    assert_eq!(task.training().expect("it trains").train.optimizer, sgd(0.05, 0.1));
    assert_eq!(task.training().expect("it trains").train.scheduler.map(|scheduler| scheduler.step_size), Some(2000));
    let master = task.training().expect("it trains").train_other_role.as_ref().expect("the master's differs");
    assert_eq!((master.batch_size, master.scheduler.map(|scheduler| scheduler.step_size)), (128, Some(50)));
    assert_eq!(task.training().expect("it trains").checkpoint_every, 5);
    let Setting::Federated(config) = &task.training().expect("it trains").setting else { panic!("federated") };
    assert_eq!((config.clients.num(), config.clients_per_round, config.rounds, config.epochs().0), (4, 2, 5, 1.0));
    assert_eq!((&config.partition, &config.strategy), (&Choice::new("uniform"), &Choice::new("FedAvg").with("weights", "samples")));
    let stream = experiment.stream.expect("present");
    assert_eq!(stream.orchestrator, OrchestratorType::Simulated);
    assert_eq!(stream.duration.map(|duration| duration.to_string()).as_deref(), Some("1h"));
    assert_eq!(stream.groups[0].gaps, Some(Gaps::Exponential { mean: Duration::from_millis(90_000) }));
}

#[test]
fn seed_era_adam_is_sgd() {
    let file = source("configs/seed_era/example_arrival_config.json");
    let parsed = parse(&[file], &[], catalogues()).unwrap_or_else(|report| panic!("{report}"));
    assert_eq!(parsed.experiment.tasks[0].training().expect("it trains").train.optimizer, sgd(0.01, 0.9));
    assert!(parsed.warnings.render(false).contains("`ADAM` was SGD"), "{}", parsed.warnings);
}

/// `lambda` has the unit of the era's own code.
#[test]
fn lambda_is_the_mean_gap_in_minutes_or_seed_era_seconds() {
    let check = |path: &str, millis: u64, said: Option<&str>| {
        let parsed = parse(&[source(path)], &[], catalogues()).unwrap_or_else(|report| panic!("{report}"));
        let stream = parsed.experiment.stream.expect("present");
        assert_eq!(stream.groups[0].gaps, Some(Gaps::Exponential { mean: Duration::from_millis(millis) }), "{path}");
        let report = parsed.warnings.render(false);
        match said {
            Some(words) => assert!(report.contains(words), "{report}"),
            None => assert!(!report.contains("lambda"), "{report}"),
        }
    };
    check("configs/distributed_tasks/example_arrival_config.json", 90_000, None);
    check("configs/seed_era/example_arrival_config.json", 20_000, Some("with gaps of `lambda` seconds"));
}

#[test]
fn federated_settings_get_a_note() {
    let said = |path: &str| parse(&[source(path)], &[], catalogues()).unwrap_or_else(|report| panic!("{report}")).warnings.render(false);
    let example = said("configs/federated_tasks/example_arrival_config.json");
    let words = "KFLTK used learning rate 0.01 and momentum 0.1 for all, and batches of 16 of this data set";
    assert!(example.contains("a federated job trains with the settings of its file here") && example.contains(words), "{example}");
    assert!(!said("configs/distributed_tasks/example_arrival_config.json").contains("a federated job"));
}

#[test]
fn committed_schema_is_current() {
    let committed: serde_json::Value = serde_json::from_str(&source("docs/experiment.schema.json").text).expect("JSON");
    assert!(
        committed == json_schema(catalogues()),
        "docs/experiment.schema.json is stale: run `cargo xtask gen`, or `fltk schema > docs/experiment.schema.json`"
    );
}

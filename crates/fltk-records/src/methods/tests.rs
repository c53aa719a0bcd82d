use std::path::Path;

use fltk_core::{experiment::Experiment, seed::Seed};
use fltk_experiment::SourceFile;

use super::*;
use crate::{Host, Hyperparameter, samples::description};

/// Returns the runs of an experiment file: one for each task and seed.
fn runs(text: &str) -> Vec<RunDescription> {
    let source = SourceFile { name: "experiment.yaml".into(), text: text.to_owned() };
    let parsed = fltk_experiment::parse(&[source], &[], fltk_catalogue::catalogues());
    let experiment: Experiment = parsed.unwrap_or_else(|report| panic!("{}", report.render(false))).experiment;
    let host = Host { cpu: "a CPU of 2026".into(), cores: 8, os: "Debian GNU/Linux 13".into(), libtorch: Some("2.13.0".into()) };
    let of_task = |task: &fltk_core::experiment::Task, seed: Seed| RunDescription {
        experiment: experiment.name.clone(),
        task: task.name.clone(),
        seed,
        hyperparameters: Hyperparameters::of(task),
        host: host.clone(),
        ..description(1)
    };
    experiment.tasks.iter().flat_map(|task| experiment.seeds.iter().map(move |seed| of_task(task, *seed))).collect()
}

fn example(name: &str) -> Vec<RunDescription> {
    runs(&std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(name)).unwrap())
}

fn page(runs: &[RunDescription]) -> String {
    let methods = of(runs, fltk_catalogue::catalogues());
    format!("{}\n\n{}", methods.paragraphs.join("\n\n"), methods.bibtex)
}

#[test]
fn quickstart_is_told() {
    insta::assert_snapshot!("quickstart", page(&example("quickstart.yaml")));
}

#[test]
fn asynchronous_rounds_are_told_as_such() {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/virtual-time.yaml")).unwrap();
    let told = page(&runs(&text));
    assert!(told.contains("FedBuff") && told.contains("Training was asynchronous and took"), "{told}");
}

#[test]
fn ranks_are_told() {
    insta::assert_snapshot!("ranks", page(&example("fashion-ddp.yaml")));
}

#[test]
fn a_program_is_told() {
    let mut runs = example("command.yaml");
    runs.iter_mut().for_each(|run| run.host.libtorch = None);
    insta::assert_snapshot!("program", page(&runs));
}

#[test]
fn what_differs_is_told_for_each_configuration() {
    insta::assert_snapshot!("strategies", page(&example("compare.yaml")));
}

#[test]
fn everything_that_a_federated_task_can_have_is_told() {
    insta::assert_snapshot!(
        "everything",
        page(&runs(
            "name: all
seeds: [1, 2]
tasks:
  - kind: federated
    network: { type: MLP, hidden: [20, 10] }
    dataset: mnist
    train:
      batch_size: 8
      optimizer: { type: Adam, learning_rate: 0.001 }
      scheduler: { step_size: 10, gamma: 0.5, minimum_learning_rate: 0.0001, unit: round }
    federated:
      clients: 30
      clients_per_round: 10
      rounds: 50
      epochs_per_round: 2
      groups: [{ clients: 0-9, learning_rate: 0.01 }, { clients: 10-11, epochs_per_round: 1 }]
      partition: { type: shard, shards_per_client: 2 }
      selection: { type: oort, pacer_step: 1 }
      strategy: { type: Krum, f: 2 }
      compression: { type: top_k, fraction: 0.1 }
      evaluate_every: 5
      client_test_fraction: 0.2
      participation: { min_updates: 8, deadline: 20s, over_select: 0.3 }
      faults: { drop_out: 0.1, attack: { type: sign_flip, fraction: 0.1 } }
      simulation:
        devices: { type: lognormal, median_ms: 20, sigma: 1 }
        network: { type: constant, up_mbit: 5, down_mbit: 20, latency_ms: 30 }
"
        ))
    );
}

#[test]
fn seeds_of_configurations_may_differ() {
    let mut runs = example("compare.yaml");
    runs.truncate(5);
    let paragraphs = of(&runs, fltk_catalogue::catalogues()).paragraphs;
    let items: Vec<&String> = paragraphs.iter().filter(|paragraph| paragraph.starts_with(['1', '2'])).collect();
    assert!(items[0].ends_with("This was run once with each of 3 seeds: 1, 2 and 3."), "{items:?}");
    assert!(items[1].ends_with("This was run once with each of 2 seeds: 1 and 2."), "{items:?}");
}

#[test]
fn settings_without_a_sentence_are_told_if_they_differ() {
    let mut runs = example("quickstart.yaml");
    let other = runs[0].clone();
    runs[0].hyperparameters.0.insert("threads".into(), Hyperparameter::Number(2.0));
    runs[0].files_sha256.insert("federated.later.path".into(), "a".repeat(64));
    runs.push(other);
    let paragraphs = of(&runs, fltk_catalogue::catalogues()).paragraphs;
    let item = |number: &str| paragraphs.iter().find(|paragraph| paragraph.starts_with(number)).unwrap();
    assert!(
        item("1. ").ends_with(&format!("Further settings: federated.later.path.sha256 = {}, threads = 2.", "a".repeat(64))),
        "{paragraphs:?}"
    );
    assert!(item("2. ").ends_with("Further settings: threads = 1."), "{paragraphs:?}");
    // What is the same is told once.
    assert_eq!(paragraphs.iter().filter(|paragraph| paragraph.contains("The model was")).count(), 1);
}

#[test]
fn settings_of_earlier_versions_make_no_difference() {
    let mut runs = example("quickstart.yaml");
    let mut earlier = runs[0].clone();
    earlier.hyperparameters.0.remove("federated.feature_noise");
    earlier.seed = Seed(7);
    runs.push(earlier);
    let paragraphs = of(&runs, fltk_catalogue::catalogues()).paragraphs;
    assert!(!paragraphs.iter().any(|paragraph| paragraph.contains("configurations")), "{paragraphs:?}");
}

#[test]
fn settings_that_change_nothing_make_no_difference() {
    let mut runs = example("fashion-ddp.yaml");
    let mut patient = runs[0].clone();
    patient.hyperparameters.0.insert("distributed.timeout".into(), Hyperparameter::Text("1h".into()));
    runs.push(patient);
    let text = page(&runs);
    assert!(!text.contains("configurations") && !text.contains("timeout"), "{text}");
}

#[test]
fn hostile_texts_have_no_effect() {
    let mut runs = example("quickstart.yaml");
    let hostile = "x](http://example.org) <b> @key `a` \\input{x} | *y*";
    for name in ["network", "loss", "federated.partition.type", "federated.strategy.type", "train.optimizer.type", "dataset.name"] {
        runs[0].hyperparameters.0.insert(name.into(), Hyperparameter::Text(hostile.into()));
    }
    runs[0].hyperparameters.0.insert("federated.strategy.<i>".into(), Hyperparameter::Text(hostile.into()));
    runs[0].host.cpu = hostile.into();
    runs[0].host.libtorch = Some(hostile.into());
    runs[0].fltk_version = hostile.into();
    let methods = of(&runs, fltk_catalogue::catalogues());
    let text = methods.paragraphs.join("\n");
    for effect in ["x](http", " <b>", " @key", " `a`", "(<i>", " *y*"] {
        assert!(!text.contains(effect), "`{effect}` in {text}");
    }
    assert!(methods.bibtex.contains("\\textbackslash{}input\\textbraceleft x\\textbraceright "), "{}", methods.bibtex);
}

#[test]
fn no_runs_have_no_setup() {
    let methods = of(&[], fltk_catalogue::catalogues());
    assert_eq!((methods.paragraphs.len(), methods.bibtex.as_str(), methods.versions.len()), (0, "", 0));
}

#[test]
fn number_of_configurations_is_bounded() {
    let run = |rounds: u32| {
        let mut run = example("quickstart.yaml").remove(0);
        run.hyperparameters.0.insert("federated.rounds".into(), Hyperparameter::Number(rounds.into()));
        run
    };
    let paragraphs = of(&(1..=60).map(run).collect::<Vec<_>>(), fltk_catalogue::catalogues()).paragraphs;
    assert!(
        paragraphs.iter().any(|paragraph| paragraph.starts_with("50. "))
            && !paragraphs.iter().any(|paragraph| paragraph.starts_with("51. "))
    );
    assert!(paragraphs.contains(&"10 further configurations are left out here.".to_owned()));
}

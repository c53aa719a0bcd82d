//! Small files as users have them: each is read, is the same after a round trip through our own format, and has a report that says what its
//! author needs to know.

use std::{collections::BTreeSet, fs, path::Path};

use fltk_catalogue::catalogues;
use fltk_core::{
    arrivals::{arrivals, read_trace},
    catalogue::{Choice, Value},
    experiment::{DistributedConfig, Experiment, Gaps, NetworkConfig, OrchestratorType, PolicyName, Setting},
};
use fltk_experiment::{FileKind, Report, SourceFile, file_kind, parse, parse_cluster, to_yaml};

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases")
}

fn source(name: &str) -> SourceFile {
    let text = fs::read_to_string(folder().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    SourceFile { name: name.rsplit('/').next().unwrap_or(name).to_owned(), text }
}

fn read(names: &[&str]) -> (Experiment, Report) {
    read_with(names, &[])
}

fn read_with(names: &[&str], sets: &[&str]) -> (Experiment, Report) {
    let files: Vec<_> = names.iter().map(|name| source(&format!("kfltk/{name}"))).collect();
    let sets: Vec<_> = sets.iter().map(|set| set.parse().expect("an override")).collect();
    match parse(&files, &sets, catalogues()) {
        Ok(parsed) => (parsed.experiment, parsed.warnings),
        Err(report) => panic!("{names:?}: {report}"),
    }
}

/// Returns the partition of this name with one parameter given, and defaults for the others.
fn partition(name: &str, parameter: &str, value: impl Into<Value>) -> Choice {
    catalogues().partitioners.settle(Choice::new(name).with(parameter, value)).expect("a partition of the catalogue")
}

fn seeds(experiment: &Experiment) -> Vec<u64> {
    experiment.seeds.iter().map(|seed| seed.0).collect()
}

/// Files that belong together, with the expected parts of their report.
const CASES: [(&[&str], &[&str]); 12] = [
    (&["third-era.json"], &["a federated job trains with the settings of its file here; KFLTK used batches of 16 of this data set"]),
    (&["third-era-distributed.json"], &["no trainer of KFLTK used it"]),
    (&["x_experimentConfiguration.json"], &[]),
    (&["seed-two-jobs.json"], &["each job arrives once, since no file sets a duration", "with gaps of `lambda` seconds"]),
    (&["seed-two-jobs.json", "seed-cluster.json"], &["jobs arrive for `duration` (10min), with gaps whose mean is `lambda` in seconds"]),
    (&["seed-fifty-jobs.json"], &["every job trains (here and 49 times more)"]),
    (
        &["x_weight_decay.json"],
        &["`weight_decay` isn't a key of `optimizerConfig`: KFLTK ignored it", "tasks.0.train.optimizer.weight_decay=0.1"],
    ),
    (&["x_seed.json"], &["`seed` isn't a key of `networkConfiguration`: KFLTK ignored it", "--set seeds="]),
    (&["x_seed.json", "extra_cluster.json"], &["`scaling_config` isn't a key of `cluster file`: KFLTK ignored it", "stream.admission"]),
    (&["lenet_name.json"], &["`MNISTLeNet5` is read as `LeNet5`"]),
    (&["batch-priorities.json", "cluster-batch-serial.json"], &["in the order of the priorities that they draw", "stream.policy=fifo"]),
    (&["flat-federated.yaml"], &["a federated job trains with the settings of its file here", "the sampler's seed has no effect"]),
];

#[test]
fn cases_are_read_with_the_expected_notes() {
    let mut used: BTreeSet<&str> = ["flat-ancestor.yaml"].into();
    for (names, words) in CASES {
        let (experiment, warnings) = read(names);
        let said = warnings.render(false);
        for words in words {
            assert!(said.contains(words), "{names:?}: {words}\n{said}");
        }
        let written = SourceFile { name: "written.yaml".into(), text: to_yaml(&experiment) };
        let again = parse(&[written], &[], catalogues()).unwrap_or_else(|report| panic!("{names:?}: {report}"));
        assert_eq!(again.experiment, experiment.with_newest_defaults(), "{names:?}");
        // The report takes a page at most, however many jobs there are.
        assert!(said.lines().count() < 90, "{names:?}: {} lines\n{said}", said.lines().count());
        used.extend(names);
    }
    for name in ["seed-cluster.json", "extra_cluster.json", "cluster-batch-serial.json"] {
        parse_cluster(&source(&format!("kfltk/{name}")), catalogues()).unwrap_or_else(|report| panic!("{report}"));
    }
    let there = files("kfltk");
    assert_eq!(there.iter().map(String::as_str).collect::<BTreeSet<_>>(), used);
}

#[test]
fn batch_ordered_by_priority_gets_a_note() {
    let task = |priorities: &str| {
        let mut file: serde_json::Value = serde_json::from_str(&source("kfltk/batch-priorities.json").text).expect("JSON");
        let mut task = file["trainTasks"][0].take();
        task["jobClassParameters"][0]["priorities"] = serde_json::from_str(priorities).expect("JSON");
        task
    };
    let check = |priorities: &[&str], is_told: bool| {
        let tasks: Vec<_> = priorities.iter().map(|priorities| task(priorities)).collect();
        let text = serde_json::json!({ "trainTasks": tasks }).to_string();
        let files = [SourceFile { name: "arrival.json".to_owned(), text }, source("kfltk/cluster-batch-serial.json")];
        let said = parse(&files, &[], catalogues()).unwrap_or_else(|report| panic!("{report}")).warnings.render(false);
        assert_eq!(
            said.contains("in the order of the priorities that they draw, 0 where a job gives none"),
            is_told,
            "{priorities:?}\n{said}"
        );
    };
    let (one, zero) = (r#"[{ "priority": 1, "probability": 1 }]"#, r#"[{ "priority": 0, "probability": 1 }]"#);
    let (never_one, either) = (
        r#"[{ "priority": 0, "probability": 1 }, { "priority": 1, "probability": 0 }]"#,
        r#"[{ "priority": 0, "probability": 1 }, { "priority": 1, "probability": 1 }]"#,
    );
    for told in [[one, "null"], ["[]", one], [one, zero], [either, either]] {
        check(&told, true);
    }
    for untold in [&[one, one][..], &[zero, "null"], &["null", "[]"], &[never_one, zero], &[either]] {
        check(untold, false);
    }
}

#[test]
fn cases_in_our_format_are_read_and_written_back() {
    let names = files("runs");
    assert!(!names.is_empty());
    for name in &names {
        let file = source(&format!("runs/{name}"));
        if name.ends_with(".csv") {
            read_trace(name, &file.text).unwrap_or_else(|error| panic!("{error}"));
            continue;
        }
        assert_eq!(file_kind(&file), FileKind::Experiment);
        // Problems in some of them show when they are run, not when they are read.
        let parsed = parse(&[file], &[], catalogues()).unwrap_or_else(|report| panic!("{name}: {report}"));
        let written = SourceFile { name: name.clone(), text: to_yaml(&parsed.experiment) };
        assert_eq!(parse(&[written], &[], catalogues()).expect("what we write").experiment, parsed.experiment.with_newest_defaults());
    }
}

fn files(within: &str) -> Vec<String> {
    let entries = fs::read_dir(folder().join(within)).expect("a folder");
    let mut names: Vec<String> = entries.map(|entry| entry.expect("readable").file_name().into_string().expect("UTF-8")).collect();
    names.sort();
    names
}

#[test]
fn files_of_may_2022_are_batches_with_their_own_seeds() {
    let (experiment, warnings) = read(&["third-era.json"]);
    assert_eq!(seeds(&experiment), [1, 41, 42]);
    let Setting::Federated(config) = &experiment.tasks[0].training().expect("it trains").setting else { panic!("federated") };
    assert_eq!((config.clients.num(), config.clients_per_round, config.rounds, config.epochs().0), (2, 2, 5, 1.0));
    assert!(!warnings.has_errors());
    let (experiment, _) = read(&["third-era-distributed.json"]);
    assert_eq!(experiment.tasks[0].training().expect("it trains").setting, Setting::Distributed(DistributedConfig::new(3, 2)));
    assert_eq!(seeds(&experiment), [1, 41, 42]);
    // The cluster file may be the seed era's, or say that arrivals are simulated: each job arrives once.
    for cluster in ["seed-cluster.json", "cluster-batch-serial.json"] {
        let (experiment, warnings) = read(&["third-era.json", cluster]);
        assert_eq!(experiment.stream.expect("present").orchestrator, OrchestratorType::Batch);
        assert_eq!(experiment.seeds.len(), 3);
        assert!(warnings.render(false).contains("has no effect: the arrival file's `randomSeed` sets the seeds"), "{warnings}");
    }
    let files = [source("kfltk/third-era.json"), source("kfltk/cluster-batch-serial.json")];
    let simulated = ["cluster.orchestrator.orchestrator_type=simulated".parse().expect("an override")];
    let parsed = parse(&files, &simulated, catalogues()).unwrap_or_else(|report| panic!("{report}"));
    assert_eq!(parsed.experiment.stream.expect("present").orchestrator, OrchestratorType::Batch);
    assert!(parsed.warnings.render(false).contains("each job arrives once, as KFLTK ran them"), "{}", parsed.warnings);
}

#[test]
fn problems_in_files_of_may_2022_use_the_keys_of_the_file() {
    let check = |name: &str, from: &str, to: &str, expected: &[&str]| {
        let mut file = source(&format!("kfltk/{name}"));
        assert!(file.text.contains(from), "{from}");
        file.text = file.text.replace(from, to);
        let report = parse(&[file], &[], catalogues()).expect_err(to).render(false);
        for words in expected {
            assert!(report.contains(words), "{words}\n{report}");
        }
    };
    check(
        "third-era.json",
        "\"Worker\": 2\n",
        "\"Worker\": 1\n",
        &["`clientsPerRound` is 2, but the task has only 1 client", "raise `Worker`"],
    );
    check("third-era.json", "\"Worker\": 2\n", "\"Worker\": 0\n", &["`workerReplication` must be at least 1"]);
    check("third-era.json", "\"workerReplication\"", "\"workers\"", &["the job has no `workerReplication`"]);
    check("third-era-distributed.json", "\"totalEpochs\": 3", "\"totalEpochs\": 0", &["`totalEpochs` must be at least 1"]);
    check("third-era-distributed.json", "\"totalEpochs\": 3, ", "", &["`learningParameters` has no `totalEpochs`"]);
    check("third-era-distributed.json", "\"dataParallelism\": 2", "\"dataParallelism\": null", &["the job has no `dataParallelism`"]);
    check("third-era.json", "\"FashionMNISTCNN\"", "\"AlexNet\"", &["third-era.json:6:", "network: { torchscript: net.pt }"]);
}

#[test]
fn seeds_of_main_era_files_are_used() {
    assert_eq!(seeds(&read(&["x_experimentConfiguration.json"]).0), [1, 2]);
    let mut file = source("kfltk/x_experimentConfiguration.json");
    file.text = file.text.replacen("   1,\n   2\n", "   7, 7, \"8\"\n", 1);
    let parsed = parse(&[file], &[], catalogues()).unwrap_or_else(|report| panic!("{report}"));
    assert_eq!(seeds(&parsed.experiment), [7, 8]);
    assert!(parsed.warnings.render(false).contains("the seed `7` is given twice, and runs once"), "{}", parsed.warnings);
}

#[test]
fn gaps_of_seed_era_streams_are_in_seconds() {
    let (experiment, warnings) = read(&["seed-two-jobs.json", "seed-cluster.json"]);
    let stream = experiment.stream.as_ref().expect("present");
    assert_eq!(stream.orchestrator, OrchestratorType::Simulated);
    let twenty = Gaps::Exponential { mean: "20s".parse().expect("a duration") };
    assert!(stream.groups.len() == 2 && stream.groups.iter().all(|group| group.gaps == Some(twenty)));
    let num_jobs = arrivals(&experiment, 0, &[]).expect("a stream").len();
    // A Poisson number with mean 60, within four standard deviations.
    assert!((29..=91).contains(&num_jobs), "{num_jobs}");
    assert_eq!(warnings.render(false).matches("`lambda` in seconds").count(), 1);
    // The override that the note suggests.
    let (experiment, _) = read_with(&["seed-two-jobs.json", "seed-cluster.json"], &["stream.orchestrator=batch"]);
    assert_eq!(arrivals(&experiment, 0, &[]).expect("a stream").len(), 2);
}

#[test]
fn hints_for_unknown_keys_work() {
    let (experiment, _) = read_with(
        &["x_weight_decay.json", "extra_cluster.json"],
        &[
            "tasks.0.train.optimizer.weight_decay=0.1",
            "seeds=[1,2,3]",
            "stream.admission={ type: max_concurrent, jobs: 4 }",
            "stream.policy=fair_share",
            "tasks.0.network={ torchscript: net.pt }",
        ],
    );
    assert!(to_yaml(&experiment).contains("weight_decay: 0.1"));
    assert_eq!(seeds(&experiment), [1, 2, 3]);
    assert_eq!(experiment.stream.expect("present").policy, PolicyName::FairShare);
}

#[test]
fn unknown_keys_are_warnings_only_in_kfltk_files() {
    let mut file = source("kfltk/x_seed.json");
    file.text =
        file.text.replace("\"seed\": 23", "\"nettwork\": 1").replace("\"batchSize\": 32", "\"batchSize\": \"16\", \"batchsize\": 8");
    let parsed = parse(&[file.clone()], &[], catalogues()).unwrap_or_else(|report| panic!("{report}"));
    assert_eq!(parsed.experiment.tasks[0].training().expect("it trains").train.batch_size, 16, "numbers in quotes are numbers");
    let said = parsed.warnings.render(false);
    assert!(said.contains("did you mean `network`?") && said.contains("did you mean `batchSize`?"), "{said}");
    file.text = file.text.replace("\"batchSize\": \"16\", ", "");
    let report = parse(&[file], &[], catalogues()).expect_err("no batch size").render(false);
    assert!(report.contains("the hyper-parameters have no `batchSize`") && report.contains("did you mean `batchSize`?"), "{report}");
    let ours = SourceFile { name: "ours.yaml".into(), text: to_yaml(&read(&["x_seed.json"]).0) + "seed: 23\n" };
    assert!(
        parse(&[ours], &[], catalogues()).expect_err("ours are strict").render(false).contains("error: `seed` isn't a key of `experiment`")
    );
}

#[test]
fn lenet5_is_a_net_and_others_can_be_torchscript_modules() {
    let (experiment, _) = read(&["lenet_name.json"]);
    assert_eq!(experiment.tasks[0].training().expect("it trains").network, NetworkConfig::named("LeNet5"));
    let mut seed_era = source("kfltk/seed-two-jobs.json");
    seed_era.text = seed_era.text.replace("FashionMNISTCNN", "Lenet");
    let parsed = parse(&[seed_era.clone()], &[], catalogues()).unwrap_or_else(|report| panic!("{report}"));
    assert_eq!(parsed.experiment.tasks[1].training().expect("it trains").network, NetworkConfig::named("LeNet5"));
    let own = "or a net of your own, in fltk's own format: `network: { torchscript: net.pt }`, saved with `torch.jit.script(net).save(\"net.pt\")`";
    seed_era.text = seed_era.text.replace("Lenet", "AlexNet");
    assert!(parse(&[seed_era], &[], catalogues()).expect_err("no AlexNet").to_json().to_string().contains(&own.replace('"', "\\\"")));
    let ours = "name: x\ntasks: [{ kind: distributed, network: AlexNet, dataset: cifar10, distributed: { epochs: 1 } }]";
    let report = parse(&[SourceFile { name: "ours.yaml".into(), text: ours.into() }], &[], catalogues()).expect_err("no AlexNet");
    assert!(report.problems[0].hint.as_ref().is_some_and(|hint| hint.ends_with(own)), "{report}");
}

#[test]
fn repeated_problems_are_reported_once_with_a_count() {
    let mut file = source("kfltk/seed-fifty-jobs.json");
    file.text = file.text.replace("\"FashionMNIST\"", "\"MNIST\"");
    let parsed = parse(&[file.clone()], &[], catalogues()).unwrap_or_else(|report| panic!("{report}"));
    let said = parsed.warnings.render(false);
    assert_eq!(said.matches("KFLTK's distributed jobs read Fashion-MNIST here").count(), 1, "{said}");
    assert!(said.contains("49 times more: lines ") && said.lines().count() < 60, "{} lines\n{said}", said.lines().count());
    let json = parsed.warnings.to_json();
    let places: Vec<usize> =
        json.as_array().expect("a list").iter().map(|problem| problem["also"].as_array().map_or(0, Vec::len)).collect();
    assert!(places.contains(&49), "programs get every place: {places:?}");
    // Errors are merged too, if they have no labels.
    file.text = file.text.replace("\"FashionMNISTCNN\"", "\"AlexNet\"");
    let report = parse(&[file], &[], catalogues()).expect_err("no AlexNet");
    assert_eq!(report.problems.iter().filter(|problem| problem.message.contains("`ALEXNET` isn't a known `network`")).count(), 1);
}

#[test]
fn ancestors_yaml_is_a_federated_experiment() {
    let (experiment, _) = read(&["flat-federated.yaml"]);
    let task = &experiment.tasks[0];
    let Setting::Federated(config) = &task.training().expect("it trains").setting else { panic!("federated") };
    assert_eq!((config.clients.num(), config.clients_per_round, config.rounds, config.epochs().0), (10, 2, 5, 1.0));
    assert_eq!(
        (&config.partition, &config.strategy),
        (&partition("limit_labels", "limit", 2), &Choice::new("FedAvg").with("weights", "samples"))
    );
    assert_eq!(
        (
            task.training().expect("it trains").train.batch_size,
            task.training().expect("it trains").train.learning_rate(),
            experiment.stream.is_none()
        ),
        (32, 0.01, true)
    );
    assert_eq!(seeds(&experiment), [42]);
    let (experiment, _) = read_with(&["flat-federated.yaml"], &["rounds=7", "seeds=[3]"]);
    assert!(to_yaml(&experiment).contains("rounds: 7") && seeds(&experiment) == [3]);
}

#[test]
fn ancestors_yaml_is_read_with_warnings_for_unsupported_settings() {
    let (experiment, warnings) = read(&["flat-ancestor.yaml"]);
    let Setting::Federated(config) = &experiment.tasks[0].training().expect("it trains").setting else { panic!("federated") };
    assert_eq!((config.clients.num(), config.clients_per_round, config.rounds, config.epochs().0), (18, 3, 30, 2.0));
    assert_eq!(config.partition, partition("dirichlet", "alpha", 0.5));
    assert_eq!(
        (&config.strategy, experiment.name.as_str()),
        (&Choice::new("FedProx").with("mu", 0.01).with("weights", "samples"), "experiment_sample")
    );
    let said = warnings.render(false);
    assert!(said.contains("warning: the algorithm `deadline` isn't supported"), "{said}");
    assert!(said.contains("warning: `profiling_time` isn't a key of `learner file`: fltk has no equivalent"), "{said}");
    assert!(said.contains("`batch_size: 32`") && !warnings.has_errors(), "{said}");
}

#[test]
fn wrong_values_in_ancestors_yaml_are_refused_at_their_location() {
    let check = |from: &str, to: &str, expected: &str| {
        let mut file = source("kfltk/flat-federated.yaml");
        assert!(file.text.contains(from), "{from}");
        file.text = file.text.replace(from, to);
        let report = parse(&[file], &[], catalogues()).expect_err(to).render(false);
        assert!(report.contains(expected), "{expected}\n{report}");
    };
    check("clients_per_round: 2", "clients_per_round: 20", "`clients_per_round` is 20, but the task has only 10 clients");
    check("aggregation: FedAvg", "aggregation: Sum", "`Sum` was a stub in KFLTK");
    check("aggregation: FedAvg", "aggregation: multiKrum", "`multiKrum` isn't a known `aggregation`");
    check("[2, 42]", "[2.5, 42]", "`data_sampler_args[0]` of `limit labels` is the number of labels");
    check("data_sampler_args: [2, 42]", "sampler_args: [2.5, 42]", "`sampler_args[0]` of `limit labels` is the number of labels");
    check("net_name: FashionMNISTCNN", "net_name: Cifar10CNN", "flat-federated.yaml:4:");
    check("data_sampler: limit labels", "data_sampler: emd sampler", "never implemented");
    check("cuda: false", "loss_function: MSELoss", "`MSELoss` can't train a classifier");
}

#[test]
fn batch_ignores_lambda() {
    let mut file = source("kfltk/batch-priorities.json");
    file.text = file.text.replace("\"lambda\": 1.5", "\"lambda\": 0");
    let parsed = parse(&[file, source("kfltk/cluster-batch-serial.json")], &[], catalogues()).unwrap_or_else(|report| panic!("{report}"));
    assert!(parsed.experiment.stream.expect("present").groups.iter().all(|group| group.gaps.is_none()));
}

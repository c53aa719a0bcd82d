//! The meaning of KFLTK's names here.

use fltk_catalogue::catalogues;
use fltk_core::{
    catalogue::Choice,
    experiment::{AdmissionConfig, Experiment, Setting},
};
use fltk_experiment::{SourceFile, parse, parse_cluster, to_yaml};

const FEDERATED: &str = include_str!("../../../configs/federated_tasks/example_arrival_config.json");
const DISTRIBUTED: &str = include_str!("../../../configs/distributed_tasks/example_arrival_config.json");
const CLUSTER: &str = include_str!("../../../configs/example_cloud_experiment.json");

/// Returns plain SGD with these values, as a file of KFLTK gives them.
fn sgd(learning_rate: f64, momentum: f64) -> Choice {
    let given = Choice::new("SGD").with("learning_rate", learning_rate).with("momentum", momentum);
    given.with("weight_decay", 0.0).with("nesterov", false)
}

fn file(text: String) -> SourceFile {
    SourceFile { name: "arrival.json".into(), text }
}

/// Returns `text` with `from` replaced; `from` must occur in it.
fn changed(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "{from}");
    text.replace(from, to)
}

fn read(text: String) -> Result<Experiment, String> {
    parse(&[file(text)], &[], catalogues()).map(|parsed| parsed.experiment).map_err(|report| report.render(false))
}

#[test]
fn samplers_are_partitions() {
    let check = |sampler: &str, expected: Result<Choice, &str>| {
        let text = changed(FEDERATED, "\"type\": \"uniform\",\n              \"qValue\": 0.07,", sampler);
        // The number of clients is a multiple of the classes, for the samplers that need it.
        let text = changed(&text, "\"dataParallelism\": 4", "\"dataParallelism\": 10");
        match (read(text), expected) {
            (Ok(experiment), Ok(expected)) => {
                let Setting::Federated(config) = &experiment.tasks[0].training().expect("it trains").setting else { panic!("federated") };
                let expected = catalogues().partitioners.settle(expected).expect("a partition of the catalogue");
                assert_eq!(config.partition, expected, "{sampler}");
            }
            (Err(report), Err(expected)) => {
                assert!(report.contains(expected), "{report}");
                assert_eq!(report.matches("error: ").count(), 1, "{report}");
            }
            (result, _) => panic!("{sampler}: {result:?}"),
        }
    };
    check(r#""type": "uniform","#, Ok(Choice::new("uniform")));
    check(r#""type": "q sampler", "qValue": 0.3,"#, Ok(Choice::new("q_sampler").with("q", 0.3)));
    check(r#""type": "q sampler", "qValue": "0.3","#, Ok(Choice::new("q_sampler").with("q", 0.3)));
    check(r#""type": "q sampler", "qValue": null,"#, Ok(Choice::new("q_sampler").with("q", 0.5)));
    check(r#""type": "q sampler", "qValue": 1.5,"#, Err("is a probability"));
    check(r#""type": "limit labels", "qValue": 2,"#, Ok(Choice::new("limit_labels").with("limit", 2)));
    check(r#""type": "limit labels", "qValue": 2.5,"#, Err("the number of labels"));
    check(r#""type": "limit labels", "qValue": 11,"#, Err("`qValue` is 11, and `mnist` has 10 classes"));
    check(r#""type": "limit labels flex", "qValue": 2.5,"#, Ok(Choice::new("limit_labels_flex")));
    check(r#""type": "n labels", "qValue": 3.0,"#, Ok(Choice::new("n_labels").with("n", 3)));
    check(r#""type": "n labels","#, Ok(Choice::new("n_labels").with("n", 5)));
    check(r#""type": "dirichlet", "qValue": 0.1,"#, Ok(Choice::new("dirichlet").with("alpha", 0.1).with("min_samples", 1)));
    check(r#""type": "dirichlet", "qValue": 0,"#, Err("must be in 0.001..1000000"));
    check(r#""type": "limit labels q", "qValue": 1,"#, Err("never implemented"));
    check(r#""type": "emd sampler", "qValue": 1,"#, Err("never implemented"));
    check(r#""type": "dirichelt", "qValue": 1,"#, Err("did you mean `dirichlet`?"));
}

#[test]
fn federated_optimizers_are_strategies() {
    let check = |optimizer: &str, strategy: Choice, momentum: f64| {
        let text = changed(FEDERATED, "\"type\": \"SGD\"", &format!("\"type\": \"{optimizer}\""));
        let experiment = read(text).unwrap_or_else(|report| panic!("{report}"));
        let task = &experiment.tasks[0];
        let Setting::Federated(config) = &task.training().expect("it trains").setting else { panic!("federated") };
        assert_eq!(config.strategy, strategy);
        assert_eq!(task.training().expect("it trains").train.optimizer, sgd(0.05, momentum));
    };
    check("SGD", Choice::new("FedAvg").with("weights", "samples"), 0.1);
    check("FedProx", Choice::new("FedProx").with("mu", 0.01).with("weights", "samples"), 0.1);
    check("FedNova", Choice::new("FedNova"), 0.1);
    let report = read(changed(DISTRIBUTED, "\"Adam\"", "\"FedNova\"")).expect_err("a federated optimizer in a distributed job");
    assert!(report.contains("`FedNova` is a federated optimizer"), "{report}");
}

#[test]
fn losses_are_known_or_refused_with_a_reason() {
    let with = |loss: &str| read(changed(DISTRIBUTED, "\"CrossEntropyLoss\"", loss));
    let loss = |text: &str| with(text).map(|experiment| experiment.tasks[0].training().expect("it trains").loss.clone());
    assert_eq!(loss("\"NLLLoss\""), Ok("NLLLoss".to_owned()));
    assert_eq!(loss("\"MultiMarginLoss\""), Ok("MultiMarginLoss".to_owned()));
    assert_eq!(loss("null"), Ok("CrossEntropyLoss".to_owned()));
    let refused = [
        "L1Loss",
        "MSELoss",
        "HuberLoss",
        "SmoothL1Loss",
        "PoissonNLLLoss",
        "GaussianNLLLoss",
        "KLDivLoss",
        "CTCLoss",
        "BCELoss",
        "BCEWithLogitsLoss",
        "SoftMarginLoss",
        "MultiLabelMarginLoss",
        "MultiLabelSoftMarginLoss",
        "MarginRankingLoss",
        "CosineEmbeddingLoss",
        "TripletMarginLoss",
        "TripletMarginWithDistanceLoss",
    ];
    for name in refused {
        let report = loss(&format!("\"{name}\"")).expect_err(name);
        assert!(report.contains(&format!("`{name}` can't train a classifier")), "{report}");
    }
    let report = loss("\"__import__('os').system('true')\"").expect_err("nothing is ever evaluated");
    assert!(report.contains("isn't a known `lossFunction`"), "{report}");
}

#[test]
fn null_for_a_role_keeps_the_default() {
    let text = changed(FEDERATED, "\"batchSize\": 500,", "\"batchSize\": null, \"schedulerConfig\": null,");
    let text = changed(
        &text,
        "\"optimizerConfig\": { \"learningRate\": 0.05 },\n                \"schedulerConfig\": { \"schedulerStepSize\": 2000 }",
        "\"optimizerConfig\": { \"learningRate\": 0.05, \"momentum\": null }",
    );
    let experiment = read(text).unwrap_or_else(|report| panic!("{report}"));
    let train = &experiment.tasks[0].training().expect("it trains").train;
    assert_eq!((train.batch_size, train.scheduler.map(|scheduler| scheduler.step_size)), (128, Some(50)));
    assert_eq!(train.optimizer, sgd(0.05, 0.1));
}

#[test]
fn default_that_one_role_spells_out_is_no_difference() {
    let mut json: serde_json::Value = serde_json::from_str(DISTRIBUTED).expect("JSON");
    for task in json["trainTasks"].as_array_mut().expect("a list") {
        for class in task["jobClassParameters"].as_array_mut().expect("a list") {
            let hyper = &mut class["hyperParameters"];
            let spelled = hyper["default"]["optimizerConfig"].clone();
            hyper["default"]["optimizerConfig"].as_object_mut().expect("a block").remove("betas");
            hyper["configurations"] = serde_json::json!({ "Worker": { "optimizerConfig": spelled } });
        }
    }
    let experiment = read(json.to_string()).unwrap_or_else(|report| panic!("{report}"));
    assert!(experiment.tasks.iter().all(|task| task.training().expect("it trains").train_other_role.is_none()));
    assert_eq!(read(to_yaml(&experiment)).as_ref(), Ok(&experiment));
}

#[test]
fn values_beyond_our_limits_are_refused_at_their_location() {
    let text = changed(DISTRIBUTED, "\"betas\": [0.9, 0.999]", "\"betas\": [0.9, 1.5]");
    let line = text.lines().position(|line| line.contains("1.5]")).map_or(0, |index| index + 1);
    let report = read(text).expect_err("a decay rate above 1");
    assert!(report.contains(&format!("arrival.json:{line}:")) && report.contains("betas"), "{report}");
    assert_eq!(report.matches("error: ").count(), 1, "{report}");
}

#[test]
fn cluster_file_is_read_alone() {
    let misplaced = changed(CLUSTER, "\"seeds\": [42]", "\"seeds\": [42], \"parallel_execution\": true");
    let parsed = parse_cluster(&file(misplaced), catalogues()).unwrap_or_else(|report| panic!("{report}"));
    assert_eq!(parsed.cluster.seeds.iter().map(|seed| seed.0).collect::<Vec<_>>(), [42]);
    assert!(parsed.warnings.render(false).contains("it belongs in `cluster.orchestrator`"));
    let report = parse_cluster(&file(changed(CLUSTER, "\"seeds\": [42]", "")), catalogues()).expect_err("no seeds");
    assert!(report.render(false).contains("`reproducibility` has no `seeds`"), "{report}");
    let report = parse(&[file(CLUSTER.into())], &[], catalogues()).expect_err("no tasks");
    assert!(report.render(false).contains("describes no tasks"), "{report}");
}

#[test]
fn overrides_apply_to_the_converted_experiment() {
    let apply = |sets: &[&str]| {
        let sets: Vec<_> = sets.iter().map(|set| set.parse().expect("an override")).collect();
        let files = [file(CLUSTER.into()), file(FEDERATED.into())];
        parse(&files, &sets, catalogues()).map(|parsed| parsed.experiment).map_err(|report| report.render(false))
    };
    let plain = apply(&[]).unwrap_or_else(|report| panic!("{report}"));
    // The order doesn't matter: overrides of the files themselves are applied first.
    let sets = [r#"stream.admission={"type":"capacity"}"#, "seeds=[7]", "trainTasks.0.jobClassParameters.0.learningParameters.rounds=9"];
    let mut changed = apply(&sets).unwrap_or_else(|report| panic!("{report}"));
    assert!(to_yaml(&changed).contains("rounds: 9"));
    let stream = changed.stream.as_mut().expect("a stream");
    assert_eq!((stream.admission, changed.seeds[0].0), (AdmissionConfig::Capacity {}, 7));
    // Nothing else differs.
    stream.admission = AdmissionConfig::Unlimited {};
    let again = apply(&[sets[2]]).unwrap_or_else(|report| panic!("{report}"));
    assert_eq!(Experiment { seeds: plain.seeds, ..changed }, again);
    let report = apply(&["stream.admission.type=capacitance"]).expect_err("no such admission");
    assert!(report.contains("--set:1:23") && report.contains("did you mean `capacity`?"), "{report}");
    let report = apply(&["tasks.0.train.batch_size=0"]).expect_err("no batches");
    assert!(report.contains("--set:1:"), "{report}");
}

#[test]
fn lone_arrival_file_has_seed_42_and_accepts_overrides() {
    let set = "trainTasks.0.jobClassParameters.0.learningParameters.rounds=9".parse().expect("an override");
    let parsed = parse(&[file(CLUSTER.into()), file(FEDERATED.into())], &[set], catalogues()).unwrap_or_else(|report| panic!("{report}"));
    assert!(to_yaml(&parsed.experiment).contains("rounds: 9"));
    let experiment = read(FEDERATED.into()).unwrap_or_else(|report| panic!("{report}"));
    assert_eq!((experiment.seeds[0].0, experiment.name.as_str()), (42, "experiment"));
}

#[test]
fn jobs_with_workers_need_their_resources() {
    let worker = ",\n              \"Worker\": { \"cores\": \"750m\", \"memory\": \"1Gi\" }";
    let default = "\"default\": { \"cores\": \"500m\"";
    let master = changed(DISTRIBUTED, default, "\"Master\": { \"cores\": \"500m\"");
    for text in [changed(FEDERATED, worker, ""), changed(&master, "\"dataParallelism\": 2", "\"dataParallelism\": 1")] {
        let experiment = read(text).unwrap_or_else(|report| panic!("{report}"));
        assert!(experiment.tasks[0].resources.as_ref().unwrap().worker.is_none());
        assert_eq!(read(to_yaml(&experiment)).unwrap(), experiment);
    }
    let report = read(master).unwrap_err();
    assert!(report.contains("there are no resources for the role `Worker`"), "{report}");
}

#[test]
fn client_pods_are_nodes() {
    let nodes = |text: String| {
        let experiment = read(text).unwrap_or_else(|report| panic!("{report}"));
        let Setting::Federated(config) = &experiment.tasks[0].training().expect("it trains").setting else { panic!("federated") };
        (config.clients.num(), config.nodes)
    };
    assert_eq!(nodes(FEDERATED.to_owned()), (4, 4));
    assert_eq!(
        nodes(changed(FEDERATED, "\"dataParallelism\": 4", "\"dataParallelism\": 2000")),
        (2000, 1000),
        "the most that there may be"
    );
    // Without resources for workers there is one pod.
    let worker = ",\n              \"Worker\": { \"cores\": \"750m\", \"memory\": \"1Gi\" }";
    assert_eq!(nodes(changed(FEDERATED, worker, "")), (4, 0));
}

//! Property test: writing and reading any experiment gives the same experiment.

use fltk_core::{
    experiment::{
        AdmissionConfig, ArrivalGroup, DatasetConfig, DatasetName, DistributedConfig, Duration, Experiment, FederatedConfig, Gaps,
        GradientCompression, LossName, LstmConfig, NetName, NetworkConfig, OptimizerConfig, OrchestratorType, PartitionConfig,
        PartitionVersion, PodResources, PolicyName, Priority, QuantitySkew, Resources, ScheduleUnit, SchedulerConfig, SelectionConfig,
        Setting, SourceFile, StrategyConfig, StreamConfig, Task, TrainConfig, parse, to_yaml,
    },
    seed::Seed,
};
use proptest::{collection::vec, option, prelude::*, sample::select};

/// Finite numbers above 0, from tiny to large, with all the digits of a float.
fn positive() -> impl Strategy<Value = f64> {
    prop_oneof![1e-12..1e-3f64, 1e-3..1.0f64, 1.0..1e9f64]
}

fn optimizer() -> impl Strategy<Value = OptimizerConfig> {
    let betas = [0.0..1.0f64, 0.0..1.0f64];
    prop_oneof![
        (positive(), positive(), positive(), any::<bool>()).prop_map(|(learning_rate, momentum, weight_decay, nesterov)| {
            OptimizerConfig::SGD { learning_rate, momentum, weight_decay, nesterov }
        }),
        (positive(), betas.clone(), positive(), positive()).prop_map(|(learning_rate, betas, eps, weight_decay)| OptimizerConfig::Adam {
            learning_rate,
            betas,
            eps,
            weight_decay
        }),
        (positive(), betas, positive(), positive()).prop_map(|(learning_rate, betas, eps, weight_decay)| OptimizerConfig::AdamW {
            learning_rate,
            betas,
            eps,
            weight_decay
        }),
    ]
}

fn train() -> impl Strategy<Value = TrainConfig> {
    let scheduler = (1..1000u32, 0.001..1.0f64, any::<bool>());
    (1..1000u32, 1..5000u32, any::<bool>(), optimizer(), option::of(scheduler)).prop_map(
        |(batch_size, test_batch_size, drop_last, optimizer, scheduler)| {
            let scheduler = scheduler.map(|(step_size, gamma, floor)| SchedulerConfig {
                step_size,
                gamma,
                minimum_learning_rate: if floor { optimizer.learning_rate() / 2.0 } else { 0.0 },
                unit: ScheduleUnit::Epoch,
            });
            TrainConfig { batch_size, test_batch_size, drop_last, optimizer, scheduler }
        },
    )
}

/// A written experiment leaves no version open.
fn version() -> impl Strategy<Value = Option<PartitionVersion>> {
    select(vec![Some(PartitionVersion::One), Some(PartitionVersion::Two)])
}

fn partition() -> impl Strategy<Value = PartitionConfig> {
    prop_oneof![
        Just(PartitionConfig::Uniform {}),
        (0.0..1.0f64).prop_map(|q| PartitionConfig::QSampler { q }),
        ((1..=10u32), version()).prop_map(|(limit, version)| PartitionConfig::LimitLabels { limit, version }),
        ((1..=10u32), version()).prop_map(|(n, version)| PartitionConfig::NLabels { n, version }),
        (0.001..1e6f64, 1..5u32, version()).prop_map(|(alpha, min_samples, version)| PartitionConfig::Dirichlet {
            alpha,
            min_samples,
            version
        }),
        (1..20u32).prop_map(|shards_per_client| PartitionConfig::Shard { shards_per_client }),
        ((1..=10u32), version()).prop_map(|(classes_per_client, version)| PartitionConfig::Pathological { classes_per_client, version }),
        (1e-9..100.0f64).prop_map(|exponent| PartitionConfig::QuantitySkew { skew: QuantitySkew::PowerLaw { exponent } }),
        Just(PartitionConfig::QuantitySkew { skew: QuantitySkew::Square {} }),
    ]
}

fn setting() -> impl Strategy<Value = Setting> {
    let strategy = prop_oneof![
        Just(StrategyConfig::FedAvg {}),
        Just(StrategyConfig::FedNova {}),
        positive().prop_map(|mu| StrategyConfig::FedProx { mu }),
    ];
    prop_oneof![
        ((1..1000u32, 1..100u32, 0..10u32), any::<[bool; 3]>(), 1..10_000_000u64, option::of(1..9000u32)).prop_map(
            |((epochs, data_parallelism, restarts), [pad_last, sync_batch_norm, half], millis, checkpoint_every_steps)| {
                let compression = if half { GradientCompression::Fp16 } else { GradientCompression::None };
                let timeout = Duration::from_millis(millis);
                Setting::Distributed(DistributedConfig {
                    epochs,
                    data_parallelism,
                    pad_last,
                    sync_batch_norm,
                    compression,
                    checkpoint_every_steps,
                    restarts,
                    timeout,
                })
            }
        ),
        ((1..=10u32, 1..=10u32), 1..1000u32, 1..20u32, partition(), strategy, 1..10u32).prop_map(
            |((tens, clients_per_round), rounds, epochs_per_round, partition, strategy, evaluate_every)| {
                Setting::Federated(FederatedConfig {
                    clients: tens * 10,
                    clients_per_round,
                    rounds,
                    epochs_per_round,
                    partition,
                    selection: SelectionConfig::Random {},
                    strategy,
                    evaluate_every,
                })
            }
        ),
    ]
}

/// Paths as users have them: with spaces, quotes, colons, and text that YAML might misread.
fn path() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ -~]{0,20}[!-~]",
        "\\PC{1,12}[a-z]",
        select(vec!["no", "1e3", "null", "~", "- a", "a: b", "'", "#x"]).prop_map(str::to_owned)
    ]
}

fn network() -> impl Strategy<Value = (NetworkConfig, DatasetName)> {
    let lstm = (1..500u32, 1..5u32, 0.0..0.9f64, any::<bool>()).prop_map(|(hidden, layers, dropout, tied)| LstmConfig {
        embedding: hidden,
        hidden,
        layers,
        dropout,
        tied,
    });
    prop_oneof![
        select(vec![NetName::FashionMNISTCNN, NetName::LeNet5, NetName::MNISTCNN])
            .prop_map(|net| (NetworkConfig::Named(net), DatasetName::FashionMnistMini)),
        select(NetName::ALL.to_vec()).prop_flat_map(|net| {
            let fitting: Vec<_> = DatasetName::ALL.into_iter().filter(|set| set.sample_kind() == net.sample_kind()).collect();
            select(fitting).prop_map(move |set| (NetworkConfig::Named(net), set))
        }),
        lstm.prop_map(|lstm| (NetworkConfig::Lstm { lstm }, DatasetName::Shakespeare)),
        path().prop_map(|torchscript| (NetworkConfig::TorchScript { torchscript }, DatasetName::Cifar10)),
    ]
}

fn resources() -> impl Strategy<Value = Resources> {
    let quantity = || select(vec!["500m", "1", "2.5", "1e3", "1E3", "1Gi", ".5Ti"]).prop_map(|text| text.parse().expect("a quantity"));
    let pod = (quantity(), quantity()).prop_map(|(cores, memory)| PodResources { cores, memory });
    (pod.clone(), pod).prop_map(|(master, worker)| Resources { master, worker: Some(worker) })
}

fn task() -> impl Strategy<Value = Task> {
    let loss = select(vec![LossName::CrossEntropyLoss, LossName::NLLLoss, LossName::MultiMarginLoss]);
    let numbers = (1..100u32, 1..16u32, option::of(0.001..1.0f64), vec(0.001..1.0f64, 0..3));
    let training = (train(), option::of(train()));
    (network(), option::of(path()), loss, training, numbers, setting(), option::of(resources())).prop_map(
        |(
            (network, dataset),
            path,
            loss,
            (train, other),
            (checkpoint_every, threads, class_probability, priorities),
            mut setting,
            resources,
        )| {
            // Text has no labels to divide by.
            if let Setting::Federated(config) = &mut setting
                && dataset == DatasetName::Shakespeare
            {
                config.partition = PartitionConfig::NaturalId {};
            }
            if let Setting::Federated(config) = &mut setting
                && dataset == DatasetName::Cifar100
            {
                // The number of clients is a multiple of the classes, for the partitions that need it.
                config.clients *= 10;
            }
            // The batch norms of TorchScript modules can't be reached.
            if let Setting::Distributed(config) = &mut setting
                && matches!(network, NetworkConfig::TorchScript { .. })
            {
                config.sync_batch_norm = false;
            }
            // All ranks of one net must take the same steps.
            let other = match &setting {
                Setting::Distributed(_) => other.map(|other| TrainConfig { batch_size: other.batch_size, ..train.clone() }),
                Setting::Federated(_) => other,
            };
            let priorities = (0..).zip(priorities).map(|(priority, probability)| Priority { priority, probability }).collect();
            Task {
                name: "unnamed".into(),
                network,
                dataset: DatasetConfig { name: dataset, path },
                loss,
                train_other_role: other.filter(|other| *other != train),
                train,
                checkpoint_every,
                threads,
                setting,
                resources,
                labels: class_probability.map(|_| ("a: b".to_owned(), "1e3".to_owned())).into_iter().collect(),
                max_jobs: class_probability.map(|_| 7),
                class_probability,
                priorities,
            }
        },
    )
}

fn experiment() -> impl Strategy<Value = Experiment> {
    let stream = (any::<bool>(), any::<bool>(), 1..1_000_000_000u64);
    (proptest::collection::btree_set(any::<u64>(), 1..5), vec(task(), 1..4), option::of(stream)).prop_map(|(seeds, mut tasks, stream)| {
        for (index, task) in tasks.iter_mut().enumerate() {
            task.name = format!("task-{index}");
        }
        let stream = stream.map(|(parallel, preempt, millis)| StreamConfig {
            orchestrator: OrchestratorType::Batch,
            parallel,
            duration: Some(Duration::from_millis(millis)),
            policy: if preempt { PolicyName::FairShare } else { PolicyName::Priority },
            admission: if parallel { AdmissionConfig::Capacity {} } else { AdmissionConfig::MaxConcurrent { jobs: 3 } },
            backfill: parallel,
            trace: preempt.then(|| "a: b.csv".into()),
            max_jobs: parallel.then_some(9),
            namespace: Some("test".into()),
            image: None,
            groups: vec![ArrivalGroup {
                name: "1e5".into(),
                tasks: vec!["task-0".into()],
                gaps: Some(Gaps::Exponential { mean: Duration::from_millis(millis) }),
                preempt,
            }],
        });
        Experiment { name: "007".into(), seeds: seeds.into_iter().map(Seed).collect(), tasks, stream }
    })
}

proptest! {
    #[test]
    fn writing_and_reading_changes_nothing(experiment in experiment()) {
        let text = to_yaml(&experiment);
        let parsed = parse(&[SourceFile { name: "written.yaml".into(), text: text.clone() }], &[]);
        let parsed = parsed.map_err(|report| TestCaseError::fail(format!("{report}\n{text}")))?;
        prop_assert_eq!(parsed.experiment, experiment, "{}", text);
    }

    #[test]
    fn any_text_is_an_answer(text in "\\PC{0,200}") {
        let _ = parse(&[SourceFile { name: "any".into(), text }], &[]).map_err(|report| report.render(true));
    }

    #[test]
    fn any_damage_is_an_answer(
        which in 0..3usize,
        position in 0.0..1.0f64,
        len in 0..40usize,
        put in select(vec!["", "0", "-1", "[", "}", "\"", "null", "{}", "\n", "é", "1e999", ": ", "!a", "[[]]", "true"]),
    ) {
        let originals = [
            include_str!("../../../examples/stream.yaml"),
            include_str!("../../../configs/federated_tasks/example_arrival_config.json"),
            include_str!("../../../configs/seed_era/example_arrival_config.json"),
        ];
        let mut chars: Vec<char> = originals[which].chars().collect();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a position in a small text")]
        let start = (position * chars.len() as f64) as usize;
        let end = (start + len).min(chars.len());
        chars.splice(start..end, put.chars());
        let text: String = chars.into_iter().collect();
        match parse(&[SourceFile { name: "damaged".into(), text }], &[]) {
            Ok(parsed) => prop_assert!(!parsed.warnings.has_errors()),
            Err(report) => prop_assert!(report.has_errors() && !report.render(false).is_empty()),
        }
    }
}

#[test]
fn defaults_of_the_types_are_those_of_files() {
    let task = |optimizer: &str| {
        let text = format!(
            "{{ name: a, tasks: [{{ kind: distributed, network: LeNet5, dataset: mnist, distributed: {{ epochs: 1 }}, train: {{ optimizer: {optimizer} }} }}] }}"
        );
        parse(&[SourceFile { name: "a".into(), text }], &[]).unwrap_or_else(|report| panic!("{report}")).experiment.tasks.remove(0)
    };
    for optimizer in ["SGD", "Adam", "AdamW"] {
        let json = serde_json::json!({ "type": optimizer, "learning_rate": 0.1 });
        let expected: OptimizerConfig = serde_json::from_value(json.clone()).expect("the rest has defaults");
        assert_eq!(task(&json.to_string()).train.optimizer, expected);
    }
    let text = "{ name: a, tasks: [{ kind: distributed, network: { lstm: {} }, dataset: shakespeare, distributed: { epochs: 1 } }] }";
    let parsed = parse(&[SourceFile { name: "a".into(), text: text.into() }], &[]).unwrap_or_else(|report| panic!("{report}"));
    assert_eq!(parsed.experiment.tasks[0].network, NetworkConfig::Lstm { lstm: LstmConfig::default() });
}

/// Numbers beyond the range of a type are refused, or read with their value; a task never vanishes.
#[test]
fn enormous_numbers_make_no_task_vanish() {
    let task = |change: &str| {
        format!(
            "name: a\ntasks:\n  - kind: federated\n    network: FashionMNISTCNN\n    dataset: fashion-mnist\n    federated: {{ clients: 10, clients_per_round: 2, rounds: 5 }}\n{change}"
        )
    };
    let read = |text: &str| parse(&[SourceFile { name: "a.yaml".into(), text: text.into() }], &[]);
    let big = "100000000000000000000000";
    for change in [
        format!("    train: {{ optimizer: {{ type: SGD, learning_rate: {big} }} }}\n"),
        format!("    train: {{ batch_size: {big} }}\n"),
        "    priorities: [{ priority: -3000000000, probability: 0.5 }]\n".to_owned(),
        format!("    checkpoint_every: -{big}\n"),
    ] {
        match read(&task(&change)) {
            Ok(parsed) => assert_eq!(parsed.experiment.tasks.len(), 1, "{change}"),
            Err(report) => assert!(report.has_errors(), "{change}"),
        }
    }
    assert!(read(&task("    priorities: [{ priority: -3000000000, probability: 0.5 }]\n")).is_err());
    assert!(read(&task(&format!("    train: {{ batch_size: {big} }}\n"))).is_err());
}

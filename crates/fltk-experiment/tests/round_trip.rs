//! Property tests: writing and reading any experiment gives the same experiment. Experiments are drawn from the catalogues, so that every
//! entry is tested here without a change.

use fltk_catalogue::catalogues;
use fltk_core::{
    catalogue::{
        AttackEntry, Catalogue, Choice, ClientCount, DatasetEntry, Entry, Kind, NetEntry, NetFacts, Parameter, PartitionerEntry, Preset,
        Range, SelectionSize, Tag, Value,
    },
    experiment::{
        ATTACK_FRACTION, AdmissionConfig, ArrivalGroup, ClientFigure, ClientGroup, Clock, CrashConfig, DatasetConfig, DistributedConfig,
        DrawnFor, Duration, Epochs, Experiment, FaultsConfig, FederatedConfig, Gaps, GradientCompression, NetworkConfig, OrchestratorType,
        ParticipationConfig, PodResources, PolicyName, Priority, Resources, ScheduleUnit, SchedulerConfig, Setting, SimulationConfig,
        StreamConfig, Task, TaskKind, TrainConfig, Training, WorkConfig, WorkUnit,
    },
    seed::Seed,
};
use fltk_experiment::{SourceFile, parse, to_yaml};
use proptest::{collection::vec, option, prelude::*, sample::select};

/// The magnitude of numbers whose range has no bound.
const UNBOUNDED: f64 = 1e9;

/// Numbers of the range: its bounds, numbers close to the lower one, and any others with all the digits of a float.
fn number(range: Range) -> BoxedStrategy<f64> {
    let low = range.min.map_or(-UNBOUNDED, |(min, _)| min);
    let high = range.max.map_or(low.abs() + UNBOUNDED, |(max, _)| max);
    let included = [range.min, range.max].into_iter().flatten().filter(|(_, is_excluded)| !is_excluded).map(|(bound, _)| bound);
    let marked: Vec<f64> = included.chain([f64::midpoint(low, high)]).collect();
    let close = (1e-12..1e-3f64).prop_map(move |distance| low + distance);
    prop_oneof![select(marked), close, low..=high].prop_filter("a number of the range", move |number| range.contains(*number)).boxed()
}

/// Values of the parameter's type and range.
fn value(parameter: &Parameter) -> BoxedStrategy<Value> {
    match parameter.kind {
        Kind::Number(range) => number(range).prop_map(Value::Number).boxed(),
        // Equal bounds of two parameters are drawn often, since some entries need two equal values.
        Kind::Whole { min, max } => prop_oneof![Just(min), Just(max), min..=max].prop_map(Value::Whole).boxed(),
        Kind::Word(words) => select(words).prop_map(Value::from).boxed(),
        Kind::Switch => any::<bool>().prop_map(Value::Switch).boxed(),
        Kind::Numbers { count_min, count_max, each } => {
            vec(number(each), count_min..=count_max.min(count_min + 4)).prop_map(Value::Numbers).boxed()
        }
        Kind::Wholes { count_min, count_max, min, max } => {
            vec(prop_oneof![Just(max), min..=max], count_min..=count_max.min(5)).prop_map(Value::Wholes).boxed()
        }
        Kind::Text => "[a-z _-]{0,12}".prop_map(|text| Value::from(text.as_str())).boxed(),
        Kind::Path => path().prop_map(|path| Value::Path(path.into())).boxed(),
        Kind::Choice { tag, entries, .. } => {
            let named = if tag == Tag::Law { Choice::law } else { Choice::new };
            select(entries).prop_flat_map(move |entry| with_values(named(entry.name), entry)).prop_map(Value::from).boxed()
        }
    }
}

/// `choice` with a value for every required parameter of its entry, and for any of the others.
fn with_values(choice: Choice, entry: &'static Entry) -> BoxedStrategy<Choice> {
    let given = entry.parameters.iter().fold(Just(choice).boxed(), |choice, parameter| {
        let value = match parameter.preset {
            Preset::Required => value(parameter).prop_map(Some).boxed(),
            Preset::Value(_) | Preset::Changed { .. } => option::of(value(parameter)).boxed(),
        };
        let add = |(choice, value): (Choice, Option<Value>)| match value {
            Some(value) => choice.with(parameter.name, value),
            None => choice,
        };
        (choice, value).prop_map(add).boxed()
    });
    given.prop_filter("values that fit together", |choice| (entry.check)(choice).is_ok()).boxed()
}

/// Any entry of a catalogue, with any values.
fn any_of<T: AsRef<Entry>>(catalogue: &'static Catalogue<T>) -> impl Strategy<Value = Choice> {
    select(catalogue.iter().map(AsRef::as_ref).collect::<Vec<_>>()).prop_flat_map(|entry| with_values(Choice::new(entry.name), entry))
}

/// Returns `strategy` with values that fit the rounds of a task; another strategy if none do.
fn fitting(strategy: &Choice, config: &FederatedConfig) -> Choice {
    let entry = catalogues().strategies.get(strategy.name()).expect("it was drawn from the catalogue");
    let fits = |choice: &Choice| {
        let config = FederatedConfig { strategy: choice.clone(), ..config.clone() };
        let enough = [config.clients_per_round, config.min_updates(entry)].iter().all(|&num| (entry.cohort)(choice, num).is_ok());
        enough && entry.buffer.is_none_or(|buffer| buffer(choice) <= config.clients.num())
    };
    let with = |name: &str, value: Value| if strategy.get(name).is_some() { strategy.clone().with(name, value) } else { strategy.clone() };
    let smaller = |f: u32| {
        let smaller = with("f", f.into());
        if smaller.get("m").is_some() { smaller.with("m", 1) } else { smaller }
    };
    let mut choices = [strategy.clone(), with("beta", 0.45.into()), smaller(2), smaller(1), smaller(0)].into_iter();
    choices.find(fits).unwrap_or_else(|| Choice::new("Median"))
}

/// Returns the selection of `config` with values that fit its clients, or the one that its strategy needs.
fn fitting_selection(config: &FederatedConfig) -> Choice {
    if let Some(needed) = catalogues().strategies.get(config.strategy.name()).and_then(|strategy| strategy.selection) {
        return Choice::new(needed);
    }
    let entry = catalogues().selections.get(config.selection.name()).expect("it was drawn from the catalogue");
    if is_asynchronous(config) && !entry.is_one_by_one {
        return Choice::new("weighted");
    }
    let size = SelectionSize { selected: config.num_selected(), clients: config.clients.num().into() };
    let fits = |choice: &Choice| (entry.fits)(choice, size).is_ok();
    let with = |name: &str, value: Value| {
        if config.selection.get(name).is_some() { config.selection.clone().with(name, value) } else { config.selection.clone() }
    };
    let mut choices = [config.selection.clone(), with("candidates", config.clients.num().into())].into_iter();
    choices.find(fits).unwrap_or_else(|| Choice::new("random"))
}

fn is_asynchronous(config: &FederatedConfig) -> bool {
    catalogues().strategies.get(config.strategy.name()).is_some_and(|strategy| strategy.buffer.is_some())
}

/// Returns the law, or another one if its values contradict each other.
fn fitting_law(law: Choice, catalogue: &'static Catalogue, otherwise: &Choice) -> Choice {
    let entry = catalogue.get(law.name()).expect("it was drawn from the catalogue");
    let settled = law.clone().settled(entry).expect("its values were drawn from their ranges");
    if (entry.check)(&settled).is_ok() { law } else { otherwise.clone() }
}

fn simulation() -> impl Strategy<Value = SimulationConfig> {
    let all = catalogues();
    let laws = (any_of(&all.devices), any_of(&all.links), any_of(&all.availability));
    (laws, any::<[bool; 2]>(), 0..100_000u64).prop_map(|((devices, network, availability), [is_virtual, imposes], server)| {
        SimulationConfig {
            impose_links: imposes && !is_virtual && network.name() != "instant",
            clock: if is_virtual { Clock::Virtual } else { Clock::Wall },
            devices: fitting_law(devices, &catalogues().devices, &Choice::new("constant").with("ms_per_sample", 2.5)),
            network: fitting_law(network, &catalogues().links, &Choice::new("instant")),
            availability,
            server: Duration::from_millis(server),
        }
    })
}

fn train() -> impl Strategy<Value = TrainConfig> {
    let scheduler = (1..1000u32, 0.001..1.0f64, any::<bool>());
    (1..1000u32, 1..5000u32, any::<bool>(), any_of(&catalogues().optimizers), option::of(scheduler)).prop_map(
        |(batch_size, test_batch_size, drop_last, optimizer, scheduler)| {
            let mut train = TrainConfig { batch_size, test_batch_size, drop_last, optimizer, scheduler: None };
            train.scheduler = scheduler.map(|(step_size, gamma, floor)| SchedulerConfig {
                step_size,
                gamma,
                minimum_learning_rate: if floor { train.learning_rate() / 2.0 } else { 0.0 },
                unit: ScheduleUnit::Epoch,
            });
            train
        },
    )
}

/// Any partition that fits the data set, with a number of clients that fits both.
fn partition(dataset: &'static DatasetEntry) -> impl Strategy<Value = (Choice, u32)> {
    let fits = |partitioner: &&PartitionerEntry| {
        (!partitioner.needs_labels || dataset.num_classes().is_some())
            && (!partitioner.needs_natural_clients || dataset.has_natural_clients)
    };
    let fitting: Vec<_> = catalogues().partitioners.iter().filter(fits).collect();
    select(fitting).prop_flat_map(|partitioner| (with_values(Choice::new(partitioner.entry.name), &partitioner.entry), 1..=10u32)).prop_map(
        |(mut choice, tens)| {
            let partitioner = catalogues().partitioners.get(choice.name()).expect("it was drawn from the catalogue");
            let classes = dataset.num_classes().unwrap_or(1);
            let clients = match partitioner.clients {
                ClientCount::Any => tens * 10,
                ClientCount::MultipleOfClasses => tens * classes,
                ClientCount::AtMostClasses => tens.min(classes),
            };
            let samples = dataset.num_train.map_or(u32::MAX, |num_train| num_train / clients);
            for (parameter, max) in [(partitioner.classes_per_client, classes), (partitioner.samples_per_client, samples)] {
                if let Some(parameter) = parameter.filter(|parameter| parameter.of(&choice) > max) {
                    let count = parameter.of(&choice) % max + 1;
                    choice = choice.with(parameter.name(), count);
                }
            }
            if let Some(parameter) = partitioner.client_sizes {
                let sizes = parameter.of(&choice);
                let size = |client: u32| sizes.get(client as usize).map_or(1, |size| size % 5 + 1);
                choice = choice.with(parameter.name(), (0..clients).map(size).collect::<Vec<u32>>());
            }
            (choice, clients)
        },
    )
}

fn federated(dataset: &'static DatasetEntry) -> impl Strategy<Value = Setting> {
    let choices = (any_of(&catalogues().strategies), any_of(&catalogues().selections));
    let who = (option::of((1..=10u32, option::of(1..100_000u64), 0.0..=1.0f64)), option::of(faults(dataset)), option::of(simulation()));
    (partition(dataset), 1..=10u32, 1..1000u32, 1..20u32, choices, (1..10u32, 0.0..100.0f64), who).prop_map(
        move |(
            (partition, clients),
            clients_per_round,
            rounds,
            epochs_per_round,
            (strategy, selection),
            (evaluate_every, noise),
            (who, faults, simulation),
        )| {
            // Text has no noise.
            let feature_noise = if dataset.num_classes().is_some() { noise } else { 0.0 };
            let clients_per_round = clients_per_round.min(clients);
            let participation = who.map(|(min_updates, millis, share)| ParticipationConfig {
                min_updates: min_updates.min(clients_per_round),
                deadline: millis.map(Duration::from_millis),
                over_select: (share * f64::from(clients - clients_per_round) / f64::from(clients_per_round)).min(100.0),
            });
            // Whole numbers, halves, and steps instead.
            let steps_per_round = (epochs_per_round > 15).then_some(epochs_per_round.into());
            let epochs_per_round = if steps_per_round.is_some() { Epochs(1.0) } else { Epochs(f64::from(epochs_per_round) / 2.0) };
            let work = (steps_per_round.is_none() && rounds % 3 == 0).then(|| WorkConfig {
                min: epochs_per_round,
                max: Epochs(epochs_per_round.0 + 1.0),
                mean: (rounds % 2 == 0).then_some(epochs_per_round.0 + 0.5),
                deviation: (rounds % 2 == 0).then_some(1.0),
                unit: WorkUnit::Epochs,
                each: if rounds % 5 == 0 { DrawnFor::Round } else { DrawnFor::Client },
            });
            let epochs_per_round = (work.is_none() && steps_per_round.is_none()).then_some(epochs_per_round);
            let group = ClientGroup {
                clients: "0".to_owned(),
                epochs_per_round: Some(Epochs(0.5)),
                steps_per_round: None,
                learning_rate: Some(0.1),
            };
            // Fractions that leave every client a test sample to be evaluated on, now and then.
            let client_test_fraction = (rounds % 4 == 0).then_some(noise / 101.0).filter(|fraction| *fraction > 0.0);
            let figures = [ClientFigure::Samples, ClientFigure::Accuracy, ClientFigure::Loss];
            let groups = if rounds % 7 == 0 { vec![group] } else { Vec::new() };
            let mut config = FederatedConfig {
                epochs_per_round,
                steps_per_round,
                work,
                groups,
                evaluate_every,
                feature_noise,
                partition,
                selection,
                client_test_fraction,
                client_test_every: client_test_fraction.map(|_| evaluate_every + 1),
                client_figures: client_test_fraction.map(|_| figures[..rounds as usize / 4 % 4].to_vec()),
                participation,
                faults,
                simulation,
                ..FederatedConfig::new(clients, clients_per_round, rounds)
            };
            config.strategy = fitting(&strategy, &config);
            if is_asynchronous(&config) {
                config.participation = None;
                let is_concerted = |attack: &Choice| catalogues().attacks.get(attack.name()).is_some_and(|attack| attack.is_concerted);
                config.faults =
                    config.faults.map(|faults| FaultsConfig { attack: faults.attack.filter(|attack| !is_concerted(attack)), ..faults });
            }
            config.selection = fitting_selection(&config);
            // Turns and files of clients are for clients that are always there.
            let needs_everybody = catalogues().selections.get(config.selection.name()).is_some_and(|selection| selection.needs_everybody);
            if let Some(simulation) = config.simulation.as_mut().filter(|_| needs_everybody) {
                simulation.availability = Choice::new("always");
            }
            // A file gives no more clients than count.
            if config.selection.name() == "file" {
                config.participation = config.participation.map(|who| ParticipationConfig { over_select: 0.0, ..who });
            }
            Setting::Federated(config)
        },
    )
}

/// Any faults that leave somebody, and that some client has, however few there are.
fn faults(dataset: &'static DatasetEntry) -> impl Strategy<Value = FaultsConfig> {
    let fits = |attack: &&AttackEntry| !attack.needs_labels || dataset.num_classes().is_some();
    let fitting: Vec<_> = catalogues().attacks.iter().filter(fits).collect();
    let attack = select(fitting).prop_flat_map(|attack| with_values(Choice::new(attack.entry.name), &attack.entry));
    let attack = (attack, 0.5..=1.0f64).prop_map(|(attack, fraction)| attack.with(ATTACK_FRACTION.parameter().name, fraction));
    (0.0..0.9f64, option::of(0.5..=1.0f64), option::of(attack)).prop_map(|(drop_out, crash, attack)| {
        let crash = crash.map(|fraction| CrashConfig { fraction, first_round: 1, last_round: None });
        FaultsConfig { drop_out, crash, attack }
    })
}

fn distributed() -> impl Strategy<Value = Setting> {
    let numbers = (1..1000u32, 1..100u32, 0..10u32);
    (numbers, any::<[bool; 3]>(), 1..10_000_000u64, option::of(1..9000u32)).prop_map(
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
        },
    )
}

/// Paths as users have them: with spaces, quotes, colons, and text that YAML might misread.
fn path() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ -~]{0,20}[!-~]",
        "\\PC{1,12}[a-z]",
        select(vec!["no", "1e3", "null", "~", "- a", "a: b", "'", "#x"]).prop_map(str::to_owned)
    ]
}

/// Any net, in each form that a file can have it in, or a TorchScript module; with a data set that it can be trained with.
fn network() -> impl Strategy<Value = (NetworkConfig, &'static DatasetEntry)> {
    let of_catalogue = select(catalogues().nets.iter().collect::<Vec<_>>()).prop_flat_map(|net| {
        let fitting: Vec<_> = catalogues().datasets.iter().filter(|dataset| net.takes.contains(dataset.gives)).collect();
        (net_of(net), select(fitting))
    });
    let torchscript = path().prop_map(|torchscript| NetworkConfig::TorchScript { torchscript });
    prop_oneof![
        9 => of_catalogue,
        1 => (torchscript, select(catalogues().datasets.iter().collect::<Vec<_>>())),
    ]
}

fn net_of(entry: &'static NetEntry) -> impl Strategy<Value = NetworkConfig> {
    (with_values(Choice::new(entry.entry.name), &entry.entry), any::<bool>()).prop_map(|(net, in_block)| match entry.block {
        Some(key) if in_block => NetworkConfig::Block { key: key.to_owned(), net },
        _ => NetworkConfig::Named(net),
    })
}

/// The data set with natural clients for every number that [`partition`] draws.
fn data_of(dataset: &'static DatasetEntry) -> Choice {
    let named = Choice::dataset(dataset.entry.name);
    let data = dataset.natural_clients.map_or(named.clone(), |clients| named.with(clients.name(), 12_345));
    data.settled(&dataset.entry).expect("possible")
}

fn resources() -> impl Strategy<Value = Resources> {
    let quantity = || select(vec!["500m", "1", "2.5", "1e3", "1E3", "1Gi", ".5Ti"]).prop_map(|text| text.parse().expect("a quantity"));
    let pod = (quantity(), quantity()).prop_map(|(cores, memory)| PodResources { cores, memory });
    (pod.clone(), pod).prop_map(|(master, worker)| Resources { master, worker: Some(worker) })
}

fn task() -> impl Strategy<Value = Task> {
    network().prop_flat_map(|(network, dataset)| {
        let setting = prop_oneof![distributed(), federated(dataset)];
        task_of(network, dataset, setting)
    })
}

fn task_of(network: NetworkConfig, dataset: &'static DatasetEntry, setting: impl Strategy<Value = Setting>) -> impl Strategy<Value = Task> {
    let loss = select(catalogues().losses.names().collect::<Vec<_>>());
    let numbers = (1..100u32, 1..16u32, option::of(0.001..1.0f64), vec(0.001..1.0f64, 0..3));
    let training = (train(), option::of(train()));
    (Just(network), option::of(path()), loss, training, numbers, setting, option::of(resources())).prop_map(
        move |(
            network,
            path,
            loss,
            (mut train, mut other),
            (checkpoint_every, threads, class_probability, priorities),
            mut setting,
            resources,
        )| {
            // A schedule can't count epochs that aren't the same for all clients.
            if matches!(&setting, Setting::Federated(config) if config.epochs_per_round.is_none() || !config.groups.is_empty()) {
                for scheduler in std::iter::once(&mut train).chain(&mut other).filter_map(|train| train.scheduler.as_mut()) {
                    scheduler.unit = ScheduleUnit::Round;
                }
            }
            // The batch norms of TorchScript modules can't be reached.
            if let Setting::Distributed(config) = &mut setting
                && matches!(network, NetworkConfig::TorchScript { .. })
            {
                config.sync_batch_norm = false;
            }
            // Some strategies need a net with batch norms, or with several layers.
            if let Setting::Federated(config) = &mut setting {
                let facts = match network.net() {
                    Some(net) => catalogues().nets.get(net.name()).expect("it was drawn from the catalogue").facts(net),
                    None => NetFacts { num_layers: None, has_batch_norms: false, is_module: true },
                };
                let strategy = catalogues().strategies.get(config.strategy.name()).expect("it was drawn from the catalogue");
                if (strategy.net)(&config.strategy, &facts).is_err() {
                    config.strategy = Choice::new("Median");
                }
            }
            // All ranks of one net must take the same steps.
            let other = match &setting {
                Setting::Distributed(_) => other.map(|other| TrainConfig { batch_size: other.batch_size, ..train.clone() }),
                Setting::Federated(_) => other,
            };
            // A role that says nothing of a parameter has the value that the task has.
            let other = other.map(with_defaults).filter(|other| *other != with_defaults(train.clone()));
            let priorities = (0..).zip(priorities).map(|(priority, probability)| Priority { priority, probability }).collect();
            let training = Training {
                network,
                dataset: DatasetConfig { data: data_of(dataset), path: path.filter(|_| dataset.has_files) },
                loss: loss.to_owned(),
                train_other_role: other,
                train,
                checkpoint_every,
                threads,
                setting,
            };
            Task {
                name: "unnamed".parse().expect("a name"),
                kind: TaskKind::Training(training),
                resources,
                labels: class_probability.map(|_| ("a: b".to_owned(), "1e3".to_owned())).into_iter().collect(),
                max_jobs: class_probability.map(|_| 7),
                class_probability,
                priorities,
            }
        },
    )
}

fn with_defaults(mut train: TrainConfig) -> TrainConfig {
    settle(&mut train.optimizer, &catalogues().optimizers);
    TrainConfig { optimizer: train.optimizer.with_newest_defaults(), ..train }
}

fn settle<T: AsRef<Entry>>(choice: &mut Choice, catalogue: &Catalogue<T>) {
    *choice = catalogue.settle(choice.clone()).expect("values that were drawn from the entry");
}

/// Returns the experiment with a value for every parameter of its choices, as reading gives it. The name of a net alone stays one,
/// unless its meaning depends on who wrote the file.
fn settled(mut experiment: Experiment) -> Experiment {
    for task in experiment.tasks.iter_mut().filter_map(Task::training_mut) {
        match &mut task.network {
            NetworkConfig::Named(net) if net.is_bare() => {
                let full = catalogues().nets.settle(net.clone()).expect("a net without required parameters");
                if full.is_open() {
                    *net = full;
                }
            }
            NetworkConfig::Named(net) | NetworkConfig::Block { net, .. } => settle(net, &catalogues().nets),
            NetworkConfig::TorchScript { .. } | NetworkConfig::Python(_) => {}
        }
        settle(&mut task.train.optimizer, &catalogues().optimizers);
        if let Setting::Federated(config) = &mut task.setting {
            settle(&mut config.partition, &catalogues().partitioners);
            settle(&mut config.selection, &catalogues().selections);
            settle(&mut config.strategy, &catalogues().strategies);
            if let Some(attack) = config.faults.as_mut().and_then(|faults| faults.attack.as_mut()) {
                settle(attack, &catalogues().attacks);
            }
            if let Some(simulation) = &mut config.simulation {
                settle(&mut simulation.devices, &catalogues().devices);
                settle(&mut simulation.network, &catalogues().links);
                settle(&mut simulation.availability, &catalogues().availability);
            }
        }
    }
    experiment
}

fn experiment() -> impl Strategy<Value = Experiment> {
    let stream = (any::<bool>(), any::<bool>(), 1..1_000_000_000u64);
    (proptest::collection::btree_set(any::<u64>(), 1..5), vec(task(), 1..4), option::of(stream)).prop_map(|(seeds, mut tasks, stream)| {
        for (index, task) in tasks.iter_mut().enumerate() {
            task.name = format!("task-{index}").parse().expect("a name");
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
        Experiment { name: "007".parse().expect("a name"), seeds: seeds.into_iter().map(Seed).collect(), tasks, stream }
    })
}

proptest! {
    #[test]
    fn round_trip_only_fills_in_defaults(short in experiment()) {
        let full = settled(short.clone());
        // A default that has changed stays open where the file leaves it out, and is written as the newest.
        for (written, expected) in [(short, full.clone()), (full.clone(), full.with_newest_defaults())] {
            let text = to_yaml(&written);
            let parsed = parse(&[SourceFile { name: "written.yaml".into(), text: text.clone() }], &[], catalogues());
            let parsed = parsed.map_err(|report| TestCaseError::fail(format!("{report}\n{text}")))?;
            prop_assert_eq!(parsed.experiment, expected, "{}", text);
        }
    }

    #[test]
    fn arbitrary_texts_never_panic(text in "\\PC{0,200}") {
        let _ = parse(&[SourceFile { name: "any".into(), text }], &[], catalogues()).map_err(|report| report.render(true));
    }

    #[test]
    fn damaged_files_never_panic(
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
        match parse(&[SourceFile { name: "damaged".into(), text }], &[], catalogues()) {
            Ok(parsed) => prop_assert!(!parsed.warnings.has_errors()),
            Err(report) => prop_assert!(report.has_errors() && !report.render(false).is_empty()),
        }
    }
}

#[test]
fn empty_block_of_a_net_has_its_defaults() {
    let mut num_blocks = 0;
    for net in catalogues().nets.iter() {
        let Some(block) = net.block else { continue };
        let dataset = catalogues().datasets.iter().find(|dataset| net.takes.contains(dataset.gives)).expect("every net has a data set");
        let text = format!(
            "{{ name: a, tasks: [{{ kind: distributed, network: {{ {block}: {{}} }}, dataset: {}, distributed: {{ epochs: 1 }} }}] }}",
            dataset.entry.name
        );
        let parsed = parse(&[SourceFile { name: "a".into(), text }], &[], catalogues()).unwrap_or_else(|report| panic!("{report}"));
        let expected = catalogues().nets.settle(Choice::new(net.entry.name)).expect("every parameter has a default");
        assert_eq!(
            parsed.experiment.tasks[0].training().expect("it trains").network,
            NetworkConfig::Block { key: block.to_owned(), net: expected }
        );
        num_blocks += 1;
    }
    assert!(num_blocks > 0);
}

/// Numbers beyond the range of a type are refused, or read with their value; a task never vanishes.
#[test]
fn enormous_numbers_keep_every_task() {
    let task = |change: &str| {
        format!(
            "name: a\ntasks:\n  - kind: federated\n    network: FashionMNISTCNN\n    dataset: fashion-mnist\n    federated: {{ clients: 10, clients_per_round: 2, rounds: 5 }}\n{change}"
        )
    };
    let read = |text: &str| parse(&[SourceFile { name: "a.yaml".into(), text: text.into() }], &[], catalogues());
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

#[test]
fn nets_in_python_keep_their_environment() {
    for environment in ["", ", environment: .venv"] {
        let text = format!(
            "name: x\ntasks: [{{ kind: federated, network: {{ python: \"a:b/model.py:Own\"{environment} }}, dataset: mnist, federated: {{ clients: 3, clients_per_round: 2, rounds: 1 }} }}]"
        );
        let read = |text: String| parse(&[SourceFile { name: "x.yaml".into(), text }], &[], catalogues()).expect("it is valid").experiment;
        let experiment = read(text);
        let net = experiment.tasks[0].training().expect("it trains").network.python().expect("it is in Python");
        assert_eq!((net.parts(), net.environment.is_some()), (Some(("a:b/model.py", "Own")), !environment.is_empty()));
        assert_eq!(read(to_yaml(&experiment)), experiment);
    }
}

#[test]
fn strategies_in_python_keep_their_environment() {
    for environment in [None, Some(".venv")] {
        let more = environment.map_or_else(String::new, |path| format!(", environment: {path}"));
        let text = format!(
            "name: x\ntasks: [{{ kind: federated, network: LeNet5, dataset: mnist, federated: {{ clients: 3, clients_per_round: 2, rounds: 1, strategy: {{ python: \"a:b/mine.py:Mine\"{more} }} }} }}]"
        );
        let read = |text: String| parse(&[SourceFile { name: "x.yaml".into(), text }], &[], catalogues()).expect("it is valid");
        let parsed = read(text);
        let strategy = parsed.experiment.tasks[0].strategy().expect("it is federated");
        assert_eq!((strategy.code(), strategy.environment()), (Some(("a:b/mine.py", "Mine")), environment));
        assert_eq!(parsed.experiment.tasks[0].files(), [("federated.strategy.python".to_owned(), "a:b/mine.py")]);
        assert_eq!(parsed.file_places[0].setting, "federated.strategy.python");
        assert_eq!(read(to_yaml(&parsed.experiment)).experiment, parsed.experiment);
    }
}

//! Properties of every partition, over random data sets, numbers of clients and parameters.

use std::{collections::BTreeSet, path::Path};

use fltk_core::{
    catalogue::{Choice, ClientCount, Entry, PartitionerEntry, Value, Whole},
    experiment::DatasetConfig,
    seed::Seed,
};
use fltk_data::{
    Locations, load,
    partition::{CATALOGUE, CLIENTS_MAX, PartitionError, Partitioner, Request, UserFile, entries, file_of, partition},
};
use proptest::prelude::*;

/// Labels of `per_class` samples of each class, with classes in turn.
fn balanced(num_classes: usize, per_class: usize) -> Vec<u16> {
    (0..num_classes * per_class).map(|index| (index % num_classes) as u16).collect()
}

fn divide(labels: &[u16], num_classes: usize, clients: u32, config: &Choice, seed: u64) -> Result<Vec<Vec<u32>>, PartitionError> {
    let natural: Vec<u32> = labels.iter().map(|&label| 3 * u32::from(label)).collect();
    let text = text_for(config, labels.len(), num_classes, clients);
    let file = file_of(config).map(|_| UserFile { name: "given.json", text: &text });
    partition(labels, num_classes, Some(&natural), clients, config, file, Seed(seed))
}

/// A file that the partition can read, if it reads one.
fn text_for(config: &Choice, samples: usize, num_classes: usize, clients: u32) -> String {
    match config.name() {
        "file" => {
            let of_client = |client: u32| (client..samples as u32).step_by(clients as usize).collect::<Vec<u32>>();
            serde_json::json!({ "clients": (0..clients).map(of_client).collect::<Vec<_>>() }).to_string()
        }
        "distribution" => {
            let row = |client: u32| (0..num_classes).map(move |class| (class + client as usize) % 3).map(|share| share as f64 / 2.0);
            let shares: Vec<Vec<f64>> = (0..clients).map(|client| row(client).collect()).collect();
            serde_json::json!({ "shares": shares }).to_string()
        }
        _ => String::new(),
    }
}

/// The partition with sizes for its clients, if it needs them.
fn with_sizes(config: Choice, samples: usize, clients: u32) -> Choice {
    match config.name() {
        "sizes" | "inner_dirichlet" => {
            let largest = (samples as u32 / clients.max(1)).max(1);
            config.with("sizes", (0..clients).map(|client| largest - client % largest).collect::<Vec<u32>>())
        }
        _ => config,
    }
}

fn classes_of(part: &[u32], labels: &[u16]) -> BTreeSet<u16> {
    part.iter().map(|&index| labels[index as usize]).collect()
}

fn power_law(exponent: f64) -> Choice {
    Choice::law("power_law").with("exponent", exponent)
}

fn skews() -> impl Strategy<Value = Choice> {
    prop_oneof![
        Just(Choice::law("linear")),
        Just(Choice::law("square")),
        Just(Choice::law("exponential")),
        (0.1..5.0f64).prop_map(power_law),
    ]
}

fn dirichlet(alpha: f64, min_samples: u32) -> Choice {
    Choice::new("dirichlet").with("alpha", alpha).with("min_samples", min_samples)
}

fn limit_labels(limit: u32) -> Choice {
    Choice::new("limit_labels").with("limit", limit)
}

fn n_labels(n: u32) -> Choice {
    Choice::new("n_labels").with("n", n)
}

fn pathological(classes_per_client: u32) -> Choice {
    Choice::new("pathological").with("classes_per_client", classes_per_client)
}

fn q_sampler(q: f64) -> Choice {
    Choice::new("q_sampler").with("q", q)
}

fn shard(shards_per_client: u32) -> Choice {
    Choice::new("shard").with("shards_per_client", shards_per_client)
}

fn quantity_skew(skew: Choice) -> Choice {
    Choice::new("quantity_skew").with("skew", skew)
}

fn of_version_1(config: Choice) -> Choice {
    config.with("version", 1u32)
}

/// Any version, or none.
fn of_any_version(config: Choice) -> impl Strategy<Value = Choice> {
    prop_oneof![Just(config.clone()), Just(of_version_1(config.clone())), Just(config.with("version", 2u32))]
}

fn configs() -> impl Strategy<Value = Choice> {
    prop_oneof![
        Just(Choice::new("uniform")),
        (0.0..=1.0f64).prop_map(q_sampler),
        (0..12u32).prop_map(limit_labels).prop_flat_map(of_any_version),
        Just(Choice::new("limit_labels_flex")),
        (0..12u32).prop_map(n_labels).prop_flat_map(of_any_version),
        (0.01..20.0f64, 0..3u32).prop_map(|(alpha, min_samples)| dirichlet(alpha, min_samples)).prop_flat_map(of_any_version),
        (0..5u32).prop_map(shard),
        (0..12u32).prop_map(pathological).prop_flat_map(of_any_version),
        skews().prop_map(quantity_skew),
        Just(Choice::new("natural_id")),
        (0.001..20.0f64).prop_map(|alpha| Choice::new("client_dirichlet").with("alpha", alpha)),
        (0.001..20.0f64).prop_map(|alpha| Choice::new("inner_dirichlet").with("alpha", alpha)),
        (0..3u32).prop_map(|least| Choice::new("distribution").with("path", "given.json").with("min_per_class", least)),
        Just(Choice::new("sizes")),
        Just(Choice::new("file").with("path", "given.json")),
        (1..4u32, prop::sample::select(vec!["smaller", "bigger", "drop", "strict"]), any::<bool>()).prop_map(
            |(size, remainder, shuffle)| {
                Choice::new("grouped_natural_id").with("group_size", size).with("remainder", remainder).with("shuffle", shuffle)
            }
        ),
    ]
}

/// True if the partition may leave samples out, according to its docs.
fn may_be_incomplete(config: &Choice) -> bool {
    ["pathological", "natural_id", "sizes", "inner_dirichlet", "distribution", "grouped_natural_id"].contains(&config.name())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn partitions_are_disjoint_complete_and_repeatable(
        labels in prop::collection::vec(0..6u16, 0..400),
        clients in 0..25u32,
        config in configs(),
        seed: u64,
    ) {
        let config = with_sizes(config, labels.len(), clients);
        let Ok(parts) = divide(&labels, 6, clients, &config, seed) else { return Ok(()) };
        prop_assert_eq!(parts.len(), clients as usize);
        prop_assert_eq!(&parts, &divide(&labels, 6, clients, &config, seed).expect("as before"));
        for part in &parts {
            prop_assert!(part.is_sorted());
        }
        let mut all = parts.concat();
        let assigned = all.len();
        all.sort_unstable();
        all.dedup();
        prop_assert_eq!(all.len(), assigned, "a sample of two clients");
        prop_assert!(all.iter().all(|&index| (index as usize) < labels.len()));
        if !may_be_incomplete(&config) {
            prop_assert_eq!(assigned, labels.len());
        }
    }

    #[test]
    fn limit_labels_gives_exactly_the_limit_of_classes(classes in 1..8usize, groups in 1..5usize, limit in 1..8u32, seed: u64) {
        prop_assume!(limit as usize <= classes);
        let (clients, labels) = ((classes * groups) as u32, balanced(classes, 40));
        let parts = divide(&labels, classes, clients, &limit_labels(limit), seed).expect("possible");
        let sizes: Vec<usize> = parts.iter().map(Vec::len).collect();
        for part in &parts {
            prop_assert_eq!(classes_of(part, &labels).len(), limit as usize);
        }
        // Each of `limit` classes is cut into chunks that are equal up to one sample.
        prop_assert!(sizes.iter().max().expect("clients") - sizes.iter().min().expect("clients") <= limit as usize);
    }

    #[test]
    fn pathological_gives_exactly_the_given_number_of_classes(classes in 1..8usize, clients in 1..20u32, asked in 1..8u32, seed: u64) {
        prop_assume!(asked as usize <= classes);
        let labels = balanced(classes, 40);
        let parts = divide(&labels, classes, clients, &pathological(asked), seed).expect("possible");
        let held: BTreeSet<u16> = parts.iter().flat_map(|part| classes_of(part, &labels)).collect();
        prop_assert!(parts.iter().all(|part| classes_of(part, &labels).len() == asked as usize));
        prop_assert_eq!(parts.concat().len(), 40 * held.len(), "a class that has a holder is handed out whole");
    }

    #[test]
    fn n_labels_gives_n_classes_if_they_divide_evenly(classes in 1..8usize, times in 1..5usize, n in 1..8u32, seed: u64) {
        prop_assume!(n as usize <= classes);
        let (clients, labels) = ((classes * times) as u32, balanced(classes, 60));
        let parts = divide(&labels, classes, clients, &n_labels(n), seed).expect("possible");
        prop_assert!(parts.iter().all(|part| classes_of(part, &labels).len() == n as usize));
        let top: BTreeSet<u16> = (0..n as u16).map(|back| classes as u16 - 1 - back).collect();
        prop_assert_eq!(classes_of(&parts[0], &labels), top, "client 0 takes from the end of the list");
    }

    #[test]
    fn limit_labels_flex_gives_each_client_its_own_classes(classes in 1..12usize, clients in 1..12u32, seed: u64) {
        prop_assume!(clients as usize <= classes);
        let labels = balanced(classes, 30);
        let parts = divide(&labels, classes, clients, &Choice::new("limit_labels_flex"), seed).expect("possible");
        let whole = |part: &Vec<u32>| (0..classes as u16).filter(|&class| part.iter().filter(|&&i| labels[i as usize] == class).count() == 30).count();
        let own = classes / clients as usize;
        prop_assert!(parts.iter().all(|part| whole(part) >= own));
        if classes % clients as usize == 0 {
            prop_assert!(parts.iter().all(|part| classes_of(part, &labels).len() == own));
        }
    }

    #[test]
    fn shards_bound_the_number_of_classes(clients in 1..20u32, shards_per_client in 1..5u32, seed: u64) {
        let labels = balanced(10, 50);
        let parts = divide(&labels, 10, clients, &shard(shards_per_client), seed).expect("possible");
        let shard = 500usize.div_ceil((clients * shards_per_client) as usize);
        // A shard of at most `shard` samples overlaps at most this many classes of 50.
        let classes_max = shards_per_client as usize * (shard.saturating_sub(2) / 50 + 2);
        prop_assert!(parts.iter().all(|part| classes_of(part, &labels).len() <= classes_max));
        let (least, most) = (parts.iter().map(Vec::len).min(), parts.iter().map(Vec::len).max());
        prop_assert!(most.expect("clients") - least.expect("clients") <= shards_per_client as usize);
    }

    #[test]
    fn skewed_sizes_follow_the_power_law(clients in 1..40u32, skew in skews(), seed: u64) {
        let total = 100_000usize;
        let parts = divide(&balanced(10, total / 10), 10, clients, &quantity_skew(skew.clone()), seed).expect("possible");
        let k = f64::from(clients);
        let weights: Vec<f64> = (0..clients).map(|client| {
            let place = f64::from(client) + 1.0;
            match (skew.name(), skew.get("exponent")) {
                ("linear", None) => place,
                ("square", None) => place.powi(2),
                ("exponential", None) => 10f64.powf((place - 1.0) / (k - 1.0).max(1.0)),
                ("power_law", Some(&Value::Number(exponent))) => place.powf(-exponent),
                other => panic!("no law: {other:?}"),
            }
        }).collect();
        let sum: f64 = weights.iter().sum();
        for (part, weight) in parts.iter().zip(weights) {
            prop_assert!(!part.is_empty());
            // Rounding moves 1; clients left empty by rounding take at most one each from the largest.
            prop_assert!((part.len() as f64 - total as f64 * weight / sum).abs() <= k + 1.0);
        }
    }
}

#[test]
fn uniform_parts_are_equal_and_hold_sample_0() {
    let labels = balanced(10, 101);
    let parts = divide(&labels, 10, 7, &Choice::new("uniform"), 1).expect("possible");
    assert!(parts.iter().all(|part| part.len() == 144 || part.len() == 145));
    assert!(parts.iter().any(|part| part.contains(&0)), "KFLTK loses sample 0");
    // There are 144 samples of 10 classes: about 14 each, and 5 standard deviations are 18.
    assert!(parts.iter().all(|part| classes_of(part, &labels).len() == 10));
}

#[test]
fn q_sampler_keeps_a_fraction_q_in_its_own_group() {
    let labels = balanced(10, 1000);
    for q in [0.0, 0.1, 0.5, 0.9, 1.0] {
        let parts = divide(&labels, 10, 20, &q_sampler(q), 7).expect("possible");
        let own = |client: usize| parts[client].iter().filter(|&&index| usize::from(labels[index as usize]) == client % 10).count();
        for class in 0..10 {
            let fraction = (own(class) + own(class + 10)) as f64 / 1000.0;
            let deviation = (q * (1.0 - q) / 1000.0).sqrt();
            assert!((fraction - q).abs() <= 5.0 * deviation, "q {q}, class {class}: {fraction}");
            assert!(parts[class].len().abs_diff(parts[class + 10].len()) <= 1, "a group is dealt evenly");
        }
    }
}

/// Chunks that are nearly equal for each class add up to equal sizes over all classes: no client is always among those that get one more.
#[test]
fn class_fractions_divide_evenly() {
    let sizes = |per_class, clients, config: &Choice| {
        let parts = divide(&balanced(10, per_class), 10, clients, config, 42).expect("possible");
        let (least, most) = (parts.iter().map(Vec::len).min(), parts.iter().map(Vec::len).max());
        (least.expect("clients"), most.expect("clients"))
    };
    // If each class were rounded on its own, 200 of 300 clients would get 10 samples, and 100 of them 20.
    for config in [dirichlet(1e6, 1), limit_labels(10), n_labels(10), pathological(10)] {
        assert_eq!(sizes(400, 300, &config), (13, 14), "{config:?}");
        assert_eq!(sizes(400, 300, &of_version_1(config.clone())), (10, 20), "{config:?}");
        for clients in [10, 30, 70, 110, 130, 290, 310, 390, 400] {
            let even = 4000 / clients as usize;
            let (least, most) = sizes(400, clients, &config);
            // With few clients, each has so many samples that the draws themselves differ slightly.
            let drawn = usize::from(config.name() == "dirichlet" && clients < 100) * 2;
            assert!(least + drawn >= even && most <= even + 1 + drawn, "{clients} clients, {config:?}: {least} to {most}");
        }
    }
    // There are more clients than samples of a class; rounding each class on its own left some clients without samples.
    assert_eq!(sizes(400, 500, &dirichlet(1e6, 1)), (8, 8));
    assert_eq!(sizes(400, 4000, &dirichlet(1e6, 1)), (1, 1));
    let refused = divide(&balanced(10, 400), 10, 500, &of_version_1(dirichlet(1e6, 1)), 42);
    assert!(matches!(refused, Err(PartitionError::NoLuck { .. })), "{refused:?}");
}

#[test]
fn dirichlet_ranges_from_one_class_to_uniform() {
    let labels = balanced(10, 1000);
    let divide = |alpha| divide(&labels, 10, 10, &dirichlet(alpha, 1), 3).expect("possible");
    for part in divide(100_000.0) {
        for class in 0..10 {
            let count = part.iter().filter(|&&index| labels[index as usize] == class).count();
            assert!((95..=105).contains(&count), "{count} of a class where 100 are expected");
        }
    }
    // At 0.05, a class goes almost entirely to one client: the largest shares of the classes are 90 % on average.
    let skewed = divide(0.05);
    let largest =
        |class| skewed.iter().map(|part| part.iter().filter(|&&index| labels[index as usize] == class).count()).max().unwrap_or(0);
    assert!((0..10).map(largest).sum::<usize>() > 7000);
}

#[test]
fn natural_clients_are_used_directly_or_sampled() {
    let labels = balanced(5, 4);
    let all = divide(&labels, 5, 5, &Choice::new("natural_id"), 1).expect("possible");
    assert_eq!(all[2], [2, 7, 12, 17]);
    let some = divide(&labels, 5, 2, &Choice::new("natural_id"), 1).expect("possible");
    assert!(some.len() == 2 && some.iter().all(|part| all.contains(part)) && some.is_sorted());
}

#[test]
fn impossible_combinations_are_refused() {
    let labels = balanced(10, 10);
    let check = |clients, config, expected: &str| {
        let error = divide(&labels, 10, clients, &config, 1).expect_err(expected).to_string();
        assert!(error.contains(expected), "`{error}` should contain `{expected}`");
    };
    check(0, Choice::new("uniform"), "at least 1 client");
    check(101, Choice::new("uniform"), "100 samples can't give 101 parts");
    check(15, q_sampler(0.5), "use 10 or 20 clients");
    check(10, q_sampler(f64::NAN), "`q` is NaN");
    check(10, q_sampler(1.1), "in 0..=1");
    check(7, limit_labels(5), "not 7\nhint: use 10 clients");
    check(10, limit_labels(11), "must be in 1..=10");
    check(10, limit_labels(0), "asks for 0 classes");
    check(100, limit_labels(2), "class 0 has 10 samples for 20 clients");
    check(11, Choice::new("limit_labels_flex"), "at most 10 clients, not 11");
    check(10, n_labels(11), "must be in 1..=10");
    check(100, n_labels(2), "class 0 has 10 samples for 20 clients");
    check(10, dirichlet(0.0, 1), "`alpha` is 0");
    check(10, dirichlet(-1.0, 1), "`alpha` is -1");
    check(10, dirichlet(0.5, 11), "at least 11 each");
    check(50, dirichlet(0.01, 1), "no draw out of 1000");
    check(10, shard(0), "at least 1");
    check(10, shard(11), "110 parts");
    check(CLIENTS_MAX, shard(u32::MAX), "can't give 4294967295000000 parts");
    check(10, pathological(11), "must be in 1..=10");
    check(10, quantity_skew(power_law(0.0)), "`exponent` is 0");
    check(11, Choice::new("natural_id"), "has 10 of its own");
    check(10, dirichlet(0.5, 1).with("version", 3u32), "`version` is 3; it must be 1 or 2");
    check(10, Choice::new("fair"), "there is no partition `fair`\nhint: the names are uniform, q_sampler, ");
    check(10, quantity_skew(Choice::law("cubic")), "there is no law `cubic`\nhint: the names are linear, square, exponential, power_law");
    let no_natural = partition(&labels, 10, None, 10, &Choice::new("natural_id"), None, Seed(1));
    assert_eq!(no_natural, Err(PartitionError::NoNaturalClients));
    let bad_label = partition(&[0, 9], 9, None, 1, &Choice::new("uniform"), None, Seed(1));
    assert_eq!(bad_label, Err(PartitionError::Label { index: 1, label: 9, num_classes: 9 }));
}

/// Partitions are part of published results: they must not change unnoticed.
#[test]
fn partitions_are_fixed() {
    let labels = balanced(4, 6);
    let found = [Choice::new("uniform"), of_version_1(dirichlet(0.5, 1)), of_version_1(limit_labels(2)), q_sampler(0.5), shard(2)]
        .map(|config| divide(&labels, 4, 4, &config, 42).expect("possible"));
    let expected: [[&[u32]; 4]; 5] = [
        [&[1, 2, 3, 4, 6, 14], &[10, 12, 18, 19, 21, 22], &[0, 7, 8, 11, 15, 17], &[5, 9, 13, 16, 20, 23]],
        [&[0, 12, 16, 20], &[3, 4, 5, 6, 8, 9, 11, 18, 19, 22], &[1, 17, 23], &[2, 7, 10, 13, 14, 15, 21]],
        [&[3, 6, 11, 18, 19, 22], &[5, 9, 12, 16, 17, 20], &[1, 7, 13, 15, 21, 23], &[0, 2, 4, 8, 10, 14]],
        [&[0, 7, 16, 20], &[1, 4, 5, 6, 13, 17, 19, 21], &[2, 3, 9, 10, 11, 14, 15, 18, 22], &[8, 12, 23]],
        [&[1, 5, 9, 13, 17, 21], &[3, 6, 11, 18, 19, 22], &[2, 7, 10, 14, 15, 23], &[0, 4, 8, 12, 16, 20]],
    ];
    assert_eq!(found, expected);
}

#[test]
fn partitions_of_version_2_are_fixed() {
    let config = DatasetConfig::named("fashion-mnist-mini");
    let data = load(&config, Path::new(""), &Locations { cache: None, local: Vec::new() }).expect("embedded");
    let digest = |config: &Choice| {
        let parts = data.partition_train(30, config, None, Seed(42)).expect("possible").into_lists();
        let words = parts.iter().flat_map(|part| [part.len() as u32].into_iter().chain(part.iter().copied()));
        fltk_data::digest::sha256_hex(&words.flat_map(u32::to_le_bytes).collect::<Vec<_>>())[..16].to_owned()
    };
    let found = [dirichlet(0.5, 1), limit_labels(3), n_labels(3), pathological(3)].map(|config| digest(&config));
    assert_eq!(found, ["2b9b75cccfd2a13b", "3231c6cc8c194e1c", "58ab0839273e9398", "76771d9850314f25"]);
}

#[test]
fn excessive_numbers_of_clients_are_refused_before_allocation() {
    for config in [Choice::new("uniform"), shard(1)] {
        let refused = divide(&[0, 1], 2, u32::MAX, &config, 1);
        assert_eq!(refused, Err(PartitionError::TooManyClients { clients: u32::MAX, max: CLIENTS_MAX }));
    }
}

/// Every partitioner has its name alone and is documented, and what its entry refers to are its own parameters.
#[test]
fn entries_of_partitioners_are_complete() {
    let names: Vec<&str> = entries().iter().map(|entry| entry.entry.name).collect();
    let expected = [
        "uniform",
        "q_sampler",
        "limit_labels",
        "limit_labels_flex",
        "n_labels",
        "dirichlet",
        "client_dirichlet",
        "inner_dirichlet",
        "distribution",
        "shard",
        "pathological",
        "quantity_skew",
        "sizes",
        "natural_id",
        "grouped_natural_id",
        "file",
    ];
    assert_eq!(names, expected);
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), CATALOGUE.len(), "a name of two partitioners");
    for entry in entries() {
        let Entry { name, doc, parameters, .. } = entry.entry;
        assert!(doc.ends_with('.'), "{name}: {doc}");
        assert!(parameters.iter().all(|parameter| parameter.doc.ends_with('.')), "{name}");
        for known in [entry.classes_per_client, entry.samples_per_client].into_iter().flatten() {
            assert!(parameters.contains(&known.parameter()), "{name}: `{}`", known.name());
        }
    }
}

#[test]
fn omitted_settings_have_the_newest_default() {
    let labels = balanced(10, 40);
    let given = [dirichlet(0.5, 1), limit_labels(3), n_labels(3), pathological(3)];
    for config in given {
        let entry = entries().into_iter().find(|entry| entry.entry.name == config.name()).expect("in the catalogue");
        let divide = |config: &Choice| divide(&labels, 10, 30, config, 42).expect("possible");
        let settled = config.clone().settled(&entry.entry).expect("right");
        assert_eq!(divide(&settled), divide(&config));
        assert_eq!(divide(&settled.clone().with_newest_defaults()), divide(&config));
        assert_eq!(divide(&settled.with_earliest_defaults()), divide(&of_version_1(config)));
    }
    let without = Choice::new("dirichlet").with("alpha", 0.5);
    assert_eq!(divide(&labels, 10, 30, &without, 42), divide(&labels, 10, 30, &dirichlet(0.5, 1), 42));
}

/// A partitioner outside of the catalogue is checked and sorted as those in it.
#[test]
fn custom_partitioners_are_run() {
    const FIRST: Whole = Whole::new("first", 2, "Samples of client 0.");
    static BACKWARDS: Partitioner = Partitioner {
        entry: PartitionerEntry {
            clients: ClientCount::AtMostClasses,
            ..PartitionerEntry::new(Entry::new("backwards", "Client 0 gets the last samples.").parameters(&[FIRST.parameter()]))
        },
        divide: |request, _| {
            let mut samples: Vec<u32> = (0..request.labels.len() as u32).rev().collect();
            let rest = samples.split_off(FIRST.of(request.settings) as usize);
            Ok(vec![samples, rest])
        },
    };
    let labels = balanced(2, 2);
    let run = |clients, settings: &Choice| {
        BACKWARDS.partition(&Request { labels: &labels, num_classes: 2, natural: None, clients, settings, file: None, seed: Seed(1) })
    };
    assert_eq!(run(2, &Choice::new("backwards")), Ok(vec![vec![2, 3], vec![0, 1]]));
    assert_eq!(run(2, &Choice::new("backwards").with("first", 1u32)), Ok(vec![vec![3], vec![0, 1, 2]]));
    assert_eq!(run(0, &Choice::new("backwards")), Err(PartitionError::NoClients));
    let refused = Err(PartitionError::MoreClientsThanClasses { partition: "backwards", clients: 3, num_classes: 2 });
    assert_eq!(run(3, &Choice::new("backwards")), refused);
    assert!(partition(&labels, 2, None, 2, &Choice::new("backwards"), None, Seed(1)).is_err(), "it is not in the catalogue");
}

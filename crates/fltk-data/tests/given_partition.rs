//! Partitions with given sizes, distributions, groups and files, by small cases that can be counted by hand.

use std::path::Path;

use fltk_core::{catalogue::Choice, experiment::DatasetConfig, ids::ClientId, seed::Seed};
use fltk_data::{
    Locations, labels_digest, load,
    partition::{PartitionError, UserFile, check_cohorts, check_file, cohorts, file_of, partition},
};

const NAME: &str = "given.json";

/// Labels of `per_class` samples of each class, with classes in turn.
fn balanced(num_classes: usize, per_class: usize) -> Vec<u16> {
    (0..num_classes * per_class).map(|index| (index % num_classes) as u16).collect()
}

fn divide(labels: &[u16], num_classes: usize, clients: u32, config: &Choice, text: &str) -> Result<Vec<Vec<u32>>, PartitionError> {
    let natural: Vec<u32> = labels.iter().map(|&label| 3 * u32::from(label)).collect();
    let file = file_of(config).map(|_| UserFile { name: NAME, text });
    partition(labels, num_classes, Some(&natural), clients, config, file, Seed(7))
}

/// The number of samples of each class that each client has.
fn counts(parts: &[Vec<u32>], labels: &[u16], num_classes: usize) -> Vec<Vec<usize>> {
    let of_class = |part: &[u32], class: usize| part.iter().filter(|&&index| usize::from(labels[index as usize]) == class).count();
    parts.iter().map(|part| (0..num_classes).map(|class| of_class(part, class)).collect()).collect()
}

fn sizes_of(parts: &[Vec<u32>]) -> Vec<usize> {
    parts.iter().map(Vec::len).collect()
}

fn check_refused(found: Result<Vec<Vec<u32>>, PartitionError>, expected: &str) {
    let error = found.expect_err(expected).to_string();
    assert!(error.contains(expected), "`{error}` should contain `{expected}`");
}

fn client_dirichlet(alpha: f64) -> Choice {
    Choice::new("client_dirichlet").with("alpha", alpha)
}

fn inner_dirichlet(alpha: f64, sizes: &[u32]) -> Choice {
    Choice::new("inner_dirichlet").with("alpha", alpha).with("sizes", sizes.to_vec())
}

#[test]
fn sizes_are_those_given_and_parts_are_random() {
    let labels = balanced(10, 100);
    let config = Choice::new("sizes").with("sizes", vec![500, 1, 300]);
    let parts = divide(&labels, 10, 3, &config, "").expect("possible");
    assert_eq!(sizes_of(&parts), [500, 1, 300]);
    // 300 of 1000 without replacement: 30 of each class, with a standard deviation of 4.
    assert!(counts(&parts, &labels, 10)[2].iter().all(|count| (10..=50).contains(count)));
    for (config, clients, expected) in [
        (config.clone(), 4, "the length of `sizes` is 3, and there are 4 clients"),
        (config.clone(), 2, "the length of `sizes` is 3, and there are 2 clients"),
        (config.clone().with("sizes", Vec::<u32>::new()), 2, "the length of `sizes` is 0"),
        (config.clone().with("sizes", vec![500, 501]), 2, "`sizes` sum to 1001, and the training set has 1000 samples"),
        (config.clone().with("sizes", vec![u32::MAX, u32::MAX]), 2, "`sizes` sum to 8589934590"),
        (config.with("sizes", vec![500, 0]), 2, "`sizes` gives client 1 no samples"),
        (inner_dirichlet(1.0, &[10]), 2, "the length of `sizes` is 1"),
        (inner_dirichlet(0.0, &[10, 10]), 2, "`alpha` is 0"),
        (client_dirichlet(0.0), 2, "`alpha` is 0"),
        (client_dirichlet(f64::NAN), 2, "`alpha` is NaN"),
        (client_dirichlet(1.0), 1001, "can't give 1001 parts"),
    ] {
        check_refused(divide(&labels, 10, clients, &config, ""), expected);
    }
}

#[test]
fn dirichlet_by_client_ranges_from_one_class_to_all_with_equal_or_given_sizes() {
    let labels = balanced(10, 1000);
    let even = divide(&labels, 10, 7, &client_dirichlet(1e6), "").expect("possible");
    assert_eq!(sizes_of(&even), [1429, 1429, 1429, 1429, 1428, 1428, 1428]);
    // A tenth of 1429, with a standard deviation of 11.
    assert!(counts(&even, &labels, 10).concat().iter().all(|count| (80..=205).contains(count)));
    // Small parts leave every class its samples: each client has one class alone.
    let skewed = divide(&labels, 10, 4, &inner_dirichlet(0.001, &[50, 100, 150, 200]), "").expect("possible");
    assert_eq!(sizes_of(&skewed), [50, 100, 150, 200]);
    for counts in counts(&skewed, &labels, 10) {
        let all: usize = counts.iter().sum();
        assert!(counts.iter().any(|count| count * 100 >= all * 95), "{counts:?}");
    }
    // A class alone has no other to choose from.
    assert_eq!(sizes_of(&divide(&[0; 5], 1, 2, &client_dirichlet(0.5), "").expect("possible")), [3, 2]);
}

/// Without skew, clients have the classes in the proportions of the training set with `client_dirichlet`, and equally often with `inner_dirichlet`.
#[test]
fn prior_of_dirichlet_by_client_is_the_training_set_or_uniform() {
    let labels: Vec<u16> = (0..10_000).map(|index| u16::from(index % 10 == 0)).collect();
    // A tenth of 1000 is of class 1, with a standard deviation of 9.5; one without a class, which the data set has only in name.
    for counts in counts(&divide(&labels, 3, 10, &client_dirichlet(1e6), "").expect("possible"), &labels, 3) {
        assert!(counts[1].abs_diff(100) < 48 && counts[0] + counts[1] == 1000, "{counts:?}");
    }
    // A half of 100, with a standard deviation of 5.
    for counts in counts(&divide(&labels, 3, 10, &inner_dirichlet(1e6, &[100; 10]), "").expect("possible"), &labels, 3) {
        assert!(counts[1].abs_diff(50) < 25 && counts[0] + counts[1] == 100, "{counts:?}");
    }
}

#[test]
fn given_distributions_divide_each_class() {
    let labels = balanced(3, 4);
    let config = Choice::new("distribution").with("path", NAME);
    let check = |config: &Choice, text: &str, expected: [[usize; 3]; 2]| {
        let parts = divide(&labels, 3, 2, config, text).expect("possible");
        assert_eq!(counts(&parts, &labels, 3), expected, "{text}");
    };
    // Three quarters of class 0, a half of class 1, and all of class 2.
    check(&config, r#"{"shares": [[3, 0.2, 0], [1, 0.2, 7]]}"#, [[3, 2, 0], [1, 2, 4]]);
    // One of each class first to whoever has a share: of class 0, two thirds of the other three; of class 2, which nobody shares, nothing.
    let least = config.clone().with("min_per_class", 1u32);
    check(&least, r#"{"shares": [[0, 2, 0], [5, 4, 0]]}"#, [[0, 2, 0], [4, 2, 0]]);
    check(&least, r#"{"shares": [[1, 1e-300, 1], [1, 1e300, 1]]}"#, [[2, 1, 2], [2, 3, 2]]);
    check(&config, r#"{"counts": [[4, 0, 1], [0, 1, 2]]}"#, [[4, 0, 1], [0, 1, 2]]);
    // The table of Flower's documentation, two neighboring classes for each client: halves of 5 samples each, so 5 for every client.
    let fives = balanced(4, 5);
    let shares = r#"{"shares": [[1,1,0,0], [0,1,1,0], [0,0,1,1], [1,0,0,1]]}"#;
    let parts = divide(&fives, 4, 4, &config, shares).expect("possible");
    let counted = counts(&parts, &fives, 4);
    assert!(sizes_of(&parts).iter().all(|size| (4..=6).contains(size)) && parts.concat().len() == 20, "{counted:?}");
    assert!((0..4).all(|client| counted[client][(client + 2) % 4] == 0 && counted[client][(client + 3) % 4] == 0), "{counted:?}");
}

#[test]
fn impossible_distributions_are_refused_with_their_place() {
    let labels = balanced(3, 4);
    let config = Choice::new("distribution").with("path", NAME);
    for (text, expected) in [
        (r#"{"shares": [[1, 1, 1]]}"#, "`given.json`: shares: its length is 1, and the task has 2 clients"),
        (r#"{"shares": [[1, 1, 1], [1, 1]]}"#, "shares[1]: its length is 2, and the data set has 3 classes"),
        (r#"{"shares": [[1, 1, 1], [1, -1, 1]]}"#, "shares[1][1]: -1 is not a share"),
        (r#"{"shares": [[1, 1, 1], [0, 0, 0]]}"#, "shares[1]: the client has no share of any class"),
        (r#"{"shares": [[1e308, 1, 1], [1e308, 1, 0]]}"#, "shares: the sum of class 0 is too large"),
        (r#"{"shares": [[1, 1, 1], [1e309, 1, 0]]}"#, "`given.json`: line 1, column "),
        ("{\"shares\": [[1, 1, 1],\n[\"a\", 1, 0]]}", "line 2, column 4: invalid type: string \"a\", expected f64"),
        (r#"{"share": []}"#, "line 1, column 8: unknown field `share`, expected `shares` or `counts`"),
        (r#"{"counts": [[1, 1, 1], [4, 1, 1]]}"#, "counts: class 0 has 4 samples, and its counts sum to 5"),
        (r#"{"counts": [[4294967295, 1, 1], [4294967295, 1, 1]]}"#, "class 0 has 4 samples, and its counts sum to 8589934590"),
        (r#"{"counts": [[1, 1, 1], [0, 0, 0]]}"#, "counts[1]: the client has no samples"),
        (r#"{"counts": [[1, 1, 1], [0, 0.5, 0]]}"#, "line 1, column 30: invalid type: floating point `0.5`, expected u32"),
        (r#"{"shares": [[1, 1, 1], [1, 1, 1]], "counts": []}"#, "the file: must have either `shares` or `counts`"),
        ("{}", "the file: must have either `shares` or `counts`"),
        ("", "line 1, column 0: EOF while parsing a value"),
    ] {
        check_refused(divide(&labels, 3, 2, &config, text), expected);
    }
    for least in [3, u32::MAX] {
        check_refused(
            divide(&labels, 3, 2, &config.clone().with("min_per_class", least), r#"{"shares": [[1, 1, 0], [0, 1, 1]]}"#),
            &format!("class {} has 4 samples, and ", usize::from(least == 3)),
        );
    }
    assert_eq!(
        partition(&labels, 3, None, 2, &config, None, Seed(1)),
        Err(PartitionError::NoFile { partition: "distribution".to_owned() })
    );
}

#[test]
fn natural_clients_are_grouped() {
    let labels = balanced(5, 2);
    let config = Choice::new("grouped_natural_id").with("group_size", 2u32);
    let divide = |clients, config: &Choice| divide(&labels, 5, clients, config, "");
    let all = divide(3, &config).expect("possible");
    assert_eq!(all, [vec![0, 1, 5, 6], vec![2, 3, 7, 8], vec![4, 9]]);
    let bigger = divide(2, &config.clone().with("remainder", "bigger")).expect("possible");
    assert_eq!(bigger, [vec![0, 1, 2, 5, 6, 7], vec![3, 4, 8, 9]]);
    assert_eq!(divide(2, &config.clone().with("remainder", "drop")).expect("possible"), all[..2]);
    // Two of the three groups are drawn.
    let some = divide(2, &config).expect("possible");
    assert!(some.len() == 2 && some[0] != some[1] && some.iter().all(|part| all.contains(part)));
    let shuffled = divide(3, &config.clone().with("shuffle", true)).expect("possible");
    assert_eq!((sizes_of(&shuffled), shuffled.concat().len()), (vec![4, 4, 2], 10));
    assert_ne!(shuffled, all);
    check_refused(divide(4, &config), "4 clients are requested, but the data set's 5 own clients make 3 groups");
    check_refused(divide(2, &config.clone().with("remainder", "strict")), "5 own clients don't divide into groups of 2: 1 are left over");
    let none = partition(&labels, 5, None, 2, &config, None, Seed(1));
    assert_eq!(none, Err(PartitionError::NoNaturalClients));
}

#[test]
fn divisions_from_files_are_used_as_they_are() {
    let labels = balanced(3, 2);
    let config = Choice::new("file").with("path", NAME);
    let divide = |text: &str| divide(&labels, 3, 2, &config, text);
    let expected = Ok(vec![vec![0, 3, 5], vec![1]]);
    let digest = labels_digest(&labels);
    for text in [
        r#"{"clients": [[5, 0, 3], [1]]}"#.to_owned(),
        r#"{"clients": {"1": [1], "0": [3, 0, 5]}, "cohorts": [[0]]}"#.to_owned(),
        format!(r#"[{{"task": "t", "seed": 3, "labels_digest": "{digest}", "clients": {{"0": [0, 3, 5], "1": [1]}}}}]"#),
    ] {
        assert_eq!(divide(&text), expected, "{text}");
    }
    assert_eq!(divide(r#"{"clients": [[], [1]]}"#), Ok(vec![vec![], vec![1]]), "a client may have no samples");
    for (text, expected) in [
        (r#"{"clients": [[0, 6], [1]]}"#, "`given.json`: clients[0][1]: there is no sample 6: the training set has 6, counted from 0"),
        (r#"{"clients": [[0, 4], [1, 3, 4]]}"#, "clients[1][2]: sample 4 is already in clients[0][1]"),
        (r#"{"clients": [[0, 0], [1]]}"#, "clients[0][1]: sample 0 is already in clients[0][0]"),
        (r#"{"clients": [[0]]}"#, "clients: its length is 1, and the task has 2 clients\nhint: `clients: 1`"),
        (r#"{"clients": [[0], [1], [2]]}"#, "clients: its length is 3, and the task has 2 clients"),
        (r#"{"cohorts": []}"#, "the file: has no `clients`"),
        ("{\"clients\": [[0],\n [\"1\"]]}", "line 2, column 5: invalid type: string \"1\", expected u32"),
        (r#"{"clients": [[0], [-1]]}"#, "invalid value: integer `-1`, expected u32"),
        (r#"{"clients": [[0], [1.5]]}"#, "invalid type: floating point `1.5`, expected u32"),
        (r#"{"clients": [[0], 1]}"#, "invalid type: integer `1`, expected a sequence"),
        (r#"{"clients": 2}"#, "invalid type: integer `2`, expected a list of lists of samples, or an object"),
        (r#"{"clients": {"0": [0], "2": [1]}}"#, "client 1 is missing"),
        (r#"{"clients": {"0": [0], "0": [1]}}"#, "client 0 is given twice"),
        (r#"{"clients": {"0": [0], "01": [1]}}"#, "`01` is not the number of a client"),
        (r#"{"clients": {"0": [0], "a": [1]}}"#, "`a` is not the number of a client"),
        (r#"{"clients": [[0], [1]], "clients": []}"#, "duplicate field `clients`"),
        (r#"{"client": [[0], [1]]}"#, "unknown field `client`, expected one of "),
        (r#"{"clients": [[0], [1]], "labels_digest": "00"}"#, "labels_digest: is that of other labels"),
        (
            r#"[{"clients": [[0], [1]]}, {"clients": [[0], [1]]}]"#,
            "the list: its length is 2, and it should be one division\nhint: `fltk data split",
        ),
        ("[]", "the list: its length is 0"),
        ("{", "line 1, column 1: EOF while parsing an object"),
        ("{} x", "line 1, column 4: trailing characters"),
    ] {
        check_refused(divide(text), expected);
    }
}

#[test]
fn cohorts_from_files_are_checked_by_round() {
    let parts = [vec![0, 1], vec![], vec![2], vec![3]];
    let read = |text: &str| cohorts(UserFile { name: NAME, text }, 2, 2, &parts.to_vec().into());
    let without_parts = |text: &str| check_cohorts(UserFile { name: NAME, text }, 2, 2, 4);
    let clients = |numbers: &[u32]| numbers.iter().copied().map(ClientId).collect::<Vec<_>>();
    let expected = vec![clients(&[0, 3]), clients(&[0, 2])];
    assert_eq!(read(r#"{"cohorts": [[3, 0], [0, 2]]}"#), Ok(expected.clone()));
    assert_eq!(read(r#"{"clients": [[9]], "cohorts": [[3, 0], [0, 2], [8, 8, 8]]}"#), Ok(expected), "later rounds aren't used");
    for (text, expected) in [
        (r#"{"clients": []}"#, "`given.json`: the file: has no `cohorts`"),
        (r#"{"cohorts": [[0, 2]]}"#, "cohorts: its length is 1, and the task has 2 rounds"),
        (r#"{"cohorts": [[0, 2], [0]]}"#, "cohorts[1]: its length is 1, and `clients_per_round` is 2"),
        (r#"{"cohorts": [[0, 2], [0, 2, 3]]}"#, "cohorts[1]: its length is 3, and `clients_per_round` is 2"),
        (r#"{"cohorts": [[0, 4], [0, 2]]}"#, "cohorts[0][1]: there is no client 4: the task has 4, counted from 0"),
        (r#"{"cohorts": [[0, 2], [3, 3]]}"#, "cohorts[1][1]: client 3 is already in this round"),
        (r#"{"cohorts": [[0, 2], [0, 1]]}"#, "cohorts[1][1]: client 1 has no samples"),
        (r#"{"cohorts": [[0, 2], "all"]}"#, "line 1, column 26: invalid type: string \"all\", expected a sequence"),
    ] {
        let error = read(text).expect_err(expected);
        assert!(error.to_string().contains(expected), "`{error}` should contain `{expected}`");
        // Without the clients' samples everything else is found.
        assert_eq!(without_parts(text).err(), Some(error).filter(|_| !expected.ends_with("no samples")), "{text}");
    }
}

#[test]
fn files_are_checked_without_the_data_set() {
    let check = |kind: &str, dataset: &str, text: &str, expected: Option<&str>| {
        let dataset = fltk_data::sources::entries().into_iter().find(|entry| entry.entry.name == dataset).expect(dataset);
        let checked = check_file(&Choice::new(kind).with("path", NAME), 2, dataset, UserFile { name: NAME, text });
        match expected {
            Some(expected) => {
                assert!(checked.as_ref().is_err_and(|error| error.to_string().contains(expected)), "{checked:?}, not {expected}")
            }
            None => assert_eq!(checked, Ok(()), "{text}"),
        }
    };
    check("file", "mnist", r#"{"clients": [[0, 59999], [1]]}"#, None);
    check("file", "mnist", r#"{"clients": [[0], [60000]]}"#, Some("clients[1][0]: there is no sample 60000"));
    check("file", "mnist", r#"{"clients": [[0], [1, 0]]}"#, Some("clients[1][1]: sample 0 is already in clients[0][0]"));
    check("file", "mnist", r#"{"clients": [[0]]}"#, Some("its length is 1, and the task has 2 clients"));
    check("file", "shakespeare", r#"{"clients": [[0], [60000000]]}"#, None);
    let row = |share: &str| format!(r#"{{"shares": [[{share}, 1, 1, 1, 1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]]}}"#);
    check("distribution", "mnist", &row("1"), None);
    check("distribution", "mnist", &row("-1"), Some("shares[0][0]: -1 is not a share"));
    check("distribution", "cifar100", &row("1"), Some("shares[0]: its length is 10, and the data set has 100 classes"));
    check("distribution", "mnist", "{}", Some("must have either `shares` or `counts`"));
    check("dirichlet", "mnist", "not read", None);
}

/// A file that is hostile on purpose takes little memory, and is refused with a short message.
#[test]
fn huge_files_are_refused_briefly() {
    let labels = balanced(3, 2);
    let check = |kind: &str, text: &str, expected: &str| {
        let error = divide(&labels, 3, 2, &Choice::new(kind).with("path", NAME), text).expect_err(expected).to_string();
        assert!(error.contains(expected) && error.len() < 400, "{} bytes: {}", error.len(), &error[..error.len().min(400)]);
    };
    let many = |item: &str, count: usize| format!("{}{item}", format!("{item},").repeat(count - 1));
    let long = "x".repeat(1_000_000);
    check("file", &format!("{{\"{long}\": 1}}"), "unknown field `xxx");
    check("file", &format!("{{\"clients\": {{\"{long}\": []}}}}"), "`xxx");
    check("file", &format!("{{\"clients\": [{}]}}", many("[]", 1_000_001)), "the list has more than 1000000 values");
    check("file", &format!("{{\"cohorts\": [{}]}}", many("[]", 1_000_001)), "the list has more than 1000000 values");
    check("file", &format!("[{}]", many("{}", 1001)), "the list has more than 1000 values");
    check("file", &"[".repeat(1_000_000), "line 1, column ");
    check("distribution", &format!("{{\"shares\": [{}]}}", many("[]", 1_000_001)), "the list has more than 1000000 values");
}

/// Partitions are part of published results: they must not change unnoticed.
#[test]
fn given_partitions_are_fixed() {
    let config = DatasetConfig::named("fashion-mnist-mini");
    let data = load(&config, Path::new(""), &Locations { cache: None, local: Vec::new() }).expect("embedded");
    let shares: Vec<Vec<u32>> = (0..30).map(|client| (0..10).map(|class| (client * class) % 7 + class % 2).collect()).collect();
    let shares = serde_json::json!({ "shares": shares[1..].iter().chain([&vec![1; 10]]).collect::<Vec<_>>() }).to_string();
    let digest = |config: &Choice| {
        let file = file_of(config).map(|_| UserFile { name: NAME, text: &shares });
        let parts = data.partition_train(30, config, file, Seed(42)).expect("possible").into_lists();
        let words = parts.iter().flat_map(|part| [part.len() as u32].into_iter().chain(part.iter().copied()));
        fltk_data::digest::sha256_hex(&words.flat_map(u32::to_le_bytes).collect::<Vec<_>>())[..16].to_owned()
    };
    let found = [
        client_dirichlet(0.5),
        inner_dirichlet(0.5, &[20; 30]),
        Choice::new("distribution").with("path", NAME),
        Choice::new("sizes").with("sizes", (1..=30).collect::<Vec<u32>>()),
    ]
    .map(|config| digest(&config));
    assert_eq!(found, ["f2db6464bc01db76", "4941c1c25b2175b3", "8da48be9be8d5156", "26f5a624640d41ba"]);
    // Groups of text, whose clients are its own.
    let natural: Vec<u32> = (0..40).map(|sample| sample % 10).collect();
    let grouped = Choice::new("grouped_natural_id").with("group_size", 3u32).with("shuffle", true);
    let parts = partition(&[0; 40], 1, Some(&natural), 2, &grouped, None, Seed(42)).expect("possible");
    let groups: Vec<Vec<u32>> =
        parts.iter().map(|part| part[..part.len() / 4].iter().map(|&sample| natural[sample as usize]).collect()).collect();
    assert_eq!(groups, [[0, 1, 2], [3, 8, 9]]);
}

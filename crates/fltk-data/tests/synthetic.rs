//! The data set `synthetic`: what clients draw, and samples that are made only when they are used.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that panics has failed")]

use std::{path::Path, sync::Arc};

use fltk_core::{
    catalogue::Choice,
    experiment::DatasetConfig,
    seed::{Purpose, Seed},
};
use rand_distr::StandardNormal;

use fltk_data::{
    BatchPlan, DataError, Dataset, Division, EpochKey, Inputs, Locations, MadeSamples, NoiseLevels, Order, Split, batches,
    digest::{samples_digest, training_digest},
    load,
    sources::synthetic::Synthetic,
};

fn config(settings: Choice) -> DatasetConfig {
    DatasetConfig { data: settings, path: None }
}

fn made(clients: u32) -> Choice {
    Choice::dataset("synthetic").with("clients", clients)
}

fn dataset(settings: Choice) -> Arc<Dataset> {
    Arc::new(load(&config(settings), Path::new(""), &Locations { cache: None, local: Vec::new() }).unwrap())
}

fn synthetic(dataset: &Dataset) -> &Synthetic {
    let Split::Synthetic(made) = &dataset.train else { panic!("it is made") };
    made
}

/// The numbers and labels of the training samples of one client.
fn of_client(dataset: &Dataset, client: usize) -> (Vec<Vec<f64>>, Vec<u16>) {
    let made = synthetic(dataset);
    let set = made.gather(&made.samples_of(client).collect::<Vec<u32>>());
    let vectors = (0..set.labels().len()).map(|index| set.vector(index).iter().map(|number| f64::from(*number)).collect()).collect();
    (vectors, set.labels().to_vec())
}

fn mean(values: impl Iterator<Item = f64> + Clone) -> f64 {
    values.clone().sum::<f64>() / values.count() as f64
}

fn deviation(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let center = mean(values.clone());
    mean(values.map(|value| (value - center).powi(2))).sqrt()
}

/// The means of a client's numbers.
fn centers(dataset: &Dataset, client: usize) -> Vec<f64> {
    let (vectors, _) = of_client(dataset, client);
    (0..60).map(|place| mean(vectors.iter().map(|vector| vector[place]))).collect()
}

#[test]
fn clients_have_log_normally_many_samples() {
    let data = dataset(made(10_000));
    let made = synthetic(&data);
    let mut sizes: Vec<f64> = (0..10_000).map(|client| made.samples_of(client).len() as f64).collect();
    assert_eq!(sizes.iter().sum::<f64>() as usize, made.len());
    sizes.sort_unstable_by(f64::total_cmp);
    // Nine tenths of 50 + e^(4 + 2z) at z = -1, 0, 1: 57.4, 104.6, 453.4.
    for (place, expected) in [(1587, 51.6), (5000, 94.1), (8413, 408.1)] {
        assert!((sizes[place] / expected - 1.0).abs() < 0.08, "{} instead of {expected}", sizes[place]);
    }
    assert_eq!(sizes[0], 45.0);
    // A tenth of a thousand clients, each rounded up.
    let tested: usize = (0..1000).map(|client| made.samples_of(client).len()).sum();
    assert!((data.test.len() as f64 / tested as f64 - 1.0 / 9.0).abs() < 0.003, "{} beside {tested}", data.test.len());
}

#[test]
fn means_and_deviations_are_the_laws() {
    let data = dataset(made(300).with("alpha", 0.0).with("beta", 2.0));
    // The mean of client `k` is B_k with a standard deviation of 2, and its numbers' means spread by 1 around it.
    let all: Vec<Vec<f64>> = (0..300).map(|client| centers(&data, client)).collect();
    let of_clients: Vec<f64> = all.iter().map(|centers| mean(centers.iter().copied())).collect();
    assert!(mean(of_clients.iter().copied()).abs() < 0.4);
    assert!((deviation(of_clients.iter().copied()) - 2.0).abs() < 0.3, "{}", deviation(of_clients.iter().copied()));
    let within: Vec<f64> = all.iter().map(|centers| deviation(centers.iter().copied())).collect();
    assert!((mean(within.iter().copied()) - 1.0).abs() < 0.05, "{}", mean(within.iter().copied()));
    // Number `j` has the variance `j^-1.2` within a client.
    let largest = (0..300).max_by_key(|client| synthetic(&data).samples_of(*client).len()).unwrap();
    let (vectors, _) = of_client(&data, largest);
    assert!(vectors.len() > 2000, "{}", vectors.len());
    for (place, expected) in [(0, 1.0), (1, 0.659_754), (9, 0.251_189), (59, 0.085_716)] {
        let found = deviation(vectors.iter().map(|vector| vector[place]));
        assert!((found / expected - 1.0).abs() < 0.08, "number {place}: {found} instead of {expected}");
    }
}

/// The formulas at the top of `sources/synthetic.rs`, written down once more, in the order in which their numbers are drawn.
#[test]
fn samples_and_labels_are_those_of_the_formulas() {
    let data = dataset(made(3).with("alpha", 0.5).with("beta", 0.25));
    for client in 0..3 {
        let mut draws = Seed(0).stream(Purpose::Synthetic, &[client]);
        let mut normal =
            |mean: f64, deviation: f64| -> f64 { mean + deviation * rand_distr::Distribution::<f64>::sample(&StandardNormal, &mut draws) };
        let u = normal(0.0, 0.5);
        let weights: Vec<Vec<f64>> = (0..10).map(|_| (0..60).map(|_| normal(u, 1.0)).collect()).collect();
        let bias: Vec<f64> = (0..10).map(|_| normal(u, 1.0)).collect();
        let center = normal(0.0, 0.25);
        let mean: Vec<f64> = (0..60).map(|_| normal(center, 1.0)).collect();
        let (vectors, labels) = of_client(&data, client as usize);
        for (vector, label) in vectors.iter().zip(labels) {
            let expected: Vec<f64> = (0..60).map(|j| normal(mean[j], f64::from(j as u32 + 1).powf(-1.2).sqrt())).collect();
            assert!(vector.iter().zip(&expected).all(|(found, expected)| (found - expected).abs() < 1e-5), "client {client}");
            let logits: Vec<f64> =
                weights.iter().zip(&bias).map(|(row, b)| b + row.iter().zip(vector).map(|(w, x)| w * x).sum::<f64>()).collect();
            assert!(logits.iter().all(|logit| *logit <= logits[usize::from(label)] + 1e-9), "client {client}");
        }
    }
}

#[test]
fn independent_clients_with_one_model_differ_in_their_samples_alone() {
    let data = dataset(made(200).with("iid", true));
    let largest = (0..200).max_by_key(|client| synthetic(&data).samples_of(*client).len()).unwrap();
    assert!(centers(&data, largest).iter().all(|center| center.abs() < 0.2));
    let shares = |clients: std::ops::Range<usize>| {
        let labels: Vec<u16> = clients.flat_map(|client| of_client(&data, client).1).collect();
        (0..10).map(|class| labels.iter().filter(|label| **label == class).count() as f64 / labels.len() as f64).collect::<Vec<_>>()
    };
    let (first, second) = (shares(0..100), shares(100..200));
    assert!(first.iter().zip(&second).all(|(one, other)| (one - other).abs() < 0.03), "{first:?} {second:?}");
    assert_ne!(of_client(&data, 0).0[0], of_client(&data, 1).0[0]);
}

#[test]
fn a_client_is_the_same_whatever_others_there_are() {
    let (few, many) = (dataset(made(3)), dataset(made(50)));
    assert_eq!(of_client(&few, 2), of_client(&many, 2));
    assert_ne!(of_client(&few, 2), of_client(&dataset(made(3).with("seed", 1)), 2));
    // Recorded from this code: these draws decide recorded results.
    let (vectors, labels) = of_client(&few, 0);
    let sizes: Vec<usize> = (0..3).map(|client| synthetic(&few).samples_of(client).len()).collect();
    assert_eq!(
        (sizes, vectors[0][..2].to_vec(), labels[..5].to_vec()),
        (vec![113, 54, 54], vec![-0.103_504_359_722_137_45, 2.016_090_154_647_827], vec![0, 0, 0, 0, 0])
    );
}

#[test]
fn samples_that_are_made_apart_are_those_that_are_made_together() {
    let data = dataset(made(20));
    let made = synthetic(&data);
    let all = made.gather(&(0..made.len() as u32).collect::<Vec<_>>());
    assert_eq!(all.labels(), made.labels());
    let some: Vec<u32> = (0..made.len() as u32).step_by(7).collect();
    let few = made.gather(&some);
    for (place, &index) in some.iter().enumerate() {
        assert_eq!((few.vector(place), few.labels()[place]), (all.vector(index as usize), all.labels()[index as usize]));
    }
    assert!(made.clients().iter().enumerate().all(|(index, client)| made.samples_of(*client as usize).contains(&(index as u32))));
    assert!(made.gather(&[]).labels().is_empty());
}

#[test]
fn batches_are_the_same_whether_samples_are_made_before_or_not() {
    let data = dataset(made(5));
    let indices: Vec<u32> = synthetic(&data).samples_of(1).rev().chain([u32::MAX, 3]).collect();
    let key = EpochKey { seed: Seed(1), client: 1, round: 2, epoch: 3 };
    let noise = NoiseLevels { level: 0.5, clients: 5 }.of_client(Seed(1), 1);
    let plan = BatchPlan { noise, ..BatchPlan::train(&data, Some(&indices), key, None, 10, false).unwrap() };
    let made_before = MadeSamples::of(&data, &indices, None);
    let shared = MadeSamples::of(&data, &indices, made_before.as_ref());
    assert!(Arc::ptr_eq(made_before.as_ref().unwrap(), shared.as_ref().unwrap()));
    let one: Vec<_> = batches(plan.clone()).collect();
    let other: Vec<_> = batches(BatchPlan { made: shared, ..plan.clone() }).collect();
    assert_eq!(one, other);
    assert_eq!(one.iter().map(|batch| batch.size).sum::<usize>(), indices.len() - 1);
    // In their own order and without noise, they are the data set's.
    let plain: Vec<_> = batches(BatchPlan { order: Order::AsGiven, noise: None, ..plan }).collect();
    let Inputs::Images { nhwc, shape } = &plain[0].inputs else { panic!("numbers") };
    assert_eq!(*shape, [10, 1, 1, 60]);
    let last = synthetic(&data).gather(&[indices[0]]);
    assert_eq!((&nhwc[..60], plain[0].targets[0]), (last.vector(0), i64::from(last.labels()[0])));
    // The test set is in memory.
    assert_eq!(batches(BatchPlan::test(&data, None, 100).unwrap()).map(|batch| batch.size).sum::<usize>(), data.test.len());
}

#[test]
fn clients_of_their_own_are_ranges_and_other_partitions_go_by_labels() {
    let data = dataset(made(30));
    let split = |clients, partition: Choice| data.partition_train(clients, &partition, None, Seed(5));
    let Ok(Division::Ranges(ranges)) = split(30, Choice::new("natural_id")) else { panic!("ranges") };
    assert!(ranges.iter().enumerate().all(|(client, range)| *range == synthetic(&data).samples_of(client)));
    let Ok(Division::Ranges(some)) = split(7, Choice::new("natural_id")) else { panic!("ranges") };
    assert!(some.is_sorted_by_key(|range| range.start) && some.iter().all(|range| ranges.contains(range)) && some.len() == 7);
    assert!(split(31, Choice::new("natural_id")).unwrap_err().to_string().contains("has 30 of its own"));
    let by_labels = split(4, Choice::new("dirichlet").with("alpha", 0.5)).unwrap();
    assert_eq!(by_labels.sizes().sum::<usize>(), data.train.len());
    let grouped = split(3, Choice::new("grouped_natural_id").with("group_size", 10)).unwrap();
    assert_eq!(grouped.sizes().sum::<usize>(), data.train.len());
    // A million clients are ranges too, and too many to divide otherwise.
    let many = dataset(made(1_000_000));
    assert!(many.train.len() > 300_000_000);
    assert_eq!(many.partition_train(1_000_000, &Choice::new("natural_id"), None, Seed(5)).unwrap().num_clients(), 1_000_000);
    let refused = many.partition_train(10, &Choice::new("uniform"), None, Seed(5)).unwrap_err().to_string();
    assert!(refused.contains("natural_id"), "{refused}");
}

#[test]
fn settings_count_and_what_can_not_be_made_is_refused() {
    let digests = |settings| {
        let data = dataset(settings);
        (training_digest(&data), samples_digest(&data))
    };
    let first = digests(made(4));
    assert_eq!(digests(made(4)), first);
    for other in [made(5), made(4).with("alpha", 0.5), made(4).with("beta", 0.5), made(4).with("seed", 1), made(4).with("iid", true)] {
        let other = digests(other);
        assert!(other.0 != first.0 && other.1 != first.1);
    }
    let refused = |config: DatasetConfig| load(&config, Path::new(""), &Locations { cache: None, local: Vec::new() }).unwrap_err();
    assert!(matches!(refused(config(made(4)).at("folder")), DataError::NoFiles { .. }));
    for wrong in [made(0), made(1_000_001), made(4).with("alpha", -1.0), made(4).with("gamma", 1.0)] {
        assert!(matches!(refused(config(wrong)), DataError::Settings { .. }));
    }
}

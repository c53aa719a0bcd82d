//! Data-parallel training on threads of this process gives the results of one process with all samples, and the same bits on every rank.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::{path::Path, sync::Arc, thread, time::Duration};

use fltk_core::{
    catalogue::Choice,
    experiment::{DatasetConfig, NetworkConfig},
    metrics::{Evaluation, TrainSummary},
    model_state::ModelState,
    seed::Seed,
};
use fltk_data::{BatchPlan, Dataset, EpochKey, Locations, Remainder, Sharding, batches, load};
use fltk_train::{
    Device, EpochOptions, Model, Optimizer, RankOptions, Ranks, evaluate, losses,
    nets::InputShape,
    parameters_sha256,
    ranks::{EpochSoFar, share_files},
};
use torch_dist::{Checks, GlooDevice, GroupOptions, Groups, TcpStore, TcpStoreOptions};

fn sgd() -> Choice {
    Choice::new("SGD").with("learning_rate", 0.02).with("momentum", 0.9).with("weight_decay", 1e-4)
}
const TIMEOUT: Duration = Duration::from_secs(60);

/// The first `samples` of the training set.
fn mini(samples: usize) -> Arc<Dataset> {
    let config = DatasetConfig::named("fashion-mnist-mini");
    let mut dataset = load(&config, Path::new(""), &Locations { cache: None, local: vec![] }).unwrap();
    if let fltk_data::Split::Images(images) = &mut dataset.train {
        images.pixels.truncate(samples * 784);
        images.labels.truncate(samples);
    }
    Arc::new(dataset)
}

/// The final state and results of a rank.
#[derive(Debug)]
struct Trained {
    state: ModelState,
    summary: TrainSummary,
    test: Evaluation,
}

/// Trains one epoch on as many ranks as there are batch sizes: with a sum of 32, that is 20 steps, and 7 samples that don't fill a step.
fn train(net: &'static str, batch_sizes: &[usize], remainder: Remainder, options: RankOptions) -> Vec<Trained> {
    train_on(647, net, batch_sizes, remainder, options)
}

fn train_on(samples: usize, net: &'static str, batch_sizes: &[usize], remainder: Remainder, options: RankOptions) -> Vec<Trained> {
    let server = Arc::new(store(0, true));
    let (port, size) = (server.port(), batch_sizes.len());
    let sharding = Sharding { batch_sizes: batch_sizes.to_vec(), remainder };
    let threads: Vec<_> = (0..size)
        .map(|rank| {
            let sharding = sharding.clone();
            thread::spawn(move || {
                fltk_train::init(1);
                let groups = join(port, rank as u32, size as u32);
                // The initial weights differ, which shows that rank 0's weights win.
                train_rank(&mini(samples), net, rank, &groups, &sharding, options)
            })
        })
        .collect();
    threads.into_iter().map(|thread| thread.join().unwrap()).collect()
}

fn store(port: u16, is_server: bool) -> TcpStore {
    TcpStore::new("127.0.0.1", port, &TcpStoreOptions { is_server, num_workers: 0, timeout: TIMEOUT }).unwrap()
}

/// Joins the groups that meet at the store at `port`.
fn join(port: u16, rank: u32, size: u32) -> Groups {
    let options = GroupOptions { timeout: TIMEOUT, device: GlooDevice::Address("127.0.0.1".into()), checks: Checks::EveryCall };
    Groups::join(&Arc::new(store(port, false)), rank, size, &options, Device::Cpu).unwrap()
}

fn train_rank(
    dataset: &Arc<Dataset>,
    net: &'static str,
    rank: usize,
    groups: &Groups,
    sharding: &Sharding,
    options: RankOptions,
) -> Trained {
    let mut model =
        Model::new(&NetworkConfig::named(net), Path::new(""), InputShape::of(dataset), Seed(3 + rank as u64), Device::Cpu).unwrap();
    let ranks = Ranks::join(groups, &mut model, options).unwrap();
    let mut optimizer = Optimizer::new(&sgd(), &model).unwrap();
    let key = EpochKey { seed: Seed(3), client: 0, round: 0, epoch: 1 };
    let input = model.image_input();
    let plan = BatchPlan::train_shard(dataset, sharding, rank, key, 0, input).unwrap();
    let sizes = sharding.step_sizes(dataset.train.len());
    let epoch = EpochOptions { loss: losses::find("CrossEntropyLoss").unwrap(), key };
    let mut so_far = EpochSoFar::default();
    ranks.train_steps(&mut model, &mut optimizer, &mut batches(plan), &sizes, epoch, &mut so_far).unwrap();
    let (summary, parallel) = ranks.summary(&so_far).unwrap();
    assert_eq!(parallel.is_some(), groups.size() > 1);
    ranks.share_buffers(&mut model).unwrap();
    let test = BatchPlan::test_shard(dataset, (rank, groups.size() as usize), input, 100).unwrap();
    let test = ranks.sum(evaluate(&model, batches(test), losses::find("CrossEntropyLoss").unwrap(), 1).unwrap()).unwrap();
    Trained { state: model.state().unwrap(), summary, test }
}

/// Trains on the ranks, and alone with the sum of their batches, and compares the results.
fn check(net: &'static str, batch_sizes: &[usize], remainder: Remainder, options: RankOptions, tolerance: f32) {
    check_on(647, net, batch_sizes, remainder, options, tolerance);
}

fn check_on(samples: usize, net: &'static str, batch_sizes: &[usize], remainder: Remainder, options: RankOptions, tolerance: f32) {
    let together = train_on(samples, net, batch_sizes, remainder, options);
    let digests: Vec<String> = together.iter().map(|rank| parameters_sha256(&rank.state)).collect();
    assert!(digests.iter().all(|digest| *digest == digests[0]), "{net:?}: all ranks end with the same bits");
    let alone = &train_on(samples, net, &[batch_sizes.iter().sum()], remainder, RankOptions::default())[0];
    let first = &together[0];
    let differences = first.state.floats.iter().zip(&alone.state.floats).map(|(left, right)| (left - right).abs());
    let largest = differences.fold(0.0, f32::max);
    assert!(largest < tolerance, "{net:?} {batch_sizes:?} {remainder:?}: parameters differ by {largest}");
    assert_eq!(first.state.counters, alone.state.counters);
    assert_eq!((first.summary.num_samples, first.summary.num_steps), (alone.summary.num_samples, alone.summary.num_steps));
    assert!((first.summary.loss.unwrap() - alone.summary.loss.unwrap()).abs() < f64::from(tolerance));
    for rank in &together {
        assert_eq!(rank.summary, first.summary, "reported losses are those of all ranks");
        assert_eq!(rank.test, first.test);
        assert_eq!(rank.test.num_samples, 1000);
        assert_eq!(rank.test.confusion.as_ref().unwrap().iter().flatten().sum::<u64>(), 1000);
        assert!((rank.test.loss - alone.test.loss).abs() < f64::from(tolerance) * 10.0);
    }
}

#[test]
fn ranks_train_like_one_process_with_their_samples() {
    let none = RankOptions::default();
    check("LeNet5", &[16, 16], Remainder::Share, none, 2e-5);
    // The batch sizes may differ between ranks.
    check("LeNet5", &[24, 4, 4], Remainder::Share, none, 2e-5);
    // Two samples are left for the last step: rank 0 and another have none.
    let sharding = Sharding { batch_sizes: vec![8; 4], remainder: Remainder::Share };
    assert_eq!(sharding.step_sizes(642).last().unwrap(), &[0, 1, 0, 1]);
    check_on(642, "LeNet5", &[8; 4], Remainder::Share, none, 2e-5);
    check("LeNet5", &[8, 8, 8, 8], Remainder::Drop, none, 2e-5);
}

/// Returns the distance between the results of training on two ranks and alone, relative to the length of the training: `|together - alone| /
/// |alone - start|`.
fn distance(samples: usize, options: RankOptions) -> f64 {
    let net = "FashionMNISTCNN";
    let together = &train_on(samples, net, &[20, 12], Remainder::Drop, options)[0];
    let alone = &train_on(samples, net, &[32], Remainder::Drop, RankOptions::default())[0];
    let start = &train_on(0, net, &[32], Remainder::Drop, RankOptions::default())[0];
    let norm = |left: &ModelState, right: &ModelState| {
        let squares = left.floats.iter().zip(&right.floats).map(|(left, right)| f64::from(left - right).powi(2));
        squares.sum::<f64>().sqrt()
    };
    norm(&together.state, &alone.state) / norm(&alone.state, &start.state)
}

/// Elements are not compared one by one: when two values are equal except for rounding, a max pooling may pick a different one, and batch norms
/// amplify that from step to step (libtorch's own, which sums channels-last batches in single precision, as much as ours).
#[test]
fn synchronized_batch_norm_equals_that_of_one_process() {
    let sync = RankOptions { sync_batch_norm: true, ..RankOptions::default() };
    let one_step = distance(32, sync);
    assert!(one_step < 5e-3, "{one_step}");
    let twenty_steps = distance(640, sync);
    assert!(twenty_steps < 0.08, "{twenty_steps}");
    let (one_step, twenty_steps) = (distance(32, RankOptions::default()), distance(640, RankOptions::default()));
    assert!(one_step > 0.015 && twenty_steps > 0.15, "without: {one_step} {twenty_steps}");
}

#[test]
fn padding_repeats_samples_and_half_precision_rounds() {
    let padded = train("LeNet5", &[16, 16], Remainder::Pad, RankOptions::default());
    assert_eq!(padded[0].summary.num_samples, 648);
    let exact = train("LeNet5", &[16, 16], Remainder::Drop, RankOptions::default());
    let half = train("LeNet5", &[16, 16], Remainder::Drop, RankOptions { fp16_gradients: true, ..RankOptions::default() });
    assert_eq!(half[0].state, half[1].state);
    let differences = half[0].state.floats.iter().zip(&exact[0].state.floats).map(|(left, right)| (left - right).abs());
    let largest = differences.fold(0.0, f32::max);
    assert!((1e-6..1e-2).contains(&largest), "{largest}");
}

#[test]
fn files_of_rank_0_reach_all_ranks() {
    let server = Arc::new(store(0, true));
    let port = server.port();
    let threads: Vec<_> = (0..2_u32)
        .map(|rank| {
            thread::spawn(move || {
                let groups = join(port, rank, 2);
                let own = (rank == 0).then(|| [("a".to_owned(), vec![1, 2, 255]), ("empty".to_owned(), vec![])].into());
                (share_files(groups.control(), own.as_ref()).unwrap(), share_files(groups.control(), None).unwrap())
            })
        })
        .collect();
    for thread in threads {
        let (files, none) = thread.join().unwrap();
        assert_eq!(files.unwrap(), [("a".to_owned(), vec![1, 2, 255]), ("empty".to_owned(), vec![])].into());
        assert!(none.is_none());
    }
}

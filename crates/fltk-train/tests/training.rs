//! The training loop as its callers use it gives the same bits each time, in parallel or not, resumed or not.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::{
    path::Path,
    sync::{Arc, atomic::AtomicBool},
    thread,
};

use fltk_core::{
    catalogue::Choice,
    client_terms::LocalWork,
    experiment::{DatasetConfig, NetworkConfig, TrainConfig},
    ids::{ClientId, Round},
    local_pass::{Anchor, LocalPass, Measures, PassResult},
    seed::Seed,
};
use fltk_data::{Batch, Dataset, EpochKey, Inputs, Locations, Split, load};
use fltk_train::{
    Device, EpochOptions, LocalClient, LocalTrainer, Model, Optimizer, TrainError,
    checkpoint::{self, Position},
    evaluate, losses,
    nets::InputShape,
    parameters_sha256, train_epoch,
};

fn sgd() -> Choice {
    Choice::new("SGD").with("learning_rate", 0.05).with("momentum", 0.9).with("weight_decay", 1e-4)
}

fn adam() -> Choice {
    Choice::new("Adam").with("learning_rate", 1e-3)
}

fn mini() -> Arc<Dataset> {
    let config = DatasetConfig::named("fashion-mnist-mini");
    Arc::new(load(&config, Path::new(""), &Locations { cache: None, local: vec![] }).unwrap())
}

fn model(name: &str) -> Model {
    model_on(name, Device::Cpu).unwrap()
}

fn model_on(name: &str, device: Device) -> Result<Model, TrainError> {
    fltk_train::init(1);
    let input = InputShape::Images { shape: [1, 28, 28], classes: 10 };
    Model::new(&NetworkConfig::named(name), Path::new(""), input, Seed(3), device)
}

/// A batch of images with bright squares whose place is their class: a net learns them in a few steps.
fn batch(size: usize) -> Batch {
    let mut nhwc = vec![0.0; size * 28 * 28];
    for sample in 0..size {
        let (row, column) = (sample % 10 / 5 * 14, sample % 5 * 5);
        for pixel in 0..64 {
            nhwc[sample * 784 + (row + pixel / 5) * 28 + column + pixel % 5] = 1.0 + (sample * 31 + pixel * 17) as f32 % 0.7;
        }
    }
    let targets = (0..size).map(|sample| (sample % 10) as i64).collect();
    Batch { inputs: Inputs::Images { nhwc, shape: [size, 28, 28, 1] }, targets, size }
}

fn options(epoch: u64) -> EpochOptions {
    EpochOptions { loss: losses::find("CrossEntropyLoss").unwrap(), key: EpochKey { seed: Seed(3), client: 0, round: 0, epoch } }
}

fn epoch(model: &mut Model, optimizer: &mut Optimizer, number: u64) -> f64 {
    train_epoch(model, optimizer, vec![batch(20); 4], options(number)).unwrap().loss.unwrap()
}

fn digest(model: &Model) -> String {
    parameters_sha256(&model.state().unwrap())
}

#[test]
fn optimizers_learn_with_reproducible_bits() {
    let adamw = Choice::new("AdamW").with("learning_rate", 1e-3);
    for (config, name) in [(sgd(), "FashionMNISTCNN"), (adam(), "FashionMNISTCNN"), (adamw, "FashionMNISTCNN")] {
        let run = || {
            let mut model = model(name);
            let mut optimizer = Optimizer::new(&config, &model).unwrap();
            let losses: Vec<f64> = (0..6).map(|number| epoch(&mut model, &mut optimizer, number)).collect();
            (losses, digest(&model))
        };
        let (losses, first) = run();
        assert!(losses[5] < 0.7 * losses[0], "{config:?}: {losses:?}");
        assert_eq!(first, run().1, "{config:?}");
    }
}

#[test]
fn nets_of_published_tables_learn() {
    for name in ["LogisticRegression", "MLP", "McMahan2NN", "McMahanCNN", "LEAFCNN", "NIIDBenchCNN", "ResNet18GN"] {
        let mut model = model(name);
        let mut optimizer = Optimizer::new(&Choice::new("SGD").with("learning_rate", 0.02).with("momentum", 0.9), &model).unwrap();
        let losses: Vec<f64> = (0..12).map(|number| epoch(&mut model, &mut optimizer, number)).collect();
        assert!(losses[11] < 0.7 * losses[0], "{name}: {losses:?}");
    }
}

/// The net has dropout, whose masks are drawn in host memory. Where there is no GPU, naming one is an error.
#[test]
fn tensors_of_a_model_are_on_its_device() {
    let train = |mut model: Model| {
        let (start, mut optimizer) = (model.state().unwrap(), Optimizer::new(&adam(), &model).unwrap());
        let loss = epoch(&mut model, &mut optimizer, 0);
        assert!(!optimizer.to_safetensors().unwrap().is_empty());
        (start, loss, evaluate(&model, [batch(20)].into_iter(), losses::find("CrossEntropyLoss").unwrap(), 2).unwrap().loss)
    };
    for net in ["MNISTCNN", "McMahan2NN"] {
        let on_cpu = model(net);
        assert_eq!(on_cpu.device(), Device::Cpu);
        match model_on(net, Device::Cuda(0)) {
            Err(error) => assert!(matches!(error, TrainError::Torch(_)), "{error}"),
            Ok(on_gpu) => {
                assert_eq!(on_gpu.device(), Device::Cuda(0));
                let (cpu, gpu) = (train(on_cpu), train(on_gpu));
                assert_eq!(cpu.0, gpu.0, "the same initial weights");
                assert!((cpu.1 - gpu.1).abs() < 1e-3 && (cpu.2 - gpu.2).abs() < 1e-2, "{cpu:?} {gpu:?}");
            }
        }
    }
}

#[test]
fn dropout_depends_on_seed_and_epoch() {
    let run = |number| {
        let mut model = model("MNISTCNN");
        let mut optimizer = Optimizer::new(&sgd(), &model).unwrap();
        epoch(&mut model, &mut optimizer, number)
    };
    assert_eq!(run(1).to_bits(), run(1).to_bits());
    assert_ne!(run(1).to_bits(), run(2).to_bits());
}

#[test]
fn restored_checkpoint_continues_with_the_same_bits() {
    for config in [sgd(), adam()] {
        let mut straight = model("FashionMNISTCNN");
        let mut optimizer = Optimizer::new(&config, &straight).unwrap();
        for number in 0..2 {
            epoch(&mut straight, &mut optimizer, number);
        }
        let position = Position { completed: 2, seed: Seed(3), learning_rate: optimizer.learning_rate(), part: None };
        let files = checkpoint::save(&straight.state().unwrap(), Some(&optimizer), &position).unwrap();
        for number in 2..4 {
            epoch(&mut straight, &mut optimizer, number);
        }

        let mut resumed = model("FashionMNISTCNN");
        let mut optimizer = Optimizer::new(&config, &resumed).unwrap();
        assert_eq!(checkpoint::restore(&files, &mut resumed, Some(&mut optimizer)).unwrap(), position);
        for number in 2..4 {
            epoch(&mut resumed, &mut optimizer, number);
        }
        assert_eq!(digest(&straight), digest(&resumed), "{config:?}");

        for name in files.keys() {
            let mut broken = files.clone();
            broken.get_mut(name).unwrap().truncate(20);
            assert!(checkpoint::restore(&broken, &mut resumed, Some(&mut optimizer)).is_err(), "{name} truncated");
            broken.remove(name);
            let error = checkpoint::restore(&broken, &mut resumed, Some(&mut optimizer)).unwrap_err();
            assert!(error.to_string().contains(name.as_str()), "{error}");
        }
    }
}

fn trainer(dataset: &Arc<Dataset>) -> LocalTrainer {
    let config = TrainConfig { batch_size: 16, test_batch_size: 100, drop_last: false, optimizer: sgd(), scheduler: None };
    LocalTrainer::new(model("FashionMNISTCNN"), dataset.clone(), config, losses::find("CrossEntropyLoss").unwrap())
}

fn train_client(trainer: &mut LocalTrainer, client: u32, mu: f64) -> PassResult {
    try_client(trainer, client, mu, &AtomicBool::new(false)).unwrap()
}

fn try_client(trainer: &mut LocalTrainer, client: u32, mu: f64, stop: &AtomicBool) -> Result<PassResult, TrainError> {
    try_work(trainer, client, LocalWork::Epochs(2.0), mu, stop)
}

fn try_work(trainer: &mut LocalTrainer, client: u32, work: LocalWork, mu: f64, stop: &AtomicBool) -> Result<PassResult, TrainError> {
    let start = Arc::new(model("FashionMNISTCNN").state().unwrap());
    let proximal = (mu != 0.0).then(|| Anchor { mu, model: Arc::clone(&start), is_in_gradient: false });
    try_pass(trainer, client, &LocalPass { proximal, ..LocalPass::plain(start, 0.05, work) }, stop)
}

fn try_pass(trainer: &mut LocalTrainer, client: u32, pass: &LocalPass, stop: &AtomicBool) -> Result<PassResult, TrainError> {
    let samples: Vec<u32> = (client * 50..client * 50 + 40).collect();
    let (client, round) = (ClientId(client), Round(1));
    trainer.train(&LocalClient { samples: &samples, seed: Seed(5), client, round, flips_labels: false, stop }, pass)
}

/// A client that flips labels is one whose samples have other labels; nobody else's are touched.
#[test]
fn flipped_labels_are_those_of_the_opposite_class() {
    let dataset = mini();
    let mut flipped = (*dataset).clone();
    let Split::Images(set) = &mut flipped.train else { panic!("they are images") };
    set.labels.iter_mut().for_each(|label| *label = 9 - *label);
    let start = Arc::new(model("FashionMNISTCNN").state().unwrap());
    let measures = Measures { initial_loss: true, ..Measures::default() };
    let pass = LocalPass { measures, ..LocalPass::plain(start, 0.05, LocalWork::Epochs(2.0)) };
    let (samples, stop): (Vec<u32>, _) = ((0..40).collect(), AtomicBool::new(false));
    let train = |dataset: &Arc<Dataset>, flips_labels| {
        let (client, round) = (ClientId(0), Round(1));
        trainer(dataset).train(&LocalClient { samples: &samples, seed: Seed(5), client, round, flips_labels, stop: &stop }, &pass).unwrap()
    };
    let (flipped, honest) = (Arc::new(flipped), train(&dataset, false));
    assert_eq!(train(&dataset, true), train(&flipped, false));
    assert_eq!(train(&flipped, true), honest);
    assert_ne!(train(&dataset, true).state, honest.state);
}

/// 40 samples in batches of 16 make 3 steps per epoch.
#[test]
fn work_in_steps_equals_work_in_epochs() {
    let mut trainer = trainer(&mini());
    let mut work = |work| try_work(&mut trainer, 1, work, 0.0, &AtomicBool::new(false)).unwrap();
    let (steps, epochs) = (work(LocalWork::Steps(6)), work(LocalWork::Epochs(2.0)));
    assert_eq!(steps, epochs);
    let summaries = [0, 1, 4].map(|steps| work(LocalWork::Steps(steps)).summary);
    assert_eq!(summaries.map(|summary| (summary.num_steps, summary.num_samples)), [(0, 0), (1, 16), (4, 56)]);
    // Shares of an epoch are rounded to whole steps, and are never nothing.
    let shares = [0.01, 0.5, 1.0, 1.4, 2.5].map(|epochs| work(LocalWork::Epochs(epochs)).summary.num_steps);
    assert_eq!(shares, [1, 2, 3, 4, 8]);
    // The fourth step is the first of another pass.
    assert_ne!(work(LocalWork::Steps(4)).state, work(LocalWork::Epochs(1.0)).state);
}

#[test]
fn work_in_steps_ends_without_a_full_batch() {
    let config = TrainConfig { batch_size: 64, test_batch_size: 100, drop_last: true, optimizer: sgd(), scheduler: None };
    let mut trainer = LocalTrainer::new(model("FashionMNISTCNN"), mini(), config, losses::find("CrossEntropyLoss").unwrap());
    let update = try_work(&mut trainer, 0, LocalWork::Steps(5), 0.0, &AtomicBool::new(false)).unwrap();
    assert_eq!(update.summary.num_steps, 0);
}

#[test]
fn canceled_client_gives_no_update() {
    let mut trainer = trainer(&mini());
    let error = try_client(&mut trainer, 0, 0.0, &AtomicBool::new(true)).unwrap_err();
    assert!(matches!(error, TrainError::Stopped), "{error}");
}

#[test]
fn parallel_and_sequential_clients_give_the_same_bits() {
    let dataset = mini();
    let mut one = trainer(&dataset);
    let sequence: Vec<PassResult> = (0..4).map(|client| train_client(&mut one, client, 0.0)).collect();
    let parallel: Vec<PassResult> = thread::scope(|scope| {
        let dataset = &dataset;
        let work = |clients: [u32; 2]| scope.spawn(move || clients.map(|client| train_client(&mut trainer(dataset), client, 0.0)));
        let (even, odd) = (work([0, 2]), work([3, 1]));
        let ([zero, two], [three, one]) = (even.join().unwrap(), odd.join().unwrap());
        vec![zero, one, two, three]
    });
    assert_eq!(sequence, parallel);
    let summary = sequence[0].summary;
    assert_eq!((summary.num_samples, summary.num_steps), (80, 6));
    let normalizer = sequence[0].normalizer;
    assert!(normalizer > 6.0, "momentum carries steps on: {normalizer}");
}

#[test]
fn proximal_term_keeps_a_client_near_the_global_model() {
    let dataset = mini();
    let mut trainer = trainer(&dataset);
    let global = model("FashionMNISTCNN").state().unwrap();
    let mut distance = |mu| {
        let update = train_client(&mut trainer, 0, mu);
        let parameters = global.layout.iter().zip(offsets(&global.layout)).filter(|(spec, _)| !spec.name.contains("running"));
        let squares = parameters
            .flat_map(|(spec, at)| at..at + spec.num_elements())
            .map(|i| f64::from(update.state.floats[i] - global.floats[i]).powi(2));
        squares.sum::<f64>().sqrt()
    };
    let (free, held) = (distance(0.0), distance(5.0));
    assert!(held < 0.8 * free, "{held} against {free}");
}

fn offsets(layout: &[fltk_core::model_state::TensorSpec]) -> Vec<usize> {
    let floats = |spec: &fltk_core::model_state::TensorSpec| {
        if spec.role == fltk_core::model_state::TensorRole::Counter { 0 } else { spec.num_elements() }
    };
    layout.iter().scan(0, |at, spec| Some(std::mem::replace(at, *at + floats(spec)))).collect()
}

#[test]
fn evaluation_does_not_depend_on_the_number_of_workers() {
    let mut model = model("FashionMNISTCNN");
    let mut optimizer = Optimizer::new(&sgd(), &model).unwrap();
    epoch(&mut model, &mut optimizer, 0);
    let before = digest(&model);
    let run = |workers| {
        evaluate(
            &model,
            vec![batch(20), batch(17), batch(1), batch(20), batch(3)].into_iter(),
            losses::find("CrossEntropyLoss").unwrap(),
            workers,
        )
        .unwrap()
    };
    let one = run(1);
    assert_eq!(one, run(2));
    assert_eq!(one, run(7));
    assert_eq!(before, digest(&model), "evaluation changes nothing");
    assert_eq!(one.num_samples, 61);
    let confusion = one.confusion.as_ref().unwrap();
    let count = |cells: &[u64]| cells.iter().sum::<u64>();
    assert_eq!(confusion.iter().map(|row| count(row)).sum::<u64>(), 61);
    let diagonal: u64 = (0..10).map(|class| confusion[class][class]).sum();
    assert!((one.accuracy - diagonal as f64 / 61.0).abs() < 1e-12);
    assert_eq!(run_empty(&model), (0, None));
}

fn run_empty(model: &Model) -> (u64, Option<Vec<Vec<u64>>>) {
    let evaluation = evaluate(model, std::iter::empty(), losses::find("CrossEntropyLoss").unwrap(), 2).unwrap();
    (evaluation.num_samples, evaluation.confusion)
}

#[test]
fn mismatched_batches_are_refused() {
    let mut model = model("FashionMNISTCNN");
    let mut optimizer = Optimizer::new(&sgd(), &model).unwrap();
    let mut check = |change: fn(&mut Batch)| {
        let mut wrong = batch(4);
        change(&mut wrong);
        let error = train_epoch(&mut model, &mut optimizer, [wrong.clone()], options(0)).unwrap_err();
        assert!(matches!(error, TrainError::Batch(_) | TrainError::Torch(_)), "{error}");
        assert!(evaluate(&model, [wrong].into_iter(), losses::find("CrossEntropyLoss").unwrap(), 1).is_err());
    };
    check(|batch| batch.size = 5);
    check(|batch| batch.size = 0);
    check(|batch| batch.targets[0] = 10);
    check(|batch| batch.targets[0] = -1);
    check(|batch| batch.targets.truncate(batch.targets.len() - 1));
    check(|batch| batch.inputs = Inputs::Images { nhwc: vec![0.0; 4 * 784], shape: [4, 14, 56, 1] });
    check(|batch| batch.inputs = Inputs::Images { nhwc: vec![], shape: [usize::MAX, 2, 2, 2] });
    check(|batch| batch.inputs = Inputs::Tokens { ids: vec![0; 4], shape: [4, 1] });
}

#[test]
fn diverging_run_ends_with_its_step() {
    let mut model = model("MNISTCNN");
    let mut optimizer = Optimizer::new(&sgd(), &model).unwrap();
    optimizer.set_learning_rate(1e30);
    let error = train_epoch(&mut model, &mut optimizer, vec![batch(10); 5], options(0)).unwrap_err();
    assert!(matches!(error, TrainError::Diverged { step: 2..=5, .. }), "{error}");
}

#[test]
fn batch_norm_trains_with_one_value_per_channel() {
    let mut model = model("FashionMNISTResNet");
    let mut optimizer = Optimizer::new(&sgd(), &model).unwrap();
    let loss = train_epoch(&mut model, &mut optimizer, [batch(1)], options(0)).unwrap().loss.unwrap();
    let state = model.state().unwrap();
    assert!(loss.is_finite() && state.floats.iter().all(|value| value.is_finite()));
    assert!(state.counters.contains(&0) && state.counters.contains(&1), "only batch norms over several values count the batch");
}

#[test]
fn impossible_optimizers_are_refused() {
    let model = model("MNISTCNN");
    for config in [
        Choice::new("SGD").with("learning_rate", -0.1).with("momentum", 0.0),
        Choice::new("SGD").with("learning_rate", 0.1).with("nesterov", true),
        Choice::new("SGD").with("learning_rate", f64::NAN).with("momentum", 0.0),
        Choice::new("Adam").with("learning_rate", 0.1).with("betas", [0.9, 1.0]),
    ] {
        assert!(matches!(Optimizer::new(&config, &model), Err(TrainError::Settings(_))), "{config:?}");
    }
}

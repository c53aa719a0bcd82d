//! Compares the losses of five steps with those of PyTorch 2.13. `python/parity.py --golden` makes the files; weights and batches are made
//! by the same rule here.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::{collections::BTreeMap, path::Path};

use fltk_core::{
    catalogue::{Choice, Value},
    experiment::NetworkConfig,
    model_state::{ModelState, TensorRole},
    seed::Seed,
};
use fltk_train::{
    Device, MemoryFormat, Model,
    nets::{self, InputShape},
    parity, state_to_safetensors,
};
use serde::Deserialize;

const STEPS: usize = 5;
const SEED: u64 = 1;
const SEQUENCE: usize = 12;

/// The largest accepted relative difference between our loss and PyTorch's.
const TOLERANCE: f64 = 1e-4;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Golden {
    torch: String,
    net: String,
    sizes: Sizes,
    /// The bound of matrices, times the square root of the fan-in.
    gain: f64,
    batch: usize,
    runs: Vec<GoldenRun>,
}

/// The sizes that differ from those that `fltk nets show` has.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sizes {
    shape: Option<[usize; 3]>,
    classes: Option<usize>,
    vocabulary: Option<usize>,
    /// The settings of the net.
    #[serde(default)]
    settings: BTreeMap<String, Value>,
}

#[derive(Deserialize)]
struct GoldenRun {
    optimizer: Choice,
    losses: Vec<f64>,
}

/// The SplitMix64 hash of (seed, number of the tensor, index of the element).
fn hash(tensor: u64, index: usize) -> u64 {
    let mut z = (index as u64 + (tensor << 40) + (SEED << 56) + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// A number in `-1..1`, from 24 bits.
fn noise(tensor: u64, index: usize) -> f64 {
    (hash(tensor, index) >> 40) as f64 / f64::from(1 << 23) - 1.0
}

/// Weights for the comparison: matrices uniform within gain/sqrt(fan-in), norms' weights near 1, small biases, initial running
/// statistics.
fn golden_weights(model: &Model, gain: f64) -> ModelState {
    let mut state = model.state().unwrap();
    state.floats.clear();
    for (number, spec) in (0..).zip(state.layout.iter()) {
        let count = spec.num_elements();
        let value = |index: usize| match (spec.role, spec.shape.len()) {
            (TensorRole::Buffer, _) => f64::from(u8::from(spec.name.ends_with("running_var"))),
            (_, 1) if spec.name.ends_with("weight") => 1.0 + 0.1 * noise(number, index),
            (_, 1) => 0.05 * noise(number, index),
            _ => gain * noise(number, index) / (count as f64 / spec.shape[0] as f64).sqrt(),
        };
        if spec.role != TensorRole::Counter {
            state.floats.extend((0..count).map(|index| value(index) as f32));
        }
    }
    state
}

fn golden_batches(input: InputShape, batch: usize) -> Vec<u8> {
    match input {
        InputShape::Images { shape: [c, h, w], classes } => {
            let x: Vec<f32> = (0..STEPS * batch * c * h * w).map(|index| noise(1000, index) as f32).collect();
            let y: Vec<i64> = (0..STEPS * batch).map(|index| (hash(1001, index) % classes as u64) as i64).collect();
            parity::write_images(&x, &[STEPS, batch, c, h, w], &y, &[STEPS, batch]).unwrap()
        }
        InputShape::Tokens { vocabulary } => {
            let shape = [STEPS, batch, SEQUENCE];
            let tokens =
                |tensor| (0..STEPS * batch * SEQUENCE).map(|index| (hash(tensor, index) % vocabulary as u64) as i64).collect::<Vec<_>>();
            parity::write_tokens(&tokens(1000), &shape, &tokens(1001), &shape).unwrap()
        }
    }
}

fn check(file: &str) {
    fltk_train::init(1);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(file);
    let golden: Golden = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!(golden.torch, "2.13.0");
    assert_eq!(golden.runs.len(), 4);
    let Sizes { shape, classes, vocabulary, settings } = golden.sizes;
    let input = match nets::describe(&golden.net).unwrap().input {
        InputShape::Images { shape: typical, classes: outputs } => {
            InputShape::Images { shape: shape.unwrap_or(typical), classes: classes.unwrap_or(outputs) }
        }
        InputShape::Tokens { .. } => InputShape::Tokens { vocabulary: vocabulary.unwrap() },
    };
    let net = settings.into_iter().fold(Choice::new(&golden.net), |net, (name, value)| net.with(&name, value));
    let model = Model::new(&NetworkConfig::Named(net), Path::new(""), input, Seed(0), Device::Cpu).unwrap();
    let weights = state_to_safetensors(&golden_weights(&model, golden.gain)).unwrap();
    let batch = golden_batches(input, golden.batch);
    // PyTorch's default memory format differs in the kernels of the net, which no optimizer changes; the other one is used for training.
    let default = golden.runs.iter().take(1).map(|run| (run, MemoryFormat::Contiguous));
    for (GoldenRun { optimizer, losses }, memory_format) in default.chain(golden.runs.iter().map(|run| (run, MemoryFormat::ChannelsLast))) {
        let steps = STEPS as u32;
        let comparison =
            parity::Comparison { net: &golden.net, weights: &weights, batch: &batch, steps, optimizer, memory_format, device: Device::Cpu };
        let ours = parity::run(&comparison).unwrap().losses;
        assert_eq!((ours.len(), losses.len()), (STEPS, STEPS));
        for (ours_at, theirs_at) in ours.iter().zip(losses) {
            let difference = (ours_at - theirs_at).abs() / theirs_at.abs();
            assert!(
                difference <= TOLERANCE,
                "{file} {optimizer:?} {memory_format:?}: {difference:.1e}\nours    {ours:?}\nPyTorch {losses:?}"
            );
        }
    }
}

#[test]
fn cifar10_cnn() {
    check("Cifar10CNN.json");
}

#[test]
fn cifar10_resnet() {
    check("Cifar10ResNet.json");
}

#[test]
fn cifar100_resnet() {
    check("Cifar100ResNet.json");
}

#[test]
fn cifar100_vgg() {
    check("Cifar100VGG.json");
}

#[test]
fn fashion_mnist_cnn() {
    check("FashionMNISTCNN.json");
}

#[test]
fn fashion_mnist_resnet() {
    check("FashionMNISTResNet.json");
}

#[test]
fn mnist_cnn() {
    check("MNISTCNN.json");
}

#[test]
fn lenet5() {
    check("LeNet5.json");
}

#[test]
fn reddit_lstm() {
    check("RedditLSTM.json");
}

#[test]
fn reddit_lstm_tied() {
    check("RedditLSTM-tied.json");
}

#[test]
fn logistic_regression() {
    check("LogisticRegression.json");
    check("LogisticRegression-cifar100.json");
}

#[test]
fn mlp() {
    check("MLP.json");
    check("MLP-deep.json");
}

#[test]
fn mcmahan_2nn() {
    check("McMahan2NN.json");
}

#[test]
fn mcmahan_cnn() {
    check("McMahanCNN.json");
    check("McMahanCNN-cifar100.json");
}

#[test]
fn leaf_cnn() {
    check("LEAFCNN.json");
}

#[test]
fn niid_bench_cnn() {
    check("NIIDBenchCNN.json");
    check("NIIDBenchCNN-mnist.json");
}

#[test]
fn resnet18_gn() {
    check("ResNet18GN.json");
    check("ResNet18GN-cifar100.json");
}

#[test]
fn vgg11() {
    check("VGG11.json");
}

#[test]
fn char_lstm() {
    check("CharLSTM.json");
}

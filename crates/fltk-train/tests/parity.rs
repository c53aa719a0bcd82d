//! Which weights and batches `fltk parity` takes for which net: the sizes of a net follow from both files, and files that contradict each other are
//! refused before there is a model.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::path::Path;

use fltk_core::{catalogue::Choice, experiment::NetworkConfig, model_state::TensorSpec, seed::Seed};
use fltk_train::{
    Device, MemoryFormat, Model, TrainError,
    nets::InputShape,
    parity::{self, Comparison},
    state_to_safetensors,
};
use safetensors::{Dtype, tensor::TensorView};

const SMALL: InputShape = InputShape::Images { shape: [3, 8, 8], classes: 4 };
const MNIST: InputShape = InputShape::Images { shape: [1, 28, 28], classes: 10 };

fn model(net: &Choice, input: InputShape) -> Model {
    fltk_train::init(1);
    Model::new(&NetworkConfig::Named(net.clone()), Path::new(""), input, Seed(1), Device::Cpu).unwrap()
}

fn weights(net: &Choice, input: InputShape) -> Vec<u8> {
    state_to_safetensors(&model(net, input).state().unwrap()).unwrap()
}

/// Two samples of the first class, or two texts of three words.
fn batch(input: InputShape) -> Vec<u8> {
    match input {
        InputShape::Images { shape: [c, h, w], .. } => {
            parity::write_images(&vec![0.5; 2 * c * h * w], &[2, c, h, w], &[0, 0], &[2]).unwrap()
        }
        InputShape::Tokens { .. } => parity::write_tokens(&[0; 6], &[2, 3], &[0; 6], &[2, 3]).unwrap(),
    }
}

fn run(net: &str, weights: &[u8], batch: &[u8]) -> Result<Vec<TensorSpec>, TrainError> {
    let optimizer = &Choice::new("SGD").with("learning_rate", 0.01);
    let comparison = Comparison { net, weights, batch, steps: 1, optimizer, memory_format: MemoryFormat::Contiguous, device: Device::Cpu };
    Ok(parity::run(&comparison)?.state.layout.to_vec())
}

#[test]
fn sizes_follow_from_the_files() {
    let five = InputShape::Tokens { vocabulary: 5 };
    for (net, input) in [
        (Choice::new("MLP").with("hidden", [5, 6, 7]), SMALL),
        (Choice::new("MLP").with("hidden", [9]), MNIST),
        (Choice::new("LogisticRegression"), SMALL),
        (Choice::new("LEAFCNN"), SMALL),
        (Choice::new("ResNet18GN"), SMALL),
        (Choice::new("CharLSTM"), five),
        (Choice::new("RedditLSTM").with("embedding", 3).with("hidden", 3).with("layers", 3).with("tied", true), five),
    ] {
        let layout = run(net.name(), &weights(&net, input), &batch(input)).unwrap();
        assert_eq!(layout, *model(&net, input).state_layout(), "{net:?}");
    }
}

#[test]
fn files_that_do_not_fit_are_refused() {
    let check = |net: &str, weights: &[u8], batch: &[u8], expected: &str| {
        let error = run(net, weights, batch).unwrap_err().to_string();
        assert!(error.contains(expected), "{net}: {error}");
    };
    let mlp = weights(&Choice::new("MLP").with("hidden", [5]), SMALL);
    check("MLP", &mlp, &batch(MNIST), "fc1.weight");
    check("MLP", &weights(&Choice::new("LogisticRegression"), MNIST), &batch(MNIST), "its tensors are not those of a `MLP`");
    check("McMahan2NN", &mlp, &batch(SMALL), "fc1.");
    check("LogisticRegression", &mlp, &batch(SMALL), "unknown tensor `fc");
    let lstm = weights(&Choice::new("CharLSTM"), InputShape::Tokens { vocabulary: 5 });
    check("CharLSTM", &lstm, &batch(SMALL), "reads tokens, the data set has images");
    check("MLP", &mlp, &batch(InputShape::Tokens { vocabulary: 5 }), "reads images, the data set has tokens");
    check("VGG11", &lstm, &batch(MNIST), "images of at least 32x32");
}

/// Widths that a file names without having the elements would otherwise make a model of gigabytes.
#[test]
fn sizes_without_their_elements_make_no_model() {
    let empty = |shape: &[usize]| TensorView::new(Dtype::F32, shape.to_vec(), &[]).unwrap();
    let claims = [("encoder.weight", empty(&[0, 16_384])), ("rnn.weight_hh_l0", empty(&[0, 16_384])), ("decoder.bias", empty(&[0]))];
    let error = run("RedditLSTM", &safetensors::serialize(claims, None).unwrap(), &batch(InputShape::Tokens { vocabulary: 5 }));
    assert!(matches!(error, Err(TrainError::Settings(_))), "{error:?}");
    let claims = [("fc1.bias", empty(&[0])), ("fc2.bias", empty(&[0, 16_384]))];
    let error = run("MLP", &safetensors::serialize(claims, None).unwrap(), &batch(MNIST));
    assert!(matches!(error, Err(TrainError::Settings(_))), "{error:?}");
}

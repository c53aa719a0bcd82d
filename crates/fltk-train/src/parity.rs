//! The comparison with PyTorch of a few training steps on given weights and batches, as run by `fltk parity`.
//!
//! The steps use training mode, with dropout off, and cross-entropy; the caller must have called [`init(1)`](crate::init). See `docs/parity.md`.

use std::{collections::BTreeMap, sync::Arc};

use fltk_core::{catalogue::Choice, model_state::ModelState, seed::Seed};
use fltk_data::{Batch, Inputs};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::Serialize;
use tch::Device;

use crate::{
    Model, Optimizer, TrainError, losses,
    nets::{self, InputShape},
    state_file,
    tensors::{self, MemoryFormat},
    train,
};

/// The largest number of steps in one comparison: with more, rounding dominates.
pub const STEPS_MAX: u32 = 10_000;

/// The largest unpacked batch, in elements (1 GiB of f32).
const BATCH_ELEMENTS_MAX: usize = 256 << 20;

/// The inputs of a comparison.
#[derive(Clone, Copy, Debug)]
pub struct Comparison<'a> {
    /// The net.
    pub net: &'a str,
    /// A safetensors file with the initial weights. It also determines the number of outputs of nets that take several data sets, and the
    /// sizes of `RedditLSTM` and `MLP`; the batch determines the shape of images.
    pub weights: &'a [u8],
    /// A safetensors file with `x` and `y`: f32 `[B, C, H, W]` and i64 `[B]`, or for language models i64 `[B, T]` and `[B, T]`; or a stack of
    /// such batches with one more leading dimension, which are used in turn.
    pub batch: &'a [u8],
    /// The number of optimizer steps.
    pub steps: u32,
    /// The optimizer.
    pub optimizer: &'a Choice,
    /// [`MemoryFormat::Contiguous`] computes with the kernels that a plain PyTorch script uses, so that any difference is more than mere
    /// rounding; [`MemoryFormat::ChannelsLast`] computes with the kernels of our training.
    pub memory_format: MemoryFormat,
    /// The device that computes.
    pub device: Device,
}

/// The result. As JSON, `{"losses": [...]}`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Outcome {
    /// The loss before each step.
    pub losses: Vec<f64>,
    /// The state after the last step, for [`state_to_safetensors`](crate::state_to_safetensors).
    #[serde(skip)]
    pub state: ModelState,
}

/// Runs the comparison's steps.
///
/// # Errors
/// If a file is damaged or doesn't fit the net, the optimizer's settings are impossible, or training diverges.
pub fn run(comparison: &Comparison<'_>) -> Result<Outcome, TrainError> {
    let batches = read_batches(comparison.batch)?;
    let mut model = load_model(comparison, &batches)?;
    if comparison.steps > STEPS_MAX {
        return Err(TrainError::Settings(format!("{} steps are more than a comparison may have ({STEPS_MAX})", comparison.steps)));
    }
    let mut optimizer = Optimizer::new(comparison.optimizer, &model)?;
    let loss = losses::find("CrossEntropyLoss")?;
    let mut step = |batch: &Batch| {
        let (inputs, targets) = tensors::batch_tensors(batch, comparison.memory_format, comparison.device)?;
        train::step(&mut model, &mut optimizer, inputs, &targets, loss, None)
    };
    let losses = batches.iter().cycle().take(comparison.steps as usize).map(&mut step).collect::<Result<_, _>>()?;
    Ok(Outcome { losses, state: model.state()? })
}

fn load_model(comparison: &Comparison<'_>, batches: &[Batch]) -> Result<Model, TrainError> {
    const FILE: &str = "the weights";
    let file = parse(FILE, comparison.weights)?;
    let shape = |name: &str| file.tensor(name).ok().map(|view| view.shape().to_vec());
    let spec = nets::find(comparison.net)?;
    let foreign = || wrong(FILE, &format!("its tensors are not those of a `{}`", comparison.net));
    let settings = settings_of(comparison.net, &shape).ok_or_else(foreign)?;
    // The last tensor is the bias of the outputs.
    let (_, registry) = nets::build(spec, spec.input, &settings)?;
    let last = registry.layout.last().ok_or_else(foreign)?;
    let outputs = shape(&last.name).and_then(|shape| shape.first().copied()).unwrap_or(last.shape[0]);
    let data = match batches.first().map(|batch| &batch.inputs) {
        Some(&Inputs::Images { shape: [_, h, w, c], .. }) => InputShape::Images { shape: [c, h, w], classes: outputs },
        Some(Inputs::Tokens { .. }) => InputShape::Tokens { vocabulary: outputs },
        None => spec.input,
    };
    // The file is compared with the layout before there is a model: otherwise, sizes that it has no elements for could make one of any size.
    let (_, registry) = nets::build(spec, nets::input_for(spec, data)?, &settings)?;
    let state = state_file::state_from_safetensors(FILE, comparison.weights, &Arc::new(registry.layout))?;
    let mut model = Model::named(&settings, data, Seed(0), comparison.memory_format, comparison.device)?;
    model.set_state(&state)?;
    Ok(model)
}

/// Returns the net with the settings that the shapes of its tensors imply; `None` if they aren't those of such a net.
fn settings_of(net: &str, shape: &dyn Fn(&str) -> Option<Vec<usize>>) -> Option<Choice> {
    let choice = Choice::new(net);
    let size = |value: usize| u32::try_from(value).ok();
    match net {
        "RedditLSTM" => {
            let [_, embedding] = shape("encoder.weight")?.try_into().ok()?;
            let [_, hidden] = shape("rnn.weight_hh_l0")?.try_into().ok()?;
            let layers = (0..).take_while(|layer| shape(&format!("rnn.weight_hh_l{layer}")).is_some()).count();
            let tied = shape("decoder.weight").is_none();
            let sizes = [("embedding", embedding), ("hidden", hidden), ("layers", layers)];
            let sized = sizes.into_iter().try_fold(choice, |choice, (name, value)| Some(choice.with(name, size(value)?)))?;
            // Dropout is off in a comparison.
            Some(sized.with("dropout", 0.0).with("tied", tied))
        }
        "MLP" => {
            let widths = (1..).map_while(|number| shape(&format!("fc{number}.bias"))?.first().copied()).map(size);
            let mut hidden = widths.collect::<Option<Vec<u32>>>()?;
            hidden.pop()?;
            Some(choice.with("hidden", hidden))
        }
        _ => Some(choice),
    }
}

fn read_batches(bytes: &[u8]) -> Result<Vec<Batch>, TrainError> {
    const FILE: &str = "the batch";
    let file = parse(FILE, bytes)?;
    let tensor = |name: &str| file.tensor(name).map_err(|_| wrong(FILE, &format!("tensor `{name}` is missing")));
    let (x, y) = (tensor("x")?, tensor("y")?);
    if y.dtype() != Dtype::I64 {
        return Err(wrong(FILE, &format!("`y` is {:?}, not I64", y.dtype())));
    }
    // A single batch has as many dimensions as the net reads; a stack has one more.
    let single = match x.dtype() {
        Dtype::F32 => 4,
        Dtype::I64 => 2,
        other => return Err(wrong(FILE, &format!("`x` is {other:?}; it must be F32 images or I64 token ids"))),
    };
    let shape = if x.shape().len() == single { [&[1], x.shape()].concat() } else { x.shape().to_vec() };
    let targets: Vec<i64> = state_file::i64s(y.data()).collect();
    if shape.len() != single + 1 || shape.contains(&0) || shape.iter().product::<usize>() > BATCH_ELEMENTS_MAX {
        return Err(wrong(FILE, &format!("`x` has the shape {:?}", x.shape())));
    }
    let num_targets = if single == 4 { shape[1] } else { shape[1] * shape[2] };
    // There is one target for each image, or one for each token: the shape is the leading dimensions of `x`.
    let y_shape = &x.shape()[..x.shape().len() - if single == 4 { 3 } else { 0 }];
    if y.shape() != y_shape {
        return Err(wrong(FILE, &format!("`x` has the shape {:?}, `y` {:?}", x.shape(), y.shape())));
    }
    let per_batch: usize = shape[1..].iter().product();
    let inputs: Vec<Inputs> = if let [_, b, c, h, w] = shape[..] {
        let nchw: Vec<f32> = state_file::f32s(x.data()).collect();
        nchw.chunks(per_batch).map(|nchw| Inputs::Images { nhwc: to_nhwc(nchw, [b, c, h, w]), shape: [b, h, w, c] }).collect()
    } else {
        let ids: Vec<i64> = state_file::i64s(x.data()).collect();
        ids.chunks(per_batch).map(|ids| Inputs::Tokens { ids: ids.to_vec(), shape: [shape[1], shape[2]] }).collect()
    };
    let batches = inputs.into_iter().zip(targets.chunks(num_targets));
    Ok(batches.map(|(inputs, targets)| Batch { inputs, targets: targets.to_vec(), size: shape[1] }).collect())
}

fn to_nhwc(nchw: &[f32], [b, c, h, w]: [usize; 4]) -> Vec<f32> {
    let pixels = h * w;
    let pixel = |index: usize| (0..c).map(move |channel| nchw[((index / pixels) * c + channel) * pixels + index % pixels]);
    (0..b * pixels).flat_map(pixel).collect()
}

/// Returns a file of batches that [`run`] can read, as used by tests and scripts.
///
/// # Errors
/// If lengths and shapes contradict each other.
pub fn write_images(x: &[f32], x_shape: &[usize], y: &[i64], y_shape: &[usize]) -> Result<Vec<u8>, TrainError> {
    let x: Vec<u8> = x.iter().flat_map(|value| value.to_le_bytes()).collect();
    write(Dtype::F32, &x, x_shape, y, y_shape)
}

/// Does the same as [`write_images`] for token ids.
///
/// # Errors
/// If lengths and shapes contradict each other.
pub fn write_tokens(x: &[i64], x_shape: &[usize], y: &[i64], y_shape: &[usize]) -> Result<Vec<u8>, TrainError> {
    let x: Vec<u8> = x.iter().flat_map(|value| value.to_le_bytes()).collect();
    write(Dtype::I64, &x, x_shape, y, y_shape)
}

fn write(dtype: Dtype, x: &[u8], x_shape: &[usize], y: &[i64], y_shape: &[usize]) -> Result<Vec<u8>, TrainError> {
    let y: Vec<u8> = y.iter().flat_map(|value| value.to_le_bytes()).collect();
    let view = |dtype, shape: &[usize], data| TensorView::new(dtype, shape.to_vec(), data);
    let encode = || safetensors::serialize(BTreeMap::from([("x", view(dtype, x_shape, x)?), ("y", view(Dtype::I64, y_shape, &y)?)]), None);
    encode().map_err(|error| TrainError::Batch(error.to_string()))
}

fn parse<'a>(file: &str, bytes: &'a [u8]) -> Result<SafeTensors<'a>, TrainError> {
    SafeTensors::deserialize(bytes).map_err(|error| wrong(file, &error.to_string()))
}

fn wrong(file: &str, reason: &str) -> TrainError {
    TrainError::File { file: file.to_owned(), reason: reason.to_owned() }
}

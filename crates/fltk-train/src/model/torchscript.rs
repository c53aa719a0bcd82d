//! TorchScript modules from a file, trained instead of one of our nets.
//!
//! A module is a program. It is examined before it is loaded ([`archive`]), which keeps out operations known to read or write files, by name. This protects
//! against accidents and simple mischief, but is not a sandbox.
//!
//! A module's parameters and floating-point buffers, such as the running statistics of batch norms, are the model's parameters and buffers; whole-number
//! buffers, such as the number of batches that a batch norm has seen, are its counters.

mod archive;
mod source;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use fltk_core::model_state::{TensorRole, TensorSpec};
use tch::{Device, Kind, TchError, Tensor};
use torch_script::Module;

pub use self::archive::{module_bytes, module_sha256};
use crate::{
    TrainError,
    layers::{Mode, Pass},
    losses,
    nets::{InputShape, Net},
    tensors,
};

/// The samples, and the words of each text, with which a module is tried before anything starts.
const TRIED_SAMPLES: i64 = 2;
const TRIED_WORDS: i64 = 4;

#[derive(Debug)]
struct ScriptNet {
    /// The module, behind a lock: in training mode a pass needs it for itself.
    module: RwLock<Module>,
    /// True if the module has buffers.
    has_buffers: bool,
}

impl Net for ScriptNet {
    fn forward(&self, x: Tensor, pass: &mut Pass<'_>) -> Result<Tensor, TchError> {
        let Mode::Train { counters, .. } = &mut pass.mode else { return self.evaluate(&x) };
        let mut module = self.module.write().unwrap_or_else(PoisonError::into_inner);
        module.set_training(true).map_err(of_module)?;
        let output = module.forward(&x).map_err(of_module)?;
        if !counters.is_empty() {
            read_counters(&module, counters)?;
        }
        Ok(output)
    }

    fn moved_tensors(&self) -> Result<Option<Vec<Tensor>>, TchError> {
        if !self.has_buffers {
            return Ok(None);
        }
        let module = self.module.read().unwrap_or_else(PoisonError::into_inner);
        let all = module.tensors().map_err(of_module)?;
        Ok(Some(all.into_iter().filter(|named| named.tensor.kind() == Kind::Float).map(|named| named.tensor).collect()))
    }

    fn set_counters(&self, counters: &[i64]) -> Result<(), TchError> {
        if counters.is_empty() {
            return Ok(());
        }
        let module = self.module.write().unwrap_or_else(PoisonError::into_inner);
        let mut rest = counters;
        for mut counter in counters_of(&module)? {
            let (values, others) = rest.split_at_checked(counter.numel()).ok_or_else(changed)?;
            let values = Tensor::f_from_slice(values)?.f_view(counter.size().as_slice())?;
            tch::no_grad(|| counter.f_copy_(&values))?;
            rest = others;
        }
        Ok(())
    }
}

impl ScriptNet {
    fn evaluate(&self, x: &Tensor) -> Result<Tensor, TchError> {
        loop {
            let module = self.module.read().unwrap_or_else(PoisonError::into_inner);
            if !module.is_training() {
                return module.evaluate(x).map_err(of_module);
            }
            drop(module);
            self.module.write().unwrap_or_else(PoisonError::into_inner).set_training(false).map_err(of_module)?;
        }
    }
}

fn of_module(error: torch_script::Error) -> TchError {
    TchError::Torch(error.to_string())
}

/// The error of a module that has other buffers than when it was loaded.
fn changed() -> TchError {
    TchError::Torch("the module's buffers have other sizes than when it was loaded".to_owned())
}

fn counters_of(module: &Module) -> Result<impl Iterator<Item = Tensor>, TchError> {
    let all = module.tensors().map_err(of_module)?;
    Ok(all.into_iter().filter(|named| named.tensor.kind() == Kind::Int64).map(|named| named.tensor))
}

fn read_counters(module: &Module, into: &mut [i64]) -> Result<(), TchError> {
    let mut rest = into;
    for counter in counters_of(module)? {
        let (values, others) = rest.split_at_mut_checked(counter.numel()).ok_or_else(changed)?;
        counter.f_contiguous()?.f_copy_data(values, values.len())?;
        rest = others;
    }
    Ok(())
}

/// The file of a module, as it was read and checked, from which more modules can be made.
#[derive(Clone, Debug)]
pub(super) struct Source {
    path: PathBuf,
    archive: Arc<[u8]>,
    /// True if its sources name an operation that draws random numbers.
    pub draws: bool,
    pub device: Device,
}

/// A module as a net.
pub(super) struct Script {
    pub net: Arc<dyn Net>,
    pub layout: Vec<TensorSpec>,
    /// The parameters and buffers in the layout's order, shared with the module.
    pub tensors: Vec<Tensor>,
    /// The counters in the layout's order.
    pub counters: Vec<i64>,
}

impl Source {
    /// Reads and checks the file at `path`, for modules on `device`.
    pub fn read(path: &Path, device: Device) -> Result<Self, TrainError> {
        let wrong = |reason: String| TrainError::TorchScript { path: path.to_owned(), reason };
        let archive::Checked { archive, draws } = archive::read(path).and_then(|bytes| archive::check(&bytes)).map_err(wrong)?;
        Ok(Self { path: path.to_owned(), archive: archive.into(), draws, device })
    }

    fn wrong(&self, reason: impl Into<String>) -> TrainError {
        TrainError::TorchScript { path: self.path.clone(), reason: reason.into() }
    }

    /// Makes a module with parameters and buffers of its own: those in the file.
    pub fn load(&self) -> Result<Script, TrainError> {
        let module = Module::load(&self.archive, self.device).map_err(|error| self.wrong(error.to_string()))?;
        let named = module.tensors().map_err(|error| self.wrong(error.to_string()))?;
        if named.iter().all(|named| named.is_buffer) {
            return Err(self.wrong("it has no parameters"));
        }
        let (mut layout, mut all, mut has_buffers) = (vec![], vec![], false);
        for torch_script::NamedTensor { name, is_buffer, mut tensor } in named {
            has_buffers |= is_buffer;
            let role = match (is_buffer, tensor.kind()) {
                (false, Kind::Float) if tensor.requires_grad() => TensorRole::Parameter,
                (false, kind) => {
                    let trained = tensor.requires_grad();
                    return Err(self.wrong(format!("parameter `{name}` is {kind:?}, trained: {trained}; all must be trained f32")));
                }
                (true, Kind::Float) => TensorRole::Buffer,
                (true, Kind::Int64) => TensorRole::Counter,
                (true, kind) => {
                    return Err(self.wrong(format!(
                        "buffer `{name}` is {kind:?}; buffers are f32, or i64\nhint: make it a constant of the module, or register it as one of these"
                    )));
                }
            };
            let shape = tensor.size().iter().map(|&size| usize::try_from(size)).collect::<Result<Vec<_>, _>>();
            let shape = shape.map_err(|_| self.wrong(format!("`{name}` has a negative size")))?;
            if role == TensorRole::Parameter {
                // The parameter gets the same numbers in our memory format, still shared with the module.
                let formatted = tensors::zeros(&shape, tensors::MemoryFormat::ChannelsLast, self.device)?;
                formatted.shallow_clone().f_copy_(&tensor.f_detach()?)?;
                tensor.f_set_data(&formatted)?;
            }
            layout.push(TensorSpec { name, shape, role });
            if role != TensorRole::Counter {
                all.push(tensor);
            }
        }
        let num_counters = layout.iter().filter(|spec| spec.role == TensorRole::Counter).map(TensorSpec::num_elements).sum();
        let mut counters = vec![0; num_counters];
        read_counters(&module, &mut counters).map_err(|error| self.wrong(TrainError::from(error).to_string()))?;
        let net = Arc::new(ScriptNet { module: RwLock::new(module), has_buffers });
        Ok(Script { net, layout, tensors: all, counters })
    }

    /// Checks that a module's outputs are what a net for `data` has, on samples of zeros: before anything is trained, and not in the first batch.
    pub fn check(&self, script: &Script, data: InputShape) -> Result<(), TrainError> {
        let (input, num_rows, classes) = match data {
            InputShape::Images { shape, classes } => {
                let [c, h, w] = tensors::dims(&shape)?[..] else { return Err(self.wrong("images have three dimensions")) };
                (Tensor::f_zeros([TRIED_SAMPLES, c, h, w], (Kind::Float, self.device))?, TRIED_SAMPLES, classes)
            }
            InputShape::Tokens { vocabulary } => {
                (Tensor::f_zeros([TRIED_SAMPLES, TRIED_WORDS], (Kind::Int64, self.device))?, TRIED_SAMPLES * TRIED_WORDS, vocabulary)
            }
        };
        let size = input.size();
        let mut pass = Pass { tensors: &script.tensors, mode: Mode::Evaluate, features: None };
        let output = tch::no_grad(|| script.net.forward(input, &mut pass));
        let output = output.map_err(|error| self.wrong(format!("it doesn't take samples {size:?}: {}", TrainError::from(error))))?;
        let rows = losses::rows(&output)?.size();
        if output.kind() != Kind::Float || rows != [num_rows, tensors::dims(&[classes])?[0]] {
            return Err(self.wrong(format!(
                "for {TRIED_SAMPLES} samples {size:?} it returns {:?} of {:?}; the data set has {classes} classes\nhint: its last layer has an output for each class, without softmax",
                output.size(),
                output.kind()
            )));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

    use fltk_core::{experiment::NetworkConfig, model_state::ModelState, seed::Seed};

    use super::*;
    use crate::Model;

    fn model(file: &str) -> Model {
        crate::init(1);
        let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fltk-torch/tests/data");
        let network = NetworkConfig::TorchScript { torchscript: file.to_owned() };
        Model::new(&network, &base, InputShape::Images { shape: [1, 28, 28], classes: 10 }, Seed(1), Device::Cpu).unwrap()
    }

    /// Returns the numbers of the state's tensor `name`.
    fn floats(model: &Model, name: &str) -> Vec<f32> {
        let state = model.state().unwrap();
        let mut first = 0;
        for spec in state.layout.iter().filter(|spec| spec.role != TensorRole::Counter) {
            if spec.name == name {
                return state.floats[first..first + spec.num_elements()].to_vec();
            }
            first += spec.num_elements();
        }
        panic!("there is no `{name}`")
    }

    fn images() -> Tensor {
        Tensor::arange(4 * 28 * 28, (Kind::Float, Device::Cpu)).view([4, 1, 28, 28]).remainder(7.0)
    }

    #[test]
    fn batch_norms_statistics_are_buffers_of_the_state() {
        let mut model = model("statistics.pt");
        let layout: Vec<_> = model.state_layout().iter().map(|spec| (spec.name.clone(), spec.role)).collect();
        let of = |name: &str, role| (name.to_owned(), role);
        let (parameter, buffer, counter) = (TensorRole::Parameter, TensorRole::Buffer, TensorRole::Counter);
        let norm = [
            ("weight", parameter),
            ("bias", parameter),
            ("running_mean", buffer),
            ("running_var", buffer),
            ("num_batches_tracked", counter),
        ];
        let norm = norm.map(|(name, role)| of(&format!("1.{name}"), role));
        let ends = [of("0.weight", parameter), of("0.bias", parameter), of("4.weight", parameter), of("4.bias", parameter)];
        assert_eq!(layout, [&ends[..2], &norm[..], &ends[2..]].concat(), "the order of `state_dict()`");
        // y = w * x + b, and after one step of momentum 0.1: mean = 0.9 * 0 + 0.1 * mean(y), and var = 0.9 * 1 + 0.1 * var(y), unbiased.
        let before = model.state().unwrap();
        let weight = Tensor::from_slice(&floats(&model, "0.weight")).view([4, 1, 5, 5]);
        let bias = Tensor::from_slice(&floats(&model, "0.bias"));
        let y = images().conv2d(&weight, Some(&bias), [3, 3], [0, 0], [1, 1], 1).transpose(0, 1).reshape([4, -1]);
        let mean: Vec<f32> = (y.mean_dim([1].as_slice(), false, Kind::Float) * 0.1).try_into().unwrap();
        let variance: Vec<f32> = (y.var_dim([1].as_slice(), true, false) * 0.1 + 0.9).try_into().unwrap();
        let _ = model.forward_training(images(), None, None).unwrap();
        for (found, expected) in [(floats(&model, "1.running_mean"), mean), (floats(&model, "1.running_var"), variance)] {
            assert!(found.iter().zip(&expected).all(|(found, expected)| (found - expected).abs() < 1e-5), "{found:?} {expected:?}");
        }
        assert_eq!(model.state().unwrap().counters, [1]);
        // Evaluation changes nothing, and a state that is set counts on from there.
        let after = model.state().unwrap();
        let _ = model.forward_evaluation(images()).unwrap();
        assert_eq!(model.state().unwrap(), after);
        model.set_state(&ModelState { counters: vec![41], ..before.clone() }).unwrap();
        let _ = model.forward_training(images(), None, None).unwrap();
        assert_eq!(model.state().unwrap(), ModelState { counters: vec![42], ..after.clone() });
        // A second module has tensors of its own.
        let mut other = model.duplicate(&before).unwrap();
        assert_eq!(other.state().unwrap(), before);
        let _ = other.forward_training(images(), None, None).unwrap();
        assert_eq!((other.state().unwrap(), model.state().unwrap().counters[0]), (after, 42));
    }

    #[test]
    fn a_buffer_that_a_step_replaces_is_the_new_one() {
        let mut model = model("replaced.pt");
        // The mean m goes to (m + 3) / 2 in each step, from 0: 1.5, 2.25.
        let threes = || Tensor::full([2, 1, 28, 28], 3.0, (Kind::Float, Device::Cpu));
        for expected in [1.5, 2.25] {
            let _ = model.forward_training(threes(), None, None).unwrap();
            assert_eq!(floats(&model, "mean"), [expected]);
        }
        let mut state = model.state().unwrap();
        state.floats[0] = 1.0;
        model.set_state(&state).unwrap();
        let _ = model.forward_training(threes(), None, None).unwrap();
        assert_eq!(floats(&model, "mean"), [2.0]);
    }

    #[test]
    fn modules_that_draw_random_numbers_are_known() {
        assert!(model("plain.pt").draws_from_libtorch() && model("buffers.pt").draws_from_libtorch());
        assert!(!model("statistics.pt").draws_from_libtorch());
    }
}

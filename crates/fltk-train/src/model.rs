//! A net with its parameters, buffers and counters.

mod torchscript;

use std::{path::Path, sync::Arc};

use fltk_core::{
    catalogue::Choice,
    experiment::NetworkConfig,
    model_state::{ModelState, TensorRole, TensorSpec},
    seed::{Purpose, Seed},
};
use rand::Rng as _;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use sha2::{Digest as _, Sha256};
use tch::{Device, Tensor};
use torch_dist::ProcessGroup;

pub use self::torchscript::{module_bytes, module_sha256};
use crate::{
    TrainError,
    layers::{Linear, Mode, Pass},
    losses,
    nets::{self, InputShape, Net},
    registry::{Init, Registry, Slot},
    tensors::{self, MemoryFormat},
};

/// A net, its parameters, buffers and counters. States are row-major, as in PyTorch's files, whatever the net's memory format, and in host memory, whatever its
/// device.
#[derive(Debug)]
pub struct Model {
    net: Arc<dyn Net>,
    layout: Arc<Vec<TensorSpec>>,
    /// The parameters and buffers, in the layout's order.
    tensors: Vec<Tensor>,
    /// The indices of the parameters in `tensors`.
    trainable: Vec<usize>,
    counters: Vec<i64>,
    input: Option<[usize; 3]>,
    format: MemoryFormat,
    /// The device of `tensors`, which computes.
    device: Device,
    /// The file of the module, if this is a TorchScript module.
    script: Option<torchscript::Source>,
}

impl Model {
    /// Makes a net for samples of the shape `data` on `device`, with initial weights from `Purpose::Init` of `seed`, in the distributions that its
    /// PyTorch twin has. A TorchScript module (its path is relative to `base`) keeps the weights in its file.
    ///
    /// # Errors
    /// If the net and `data` don't fit each other, sizes are impossible, a TorchScript file can't be loaded, or there is no such device. Whether a TorchScript
    /// module fits `data` is found out by a pass over samples of zeros.
    pub fn new(network: &NetworkConfig, base: &Path, data: InputShape, seed: Seed, device: Device) -> Result<Self, TrainError> {
        match network {
            NetworkConfig::Named(net) | NetworkConfig::Block { net, .. } => {
                Self::named(net, data, seed, MemoryFormat::ChannelsLast, device)
            }
            NetworkConfig::TorchScript { torchscript } => {
                let source = torchscript::Source::read(&base.join(torchscript), device)?;
                let script = source.load()?;
                source.check(&script, data)?;
                Ok(Self::of_script(source, script))
            }
            NetworkConfig::Python(net) => {
                Err(TrainError::Settings(format!("`{}` is a net in Python, which only nodes in Python train", net.python)))
            }
        }
    }

    pub(crate) fn named(net: &Choice, data: InputShape, seed: Seed, format: MemoryFormat, device: Device) -> Result<Self, TrainError> {
        let spec = nets::find(net.name())?;
        let input = nets::input_for(spec, data)?;
        let (net, registry) = nets::build(spec, input, net)?;
        let image = match input {
            InputShape::Images { shape, .. } => Some(shape),
            InputShape::Tokens { .. } => None,
        };
        let tensors = initial_tensors(&registry, seed, format, device)?;
        Ok(Self::assemble(Arc::from(net), registry.layout, tensors, image, format, device))
    }

    fn of_script(source: torchscript::Source, script: torchscript::Script) -> Self {
        let torchscript::Script { net, layout, tensors, counters } = script;
        let device = source.device;
        Self { counters, script: Some(source), ..Self::assemble(net, layout, tensors, None, MemoryFormat::ChannelsLast, device) }
    }

    fn assemble(
        net: Arc<dyn Net>,
        layout: Vec<TensorSpec>,
        tensors: Vec<Tensor>,
        input: Option<[usize; 3]>,
        format: MemoryFormat,
        device: Device,
    ) -> Self {
        let floats = layout.iter().filter(|spec| spec.role != TensorRole::Counter);
        let trainable: Vec<usize> =
            floats.enumerate().filter(|(_, spec)| spec.role == TensorRole::Parameter).map(|(index, _)| index).collect();
        let counters = vec![0; layout.iter().filter(|spec| spec.role == TensorRole::Counter).map(TensorSpec::num_elements).sum()];
        let tensors = tensors.into_iter().enumerate();
        let tensors = tensors.map(|(index, t)| t.set_requires_grad(trainable.binary_search(&index).is_ok())).collect();
        Self { net, layout: Arc::new(layout), tensors, trainable, counters, input, format, device, script: None }
    }

    /// The names, shapes and roles of the state's tensors, in PyTorch's order.
    #[must_use]
    pub fn state_layout(&self) -> Arc<Vec<TensorSpec>> {
        self.layout.clone()
    }

    /// True if this is a TorchScript module that draws random numbers, such as dropout masks. They come from libtorch's own generator, which the whole process
    /// shares: for reproducible results, train such modules one at a time, never in parallel threads.
    #[must_use]
    pub fn draws_from_libtorch(&self) -> bool {
        self.script.as_ref().is_some_and(|script| script.draws)
    }

    /// The memory format of the 4-d tensors.
    #[must_use]
    pub fn memory_format(&self) -> MemoryFormat {
        self.format
    }

    /// The device of the parameters and buffers, on which batches have to be, too.
    #[must_use]
    pub fn device(&self) -> Device {
        self.device
    }

    /// The image shape `[C, H, W]` that the net needs; `None` if it takes any input.
    #[must_use]
    pub fn image_input(&self) -> Option<[usize; 3]> {
        self.input
    }

    /// Returns a copy of the state, in host memory.
    ///
    /// # Errors
    /// If libtorch fails, because memory is short.
    pub fn state(&self) -> Result<ModelState, TrainError> {
        let total = self.float_specs().map(TensorSpec::num_elements).sum();
        let mut floats = vec![0.0; total];
        let mut rest = floats.as_mut_slice();
        for (spec, tensor) in self.float_specs().zip(&self.tensors) {
            let (values, others) = rest.split_at_mut(spec.num_elements());
            tensors::read_row_major(tensor, values)?;
            rest = others;
        }
        Ok(ModelState { layout: self.layout.clone(), floats, counters: self.counters.clone() })
    }

    /// Overwrites the state.
    ///
    /// # Errors
    /// If the state belongs to another net, or contradicts its own layout.
    pub fn set_state(&mut self, state: &ModelState) -> Result<(), TrainError> {
        if !Arc::ptr_eq(&state.layout, &self.layout) {
            check_layout(&self.layout, &state.layout)?;
        }
        let num_floats: usize = self.float_specs().map(TensorSpec::num_elements).sum();
        if state.floats.len() != num_floats || state.counters.len() != self.counters.len() {
            let (floats, counters) = (state.floats.len(), state.counters.len());
            let (net_floats, net_counters) = (num_floats, self.counters.len());
            return Err(TrainError::State(format!("{floats} floats and {counters} counters, the net has {net_floats} and {net_counters}")));
        }
        let mut rest = state.floats.as_slice();
        for (spec, tensor) in self.float_specs().zip(&self.tensors) {
            let (values, others) = rest.split_at(spec.num_elements());
            tensors::write_row_major(tensor, values)?;
            rest = others;
        }
        self.counters.copy_from_slice(&state.counters);
        self.net.set_counters(&self.counters)?;
        Ok(())
    }

    /// Returns a second handle on the same tensors, with which another thread can evaluate while nobody trains.
    pub(crate) fn share(&self) -> Self {
        Self {
            net: self.net.clone(),
            layout: self.layout.clone(),
            tensors: self.tensors.iter().map(Tensor::shallow_clone).collect(),
            trainable: self.trainable.clone(),
            counters: self.counters.clone(),
            input: self.input,
            format: self.format,
            device: self.device,
            script: self.script.clone(),
        }
    }

    /// Makes a net of the same kind with tensors of its own, which hold `state`.
    ///
    /// # Errors
    /// If the state belongs to another net.
    pub(crate) fn duplicate(&self, state: &ModelState) -> Result<Self, TrainError> {
        if let Some(source) = &self.script {
            // A module's tensors are part of it.
            let mut model = Self::of_script(source.clone(), source.load()?);
            model.set_state(state)?;
            return Ok(model);
        }
        let zeros = |spec: &TensorSpec| tensors::zeros(&spec.shape, self.format, self.device);
        let tensors = self.float_specs().map(zeros).collect::<Result<Vec<_>, _>>()?;
        let is_trained = |index: &usize| self.trainable.binary_search(index).is_ok();
        let tensors = tensors.into_iter().enumerate().map(|(index, tensor)| tensor.set_requires_grad(is_trained(&index))).collect();
        let mut model = Self { tensors, ..self.share() };
        model.set_state(state)?;
        Ok(model)
    }

    /// The layers of a perceptron, as [`Net::perceptron`] has them.
    pub(crate) fn perceptron(&self) -> Option<&[Linear]> {
        self.net.perceptron()
    }

    /// The parameter or buffer at `slot`.
    pub(crate) fn tensor(&self, slot: Slot) -> &Tensor {
        &self.tensors[slot.0]
    }

    /// The parameters in the layout's order.
    pub(crate) fn parameters(&self) -> impl ExactSizeIterator<Item = &Tensor> {
        self.trainable.iter().map(|&index| &self.tensors[index])
    }

    /// The buffers (statistics of batch norms) in the layout's order.
    pub(crate) fn buffers(&self) -> impl Iterator<Item = &Tensor> {
        self.tensors.iter().enumerate().filter(|(index, _)| self.trainable.binary_search(index).is_err()).map(|(_, tensor)| tensor)
    }

    /// The counters in the layout's order.
    pub(crate) fn counters_mut(&mut self) -> &mut [i64] {
        &mut self.counters
    }

    /// The names and shapes of [`parameters`](Self::parameters).
    pub(crate) fn parameter_specs(&self) -> impl Iterator<Item = &TensorSpec> {
        self.layout.iter().filter(|spec| spec.role == TensorRole::Parameter)
    }

    fn float_specs(&self) -> impl Iterator<Item = &TensorSpec> {
        self.layout.iter().filter(|spec| spec.role != TensorRole::Counter)
    }

    /// Computes logits in training mode. `dropout` draws the masks; `None` switches dropout off (except in a TorchScript module). Batch norms
    /// compute their statistics over the batches of all ranks of `sync` together.
    pub(crate) fn forward_training(
        &mut self,
        x: Tensor,
        dropout: Option<&mut ChaCha8Rng>,
        sync: Option<&ProcessGroup>,
    ) -> Result<Tensor, TrainError> {
        self.check_input(&x)?;
        let mode = Mode::Train { dropout, counters: &mut self.counters, sync };
        let logits = self.net.forward(x, &mut Pass { tensors: &self.tensors, mode, features: None })?;
        if let Some(tensors) = self.net.moved_tensors()? {
            self.tensors = tensors;
        }
        Ok(logits)
    }

    /// Computes logits in evaluation mode.
    pub(crate) fn forward_evaluation(&self, x: Tensor) -> Result<Tensor, TrainError> {
        self.check_input(&x)?;
        Ok(self.net.forward(x, &mut Pass { tensors: &self.tensors, mode: Mode::Evaluate, features: None })?)
    }

    /// Computes logits and features in training mode: the inputs of the last linear layer, as rows `[N, F]`.
    pub(crate) fn features_training(&mut self, x: Tensor, dropout: Option<&mut ChaCha8Rng>) -> Result<(Tensor, Tensor), TrainError> {
        self.check_input(&x)?;
        let mut features = Tensor::new();
        let mode = Mode::Train { dropout, counters: &mut self.counters, sync: None };
        let logits = self.net.forward(x, &mut Pass { tensors: &self.tensors, mode, features: Some(&mut features) })?;
        Ok((logits, rows_of_features(&features)?))
    }

    /// Computes features in evaluation mode.
    pub(crate) fn features_evaluation(&self, x: Tensor) -> Result<Tensor, TrainError> {
        self.check_input(&x)?;
        let mut features = Tensor::new();
        let _ = self.net.forward(x, &mut Pass { tensors: &self.tensors, mode: Mode::Evaluate, features: Some(&mut features) })?;
        rows_of_features(&features)
    }

    pub(crate) fn check_input(&self, x: &Tensor) -> Result<(), TrainError> {
        let fits = match self.input {
            Some(shape) => x.kind() == tch::Kind::Float && x.size().get(1..) == Some(tensors::dims(&shape)?.as_slice()),
            None => true,
        };
        if fits {
            Ok(())
        } else {
            Err(TrainError::Batch(format!("inputs are {:?} of {:?}, the net reads [B, C, H, W] with {:?}", x.size(), x.kind(), self.input)))
        }
    }
}

/// Returns features as rows.
fn rows_of_features(features: &Tensor) -> Result<Tensor, TrainError> {
    if !features.defined() {
        let message = "the strategy compares features, the inputs of the last linear layer, and this net has none".to_owned();
        return Err(TrainError::Settings(message));
    }
    Ok(losses::rows(features)?)
}

/// Draws in the layout's order, row-major within a tensor, whatever the memory format: the same seed always gives the same weights.
fn initial_tensors(registry: &Registry, seed: Seed, format: MemoryFormat, device: Device) -> Result<Vec<Tensor>, TrainError> {
    let mut stream = seed.stream(Purpose::Init, &[]);
    let floats = registry.layout.iter().filter(|spec| spec.role != TensorRole::Counter);
    let initialize = |(spec, init): (&TensorSpec, &Init)| {
        let values: Vec<f32> = match *init {
            Init::Uniform { bound } => (0..spec.num_elements()).map(|_| uniform(&mut stream) * bound).collect(),
            Init::Normal { deviation } => {
                (0..spec.num_elements()).map(|_| Distribution::<f32>::sample(&StandardNormal, &mut stream) * deviation).collect()
            }
            Init::Constant(value) => vec![value; spec.num_elements()],
        };
        let tensor = tensors::zeros(&spec.shape, format, device)?;
        tensors::write_row_major(&tensor, &values)?;
        Ok(tensor)
    };
    floats.zip(&registry.inits).map(initialize).collect()
}

/// Draws a number in `-1..1` from 24 bits.
#[expect(clippy::cast_precision_loss, reason = "24 bits fit an f32 exactly")]
fn uniform(stream: &mut ChaCha8Rng) -> f32 {
    (stream.next_u32() >> 8) as f32 * (2.0 / 16_777_216.0) - 1.0
}

/// Checks that `given` is the same layout as `ours`; the error names the first difference.
pub(crate) fn check_layout(ours: &[TensorSpec], given: &[TensorSpec]) -> Result<(), TrainError> {
    if let Some((ours, given)) = ours.iter().zip(given).find(|(ours, given)| ours != given) {
        return Err(TrainError::State(format!(
            "the net has {:?} `{}` {:?} where the state has {:?} `{}` {:?}",
            ours.role, ours.name, ours.shape, given.role, given.name, given.shape
        )));
    }
    if ours.len() == given.len() { Ok(()) } else { Err(TrainError::State(format!("{} tensors, the net has {}", given.len(), ours.len()))) }
}

/// Returns the SHA-256 of a state, in lower-case hex.
///
/// These bytes are hashed: the label `fltk-state-1` and a zero byte; then, for every tensor in the layout's order, its name in UTF-8 and a
/// zero byte, the number of its dimensions and each dimension as little-endian u64, and its elements, row-major, as little-endian f32 (for
/// counters: i64). Roles are not hashed, since they follow from the net.
#[must_use]
pub fn parameters_sha256(state: &ModelState) -> String {
    let mut hash = Sha256::new();
    hash.update(b"fltk-state-1\0");
    let (mut floats, mut counters) = (state.floats.iter(), state.counters.iter());
    let mut bytes = vec![];
    for spec in state.layout.iter() {
        bytes.clear();
        bytes.extend_from_slice(spec.name.as_bytes());
        bytes.push(0);
        bytes.extend_from_slice(&(spec.shape.len() as u64).to_le_bytes());
        spec.shape.iter().for_each(|&size| bytes.extend_from_slice(&(size as u64).to_le_bytes()));
        match spec.role {
            TensorRole::Counter => counters.by_ref().take(spec.num_elements()).for_each(|c| bytes.extend_from_slice(&c.to_le_bytes())),
            _ => floats.by_ref().take(spec.num_elements()).for_each(|f| bytes.extend_from_slice(&f.to_le_bytes())),
        }
        hash.update(&bytes);
    }
    hex::encode(hash.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Samples that fit the nets here, which have one size.
    const MNIST: InputShape = InputShape::Images { shape: [1, 28, 28], classes: 10 };

    fn model(name: &str, seed: u64) -> Model {
        Model::named(&Choice::new(name), MNIST, Seed(seed), MemoryFormat::default(), Device::Cpu).unwrap()
    }

    #[test]
    fn same_seed_gives_the_same_weights_within_bounds() {
        let state = model("FashionMNISTCNN", 42).state().unwrap();
        assert_eq!(state, model("FashionMNISTCNN", 42).state().unwrap());
        assert_ne!(state.floats, model("FashionMNISTCNN", 43).state().unwrap().floats);
        // conv1.weight: 16 x 1 x 5 x 5, fan-in 25, so U(-0.2, 0.2).
        let conv1 = &state.floats[..400];
        assert!(conv1.iter().all(|w| w.abs() <= 0.2));
        assert!(conv1.iter().any(|w| *w > 0.15) && conv1.iter().any(|w| *w < -0.15));
        let mean = conv1.iter().sum::<f32>() / 400.0;
        assert!(mean.abs() < 0.02, "{mean}");
    }

    #[test]
    fn normal_weights_have_their_deviation() {
        let model =
            Model::new(&NetworkConfig::named("CharLSTM"), Path::new(""), InputShape::Tokens { vocabulary: 1000 }, Seed(42), Device::Cpu);
        let embedding = &model.unwrap().state().unwrap().floats[..8000];
        let mean = embedding.iter().sum::<f32>() / 8000.0;
        let variance = embedding.iter().map(|w| w * w).sum::<f32>() / 8000.0;
        // A golden value: an update of `rand_distr` that changes it would change what a seed means.
        assert_eq!(embedding[..3], [-1.197_464_7, -1.131_689_3, 0.551_563_56]);
        assert!(mean.abs() < 0.05 && (variance - 1.0).abs() < 0.05, "{mean} {variance}");
        assert!(embedding.iter().any(|w| *w > 3.0) && embedding.iter().any(|w| *w < -3.0));
    }

    /// `kaiming_normal_` with `fan_out`: ResNet18GN's first convolution has 64 outputs and a 7x7 kernel, VGG11's second 128 and 3x3.
    #[test]
    fn convolutions_with_normal_weights_have_the_variance_of_their_fan_out() {
        for (net, tensor, fan_out) in [("ResNet18GN", "conv1.weight", 64.0 * 49.0), ("VGG11", "features.3.weight", 128.0 * 9.0)] {
            let input = InputShape::Images { shape: [3, 32, 32], classes: 10 };
            let model = Model::new(&NetworkConfig::named(net), Path::new(""), input, Seed(42), Device::Cpu).unwrap();
            let floats = model.state().unwrap().floats;
            let at = model.layout.iter().position(|spec| spec.name == tensor).unwrap();
            let start: usize = model.layout[..at].iter().map(TensorSpec::num_elements).sum();
            let weights = &floats[start..start + model.layout[at].num_elements()];
            let variance = weights.iter().map(|w| w * w).sum::<f32>() / weights.len() as f32;
            assert!((variance * fan_out / 2.0 - 1.0).abs() < 0.05, "{net}: {variance}");
        }
    }

    /// In a comparison with PyTorch dropout is off, so its places are checked here: it is before both hidden layers.
    #[test]
    fn vgg11_drops_inputs_of_its_hidden_layers() {
        let input = InputShape::Images { shape: [3, 64, 32], classes: 10 };
        let mut model = Model::new(&NetworkConfig::named("VGG11"), Path::new(""), input, Seed(1), Device::Cpu).unwrap();
        let mut stream = Seed(1).stream(Purpose::Dropout, &[]);
        let x = Tensor::zeros([2, 3, 64, 32], (tch::Kind::Float, Device::Cpu));
        assert_eq!(model.forward_training(x, Some(&mut stream), None).unwrap().size(), [2, 10]);
        assert_eq!(stream.get_word_pos(), 2 * (2 * 512 + 512));
    }

    #[test]
    fn model_state_round_trips() {
        for (name, shape) in [("FashionMNISTCNN", [1, 28, 28]), ("Cifar10CNN", [3, 32, 32]), ("FashionMNISTResNet", [1, 28, 28])] {
            let input = InputShape::Images { shape, classes: 10 };
            let mut model = Model::new(&NetworkConfig::named(name), Path::new(""), input, Seed(1), Device::Cpu).unwrap();
            let mut state = model.state().unwrap();
            state.floats.iter_mut().enumerate().for_each(|(i, f)| *f = i as f32);
            state.counters.iter_mut().enumerate().for_each(|(i, c)| *c = i as i64);
            model.set_state(&state).unwrap();
            assert_eq!(model.state().unwrap(), state, "{name:?}");
        }
    }

    #[test]
    fn states_of_other_nets_are_refused() {
        let mut model = model("FashionMNISTCNN", 1);
        let other = super::tests::model("MNISTCNN", 1).state().unwrap();
        let error = model.set_state(&other).unwrap_err().to_string();
        assert!(error.contains("`conv1.weight` [16, 1, 5, 5]") && error.contains("[10, 1, 5, 5]"), "{error}");
        let mut short = model.state().unwrap();
        short.floats.pop();
        assert!(matches!(model.set_state(&short), Err(TrainError::State(_))));
    }

    #[test]
    fn digest_covers_names_shapes_and_values() {
        let spec = |name: &str, shape: &[usize]| TensorSpec { name: name.to_owned(), shape: shape.to_vec(), role: TensorRole::Parameter };
        let digest = |specs: Vec<TensorSpec>, floats: [f32; 2]| {
            parameters_sha256(&ModelState { layout: Arc::new(specs), floats: floats.to_vec(), counters: vec![] })
        };
        let base = digest(vec![spec("a", &[2])], [1.0, 2.0]);
        // This golden value was computed separately: sha256(b"fltk-state-1\0a\0" + <QQ>(1, 2) + <ff>(1.0, 2.0)).
        assert_eq!(base, "2547bdd6560f932486b88a6f153f591cc7724968a6f76c82fbacd69714ea83b4");
        assert_ne!(base, digest(vec![spec("b", &[2])], [1.0, 2.0]));
        assert_ne!(base, digest(vec![spec("a", &[1, 2])], [1.0, 2.0]));
        assert_ne!(base, digest(vec![spec("a", &[2])], [1.0, 3.0]));
    }
}

//! The parameters of a net: their PyTorch names in PyTorch's order, their shapes and initial values. There are no tensors yet.

use std::fmt::Display;

use fltk_core::model_state::{TensorRole, TensorSpec};

/// The initial values of a tensor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Init {
    /// Uniform in `-bound..bound`.
    Uniform { bound: f32 },
    /// Normal around 0 with this standard deviation.
    Normal { deviation: f32 },
    /// The same value for all elements.
    Constant(f32),
}

impl Init {
    /// Returns PyTorch's default for convolutions and linear layers: Kaiming-uniform with `a = sqrt(5)`, which is
    /// `U(-1/sqrt(fan_in), 1/sqrt(fan_in))`, for weight and bias alike.
    pub fn fan_in(fan_in: usize) -> Self {
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            reason = "a fan-in is far below 2^52; f32 is what weights are"
        )]
        Self::Uniform { bound: (1.0 / (fan_in as f64).sqrt()) as f32 }
    }

    /// Returns PyTorch's `kaiming_normal_` with `mode="fan_out"` and `nonlinearity="relu"`: normal with the variance `2 / fan_out`.
    pub fn fan_out(fan_out: usize) -> Self {
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            reason = "a fan-out is far below 2^52; f32 is what weights are"
        )]
        Self::Normal { deviation: (2.0 / fan_out as f64).sqrt() as f32 }
    }
}

/// The place of a parameter or buffer of f32: its index among the net's float tensors.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slot(pub usize);

/// The place of a counter: its index among the net's counters.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CounterSlot(pub usize);

/// The tensors that a net registers while it is built, in the order of registration.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    pub layout: Vec<TensorSpec>,
    /// The initial values of the float tensors, by [`Slot`].
    pub inits: Vec<Init>,
    num_counters: usize,
}

impl Registry {
    pub fn root(&mut self) -> Scope<'_> {
        Scope { registry: self, prefix: String::new() }
    }
}

/// A place in the tree of modules: `conv1` in `layer1.0` registers `layer1.0.conv1.weight`.
#[derive(Debug)]
pub(crate) struct Scope<'a> {
    registry: &'a mut Registry,
    prefix: String,
}

impl Scope<'_> {
    pub fn sub(&mut self, name: impl Display) -> Scope<'_> {
        Scope { prefix: format!("{}{name}.", self.prefix), registry: self.registry }
    }

    pub fn parameter(&mut self, name: impl Display, shape: &[usize], init: Init) -> Slot {
        self.float(name, shape, init, TensorRole::Parameter)
    }

    pub fn buffer(&mut self, name: impl Display, shape: &[usize], init: Init) -> Slot {
        self.float(name, shape, init, TensorRole::Buffer)
    }

    pub fn counter(&mut self, name: impl Display) -> CounterSlot {
        self.registry.layout.push(TensorSpec { name: format!("{}{name}", self.prefix), shape: vec![], role: TensorRole::Counter });
        self.registry.num_counters += 1;
        CounterSlot(self.registry.num_counters - 1)
    }

    fn float(&mut self, name: impl Display, shape: &[usize], init: Init, role: TensorRole) -> Slot {
        self.registry.layout.push(TensorSpec { name: format!("{}{name}", self.prefix), shape: shape.to_vec(), role });
        self.registry.inits.push(init);
        Slot(self.registry.inits.len() - 1)
    }
}

//! `torch.nn.Conv2d`.

use tch::{TchError, Tensor};

use super::Pass;
use crate::registry::{Init, Scope, Slot};

/// The settings of a convolution. Kernels are square, which is all that the nets here need.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConvConfig {
    pub kernel: usize,
    pub stride: i64,
    pub padding: i64,
    pub bias: bool,
}

impl ConvConfig {
    /// Returns PyTorch's defaults: stride 1, no padding, with bias.
    pub const fn new(kernel: usize) -> Self {
        Self { kernel, stride: 1, padding: 0, bias: true }
    }

    pub const fn stride(self, stride: i64) -> Self {
        Self { stride, ..self }
    }

    pub const fn padding(self, padding: i64) -> Self {
        Self { padding, ..self }
    }

    pub const fn no_bias(self) -> Self {
        Self { bias: false, ..self }
    }
}

#[derive(Debug)]
pub(crate) struct Conv2d {
    weight: Slot,
    bias: Option<Slot>,
    config: ConvConfig,
}

impl Conv2d {
    pub fn new(scope: Scope<'_>, inputs: usize, outputs: usize, config: ConvConfig) -> Self {
        let init = Init::fan_in(inputs * config.kernel * config.kernel);
        Self::with_init(scope, inputs, outputs, config, init, init)
    }

    pub fn with_init(mut scope: Scope<'_>, inputs: usize, outputs: usize, config: ConvConfig, weight: Init, bias: Init) -> Self {
        let weight = scope.parameter("weight", &[outputs, inputs, config.kernel, config.kernel], weight);
        let bias = config.bias.then(|| scope.parameter("bias", &[outputs], bias));
        Self { weight, bias, config }
    }

    pub fn forward(&self, x: &Tensor, pass: &Pass<'_>) -> Result<Tensor, TchError> {
        let ConvConfig { stride, padding, .. } = self.config;
        let bias = self.bias.map(|bias| pass.tensor(bias));
        x.f_conv2d(pass.tensor(self.weight), bias, [stride, stride], [padding, padding], [1, 1], 1)
    }
}

//! MNISTCNN: two 5x5 convolutions and two linear layers, with dropout. The net returns logits; the reference ends in a log-softmax, which
//! makes no difference to cross-entropy.

use fltk_core::catalogue::{Entry, NetEntry};

use super::{GREY, NetSpec};
#[cfg(libtorch)]
use crate::nets::InputShape;

pub(super) static SPEC: NetSpec = NetSpec {
    entry: NetEntry::new(
        Entry::new("MNISTCNN", "Conv 5x5, pool, ReLU, conv 5x5, dropout, pool, ReLU, linear, ReLU, dropout, linear."),
        GREY,
    )
    .layers(|_| 4),
    #[cfg(libtorch)]
    input: InputShape::Images { shape: [1, 28, 28], classes: 10 },
    #[cfg(libtorch)]
    build: |scope, _| Box::new(net::MnistCnn::new(scope)),
};

#[cfg(libtorch)]
mod net {
    use tch::{TchError, Tensor};

    use crate::{
        layers::{Conv2d, ConvConfig, Linear, Pass, dropout, dropout_channels, flatten, relu, relu_then_max_pool},
        nets::Net,
        registry::Scope,
    };

    const DROPOUT: f64 = 0.5;

    #[derive(Debug)]
    pub(super) struct MnistCnn {
        conv1: Conv2d,
        conv2: Conv2d,
        fc1: Linear,
        fc2: Linear,
    }

    impl MnistCnn {
        pub(super) fn new(scope: &mut Scope<'_>) -> Self {
            Self {
                conv1: Conv2d::new(scope.sub("conv1"), 1, 10, ConvConfig::new(5)),
                conv2: Conv2d::new(scope.sub("conv2"), 10, 20, ConvConfig::new(5)),
                fc1: Linear::new(scope.sub("fc1"), 320, 50),
                fc2: Linear::new(scope.sub("fc2"), 50, 10),
            }
        }
    }

    impl Net for MnistCnn {
        fn forward(&self, x: Tensor, pass: &mut Pass<'_>) -> Result<Tensor, TchError> {
            let x = relu_then_max_pool(&self.conv1.forward(&x, pass)?, 2)?;
            let x = dropout_channels(self.conv2.forward(&x, pass)?, DROPOUT, pass)?;
            let x = relu_then_max_pool(&x, 2)?;
            let x = dropout(relu(self.fc1.forward(&flatten(&x)?, pass)?)?, DROPOUT, pass)?;
            self.fc2.forward(&x, pass)
        }
    }
}

//! Cifar10CNN: three stages of two 3x3 convolutions, each with ReLU and then batch norm, and two linear layers.
//!
//! Two defects of the reference are fixed here: its softmax before the cross-entropy, and the missing activation between its linear
//! layers, without which the two are one linear map. The parameters are the same.

use fltk_core::catalogue::{Entry, NetEntry};

use super::{CIFAR10, NetSpec};
#[cfg(libtorch)]
use crate::nets::InputShape;

pub(super) static SPEC: NetSpec = NetSpec {
    entry: NetEntry::new(Entry::new("Cifar10CNN", "3 x (2 x (conv 3x3, ReLU, batch norm), pool), linear, ReLU, linear."), CIFAR10)
        .layers(|_| 14)
        .batch_norms(),
    #[cfg(libtorch)]
    input: InputShape::Images { shape: [3, 32, 32], classes: 10 },
    #[cfg(libtorch)]
    build: |scope, _| Box::new(net::Cifar10Cnn::new(scope)),
};

#[cfg(libtorch)]
mod net {
    use tch::{TchError, Tensor};

    use crate::{
        layers::{BatchNorm2d, Conv2d, ConvConfig, Linear, Pass, flatten, max_pool, relu},
        nets::Net,
        registry::Scope,
    };

    #[derive(Debug)]
    pub(super) struct Cifar10Cnn {
        /// The six convolutions; a pooling follows every second one.
        convs: Vec<(Conv2d, BatchNorm2d)>,
        fc1: Linear,
        fc2: Linear,
    }

    impl Cifar10Cnn {
        pub(super) fn new(scope: &mut Scope<'_>) -> Self {
            let widths = [(3, 32), (32, 32), (32, 64), (64, 64), (64, 128), (128, 128)];
            let convs = (1..)
                .zip(widths)
                .map(|(number, (inputs, outputs))| {
                    let conv = Conv2d::new(scope.sub(format_args!("conv{number}")), inputs, outputs, ConvConfig::new(3).padding(1));
                    (conv, BatchNorm2d::new(scope.sub(format_args!("bn{number}")), outputs))
                })
                .collect();
            let (fc1, fc2) = (Linear::new(scope.sub("fc1"), 128 * 4 * 4, 128), Linear::new(scope.sub("fc2"), 128, 10));
            Self { convs, fc1, fc2 }
        }
    }

    impl Net for Cifar10Cnn {
        fn forward(&self, mut x: Tensor, pass: &mut Pass<'_>) -> Result<Tensor, TchError> {
            for (index, (conv, bn)) in self.convs.iter().enumerate() {
                x = bn.forward(&relu(conv.forward(&x, pass)?)?, pass)?;
                if index % 2 == 1 {
                    x = max_pool(&x, 2)?;
                }
            }
            let x = relu(self.fc1.forward(&flatten(&x)?, pass)?)?;
            self.fc2.forward(&x, pass)
        }
    }
}

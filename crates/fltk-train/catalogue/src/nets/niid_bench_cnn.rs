//! NIIDBenchCNN: the CNN of NIID-Bench, which many papers on skewed labels use after it: LeNet-5's layers, for images as they are.
//!
//! It has 62,006 parameters on CIFAR-10, and 44,426 on MNIST. `LeNet5` is the same on images that are padded to 32x32.

use fltk_core::catalogue::{Entry, NetEntry};

#[cfg(libtorch)]
use super::CIFAR10_INPUT;
use super::{CIFAR10, NetSpec};

pub(super) static SPEC: NetSpec = NetSpec {
    entry: NetEntry::for_images(
        Entry::new("NIIDBenchCNN", "2 x (conv 5x5, ReLU, pool), 3 linear layers with ReLU. It has 62,006 parameters on CIFAR-10.")
            .paper("Li et al., Federated Learning on Non-IID Data Silos: An Experimental Study, 2022, arXiv:2102.02079"),
        16,
        CIFAR10,
    )
    .layers(|_| 5),
    #[cfg(libtorch)]
    input: CIFAR10_INPUT,
    #[cfg(libtorch)]
    build: |scope, sizes| Box::new(net::NiidBenchCnn::new(scope, sizes)),
};

#[cfg(libtorch)]
mod net {
    use tch::{TchError, Tensor};

    use crate::{
        layers::{Conv2d, ConvConfig, Linear, Pass, flatten, relu, relu_then_max_pool},
        nets::{Net, Sizes},
        registry::Scope,
    };

    #[derive(Debug)]
    pub(super) struct NiidBenchCnn {
        conv1: Conv2d,
        conv2: Conv2d,
        fc1: Linear,
        fc2: Linear,
        fc3: Linear,
    }

    impl NiidBenchCnn {
        pub(super) fn new(scope: &mut Scope<'_>, &Sizes { image, outputs, .. }: &Sizes<'_>) -> Self {
            let [channels, height, width] = image;
            // A convolution takes 4 pixels of each side, and a pooling halves it.
            let side = |pixels: usize| ((pixels - 4) / 2 - 4) / 2;
            Self {
                conv1: Conv2d::new(scope.sub("conv1"), channels, 6, ConvConfig::new(5)),
                conv2: Conv2d::new(scope.sub("conv2"), 6, 16, ConvConfig::new(5)),
                fc1: Linear::new(scope.sub("fc1"), 16 * side(height) * side(width), 120),
                fc2: Linear::new(scope.sub("fc2"), 120, 84),
                fc3: Linear::new(scope.sub("fc3"), 84, outputs),
            }
        }
    }

    impl Net for NiidBenchCnn {
        fn forward(&self, x: Tensor, pass: &mut Pass<'_>) -> Result<Tensor, TchError> {
            let x = relu_then_max_pool(&self.conv1.forward(&x, pass)?, 2)?;
            let x = relu_then_max_pool(&self.conv2.forward(&x, pass)?, 2)?;
            let x = relu(self.fc1.forward(&flatten(&x)?, pass)?)?;
            let x = relu(self.fc2.forward(&x, pass)?)?;
            self.fc3.forward(&x, pass)
        }
    }
}

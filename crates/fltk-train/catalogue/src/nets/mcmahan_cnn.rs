//! McMahanCNN: the CNN of FedAvg's paper for MNIST, in which convolutions keep the size (TensorFlow's padding SAME). On MNIST it has 1,663,370
//! parameters, as published. (The paper's net for CIFAR-10 is another one, from a tutorial of TensorFlow.)

use fltk_core::catalogue::{Entry, NetEntry};

#[cfg(libtorch)]
use super::GREY_INPUT;
use super::{GREY, NetSpec};

pub(super) static SPEC: NetSpec = NetSpec {
    entry: NetEntry::for_images(
        Entry::new(
            "McMahanCNN",
            "2 x (conv 5x5, ReLU, pool), linear with 512 outputs, ReLU, linear. It has 1,663,370 parameters on MNIST.",
        )
        .paper("McMahan et al., Communication-Efficient Learning of Deep Networks from Decentralized Data, 2017, arXiv:1602.05629"),
        4,
        GREY,
    )
    .layers(|_| 4),
    #[cfg(libtorch)]
    input: GREY_INPUT,
    #[cfg(libtorch)]
    build: |scope, sizes| Box::new(net::TwoConvolutions::new(scope, sizes, 512)),
};

#[cfg(libtorch)]
pub(super) mod net {
    use tch::{TchError, Tensor};

    use crate::{
        layers::{Conv2d, ConvConfig, Linear, Pass, flatten, relu, relu_then_max_pool},
        nets::{Net, Sizes},
        registry::Scope,
    };

    /// Two convolutions that keep the size, each with a pooling, and two linear layers.
    #[derive(Debug)]
    pub(in super::super) struct TwoConvolutions {
        conv1: Conv2d,
        conv2: Conv2d,
        fc1: Linear,
        fc2: Linear,
    }

    impl TwoConvolutions {
        /// Makes the net with `hidden` units between the linear layers.
        pub(in super::super) fn new(scope: &mut Scope<'_>, &Sizes { image, outputs, .. }: &Sizes<'_>, hidden: usize) -> Self {
            let [channels, height, width] = image;
            let same = ConvConfig::new(5).padding(2);
            Self {
                conv1: Conv2d::new(scope.sub("conv1"), channels, 32, same),
                conv2: Conv2d::new(scope.sub("conv2"), 32, 64, same),
                fc1: Linear::new(scope.sub("fc1"), 64 * (height / 4) * (width / 4), hidden),
                fc2: Linear::new(scope.sub("fc2"), hidden, outputs),
            }
        }
    }

    impl Net for TwoConvolutions {
        fn forward(&self, x: Tensor, pass: &mut Pass<'_>) -> Result<Tensor, TchError> {
            let x = relu_then_max_pool(&self.conv1.forward(&x, pass)?, 2)?;
            let x = relu_then_max_pool(&self.conv2.forward(&x, pass)?, 2)?;
            let x = relu(self.fc1.forward(&flatten(&x)?, pass)?)?;
            self.fc2.forward(&x, pass)
        }
    }
}

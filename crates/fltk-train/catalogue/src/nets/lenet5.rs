//! LeNet5 (LeCun et al. 1998, "Gradient-based learning applied to document recognition"), in its usual modern form: ReLU and max-pooling,
//! full connections between the convolutions. The net reads 1x32x32; the input pipeline pads 28x28 images by 2.

use fltk_core::catalogue::{Entry, NetEntry};

use super::{GREY, NetSpec};
#[cfg(libtorch)]
use crate::nets::InputShape;

pub(super) static SPEC: NetSpec = NetSpec {
    entry: NetEntry::new(
        Entry::new("LeNet5", "2 x (conv 5x5, ReLU, pool), 3 linear layers with ReLU.")
            .paper("LeCun et al., Gradient-Based Learning Applied to Document Recognition, 1998"),
        GREY,
    )
    .layers(|_| 5),
    #[cfg(libtorch)]
    input: InputShape::Images { shape: [1, 32, 32], classes: 10 },
    #[cfg(libtorch)]
    build: |scope, _| Box::new(net::LeNet5::new(scope)),
};

#[cfg(libtorch)]
mod net {
    use tch::{TchError, Tensor};

    use crate::{
        layers::{Conv2d, ConvConfig, Linear, Pass, flatten, relu, relu_then_max_pool},
        nets::Net,
        registry::Scope,
    };

    #[derive(Debug)]
    pub(super) struct LeNet5 {
        conv1: Conv2d,
        conv2: Conv2d,
        fc1: Linear,
        fc2: Linear,
        fc3: Linear,
    }

    impl LeNet5 {
        pub(super) fn new(scope: &mut Scope<'_>) -> Self {
            Self {
                conv1: Conv2d::new(scope.sub("conv1"), 1, 6, ConvConfig::new(5)),
                conv2: Conv2d::new(scope.sub("conv2"), 6, 16, ConvConfig::new(5)),
                fc1: Linear::new(scope.sub("fc1"), 400, 120),
                fc2: Linear::new(scope.sub("fc2"), 120, 84),
                fc3: Linear::new(scope.sub("fc3"), 84, 10),
            }
        }
    }

    impl Net for LeNet5 {
        fn forward(&self, x: Tensor, pass: &mut Pass<'_>) -> Result<Tensor, TchError> {
            let x = relu_then_max_pool(&self.conv1.forward(&x, pass)?, 2)?;
            let x = relu_then_max_pool(&self.conv2.forward(&x, pass)?, 2)?;
            let x = relu(self.fc1.forward(&flatten(&x)?, pass)?)?;
            let x = relu(self.fc2.forward(&x, pass)?)?;
            self.fc3.forward(&x, pass)
        }
    }
}

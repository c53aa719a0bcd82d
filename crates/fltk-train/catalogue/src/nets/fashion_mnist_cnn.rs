//! FashionMNISTCNN: two stages of 5x5 convolution, batch norm, ReLU and pooling, then one linear layer.

use fltk_core::catalogue::{Entry, NetEntry};

use super::{GREY, NetSpec};
#[cfg(libtorch)]
use crate::nets::InputShape;

pub(super) static SPEC: NetSpec = NetSpec {
    entry: NetEntry::new(Entry::new("FashionMNISTCNN", "2 x (conv 5x5, batch norm, ReLU, pool), linear."), GREY)
        .layers(|_| 5)
        .batch_norms(),
    #[cfg(libtorch)]
    input: InputShape::Images { shape: [1, 28, 28], classes: 10 },
    #[cfg(libtorch)]
    build: |scope, _| Box::new(net::FashionMnistCnn::new(scope)),
};

#[cfg(libtorch)]
mod net {
    use tch::{TchError, Tensor};

    use crate::{
        layers::{BatchNorm2d, Conv2d, ConvConfig, Linear, Pass, flatten, relu_then_max_pool},
        nets::Net,
        registry::Scope,
    };

    #[derive(Debug)]
    pub(super) struct FashionMnistCnn {
        conv1: Conv2d,
        bn1: BatchNorm2d,
        conv2: Conv2d,
        bn2: BatchNorm2d,
        fc: Linear,
    }

    impl FashionMnistCnn {
        pub(super) fn new(scope: &mut Scope<'_>) -> Self {
            let conv = ConvConfig::new(5).padding(2);
            Self {
                conv1: Conv2d::new(scope.sub("conv1"), 1, 16, conv),
                bn1: BatchNorm2d::new(scope.sub("bn1"), 16),
                conv2: Conv2d::new(scope.sub("conv2"), 16, 32, conv),
                bn2: BatchNorm2d::new(scope.sub("bn2"), 32),
                fc: Linear::new(scope.sub("fc"), 32 * 7 * 7, 10),
            }
        }
    }

    impl Net for FashionMnistCnn {
        fn forward(&self, x: Tensor, pass: &mut Pass<'_>) -> Result<Tensor, TchError> {
            let x = self.bn1.forward(&self.conv1.forward(&x, pass)?, pass)?;
            let x = relu_then_max_pool(&x, 2)?;
            let x = self.bn2.forward(&self.conv2.forward(&x, pass)?, pass)?;
            let x = relu_then_max_pool(&x, 2)?;
            self.fc.forward(&flatten(&x)?, pass)
        }
    }
}

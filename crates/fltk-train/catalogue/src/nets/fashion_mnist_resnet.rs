//! FashionMNISTResNet: a pre-activation ResNet-18 (He et al. 2016, arXiv:1603.05027) with a 7x7 stem and biases in its convolutions.
//!
//! Its last feature maps are 1x1, so a batch of one image gives batch norm a single value per channel. PyTorch raises an error there; the
//! behavior here is described at `BatchNorm2d::forward`.

use fltk_core::catalogue::{Entry, NetEntry};

use super::{GREY, NetSpec};
#[cfg(libtorch)]
use crate::nets::InputShape;

pub(super) static SPEC: NetSpec = NetSpec {
    entry: NetEntry::new(
        Entry::new("FashionMNISTResNet", "Pre-activation ResNet-18, 7x7 stem.")
            .paper("He et al., Identity Mappings in Deep Residual Networks, 2016, arXiv:1603.05027"),
        GREY,
    )
    .layers(|_| 38)
    .batch_norms(),
    #[cfg(libtorch)]
    input: InputShape::Images { shape: [1, 28, 28], classes: 10 },
    #[cfg(libtorch)]
    build: |scope, _| Box::new(net::FashionMnistResNet::new(scope)),
};

#[cfg(libtorch)]
mod net {
    use tch::{TchError, Tensor};

    use crate::{
        layers::{BatchNorm2d, Conv2d, ConvConfig, Linear, Pass, flatten, max_pool_strided, relu},
        nets::Net,
        registry::Scope,
    };

    /// The epsilon of the blocks' batch norms; the stem uses PyTorch's default.
    const EPS: f64 = 1e-3;

    #[derive(Debug)]
    pub(super) struct FashionMnistResNet {
        conv1: Conv2d,
        bn1: BatchNorm2d,
        blocks: Vec<PreActivationBlock>,
        fc: Linear,
    }

    impl FashionMnistResNet {
        pub(super) fn new(scope: &mut Scope<'_>) -> Self {
            let conv1 = Conv2d::new(scope.sub("conv1"), 1, 64, ConvConfig::new(7).stride(2).padding(3));
            let bn1 = BatchNorm2d::new(scope.sub("bn1"), 64);
            let mut blocks = vec![];
            let mut inputs = 64;
            for (layer, (width, stride)) in (1..).zip([(64, 1), (128, 2), (256, 2), (512, 2)]) {
                for block in 0..2 {
                    let stride = if block == 0 { stride } else { 1 };
                    blocks.push(PreActivationBlock::new(scope.sub(format_args!("layer{layer}.{block}")), inputs, width, stride));
                    inputs = width;
                }
            }
            Self { conv1, bn1, blocks, fc: Linear::new(scope.sub("fc"), 512, 10) }
        }
    }

    impl Net for FashionMnistResNet {
        fn forward(&self, x: Tensor, pass: &mut Pass<'_>) -> Result<Tensor, TchError> {
            let x = relu(self.bn1.forward(&self.conv1.forward(&x, pass)?, pass)?)?;
            let mut x = max_pool_strided(&x, 3, 2, 1)?;
            for block in &self.blocks {
                x = block.forward(&x, pass)?;
            }
            self.fc.forward(&flatten(&x.f_adaptive_avg_pool2d([1, 1])?)?, pass)
        }
    }

    #[derive(Debug)]
    struct PreActivationBlock {
        bn1: BatchNorm2d,
        conv1: Conv2d,
        bn2: BatchNorm2d,
        conv2: Conv2d,
        /// A 1x1 convolution of the raw input where the shape changes, otherwise the identity.
        shortcut: Option<Conv2d>,
    }

    impl PreActivationBlock {
        fn new(mut scope: Scope<'_>, inputs: usize, width: usize, stride: i64) -> Self {
            let conv3x3 = ConvConfig::new(3).padding(1);
            let bn1 = BatchNorm2d::with_eps(scope.sub("bn1"), inputs, EPS);
            let conv1 = Conv2d::new(scope.sub("conv1"), inputs, width, conv3x3.stride(stride));
            let bn2 = BatchNorm2d::with_eps(scope.sub("bn2"), width, EPS);
            let conv2 = Conv2d::new(scope.sub("conv2"), width, width, conv3x3);
            let shortcut = (stride != 1 || inputs != width)
                .then(|| Conv2d::new(scope.sub("shortcut"), inputs, width, ConvConfig::new(1).stride(stride)));
            Self { bn1, conv1, bn2, conv2, shortcut }
        }

        fn forward(&self, x: &Tensor, pass: &mut Pass<'_>) -> Result<Tensor, TchError> {
            let y = relu(self.bn1.forward(x, pass)?)?;
            let y = relu(self.bn2.forward(&self.conv1.forward(&y, pass)?, pass)?)?;
            let mut y = self.conv2.forward(&y, pass)?;
            match &self.shortcut {
                Some(conv) => y.f_add_(&conv.forward(x, pass)?),
                None => y.f_add_(x),
            }
        }
    }
}

//! Cifar10ResNet and Cifar100ResNet: ResNet-18 for 32x32 images (He et al. 2015, arXiv:1512.03385), with a 3x3 stem and no first pooling.

use fltk_core::catalogue::{Entry, NetEntry};

use super::{CIFAR10, CIFAR100, NetSpec};
#[cfg(libtorch)]
use crate::nets::InputShape;

pub(super) static CIFAR10_RESNET: NetSpec = NetSpec {
    entry: NetEntry::new(
        Entry::new("Cifar10ResNet", "ResNet-18, 3x3 stem.")
            .paper("He et al., Deep Residual Learning for Image Recognition, 2015, arXiv:1512.03385"),
        CIFAR10,
    )
    .layers(|_| 41)
    .batch_norms(),
    #[cfg(libtorch)]
    input: InputShape::Images { shape: [3, 32, 32], classes: 10 },
    #[cfg(libtorch)]
    build: |scope, _| Box::new(net::ResNet18::new(scope, 10)),
};

pub(super) static CIFAR100_RESNET: NetSpec = NetSpec {
    entry: NetEntry::new(
        Entry::new("Cifar100ResNet", "ResNet-18, 3x3 stem.")
            .paper("He et al., Deep Residual Learning for Image Recognition, 2015, arXiv:1512.03385"),
        CIFAR100,
    )
    .layers(|_| 41)
    .batch_norms(),
    #[cfg(libtorch)]
    input: InputShape::Images { shape: [3, 32, 32], classes: 100 },
    #[cfg(libtorch)]
    build: |scope, _| Box::new(net::ResNet18::new(scope, 100)),
};

#[cfg(libtorch)]
mod net {
    use tch::{TchError, Tensor};

    use crate::{
        layers::{BatchNorm2d, Conv2d, ConvConfig, Linear, Pass, flatten, relu},
        nets::Net,
        registry::Scope,
    };

    #[derive(Debug)]
    pub(super) struct ResNet18 {
        conv1: Conv2d,
        bn1: BatchNorm2d,
        blocks: Vec<BasicBlock>,
        fc: Linear,
    }

    impl ResNet18 {
        pub(super) fn new(scope: &mut Scope<'_>, classes: usize) -> Self {
            let conv1 = Conv2d::new(scope.sub("conv1"), 3, 64, ConvConfig::new(3).padding(1).no_bias());
            let bn1 = BatchNorm2d::new(scope.sub("bn1"), 64);
            let mut blocks = vec![];
            let mut inputs = 64;
            for (layer, (width, stride)) in (1..).zip([(64, 1), (128, 2), (256, 2), (512, 2)]) {
                for block in 0..2 {
                    let stride = if block == 0 { stride } else { 1 };
                    blocks.push(BasicBlock::new(scope.sub(format_args!("layer{layer}.{block}")), inputs, width, stride));
                    inputs = width;
                }
            }
            Self { conv1, bn1, blocks, fc: Linear::new(scope.sub("fc"), 512, classes) }
        }
    }

    impl Net for ResNet18 {
        fn forward(&self, x: Tensor, pass: &mut Pass<'_>) -> Result<Tensor, TchError> {
            let mut x = relu(self.bn1.forward(&self.conv1.forward(&x, pass)?, pass)?)?;
            for block in &self.blocks {
                x = block.forward(x, pass)?;
            }
            self.fc.forward(&flatten(&x.f_adaptive_avg_pool2d([1, 1])?)?, pass)
        }
    }

    #[derive(Debug)]
    struct BasicBlock {
        conv1: Conv2d,
        bn1: BatchNorm2d,
        conv2: Conv2d,
        bn2: BatchNorm2d,
        /// A 1x1 convolution where the shape changes, otherwise the identity.
        shortcut: Option<(Conv2d, BatchNorm2d)>,
    }

    impl BasicBlock {
        fn new(mut scope: Scope<'_>, inputs: usize, width: usize, stride: i64) -> Self {
            let conv3x3 = ConvConfig::new(3).padding(1).no_bias();
            let conv1 = Conv2d::new(scope.sub("conv1"), inputs, width, conv3x3.stride(stride));
            let bn1 = BatchNorm2d::new(scope.sub("bn1"), width);
            let conv2 = Conv2d::new(scope.sub("conv2"), width, width, conv3x3);
            let bn2 = BatchNorm2d::new(scope.sub("bn2"), width);
            let shortcut = (stride != 1 || inputs != width).then(|| {
                let conv = Conv2d::new(scope.sub("shortcut.0"), inputs, width, ConvConfig::new(1).stride(stride).no_bias());
                (conv, BatchNorm2d::new(scope.sub("shortcut.1"), width))
            });
            Self { conv1, bn1, conv2, bn2, shortcut }
        }

        fn forward(&self, x: Tensor, pass: &mut Pass<'_>) -> Result<Tensor, TchError> {
            let y = relu(self.bn1.forward(&self.conv1.forward(&x, pass)?, pass)?)?;
            let mut y = self.bn2.forward(&self.conv2.forward(&y, pass)?, pass)?;
            let x = match &self.shortcut {
                Some((conv, bn)) => bn.forward(&conv.forward(&x, pass)?, pass)?,
                None => x,
            };
            relu(y.f_add_(&x)?)
        }
    }
}

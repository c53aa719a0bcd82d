//! ResNet18GN: ResNet-18 (He et al. 2015, arXiv:1512.03385) with group norms of two groups in place of batch norms, since statistics of batches from
//! skewed clients don't fit each other (Hsieh et al. 2020, arXiv:1910.00189).
//!
//! It is the net of FedDyn's (Acar et al. 2021, arXiv:2111.04263) and FedExP's experiments (Jhunjhunwala et al. 2023, arXiv:2301.09604): torchvision's
//! `resnet18` as it is, with a 7x7 stem and a pooling, with its names (`bn1` is a group norm) and initial weights. It has 11,181,642 parameters for 10
//! classes, 11,227,812 for 100. (Reddi et al. 2021, arXiv:2003.00295, have a pre-activation net of the same size. For 32x32 images, others take a 3x3
//! stem without a pooling, as `Cifar10ResNet` has it.)

use fltk_core::catalogue::{Entry, NetEntry};

#[cfg(libtorch)]
use super::CIFAR10_INPUT;
use super::{CIFAR10, NetSpec};

pub(super) static SPEC: NetSpec = NetSpec {
    entry: NetEntry::for_images(
        Entry::new("ResNet18GN", "ResNet-18, 7x7 stem, group norms of two groups. It has 11,181,642 parameters on CIFAR-10.").paper(
            "Hsieh et al., The Non-IID Data Quagmire of Decentralized Machine Learning, 2020, arXiv:1910.00189; \
             Acar et al., Federated Learning Based on Dynamic Regularization, 2021, arXiv:2111.04263",
        ),
        2,
        CIFAR10,
    )
    .layers(|_| 41),
    #[cfg(libtorch)]
    input: CIFAR10_INPUT,
    #[cfg(libtorch)]
    build: |scope, sizes| Box::new(net::ResNet18Gn::new(scope, sizes)),
};

#[cfg(libtorch)]
mod net {
    use tch::{TchError, Tensor};

    use crate::{
        layers::{Conv2d, ConvConfig, GroupNorm, Linear, Pass, flatten, max_pool_strided, relu},
        nets::{Net, Sizes},
        registry::{Init, Scope},
    };

    const GROUPS: i64 = 2;

    #[derive(Debug)]
    pub(super) struct ResNet18Gn {
        conv1: Conv2d,
        bn1: GroupNorm,
        blocks: Vec<Block>,
        fc: Linear,
    }

    impl ResNet18Gn {
        pub(super) fn new(scope: &mut Scope<'_>, &Sizes { image, outputs, .. }: &Sizes<'_>) -> Self {
            let conv1 = convolution(scope.sub("conv1"), image[0], 64, ConvConfig::new(7).stride(2).padding(3));
            let bn1 = GroupNorm::new(scope.sub("bn1"), GROUPS, 64);
            let mut blocks = vec![];
            let mut inputs = 64;
            for (layer, (width, stride)) in (1..).zip([(64, 1), (128, 2), (256, 2), (512, 2)]) {
                for block in 0..2 {
                    let stride = if block == 0 { stride } else { 1 };
                    blocks.push(Block::new(scope.sub(format_args!("layer{layer}.{block}")), inputs, width, stride));
                    inputs = width;
                }
            }
            Self { conv1, bn1, blocks, fc: Linear::new(scope.sub("fc"), 512, outputs) }
        }
    }

    impl Net for ResNet18Gn {
        fn forward(&self, x: Tensor, pass: &mut Pass<'_>) -> Result<Tensor, TchError> {
            let x = relu(self.bn1.forward(&self.conv1.forward(&x, pass)?, pass)?)?;
            let mut x = max_pool_strided(&x, 3, 2, 1)?;
            for block in &self.blocks {
                x = block.forward(x, pass)?;
            }
            self.fc.forward(&flatten(&x.f_adaptive_avg_pool2d([1, 1])?)?, pass)
        }
    }

    #[derive(Debug)]
    struct Block {
        conv1: Conv2d,
        bn1: GroupNorm,
        conv2: Conv2d,
        bn2: GroupNorm,
        /// A 1x1 convolution where the shape changes, otherwise the identity.
        downsample: Option<(Conv2d, GroupNorm)>,
    }

    impl Block {
        fn new(mut scope: Scope<'_>, inputs: usize, width: usize, stride: i64) -> Self {
            let conv3x3 = ConvConfig::new(3).padding(1);
            let conv1 = convolution(scope.sub("conv1"), inputs, width, conv3x3.stride(stride));
            let bn1 = GroupNorm::new(scope.sub("bn1"), GROUPS, width);
            let conv2 = convolution(scope.sub("conv2"), width, width, conv3x3);
            let bn2 = GroupNorm::new(scope.sub("bn2"), GROUPS, width);
            let downsample = (stride != 1 || inputs != width).then(|| {
                let conv = convolution(scope.sub("downsample.0"), inputs, width, ConvConfig::new(1).stride(stride));
                (conv, GroupNorm::new(scope.sub("downsample.1"), GROUPS, width))
            });
            Self { conv1, bn1, conv2, bn2, downsample }
        }

        fn forward(&self, x: Tensor, pass: &mut Pass<'_>) -> Result<Tensor, TchError> {
            let y = relu(self.bn1.forward(&self.conv1.forward(&x, pass)?, pass)?)?;
            let mut y = self.bn2.forward(&self.conv2.forward(&y, pass)?, pass)?;
            let x = match &self.downsample {
                Some((conv, norm)) => norm.forward(&conv.forward(&x, pass)?, pass)?,
                None => x,
            };
            relu(y.f_add_(&x)?)
        }
    }

    /// Makes a convolution without bias, with torchvision's initial weights.
    fn convolution(scope: Scope<'_>, inputs: usize, outputs: usize, config: ConvConfig) -> Conv2d {
        let weight = Init::fan_out(outputs * config.kernel * config.kernel);
        Conv2d::with_init(scope, inputs, outputs, config.no_bias(), weight, Init::Constant(0.0))
    }
}

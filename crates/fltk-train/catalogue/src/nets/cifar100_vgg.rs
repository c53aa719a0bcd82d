//! Cifar100VGG: VGG-16 with batch norm (Simonyan and Zisserman 2014, arXiv:1409.1556, configuration D).
//!
//! Every instance has its own layers; in the reference, all instances in a process share them.

use fltk_core::catalogue::{Entry, NetEntry};

use super::{CIFAR100, NetSpec};
#[cfg(libtorch)]
use crate::nets::InputShape;

pub(super) static SPEC: NetSpec = NetSpec {
    entry: NetEntry::new(
        Entry::new("Cifar100VGG", "VGG-16 with batch norm, 3 linear layers with dropout.")
            .paper("Simonyan and Zisserman, Very Deep Convolutional Networks for Large-Scale Image Recognition, 2014, arXiv:1409.1556"),
        CIFAR100,
    )
    .layers(|_| 29)
    .batch_norms(),
    #[cfg(libtorch)]
    input: InputShape::Images { shape: [3, 32, 32], classes: 100 },
    #[cfg(libtorch)]
    build: |scope, _| Box::new(net::Vgg16::new(scope, 100)),
};

#[cfg(libtorch)]
mod net {
    use tch::{TchError, Tensor};

    use crate::{
        layers::{BatchNorm2d, Conv2d, ConvConfig, Linear, Pass, dropout, flatten, relu, relu_then_max_pool},
        nets::Net,
        registry::Scope,
    };

    /// The widths of the convolutions; each group ends with a pooling.
    const GROUPS: [&[usize]; 5] = [&[64, 64], &[128, 128], &[256, 256, 256], &[512, 512, 512], &[512, 512, 512]];

    const DROPOUT: f64 = 0.5;

    #[derive(Debug)]
    pub(super) struct Vgg16 {
        groups: Vec<Vec<(Conv2d, BatchNorm2d)>>,
        classifier: [Linear; 3],
    }

    impl Vgg16 {
        pub(super) fn new(scope: &mut Scope<'_>, classes: usize) -> Self {
            // These are positions in PyTorch's `Sequential`: convolution, batch norm, ReLU, and one more for a pooling.
            let mut position = 0;
            let mut inputs = 3;
            let groups = GROUPS.map(|widths| {
                let mut group = vec![];
                for &width in widths {
                    let conv = Conv2d::new(scope.sub(format_args!("features.{position}")), inputs, width, ConvConfig::new(3).padding(1));
                    group.push((conv, BatchNorm2d::new(scope.sub(format_args!("features.{}", position + 1)), width)));
                    inputs = width;
                    position += 3;
                }
                position += 1;
                group
            });
            let linear = |(position, inputs, outputs)| Linear::new(scope.sub(format_args!("classifier.{position}")), inputs, outputs);
            Self { groups: groups.into(), classifier: [(0, 512, 4096), (3, 4096, 4096), (6, 4096, classes)].map(linear) }
        }
    }

    impl Net for Vgg16 {
        fn forward(&self, mut x: Tensor, pass: &mut Pass<'_>) -> Result<Tensor, TchError> {
            for group in &self.groups {
                for (index, (conv, bn)) in group.iter().enumerate() {
                    x = bn.forward(&conv.forward(&x, pass)?, pass)?;
                    x = if index + 1 < group.len() { relu(x)? } else { relu_then_max_pool(&x, 2)? };
                }
            }
            let [first, second, last] = &self.classifier;
            let x = dropout(relu(first.forward(&flatten(&x)?, pass)?)?, DROPOUT, pass)?;
            let x = dropout(relu(second.forward(&x, pass)?)?, DROPOUT, pass)?;
            last.forward(&x, pass)
        }
    }
}

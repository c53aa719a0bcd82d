//! VGG11: configuration A of Simonyan and Zisserman 2014 (arXiv:1409.1556) without batch norm, as in FedNova's experiments on CIFAR-10 (Wang et al.
//! 2020, arXiv:2007.07481).
//!
//! There it has linear layers of 512 units and so 9,750,922 parameters; with the 4,096 units of the first paper it would have 28,144,010. As there,
//! weights of convolutions are initially normal with the variance 2/(fan-out) and their biases 0, and linear layers have PyTorch's initial weights.

use fltk_core::catalogue::{Entry, NetEntry};

#[cfg(libtorch)]
use super::CIFAR10_INPUT;
use super::{CIFAR10, NetSpec};

pub(super) static SPEC: NetSpec = NetSpec {
    entry: NetEntry::for_images(
        Entry::new("VGG11", "VGG-11 without batch norm, 3 linear layers with dropout. It has 9,750,922 parameters on CIFAR-10.").paper(
            "Simonyan and Zisserman, Very Deep Convolutional Networks for Large-Scale Image Recognition, 2014, arXiv:1409.1556; \
             Wang et al., Tackling the Objective Inconsistency Problem in Heterogeneous Federated Optimization, 2020, arXiv:2007.07481",
        ),
        32,
        CIFAR10,
    )
    .layers(|_| 11),
    #[cfg(libtorch)]
    input: CIFAR10_INPUT,
    #[cfg(libtorch)]
    build: |scope, sizes| Box::new(net::Vgg11::new(scope, sizes)),
};

#[cfg(libtorch)]
mod net {
    use tch::{TchError, Tensor};

    use crate::{
        layers::{Conv2d, ConvConfig, Linear, Pass, dropout, flatten, relu, relu_then_max_pool},
        nets::{Net, Sizes},
        registry::{Init, Scope},
    };

    /// The widths of the convolutions; each group ends with a pooling, which halves the sides.
    const GROUPS: [&[usize]; 5] = [&[64], &[128], &[256, 256], &[512, 512], &[512, 512]];

    const DROPOUT: f64 = 0.5;

    #[derive(Debug)]
    pub(super) struct Vgg11 {
        groups: Vec<Vec<Conv2d>>,
        classifier: [Linear; 3],
    }

    impl Vgg11 {
        pub(super) fn new(scope: &mut Scope<'_>, &Sizes { image, outputs, .. }: &Sizes<'_>) -> Self {
            let [mut inputs, height, width] = image;
            // These are positions in PyTorch's `Sequential`: convolution, ReLU, and one more for a pooling.
            let mut position = 0;
            let groups = GROUPS.map(|widths| {
                let mut group = vec![];
                for &width in widths {
                    let (scope, config) = (scope.sub(format_args!("features.{position}")), ConvConfig::new(3).padding(1));
                    group.push(Conv2d::with_init(scope, inputs, width, config, Init::fan_out(width * 3 * 3), Init::Constant(0.0)));
                    inputs = width;
                    position += 2;
                }
                position += 1;
                group
            });
            let linear = |(position, inputs, outputs)| Linear::new(scope.sub(format_args!("classifier.{position}")), inputs, outputs);
            let features = 512 * (height / 32) * (width / 32);
            Self { groups: groups.into(), classifier: [(1, features, 512), (4, 512, 512), (6, 512, outputs)].map(linear) }
        }
    }

    impl Net for Vgg11 {
        fn forward(&self, mut x: Tensor, pass: &mut Pass<'_>) -> Result<Tensor, TchError> {
            for group in &self.groups {
                for (index, conv) in group.iter().enumerate() {
                    x = conv.forward(&x, pass)?;
                    x = if index + 1 < group.len() { relu(x)? } else { relu_then_max_pool(&x, 2)? };
                }
            }
            let [first, second, last] = &self.classifier;
            let x = dropout(flatten(&x)?, DROPOUT, pass)?;
            let x = dropout(relu(first.forward(&x, pass)?)?, DROPOUT, pass)?;
            last.forward(&relu(second.forward(&x, pass)?)?, pass)
        }
    }
}

//! MLP: a multilayer perceptron on the pixels, with a ReLU after each hidden layer. By default it is `McMahan2NN`, with 199,210 parameters on MNIST.

use fltk_core::catalogue::{Entry, NetEntry, Wholes};

#[cfg(libtorch)]
use super::GREY_INPUT;
use super::{GREY, NetSpec};

/// The largest number of hidden layers: deeper nets without normalization don't train.
const LAYERS_MAX: usize = 16;

/// The largest width of a layer.
const WIDTH_MAX: u32 = 16_384;

pub(crate) const HIDDEN: Wholes = Wholes::new(
    "hidden",
    &[200, 200],
    LAYERS_MAX,
    (1, WIDTH_MAX),
    "Widths of the hidden layers, from the input on; without any, it is softmax regression.",
)
.or_none();

pub(super) static SPEC: NetSpec = NetSpec {
    entry: NetEntry::for_images(
        Entry::new("MLP", "Linear layers on the pixels, with ReLU between. It has 199,210 parameters on MNIST with the default layers.")
            .parameters(const { &[HIDDEN.parameter()] }),
        1,
        GREY,
    )
    .layers(|settings| u32::try_from(HIDDEN.of(settings).len()).unwrap_or(u32::MAX).saturating_add(1)),
    #[cfg(libtorch)]
    input: GREY_INPUT,
    #[cfg(libtorch)]
    build: |scope, sizes| Box::new(net::Mlp::new(scope, sizes, &HIDDEN.of(sizes.settings))),
};

#[cfg(libtorch)]
pub(super) mod net {
    use tch::{TchError, Tensor};

    use crate::{
        layers::{Linear, Pass, flatten, relu},
        nets::{Net, Sizes},
        registry::Scope,
    };

    #[derive(Debug)]
    pub(in super::super) struct Mlp {
        layers: Vec<Linear>,
    }

    impl Mlp {
        /// Makes the layers `fc1`, `fc2` and so on.
        pub(in super::super) fn new(scope: &mut Scope<'_>, &Sizes { image, outputs, .. }: &Sizes<'_>, hidden: &[u32]) -> Self {
            let mut inputs = image.iter().product();
            let mut layer = |number: usize, width: usize| {
                Linear::new(scope.sub(format_args!("fc{number}")), std::mem::replace(&mut inputs, width), width)
            };
            let widths = hidden.iter().map(|&width| width as usize).chain([outputs]);
            Self { layers: (1..).zip(widths).map(|(number, width)| layer(number, width)).collect() }
        }
    }

    impl Net for Mlp {
        fn forward(&self, x: Tensor, pass: &mut Pass<'_>) -> Result<Tensor, TchError> {
            let mut x = flatten(&x)?;
            for (index, layer) in self.layers.iter().enumerate() {
                x = layer.forward(&x, pass)?;
                if index + 1 < self.layers.len() {
                    x = relu(x)?;
                }
            }
            Ok(x)
        }

        fn perceptron(&self) -> Option<&[Linear]> {
            Some(&self.layers)
        }
    }
}

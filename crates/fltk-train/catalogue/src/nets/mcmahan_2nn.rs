//! McMahan2NN: the "2NN" of FedAvg's paper, a multilayer perceptron with two hidden layers of 200 units. On MNIST it has 199,210 parameters, as
//! published.

use fltk_core::catalogue::{Entry, NetEntry};

use super::{GREY, NetSpec};
#[cfg(libtorch)]
use super::{GREY_INPUT, mlp::net::Mlp};

pub(super) static SPEC: NetSpec = NetSpec {
    entry: NetEntry::for_images(
        Entry::new("McMahan2NN", "2 x (linear with 200 outputs, ReLU), linear. It has 199,210 parameters on MNIST.")
            .paper("McMahan et al., Communication-Efficient Learning of Deep Networks from Decentralized Data, 2017, arXiv:1602.05629"),
        1,
        GREY,
    )
    .layers(|_| 3),
    #[cfg(libtorch)]
    input: GREY_INPUT,
    #[cfg(libtorch)]
    build: |scope, sizes| Box::new(Mlp::new(scope, sizes, &[200, 200])),
};

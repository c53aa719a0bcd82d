//! LogisticRegression: multinomial logistic regression on the pixels, the convex problem of many papers. On MNIST it has 7,850 parameters, as in
//! Li et al. 2020 (arXiv:1812.06127).

use fltk_core::catalogue::{Entry, NetEntry};

#[cfg(libtorch)]
use super::GREY_INPUT;
use super::{GREY, NetSpec};

pub(super) static SPEC: NetSpec = NetSpec {
    entry: NetEntry::for_images(
        Entry::new("LogisticRegression", "One linear layer on the pixels. It has 7,850 parameters on MNIST.")
            .paper("Li et al., Federated Optimization in Heterogeneous Networks, 2020, arXiv:1812.06127"),
        1,
        GREY,
    ),
    #[cfg(libtorch)]
    input: GREY_INPUT,
    #[cfg(libtorch)]
    build: |scope, sizes| Box::new(net::LogisticRegression::new(scope, sizes)),
};

#[cfg(libtorch)]
mod net {
    use std::slice;

    use tch::{TchError, Tensor};

    use crate::{
        layers::{Linear, Pass, flatten},
        nets::{Net, Sizes},
        registry::Scope,
    };

    #[derive(Debug)]
    pub(super) struct LogisticRegression {
        fc: Linear,
    }

    impl LogisticRegression {
        pub(super) fn new(scope: &mut Scope<'_>, &Sizes { image, outputs, .. }: &Sizes<'_>) -> Self {
            Self { fc: Linear::new(scope.sub("fc"), image.iter().product(), outputs) }
        }
    }

    impl Net for LogisticRegression {
        fn forward(&self, x: Tensor, pass: &mut Pass<'_>) -> Result<Tensor, TchError> {
            self.fc.forward(&flatten(&x)?, pass)
        }

        fn perceptron(&self) -> Option<&[Linear]> {
            Some(slice::from_ref(&self.fc))
        }
    }
}

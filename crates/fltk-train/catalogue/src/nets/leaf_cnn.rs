//! LEAFCNN: LEAF's CNN for FEMNIST, which is `McMahanCNN` with a wider linear layer. For FEMNIST's 62 classes it has 6,603,710 parameters.

use fltk_core::catalogue::{Entry, NetEntry, SampleKind};

use super::NetSpec;
#[cfg(libtorch)]
use super::mcmahan_cnn::net::TwoConvolutions;
#[cfg(libtorch)]
use crate::nets::InputShape;

pub(super) static SPEC: NetSpec = NetSpec {
    entry: NetEntry::for_images(
        Entry::new(
            "LEAFCNN",
            "2 x (conv 5x5, ReLU, pool), linear with 2048 outputs, ReLU, linear. It has 6,603,710 parameters on FEMNIST.",
        )
        .paper("Caldas et al., LEAF: A Benchmark for Federated Settings, 2018, arXiv:1812.01097"),
        4,
        SampleKind::images(1, 28, 62),
    )
    .layers(|_| 4),
    #[cfg(libtorch)]
    input: InputShape::Images { shape: [1, 28, 28], classes: 62 },
    #[cfg(libtorch)]
    build: |scope, sizes| Box::new(TwoConvolutions::new(scope, sizes, 2048)),
};

//! The nets: one file and one line each. A net returns logits: a softmax before the cross-entropy would be a second one.

mod char_lstm;
mod cifar100_vgg;
mod cifar10_cnn;
mod fashion_mnist_cnn;
mod fashion_mnist_resnet;
mod leaf_cnn;
mod lenet5;
mod logistic_regression;
mod mcmahan_2nn;
mod mcmahan_cnn;
pub(crate) mod mlp;
mod mnist_cnn;
mod niid_bench_cnn;
pub(crate) mod reddit_lstm;
mod resnet18;
mod resnet18_gn;
mod vgg11;

use fltk_core::catalogue::{NetEntry, SampleKind};

#[cfg(libtorch)]
use crate::{
    nets::{InputShape, Net, Sizes},
    registry::Scope,
};

/// Every net.
pub const CATALOGUE: &[&NetSpec] = &[
    &cifar10_cnn::SPEC,
    &resnet18::CIFAR10_RESNET,
    &resnet18::CIFAR100_RESNET,
    &cifar100_vgg::SPEC,
    &fashion_mnist_cnn::SPEC,
    &fashion_mnist_resnet::SPEC,
    &mnist_cnn::SPEC,
    &lenet5::SPEC,
    &reddit_lstm::SPEC,
    &logistic_regression::SPEC,
    &mlp::SPEC,
    &mcmahan_2nn::SPEC,
    &mcmahan_cnn::SPEC,
    &leaf_cnn::SPEC,
    &niid_bench_cnn::SPEC,
    &resnet18_gn::SPEC,
    &vgg11::SPEC,
    &char_lstm::SPEC,
];

const GREY: SampleKind = SampleKind::images(1, 28, 10);
const CIFAR10: SampleKind = SampleKind::images(3, 32, 10);
const CIFAR100: SampleKind = SampleKind::images(3, 32, 100);

#[cfg(libtorch)]
const GREY_INPUT: InputShape = InputShape::Images { shape: [1, 28, 28], classes: 10 };
#[cfg(libtorch)]
const CIFAR10_INPUT: InputShape = InputShape::Images { shape: [3, 32, 32], classes: 10 };

/// A net.
#[derive(Debug)]
pub struct NetSpec {
    /// The name, the parameters, and the samples that it takes.
    pub entry: NetEntry,
    /// The input that it computes with; the input pipeline pads images to it. A net that takes images of any size, or text, has the input
    /// that the data set gives: here is a typical one.
    #[cfg(libtorch)]
    pub input: InputShape,
    /// Makes the net, and registers its tensors.
    #[cfg(libtorch)]
    pub build: fn(&mut Scope<'_>, &Sizes<'_>) -> Box<dyn Net>,
}

/// Returns the entries of all nets, for the program's catalogues.
#[must_use]
pub fn entries() -> Vec<&'static NetEntry> {
    CATALOGUE.iter().map(|net| &net.entry).collect()
}

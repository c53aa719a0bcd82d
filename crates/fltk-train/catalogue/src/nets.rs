//! The nets: one file and one line each. A net returns logits: a softmax before the cross-entropy would be a second one.

mod cifar100_vgg;
mod cifar10_cnn;
mod fashion_mnist_cnn;
mod fashion_mnist_resnet;
mod lenet5;
mod mnist_cnn;
pub(crate) mod reddit_lstm;
mod resnet18;

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
];

const GREY: SampleKind = SampleKind::images(1, 28, 10);
const CIFAR10: SampleKind = SampleKind::images(3, 32, 10);
const CIFAR100: SampleKind = SampleKind::images(3, 32, 100);

/// A net.
#[derive(Debug)]
pub struct NetSpec {
    /// The name, the parameters, and the samples that it takes.
    pub entry: NetEntry,
    /// The input that it computes with; the input pipeline pads images to it.
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

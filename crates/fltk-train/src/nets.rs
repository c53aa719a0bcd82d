//! The catalogue of nets. A net is one file under `nets/` that describes itself in a `NetSpec`. Adding one
//! touches that file, its `mod` and its line in the catalogue here, and its name in fltk-core.
//!
//! Each net returns logits: a softmax before the cross-entropy would be a second one.

mod cifar100_vgg;
mod cifar10_cnn;
mod fashion_mnist_cnn;
mod fashion_mnist_resnet;
mod lenet5;
mod mnist_cnn;
mod reddit_lstm;
mod resnet18;

use std::fmt;

use fltk_core::{
    experiment::{LstmConfig, NetName, NetworkConfig},
    model_state::{TensorRole, TensorSpec},
};
use serde::Serialize;
use tch::{TchError, Tensor};

use crate::{
    TrainError,
    layers::Pass,
    registry::{Registry, Scope},
};

/// The vocabulary size of a `RedditLSTM` if no data set gives one: that of the reference's example.
pub const DEFAULT_VOCABULARY: usize = 50_000;

/// All nets.
const CATALOGUE: [&NetSpec; 9] = [
    &cifar10_cnn::SPEC,
    &resnet18::CIFAR10,
    &resnet18::CIFAR100,
    &cifar100_vgg::SPEC,
    &fashion_mnist_cnn::SPEC,
    &fashion_mnist_resnet::SPEC,
    &mnist_cnn::SPEC,
    &lenet5::SPEC,
    &reddit_lstm::SPEC,
];

/// The computation of a net, without its numbers.
pub(crate) trait Net: Send + Sync + fmt::Debug {
    /// Returns logits: `[B, classes]` for images `[B, C, H, W]`, `[B, T, vocabulary]` for tokens `[B, T]`.
    fn forward(&self, x: Tensor, pass: &mut Pass<'_>) -> Result<Tensor, TchError>;
}

/// The input of a net, and the outputs that it distinguishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum InputShape {
    /// Images.
    Images {
        /// The shape `[C, H, W]`.
        shape: [usize; 3],
        /// The number of outputs.
        classes: usize,
    },
    /// Token ids; there are as many outputs as words in the vocabulary.
    Tokens,
}

/// One net of the catalogue.
#[derive(Debug)]
pub(crate) struct NetSpec {
    pub name: NetName,
    pub summary: &'static str,
    pub input: InputShape,
    pub build: fn(&mut Scope<'_>, &Sizes) -> Box<dyn Net>,
}

/// The settings that only language models need.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Sizes {
    pub vocabulary: usize,
    pub lstm: LstmConfig,
}

/// A net as a table, as printed by `fltk nets show`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Description {
    /// The net.
    pub name: NetName,
    /// Its topology in one line.
    pub summary: &'static str,
    /// The input of the net.
    pub input: InputShape,
    /// The number of elements that the optimizer trains.
    pub trainable: usize,
    /// All parameters, buffers and counters, with PyTorch's names in PyTorch's order.
    pub tensors: Vec<TensorSpec>,
}

/// Returns the names of all nets, in the catalogue's order.
#[must_use]
pub fn names() -> Vec<NetName> {
    CATALOGUE.iter().map(|spec| spec.name).collect()
}

/// Describes a net. Language models get `vocabulary` words ([`DEFAULT_VOCABULARY`] if `None`) and the default sizes.
///
/// # Errors
/// If the sizes are impossible.
pub fn describe(name: NetName, vocabulary: Option<usize>) -> Result<Description, TrainError> {
    let sizes = Sizes { vocabulary: vocabulary.unwrap_or(DEFAULT_VOCABULARY), lstm: LstmConfig::default() };
    let spec = find(name)?;
    let (_, registry) = build(spec, sizes)?;
    let tensors = registry.layout;
    let trainable = tensors.iter().filter(|t| t.role == TensorRole::Parameter).map(TensorSpec::num_elements).sum();
    Ok(Description { name, summary: spec.summary, input: spec.input, trainable, tensors })
}

/// Returns the image shape `[C, H, W]` that a net needs, to which the input pipeline pads; `None` if the net takes any input (text,
/// TorchScript).
#[must_use]
pub fn image_input(network: &NetworkConfig) -> Option<[usize; 3]> {
    let NetworkConfig::Named(name) = network else { return None };
    CATALOGUE.iter().find(|spec| spec.name == *name).and_then(|spec| match spec.input {
        InputShape::Images { shape, .. } => Some(shape),
        InputShape::Tokens => None,
    })
}

pub(crate) fn find(name: NetName) -> Result<&'static NetSpec, TrainError> {
    CATALOGUE
        .iter()
        .find(|spec| spec.name == name)
        .copied()
        .ok_or_else(|| TrainError::Settings(format!("net `{name:?}` is not in the catalogue")))
}

pub(crate) fn build(spec: &NetSpec, sizes: Sizes) -> Result<(Box<dyn Net>, Registry), TrainError> {
    if spec.input == InputShape::Tokens {
        check_sizes(&sizes)?;
    }
    let mut registry = Registry::default();
    let net = (spec.build)(&mut registry.root(), &sizes);
    Ok((net, registry))
}

fn check_sizes(Sizes { vocabulary, lstm }: &Sizes) -> Result<(), TrainError> {
    let LstmConfig { embedding, hidden, layers, dropout, tied } = *lstm;
    if *vocabulary == 0 || embedding == 0 || hidden == 0 || layers == 0 {
        return Err(TrainError::Settings(format!(
            "an LSTM needs sizes above 0: vocabulary {vocabulary}, embedding {embedding}, hidden {hidden}, layers {layers}"
        )));
    }
    if tied && embedding != hidden {
        return Err(TrainError::Settings(format!("a tied decoder needs `embedding` ({embedding}) and `hidden` ({hidden}) to be equal")));
    }
    if !(0.0..=1.0).contains(&dropout) {
        return Err(TrainError::Settings(format!("dropout {dropout} is not within 0..=1")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: NetName, trainable: usize, num_batch_norms: usize, running_floats: usize) {
        let description = describe(name, None).unwrap();
        assert_eq!(description.trainable, trainable, "{name:?}");
        let count = |role| description.tensors.iter().filter(move |t| t.role == role);
        assert_eq!(count(TensorRole::Counter).count(), num_batch_norms, "{name:?}");
        assert_eq!(count(TensorRole::Buffer).map(TensorSpec::num_elements).sum::<usize>(), running_floats, "{name:?}");
    }

    #[test]
    fn counts_are_the_published_ones() {
        check(NetName::Cifar10CNN, 551_466, 6, 896);
        check(NetName::Cifar10ResNet, 11_173_962, 20, 9_600);
        check(NetName::Cifar100ResNet, 11_220_132, 20, 9_600);
        check(NetName::Cifar100VGG, 34_015_396, 13, 8_448);
        check(NetName::FashionMNISTCNN, 29_034, 2, 96);
        check(NetName::FashionMNISTResNet, 11_177_482, 17, 6_912);
        check(NetName::MNISTCNN, 21_840, 0, 0);
        check(NetName::LeNet5, 61_706, 0, 0);
        check(NetName::RedditLSTM, 20_693_200, 0, 0);
    }

    #[test]
    fn a_tied_decoder_has_no_weight_of_its_own() {
        let sizes = Sizes { vocabulary: DEFAULT_VOCABULARY, lstm: LstmConfig { tied: true, ..LstmConfig::default() } };
        let (_, registry) = build(find(NetName::RedditLSTM).unwrap(), sizes).unwrap();
        assert_eq!(registry.layout.iter().map(TensorSpec::num_elements).sum::<usize>(), 10_693_200);
    }

    #[test]
    fn every_name_is_in_the_catalogue_once_and_names_of_tensors_are_unique() {
        use NetName::*;
        let all =
            [Cifar10CNN, Cifar10ResNet, Cifar100ResNet, Cifar100VGG, FashionMNISTCNN, FashionMNISTResNet, MNISTCNN, LeNet5, RedditLSTM];
        let mut sorted = names();
        sorted.sort_unstable();
        assert_eq!(sorted, all);
        for name in all {
            let tensors = describe(name, Some(20)).unwrap().tensors;
            let unique: std::collections::BTreeSet<_> = tensors.iter().map(|t| &t.name).collect();
            assert_eq!(unique.len(), tensors.len(), "{name:?}");
        }
    }

    #[test]
    fn impossible_sizes_are_refused() {
        let spec = find(NetName::RedditLSTM).unwrap();
        let lstm = LstmConfig::default();
        for sizes in [
            Sizes { vocabulary: 0, lstm },
            Sizes { vocabulary: 5, lstm: LstmConfig { layers: 0, ..lstm } },
            Sizes { vocabulary: 5, lstm: LstmConfig { tied: true, hidden: 7, ..lstm } },
            Sizes { vocabulary: 5, lstm: LstmConfig { dropout: f64::NAN, ..lstm } },
        ] {
            assert!(matches!(build(spec, sizes), Err(TrainError::Settings(_))), "{sizes:?}");
        }
    }
}

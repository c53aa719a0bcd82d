//! Nets: their inputs, and how they are built and described. Each is a file in this package's `catalogue` folder.

use std::fmt;

use fltk_core::{
    catalogue::{Choice, Entry},
    experiment::NetworkConfig,
    model_state::{TensorRole, TensorSpec},
};
use serde::Serialize;
use tch::{TchError, Tensor};

pub use crate::catalogue::nets::entries;
use crate::{
    TrainError,
    catalogue::nets::{CATALOGUE, NetSpec},
    layers::Pass,
    registry::Registry,
};

/// The vocabulary size of a `RedditLSTM` if no data set gives one: that of the reference's example.
pub const DEFAULT_VOCABULARY: usize = 50_000;

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

/// The sizes from which a net is built.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes<'a> {
    /// The number of words that a language model knows; 0 for images.
    pub vocabulary: usize,
    /// The net's settings.
    pub settings: &'a Choice,
}

/// A net as a table, as printed by `fltk nets show`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Description {
    /// The net.
    pub name: &'static str,
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
pub fn names() -> Vec<&'static str> {
    CATALOGUE.iter().map(|net| net.entry.entry.name).collect()
}

/// Describes a net with its default settings. Language models get `vocabulary` words ([`DEFAULT_VOCABULARY`] if `None`).
///
/// # Errors
/// If there is no such net.
pub fn describe(name: &str, vocabulary: Option<usize>) -> Result<Description, TrainError> {
    let (spec, settings) = (find(name)?, Choice::new(name));
    let (_, registry) = build(spec, vocabulary.unwrap_or(DEFAULT_VOCABULARY), &settings)?;
    let tensors = registry.layout;
    let trainable = tensors.iter().filter(|t| t.role == TensorRole::Parameter).map(TensorSpec::num_elements).sum();
    let Entry { name, doc: summary, .. } = spec.entry.entry;
    Ok(Description { name, summary, input: spec.input, trainable, tensors })
}

/// Returns the image shape `[C, H, W]` that a net needs, to which the input pipeline pads; `None` if the net takes any input (text,
/// TorchScript).
#[must_use]
pub fn image_input(network: &NetworkConfig) -> Option<[usize; 3]> {
    match find(network.net()?.name()).ok()?.input {
        InputShape::Images { shape, .. } => Some(shape),
        InputShape::Tokens => None,
    }
}

pub(crate) fn find(name: &str) -> Result<&'static NetSpec, TrainError> {
    let net = CATALOGUE.iter().copied().find(|net| net.entry.entry.name == name);
    net.ok_or_else(|| TrainError::Settings(format!("net `{name}` is not in the catalogue")))
}

/// Builds a net with these settings, and defaults for the others.
pub(crate) fn build(spec: &NetSpec, vocabulary: usize, settings: &Choice) -> Result<(Box<dyn Net>, Registry), TrainError> {
    if spec.input == InputShape::Tokens && vocabulary == 0 {
        return Err(TrainError::Settings("a language model needs at least one word".to_owned()));
    }
    let entry = &spec.entry.entry;
    let settings = settings.clone().settled(entry).map_err(|error| TrainError::Settings(error.to_string()))?;
    (entry.check)(&settings).map_err(|misfit| TrainError::Settings(misfit.message))?;
    let mut registry = Registry::default();
    let net = (spec.build)(&mut registry.root(), &Sizes { vocabulary, settings: &settings });
    Ok((net, registry))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, trainable: usize, num_batch_norms: usize, running_floats: usize) {
        let description = describe(name, None).unwrap();
        assert_eq!(description.trainable, trainable, "{name}");
        let count = |role| description.tensors.iter().filter(move |t| t.role == role);
        assert_eq!(count(TensorRole::Counter).count(), num_batch_norms, "{name}");
        assert_eq!(count(TensorRole::Buffer).map(TensorSpec::num_elements).sum::<usize>(), running_floats, "{name}");
    }

    #[test]
    fn parameter_counts_are_the_published_ones() {
        check("Cifar10CNN", 551_466, 6, 896);
        check("Cifar10ResNet", 11_173_962, 20, 9_600);
        check("Cifar100ResNet", 11_220_132, 20, 9_600);
        check("Cifar100VGG", 34_015_396, 13, 8_448);
        check("FashionMNISTCNN", 29_034, 2, 96);
        check("FashionMNISTResNet", 11_177_482, 17, 6_912);
        check("MNISTCNN", 21_840, 0, 0);
        check("LeNet5", 61_706, 0, 0);
        check("RedditLSTM", 20_693_200, 0, 0);
    }

    #[test]
    fn tied_decoder_has_no_weight_of_its_own() {
        let tied = Choice::new("RedditLSTM").with("tied", true);
        let (_, registry) = build(find("RedditLSTM").unwrap(), DEFAULT_VOCABULARY, &tied).unwrap();
        assert_eq!(registry.layout.iter().map(TensorSpec::num_elements).sum::<usize>(), 10_693_200);
    }

    #[test]
    fn names_of_nets_and_tensors_are_unique() {
        let all = names();
        let unique: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(unique.len(), all.len());
        for name in all {
            let tensors = describe(name, Some(20)).unwrap().tensors;
            let unique: std::collections::BTreeSet<_> = tensors.iter().map(|t| &t.name).collect();
            assert_eq!(unique.len(), tensors.len(), "{name}");
        }
    }

    #[test]
    fn impossible_sizes_are_refused() {
        let spec = find("RedditLSTM").unwrap();
        let lstm = || Choice::new("RedditLSTM");
        for (vocabulary, settings) in [
            (0, lstm()),
            (5, lstm().with("layers", 0)),
            (5, lstm().with("tied", true).with("hidden", 7)),
            (5, lstm().with("dropout", f64::NAN)),
        ] {
            assert!(matches!(build(spec, vocabulary, &settings), Err(TrainError::Settings(_))), "{settings:?}");
        }
    }
}

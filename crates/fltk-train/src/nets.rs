//! Nets: their inputs, and how they are built and described. Each is a file in this package's `catalogue` folder.

use std::fmt;

use fltk_core::{
    catalogue::{Choice, Entry, SampleKinds},
    model_state::{TensorRole, TensorSpec},
};
use fltk_data::{Dataset, transform::check_fits};
use serde::Serialize;
use tch::{TchError, Tensor};

pub use crate::catalogue::nets::entries;
use crate::{
    TrainError,
    catalogue::nets::{CATALOGUE, NetSpec},
    layers::{Linear, Pass},
    registry::Registry,
};

/// The computation of a net, without its numbers.
pub(crate) trait Net: Send + Sync + fmt::Debug {
    /// Returns logits: `[B, classes]` for images `[B, C, H, W]`, `[B, T, vocabulary]` for tokens `[B, T]`.
    fn forward(&self, x: Tensor, pass: &mut Pass<'_>) -> Result<Tensor, TchError>;

    /// The layers, in order, of a net that is nothing but linear layers on flat inputs, with a ReLU between any two of them; `None` for other nets.
    fn perceptron(&self) -> Option<&[Linear]> {
        None
    }

    /// Returns the parameters and buffers, in the layout's order, if a pass in training mode may have put others in their place.
    fn moved_tensors(&self) -> Result<Option<Vec<Tensor>>, TchError> {
        Ok(None)
    }

    /// Tells a net that counts by itself where to go on.
    fn set_counters(&self, _: &[i64]) -> Result<(), TchError> {
        Ok(())
    }
}

/// The shape of a sample, and the number of outputs between which a net distinguishes: of a net's input, or of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum InputShape {
    /// Images; vectors of numbers are images with one pixel.
    Images {
        /// The shape `[C, H, W]`.
        shape: [usize; 3],
        /// The number of outputs.
        classes: usize,
    },
    /// Token ids; there are as many outputs as words in the vocabulary.
    Tokens {
        /// The number of words.
        vocabulary: usize,
    },
}

impl InputShape {
    /// Returns the shape of a data set's samples.
    #[must_use]
    pub fn of(dataset: &Dataset) -> Self {
        match dataset.image_shape() {
            Some(shape) => Self::Images { shape, classes: dataset.num_classes() },
            None => Self::Tokens { vocabulary: dataset.num_classes() },
        }
    }
}

/// The sizes from which a net is built.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes<'a> {
    /// The shape `[C, H, W]` of images; zeros for text.
    pub image: [usize; 3],
    /// The number of classes of images, or of words in the vocabulary of a text.
    pub outputs: usize,
    /// The net's settings.
    pub settings: &'a Choice,
}

/// A net as a table, as printed by `fltk nets show`.
#[derive(Clone, Debug, PartialEq)]
pub struct Description {
    /// The net.
    pub name: &'static str,
    /// Its topology in one line.
    pub summary: &'static str,
    /// The samples that the net takes.
    pub takes: SampleKinds,
    /// The input of the net for typical samples of those that it takes.
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

/// Describes a net with its default settings for typical samples.
///
/// # Errors
/// If there is no such net.
pub fn describe(name: &str) -> Result<Description, TrainError> {
    let spec = find(name)?;
    let (_, registry) = build(spec, spec.input, &Choice::new(name))?;
    let tensors = registry.layout;
    let trainable = tensors.iter().filter(|t| t.role == TensorRole::Parameter).map(TensorSpec::num_elements).sum();
    let Entry { name, doc, .. } = spec.entry.entry;
    let summary = doc.find(". ").map_or(doc, |end| &doc[..=end]);
    Ok(Description { name, summary, takes: spec.entry.takes, input: spec.input, trainable, tensors })
}

pub(crate) fn find(name: &str) -> Result<&'static NetSpec, TrainError> {
    let net = CATALOGUE.iter().copied().find(|net| net.entry.entry.name == name);
    net.ok_or_else(|| TrainError::Settings(format!("net `{name}` is not in the catalogue")))
}

/// Returns the input with which a net computes for samples of the shape `data`.
///
/// # Errors
/// If the net doesn't take such samples.
pub(crate) fn input_for(spec: &NetSpec, data: InputShape) -> Result<InputShape, TrainError> {
    let net = spec.entry.entry.name;
    match (spec.input, data) {
        (InputShape::Images { classes: net_classes, .. }, InputShape::Images { shape, classes: data_classes }) => match spec.entry.takes {
            SampleKinds::Images { pixels_min, .. } if shape[1].min(shape[2]) < pixels_min as usize => {
                Err(TrainError::Pixels { net, pixels_min, shape })
            }
            SampleKinds::Images { .. } => Ok(data),
            SampleKinds::One(_) if net_classes != data_classes => Err(TrainError::Classes { net, net_classes, data_classes }),
            SampleKinds::One(_) => match spec.input {
                InputShape::Images { shape: to, .. } => Ok(check_fits(shape, to).map(|_| spec.input)?),
                InputShape::Tokens { .. } => Ok(spec.input),
            },
        },
        (InputShape::Tokens { .. }, InputShape::Tokens { .. }) => Ok(data),
        (InputShape::Images { .. }, InputShape::Tokens { .. }) => {
            Err(TrainError::InputKind { net, net_reads: "images", data_has: "tokens" })
        }
        (InputShape::Tokens { .. }, InputShape::Images { .. }) => {
            Err(TrainError::InputKind { net, net_reads: "tokens", data_has: "images" })
        }
    }
}

/// Checks that a net takes samples of the shape `data`, which isn't known before data of one's own is read.
///
/// # Errors
/// If it doesn't, or there is no such net.
pub fn check_takes(net: &str, data: InputShape) -> Result<(), TrainError> {
    input_for(find(net)?, data).map(|_| ())
}

/// Builds a net for `input`, which [`input_for`] returned, with these settings, and defaults for the others.
pub(crate) fn build(spec: &NetSpec, input: InputShape, settings: &Choice) -> Result<(Box<dyn Net>, Registry), TrainError> {
    let (image, outputs) = match input {
        InputShape::Images { classes: 0, .. } => return Err(TrainError::Settings("a net for images needs at least one class".to_owned())),
        InputShape::Tokens { vocabulary: 0 } => return Err(TrainError::Settings("a language model needs at least one word".to_owned())),
        InputShape::Images { shape, classes } => (shape, classes),
        InputShape::Tokens { vocabulary } => ([0; 3], vocabulary),
    };
    let entry = &spec.entry.entry;
    let settings = settings.clone().settled(entry).map_err(|error| TrainError::Settings(error.to_string()))?;
    (entry.check)(&settings).map_err(|misfit| TrainError::Settings(misfit.message))?;
    let mut registry = Registry::default();
    let net = (spec.build)(&mut registry.root(), &Sizes { image, outputs, settings: &settings });
    Ok((net, registry))
}

#[cfg(test)]
mod tests {
    use fltk_core::catalogue::SampleKind;

    use super::*;

    const MNIST: InputShape = InputShape::Images { shape: [1, 28, 28], classes: 10 };
    const CIFAR10: InputShape = InputShape::Images { shape: [3, 32, 32], classes: 10 };
    const CIFAR100: InputShape = InputShape::Images { shape: [3, 32, 32], classes: 100 };

    fn check(name: &str, trainable: usize, num_batch_norms: usize, running_floats: usize) {
        let description = describe(name).unwrap();
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
        check("LogisticRegression", 7_850, 0, 0);
        check("MLP", 199_210, 0, 0);
        check("McMahan2NN", 199_210, 0, 0);
        check("McMahanCNN", 1_663_370, 0, 0);
        check("LEAFCNN", 6_603_710, 0, 0);
        check("NIIDBenchCNN", 62_006, 0, 0);
        check("ResNet18GN", 11_181_642, 0, 0);
        check("VGG11", 9_750_922, 0, 0);
        check("CharLSTM", 815_945, 0, 0);
    }

    #[test]
    fn documented_parameter_counts_are_the_real_ones() {
        let mut num_documented = 0;
        for spec in CATALOGUE {
            let Entry { name, doc, .. } = spec.entry.entry;
            let Some((_, count)) = doc.split_once("It has ") else { continue };
            let documented: String = count.split(' ').next().unwrap().replace(',', "");
            assert_eq!(documented, describe(name).unwrap().trainable.to_string(), "{name}");
            num_documented += 1;
        }
        assert_eq!(num_documented, 9);
    }

    #[test]
    fn nets_for_images_of_any_size_have_the_size_of_the_data() {
        let check = |net: &Choice, data: InputShape, expected: usize| {
            let spec = find(net.name()).unwrap();
            let (_, registry) = build(spec, input_for(spec, data).unwrap(), net).unwrap();
            assert_eq!(registry.layout.iter().map(TensorSpec::num_elements).sum::<usize>(), expected, "{net:?} {data:?}");
        };
        check(&Choice::new("LogisticRegression"), CIFAR100, 3072 * 100 + 100);
        check(&Choice::new("MLP").with("hidden", [64]), MNIST, 784 * 64 + 64 + 64 * 10 + 10);
        check(&Choice::new("MLP").with("hidden", [0_u32; 0]), InputShape::Images { shape: [60, 1, 1], classes: 10 }, 610);
        check(&Choice::new("MLP").with("hidden", [5, 6, 7]), CIFAR10, 3073 * 5 + 6 * 6 + 7 * 7 + 8 * 10);
        check(&Choice::new("LEAFCNN"), MNIST, 6_603_710 - 52 * 2049);
        check(&Choice::new("NIIDBenchCNN"), MNIST, 44_426);
        check(&Choice::new("McMahanCNN"), CIFAR10, 2_432 + 51_264 + 4096 * 512 + 512 + 5_130);
        check(&Choice::new("ResNet18GN"), CIFAR100, 11_227_812);
        check(&Choice::new("VGG11"), InputShape::Images { shape: [3, 64, 64], classes: 10 }, 9_750_922 + 3 * 512 * 512);
        // Reddi et al. 2021 count 820,522: TensorFlow has one bias for each gate, PyTorch two.
        check(&Choice::new("CharLSTM"), InputShape::Tokens { vocabulary: 90 }, 820_522 + 2 * 4 * 256);
    }

    #[test]
    fn samples_that_do_not_fit_are_refused() {
        let input = |net, data| input_for(find(net).unwrap(), data);
        assert_eq!(input("LeNet5", MNIST).unwrap(), InputShape::Images { shape: [1, 32, 32], classes: 10 });
        assert!(matches!(input("Cifar10CNN", CIFAR100), Err(TrainError::Classes { net_classes: 10, data_classes: 100, .. })));
        assert!(matches!(input("LeNet5", InputShape::Images { shape: [784, 1, 1], classes: 10 }), Err(TrainError::Shape(_))));
        assert!(matches!(input("VGG11", MNIST), Err(TrainError::Pixels { pixels_min: 32, .. })));
        for net in ["RedditLSTM", "CharLSTM"] {
            assert!(matches!(input(net, MNIST), Err(TrainError::InputKind { .. })), "{net}");
        }
        for net in ["Cifar10CNN", "MLP"] {
            assert!(matches!(input(net, InputShape::Tokens { vocabulary: 65 }), Err(TrainError::InputKind { .. })), "{net}");
        }
    }

    #[test]
    fn smallest_images_that_a_net_takes_are_large_enough() {
        for spec in CATALOGUE {
            if let SampleKinds::Images { pixels_min, .. } = spec.entry.takes {
                let (name, side) = (spec.entry.entry.name, pixels_min as usize);
                let run = |side: usize| {
                    let input = InputShape::Images { shape: [2, side, side], classes: 3 };
                    let model = crate::Model::new(
                        &fltk_core::experiment::NetworkConfig::named(name),
                        "".as_ref(),
                        input,
                        fltk_core::seed::Seed(1),
                        tch::Device::Cpu,
                    )?;
                    model.forward_evaluation(Tensor::ones([2, 2, side as i64, side as i64], (tch::Kind::Float, tch::Device::Cpu)))
                };
                assert_eq!(run(side).unwrap().size(), [2, 3], "{name}");
                assert!(matches!(run(side - 1), Err(TrainError::Pixels { .. })), "{name}");
            }
        }
    }

    #[test]
    fn typical_inputs_are_of_the_kind_that_the_entry_names() {
        for spec in CATALOGUE {
            match (spec.entry.takes.typical(), spec.input) {
                (SampleKind::Images { channels, pixels, classes }, InputShape::Images { shape, classes: outputs }) => {
                    let padded = if spec.entry.entry.name == "LeNet5" { 4 } else { 0 };
                    let side = pixels as usize + padded;
                    assert_eq!((shape, outputs), ([channels as usize, side, side], classes as usize), "{}", spec.entry.entry.name);
                }
                (SampleKind::Text, InputShape::Tokens { vocabulary }) => assert!(vocabulary > 0),
                (takes, input) => panic!("{}: {takes:?}, {input:?}", spec.entry.entry.name),
            }
        }
    }

    #[test]
    fn tied_decoder_has_no_weight_of_its_own() {
        let tied = Choice::new("RedditLSTM").with("tied", true);
        let spec = find("RedditLSTM").unwrap();
        let (_, registry) = build(spec, spec.input, &tied).unwrap();
        assert_eq!(registry.layout.iter().map(TensorSpec::num_elements).sum::<usize>(), 10_693_200);
    }

    #[test]
    fn names_of_nets_and_tensors_are_unique() {
        let all = names();
        let unique: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(unique.len(), all.len());
        for name in all {
            let tensors = describe(name).unwrap().tensors;
            let unique: std::collections::BTreeSet<_> = tensors.iter().map(|t| &t.name).collect();
            assert_eq!(unique.len(), tensors.len(), "{name}");
        }
    }

    #[test]
    fn impossible_sizes_are_refused() {
        let lstm = || Choice::new("RedditLSTM");
        let five = InputShape::Tokens { vocabulary: 5 };
        for (input, settings) in [
            (InputShape::Tokens { vocabulary: 0 }, lstm()),
            (five, lstm().with("layers", 0)),
            (five, lstm().with("tied", true).with("hidden", 7)),
            (five, lstm().with("dropout", f64::NAN)),
            (InputShape::Images { shape: [1, 28, 28], classes: 0 }, Choice::new("MLP")),
            (MNIST, Choice::new("MLP").with("hidden", [0])),
        ] {
            let spec = find(settings.name()).unwrap();
            assert!(matches!(build(spec, input, &settings), Err(TrainError::Settings(_))), "{settings:?}");
        }
    }
}

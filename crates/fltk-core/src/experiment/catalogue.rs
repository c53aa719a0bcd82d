//! Properties of data sets and nets that decide whether they fit together.

use super::{DatasetName, NetName};

/// The kind of samples that a data set has, or that a net takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SampleKind {
    /// Images with one label each.
    Images {
        /// The number of channels.
        channels: u32,
        /// The width and height in pixels.
        pixels: u32,
        /// The number of classes, which are numbered from 0.
        classes: u32,
    },
    /// Text, in which the next token is predicted.
    Text,
}

const GREY: SampleKind = SampleKind::Images { channels: 1, pixels: 28, classes: 10 };
const CIFAR10: SampleKind = SampleKind::Images { channels: 3, pixels: 32, classes: 10 };
const CIFAR100: SampleKind = SampleKind::Images { channels: 3, pixels: 32, classes: 100 };

impl DatasetName {
    /// Every data set, in the order of declaration.
    pub const ALL: [Self; 6] = [Self::Mnist, Self::FashionMnist, Self::FashionMnistMini, Self::Cifar10, Self::Cifar100, Self::Shakespeare];

    /// The kind of its samples.
    #[must_use]
    pub const fn sample_kind(self) -> SampleKind {
        match self {
            Self::Mnist | Self::FashionMnist | Self::FashionMnistMini => GREY,
            Self::Cifar10 => CIFAR10,
            Self::Cifar100 => CIFAR100,
            Self::Shakespeare => SampleKind::Text,
        }
    }

    /// The number of class labels; `None` for text.
    #[must_use]
    pub const fn num_classes(self) -> Option<u32> {
        match self.sample_kind() {
            SampleKind::Images { classes, .. } => Some(classes),
            SampleKind::Text => None,
        }
    }

    /// The number of samples in its training set; `None` for text, which is cut into windows when it's read.
    #[must_use]
    pub const fn num_train(self) -> Option<u32> {
        match self {
            Self::Mnist | Self::FashionMnist => Some(60_000),
            Self::FashionMnistMini => Some(4000),
            Self::Cifar10 | Self::Cifar100 => Some(50_000),
            Self::Shakespeare => None,
        }
    }

    /// True if its samples belong to speakers, authors or writers.
    #[must_use]
    pub const fn has_natural_clients(self) -> bool {
        matches!(self, Self::Shakespeare)
    }
}

impl NetName {
    /// Every net, in the order of declaration.
    pub const ALL: [Self; 9] = [
        Self::Cifar10CNN,
        Self::Cifar10ResNet,
        Self::Cifar100ResNet,
        Self::Cifar100VGG,
        Self::FashionMNISTCNN,
        Self::FashionMNISTResNet,
        Self::MNISTCNN,
        Self::LeNet5,
        Self::RedditLSTM,
    ];

    /// The kind of samples that it takes. LeNet-5 pads images of 28 pixels itself.
    #[must_use]
    pub const fn sample_kind(self) -> SampleKind {
        match self {
            Self::Cifar10CNN | Self::Cifar10ResNet => CIFAR10,
            Self::Cifar100ResNet | Self::Cifar100VGG => CIFAR100,
            Self::FashionMNISTCNN | Self::FashionMNISTResNet | Self::MNISTCNN | Self::LeNet5 => GREY,
            Self::RedditLSTM => SampleKind::Text,
        }
    }
}

impl std::fmt::Display for SampleKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Images { channels, pixels, classes } => write!(f, "images of {channels}x{pixels}x{pixels} in {classes} classes"),
            Self::Text => f.write_str("text"),
        }
    }
}

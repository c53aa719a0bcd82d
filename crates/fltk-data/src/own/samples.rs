//! The content of files as a format reads it: the samples of each part, with labels as the files have them.

use crate::{dataset::FileDigest, samples::TextSet};

/// Everything that was read.
#[derive(Debug)]
pub(super) struct Read {
    /// The content.
    pub content: Content,
    /// The digests of the files.
    pub digests: Vec<FileDigest>,
}

/// The samples of both parts.
#[derive(Debug)]
pub(super) enum Content {
    /// Samples with labels.
    Labeled {
        /// The training part; all samples, if there is no test part.
        train: Part,
        /// The test part, if the files have one.
        test: Option<Part>,
        /// The names of the classes, if labels are numbers that index them.
        class_names: Option<Vec<String>>,
    },
    /// A text.
    Text {
        /// The training part.
        train: TextSet,
        /// The test part.
        test: TextSet,
        /// The characters, one each, in the order of their ids.
        vocabulary: Vec<String>,
    },
}

/// The samples of one part, at least one.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Part {
    /// The samples.
    pub samples: Samples,
    /// The label of each sample.
    pub labels: Labels,
    /// The natural client of each sample, if the files name clients.
    pub clients: Option<Names>,
}

/// Samples, one after another.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Samples {
    /// Images.
    Images {
        /// The bytes, NCHW.
        pixels: Vec<u8>,
        /// The shape `[C, H, W]` of one image.
        shape: [usize; 3],
    },
    /// Vectors of finite numbers.
    Vectors {
        /// The numbers, sample by sample.
        numbers: Vec<f32>,
        /// The numbers of one sample.
        len: usize,
    },
}

impl Samples {
    /// Returns the samples at `indices`, in that order.
    pub fn pick(&self, indices: &[u32]) -> Self {
        fn gather<T: Copy>(all: &[T], len: usize, indices: &[u32]) -> Vec<T> {
            let mut picked = Vec::with_capacity(indices.len() * len);
            for &index in indices {
                picked.extend_from_slice(&all[index as usize * len..][..len]);
            }
            picked
        }
        match self {
            Self::Images { pixels, shape } => Self::Images { pixels: gather(pixels, shape.iter().product(), indices), shape: *shape },
            Self::Vectors { numbers, len } => Self::Vectors { numbers: gather(numbers, *len, indices), len: *len },
        }
    }

    /// Describes one sample.
    pub fn describe(&self) -> String {
        match self {
            Self::Images { shape: [channels, height, width], .. } => format!("images of {channels}x{height}x{width}"),
            Self::Vectors { len, .. } => format!("vectors of {len} numbers"),
        }
    }
}

/// The labels of samples.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Labels {
    /// Whole numbers.
    Numbers(Vec<i64>),
    /// Names.
    Names(Names),
}

impl Labels {
    /// The number of labels.
    pub fn len(&self) -> usize {
        match self {
            Self::Numbers(numbers) => numbers.len(),
            Self::Names(names) => names.of.len(),
        }
    }

    /// Returns the labels at `indices`, in that order.
    fn pick(&self, indices: &[u32]) -> Self {
        match self {
            Self::Numbers(numbers) => Self::Numbers(indices.iter().map(|&index| numbers[index as usize]).collect()),
            Self::Names(names) => Self::Names(names.pick(indices)),
        }
    }
}

/// A name for each sample.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Names {
    /// The distinct names.
    pub names: Vec<String>,
    /// The position of each sample's name among them.
    pub of: Vec<u32>,
}

impl Names {
    /// Returns the names at `indices`, in that order.
    pub fn pick(&self, indices: &[u32]) -> Self {
        Self { names: self.names.clone(), of: indices.iter().map(|&index| self.of[index as usize]).collect() }
    }
}

impl Part {
    /// Returns the samples at `indices`, in that order.
    pub fn pick(&self, indices: &[u32]) -> Self {
        Self {
            samples: self.samples.pick(indices),
            labels: self.labels.pick(indices),
            clients: self.clients.as_ref().map(|clients| clients.pick(indices)),
        }
    }
}

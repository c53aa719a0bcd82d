//! The description of a data set, as plain data.

use std::{
    fmt,
    hash::{Hash, Hasher},
};

use fltk_core::catalogue::DatasetEntry;

use crate::{digest::sha256_hex, formats::cifar};

/// The description of one data set: all that is known of it in advance.
pub struct Source {
    /// The name, the kind and number of the samples. The name is also that of the folder in the cache.
    pub entry: DatasetEntry,
    /// The title for people.
    pub title: &'static str,
    /// The license of its authors.
    pub license: &'static str,
    /// The authors and the publication.
    pub reference: &'static str,
    /// The files that `fetch` puts into the cache; none for an embedded data set.
    pub files: &'static [SourceFile<'static>],
    /// The same data set as a part of the program, in the order of [`Format::parts`]; empty if it isn't one.
    pub embedded: &'static [EmbeddedFile],
    /// The sub-folders of a given folder where common tools put the files.
    pub subfolders: &'static [&'static str],
    /// The folders where an operating system's package puts the files.
    pub system_folders: &'static [&'static str],
    /// The names of the classes; empty for a text, whose vocabulary is read from the text.
    pub class_names: &'static [&'static str],
    /// The format of the files.
    pub format: Format,
    /// Archives of the same data in another form, which are read where they are but never fetched: name and SHA-256.
    pub other_archives: &'static [(&'static str, &'static str)],
    /// The SHA-256 digests of files with the published content, unpacked or packed again.
    pub repacked: &'static [&'static str],
    /// The normalization of pixels. It is not used for text.
    pub normalization: Normalization,
    /// The changes that training makes to images. They are not made to text.
    pub augmentation: Augmentation,
}

/// A file to fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceFile<'a> {
    /// The name in the cache.
    pub name: &'a str,
    /// The size in bytes.
    pub bytes: u64,
    /// The SHA-256, in lower-case hex.
    pub sha256: &'a str,
    /// The URLs of the file, in the order in which they are tried.
    pub urls: &'a [&'a str],
}

/// A file that is a part of the program.
#[derive(Clone, Copy)]
pub struct EmbeddedFile {
    /// The name.
    pub name: &'static str,
    /// The content.
    pub bytes: &'static [u8],
}

/// The normalization of pixels `p` in `0..=255`: `(p/255 - mean) / deviation`, by channel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Normalization {
    /// The mean of each channel.
    pub mean: &'static [f32],
    /// The standard deviation of each channel.
    pub deviation: &'static [f32],
}

impl Normalization {
    /// The scaling of pixels to `p/255`, whatever the channel.
    pub const SCALE: Self = Self { mean: &[0.0], deviation: &[1.0] };
}

/// The steps between an image and a net: what a data set's description has, or what was computed for data of one's own.
#[derive(Clone, Debug, PartialEq)]
pub struct Preparation {
    /// The mean of each channel, which is subtracted; if there are fewer than channels, they repeat.
    pub mean: Vec<f32>,
    /// The standard deviation of each channel, by which is divided.
    pub deviation: Vec<f32>,
    /// The changes that training makes to images.
    pub augmentation: Augmentation,
}

/// Equality is of numbers, none of which is NaN.
impl Eq for Preparation {}

impl Preparation {
    /// The scaling of pixels to `p/255`, without augmentation.
    #[must_use]
    pub fn scale() -> Self {
        Self { mean: vec![0.0], deviation: vec![1.0], augmentation: Augmentation::None }
    }

    /// Normalizes vectors of as many numbers as there are means, one after another.
    pub fn normalize(&self, numbers: &mut [f32]) {
        for sample in numbers.chunks_exact_mut(self.mean.len()) {
            for ((number, mean), deviation) in sample.iter_mut().zip(&self.mean).zip(&self.deviation) {
                *number = (*number - mean) / deviation;
            }
        }
    }

    /// Returns the normalization as a text, for records; of more than `max` channels, the digest of the means, then of the deviations, each as little-endian `f32`.
    #[must_use]
    pub fn recorded(&self, max: usize) -> String {
        if self.mean.len() <= max {
            return format!("mean {:?}, deviation {:?}", self.mean, self.deviation);
        }
        let bytes: Vec<u8> = self.mean.iter().chain(&self.deviation).flat_map(|value| value.to_le_bytes()).collect();
        format!("{} means and deviations, sha256:{}", self.mean.len(), sha256_hex(&bytes))
    }
}

/// The changes that training makes to images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Augmentation {
    /// No change.
    None,
    /// A flip with probability 1/2, then a crop of the image's size out of the image padded by 4 pixels.
    FlipAndCrop,
}

impl Source {
    /// The name in experiment files and on the command line, and of the folder in the cache.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.entry.entry.name
    }

    /// Returns the steps between its images and a net.
    #[must_use]
    pub fn preparation(&self) -> Preparation {
        let Normalization { mean, deviation } = self.normalization;
        Preparation { mean: mean.to_vec(), deviation: deviation.to_vec(), augmentation: self.augmentation }
    }

    /// True if `sha256` is the digest of a file of the published data set: as published, or with the same content unpacked or packed again.
    #[must_use]
    pub fn is_official(&self, sha256: &str) -> bool {
        self.repacked.contains(&sha256)
            || self.files.iter().any(|file| file.sha256 == sha256)
            || self.other_archives.iter().any(|(_, known)| *known == sha256)
    }
}

impl PartialEq for Source {
    /// Compares the names.
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for Source {}

impl Hash for Source {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name().hash(state);
    }
}

impl fmt::Debug for Source {
    /// Writes only the name, which stands for all the rest.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Source").field(&self.name()).finish()
    }
}

impl fmt::Debug for EmbeddedFile {
    /// Leaves out the content.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddedFile").field("name", &self.name).field("num_bytes", &self.bytes.len()).finish_non_exhaustive()
    }
}

/// The format of a data set's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Four IDX files, plain or gzip, of square images.
    Idx {
        /// The number of pixels per side.
        side: u32,
    },
    /// Binary CIFAR files.
    Cifar {
        /// The labels before an image.
        labels: cifar::Labels,
        /// The training files, in order.
        train: &'static [&'static str],
        /// The test file.
        test: &'static str,
        /// The same files in the Python version, training before test.
        pickled: &'static [&'static str],
    },
    /// One text file of plays.
    Text {
        /// The name of the file.
        file: &'static str,
    },
    /// No files: the samples are made.
    Made,
}

impl Format {
    /// Returns the names of the files that make up the data set, without `.gz`, training before test.
    #[must_use]
    pub fn parts(self) -> Vec<&'static str> {
        match self {
            Self::Idx { .. } => IDX_PARTS.to_vec(),
            Self::Cifar { train, test, .. } => train.iter().copied().chain([test]).collect(),
            Self::Text { file } => vec![file],
            Self::Made => Vec::new(),
        }
    }

    /// Returns the possible layouts of the data set's files, the preferred one first.
    #[must_use]
    pub(crate) fn layouts(self) -> Vec<Layout> {
        let plain = Layout { parts: self.parts(), pickled: None };
        match self {
            Self::Cifar { labels, pickled, .. } => vec![plain, Layout { parts: pickled.to_vec(), pickled: Some(labels) }],
            Self::Idx { .. } | Self::Text { .. } => vec![plain],
            Self::Made => Vec::new(),
        }
    }
}

/// The files that make up a data set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    /// The names of the files, in the order of [`Format::parts`].
    pub parts: Vec<&'static str>,
    /// The labels in the files, if these are the pickles of CIFAR's Python version.
    pub pickled: Option<cifar::Labels>,
}

const IDX_PARTS: [&str; 4] = ["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"];

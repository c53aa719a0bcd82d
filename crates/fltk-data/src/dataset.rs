//! A loaded data set: two splits of plain arrays, the names of its classes, and the origin of its bytes.

use std::{borrow::Cow, fmt, path::PathBuf};

use fltk_core::{
    experiment::{DatasetName, PartitionConfig},
    seed::Seed,
};
use serde::Serialize;

use crate::{
    digest::labels_digest,
    partition::{PartitionError, partition},
};

/// Images and their classes.
#[derive(Clone, PartialEq, Eq)]
pub struct ImageSet {
    /// The `N*C*H*W` bytes, NCHW, in `0..=255`.
    pub pixels: Vec<u8>,
    /// The class of each of the `N` images, below the number of class names.
    pub labels: Vec<u16>,
    /// The shape `[C, H, W]` of one image.
    pub shape: [usize; 3],
}

impl ImageSet {
    /// The bytes of one image, `C*H*W`.
    #[must_use]
    pub fn image_len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Returns the pixels of image `index`, CHW.
    ///
    /// # Panics
    /// If `index` is not below the number of labels.
    #[must_use]
    pub fn image(&self, index: usize) -> &[u8] {
        let len = self.image_len();
        &self.pixels[index * len..(index + 1) * len]
    }
}

/// Leaves out the pixels: there are millions.
impl fmt::Debug for ImageSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ImageSet").field("num_images", &self.labels.len()).field("shape", &self.shape).finish_non_exhaustive()
    }
}

/// A text as vocabulary ids, cut into samples of `window` inputs and `window` targets (each the input's next token).
#[derive(Clone, PartialEq, Eq)]
pub struct TextSet {
    /// The split's text as vocabulary ids, one client's text after another.
    pub tokens: Vec<u16>,
    /// The first token of each sample. Sample `i` reads `tokens[starts[i]..][..window]` and predicts the same shifted by one; a sample
    /// never crosses from one client's text into another's.
    pub starts: Vec<u32>,
    /// The number of inputs of one sample, `T`.
    pub window: usize,
    /// The natural client (speaker, author) of each sample; the same id means the same client in both splits. Ids are below 65,536.
    pub clients: Vec<u32>,
}

/// Leaves out the tokens: there are millions.
impl fmt::Debug for TextSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (tokens, samples) = (self.tokens.len(), self.starts.len());
        f.debug_struct("TextSet")
            .field("num_tokens", &tokens)
            .field("num_samples", &samples)
            .field("window", &self.window)
            .finish_non_exhaustive()
    }
}

/// The training part or the test part of a data set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Split {
    /// Labeled images.
    Images(ImageSet),
    /// Text for next-token prediction.
    Text(TextSet),
}

impl Split {
    /// The number of samples.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Images(set) => set.labels.len(),
            Self::Text(set) => set.starts.len(),
        }
    }

    /// True if there are no samples.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the labels that partitioners divide by: the class of each image; for a text, which has no classes, the natural client of
    /// each sample.
    #[must_use]
    pub fn labels(&self) -> Cow<'_, [u16]> {
        match self {
            Self::Images(set) => Cow::Borrowed(&set.labels),
            // The reader refuses texts with more than 65,536 clients, so nothing is lost here.
            Self::Text(set) => set.clients.iter().map(|&client| u16::try_from(client).unwrap_or(u16::MAX)).collect(),
        }
    }

    /// Returns the natural client of each sample, if the data set has natural clients.
    #[must_use]
    pub fn natural_clients(&self) -> Option<&[u32]> {
        match self {
            Self::Images(_) => None,
            Self::Text(set) => Some(&set.clients),
        }
    }
}

/// A data set in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dataset {
    /// The name.
    pub name: DatasetName,
    /// The name of each class. For a text, this is the vocabulary, one character each, so that the length is the number of logits either
    /// way.
    pub class_names: Vec<String>,
    /// The training split.
    pub train: Split,
    /// The test split, which is never augmented.
    pub test: Split,
    /// The origin of the bytes.
    pub provenance: Provenance,
}

impl Dataset {
    /// The number of logits that a net needs: the number of classes, or the size of the vocabulary.
    #[must_use]
    pub fn num_classes(&self) -> usize {
        self.class_names.len()
    }

    /// The number of distinct values that [`Split::labels`] of the training set may have: classes, or natural clients of a text.
    #[must_use]
    pub fn num_labels(&self) -> usize {
        match &self.train {
            Split::Images(_) => self.class_names.len(),
            Split::Text(set) => set.clients.iter().max().map_or(0, |&client| client as usize + 1),
        }
    }

    /// Returns a name for each value that [`Split::labels`] may have: the names of the classes, or `client 0` and so on for a text.
    #[must_use]
    pub fn label_names(&self) -> Vec<String> {
        match &self.train {
            Split::Images(_) => self.class_names.clone(),
            Split::Text(_) => (0..self.num_labels()).map(|client| format!("client {client}")).collect(),
        }
    }

    /// Returns the shape `[C, H, W]` of the images; `None` for a text.
    #[must_use]
    pub fn image_shape(&self) -> Option<[usize; 3]> {
        match &self.train {
            Split::Images(set) => Some(set.shape),
            Split::Text(_) => None,
        }
    }

    /// Divides the training set over `clients`. Returns the ascending indices of each client's samples.
    ///
    /// # Errors
    /// The errors of [`partition`].
    pub fn partition_train(&self, clients: u32, config: &PartitionConfig, seed: Seed) -> Result<Vec<Vec<u32>>, PartitionError> {
        partition(&self.train.labels(), self.num_labels(), self.train.natural_clients(), clients, config, seed)
    }

    /// Returns [`labels_digest`] of the training set's labels: partitions with equal digests are comparable index by index.
    #[must_use]
    pub fn labels_digest(&self) -> String {
        labels_digest(&self.train.labels())
    }
}

/// The origin of a data set's bytes, for the records of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Provenance {
    /// The place.
    pub origin: Origin,
    /// All files that were read, with their digests.
    pub files: Vec<FileDigest>,
}

impl Provenance {
    /// True if every file has a digest that is known to be the published data set's.
    #[must_use]
    pub fn is_official(&self) -> bool {
        self.files.iter().all(|file| file.official)
    }
}

impl fmt::Display for Provenance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let status = if self.is_official() { "official" } else { "a local copy, digests differ from the official files" };
        match &self.origin {
            Origin::Embedded => write!(f, "embedded subset"),
            Origin::Folder(path) | Origin::Archive(path) => write!(f, "`{}` ({status})", path.display()),
        }
    }
}

/// The place from which a data set was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", content = "path", rename_all = "snake_case")]
pub enum Origin {
    /// The program itself.
    Embedded,
    /// The files of a folder.
    Folder(PathBuf),
    /// A single archive.
    Archive(PathBuf),
}

/// A file that was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileDigest {
    /// The name, without folders.
    pub name: String,
    /// The SHA-256 of the file as stored (compressed, if it is), in lower-case hex.
    pub sha256: String,
    /// True if the digest is known to be that of the published file, or of the same content compressed again.
    pub official: bool,
}

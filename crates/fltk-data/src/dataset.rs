//! What a loaded data set is: two splits of plain arrays, the names of its classes, and where its bytes came from.

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
    /// `N*C*H*W` bytes, NCHW, `0..=255`.
    pub pixels: Vec<u8>,
    /// Class of each of the `N` images, below the number of class names.
    pub labels: Vec<u16>,
    /// `[C, H, W]` of one image.
    pub shape: [usize; 3],
}

impl ImageSet {
    /// Bytes of one image, `C*H*W`.
    #[must_use]
    pub fn image_len(&self) -> usize {
        self.shape.iter().product()
    }

    /// The pixels of image `index`, CHW.
    ///
    /// # Panics
    /// Where `index` is not below the number of labels.
    #[must_use]
    pub fn image(&self, index: usize) -> &[u8] {
        let len = self.image_len();
        &self.pixels[index * len..(index + 1) * len]
    }
}

/// Without the pixels: there are millions.
impl fmt::Debug for ImageSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ImageSet").field("num_images", &self.labels.len()).field("shape", &self.shape).finish_non_exhaustive()
    }
}

/// A text as vocabulary ids, cut into samples of `window` inputs and `window` targets (each the input's next token).
#[derive(Clone, PartialEq, Eq)]
pub struct TextSet {
    /// The split's text as vocabulary ids, one client's text after another's.
    pub tokens: Vec<u16>,
    /// First token of each sample. Sample `i` reads `tokens[starts[i]..][..window]` and predicts the same shifted by one; a sample never
    /// crosses from one client's text into another's.
    pub starts: Vec<u32>,
    /// Inputs of one sample, `T`.
    pub window: usize,
    /// Natural client (speaker, author) of each sample; the same id means the same client in both splits. Below 65,536.
    pub clients: Vec<u32>,
}

/// Without the tokens: there are millions.
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

/// The training or the test part of a data set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Split {
    /// Labelled images.
    Images(ImageSet),
    /// Text for next-token prediction.
    Text(TextSet),
}

impl Split {
    /// Number of samples.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Images(set) => set.labels.len(),
            Self::Text(set) => set.starts.len(),
        }
    }

    /// Whether there is no sample.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What partitioners divide by: the class of each image; of a text, which has no classes, the natural client of each sample.
    #[must_use]
    pub fn labels(&self) -> Cow<'_, [u16]> {
        match self {
            Self::Images(set) => Cow::Borrowed(&set.labels),
            // The reader refuses texts of more than 65,536 clients, so nothing is lost here.
            Self::Text(set) => set.clients.iter().map(|&client| u16::try_from(client).unwrap_or(u16::MAX)).collect(),
        }
    }

    /// The natural client of each sample, where the data set has such.
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
    /// Which.
    pub name: DatasetName,
    /// Name of each class. Of a text: the vocabulary, one character each, so that its length is the number of logits either way.
    pub class_names: Vec<String>,
    /// What is trained on.
    pub train: Split,
    /// What is evaluated on, never augmented.
    pub test: Split,
    /// Where the bytes came from.
    pub provenance: Provenance,
}

impl Dataset {
    /// Number of logits a net needs: classes, or the size of the vocabulary.
    #[must_use]
    pub fn num_classes(&self) -> usize {
        self.class_names.len()
    }

    /// Number of distinct values that [`Split::labels`] of the training set may take: classes, or natural clients of a text.
    #[must_use]
    pub fn num_labels(&self) -> usize {
        match &self.train {
            Split::Images(_) => self.class_names.len(),
            Split::Text(set) => set.clients.iter().max().map_or(0, |&client| client as usize + 1),
        }
    }

    /// A name for each value that [`Split::labels`] may take: the classes' names, or `client 0` and so on for a text.
    #[must_use]
    pub fn label_names(&self) -> Vec<String> {
        match &self.train {
            Split::Images(_) => self.class_names.clone(),
            Split::Text(_) => (0..self.num_labels()).map(|client| format!("client {client}")).collect(),
        }
    }

    /// `[C, H, W]` of the images; `None` for a text.
    #[must_use]
    pub fn image_shape(&self) -> Option<[usize; 3]> {
        match &self.train {
            Split::Images(set) => Some(set.shape),
            Split::Text(_) => None,
        }
    }

    /// Divides the training set over `clients`: for each client the ascending indices of its samples.
    ///
    /// # Errors
    /// What [`partition`] refuses.
    pub fn partition_train(&self, clients: u32, config: &PartitionConfig, seed: Seed) -> Result<Vec<Vec<u32>>, PartitionError> {
        partition(&self.train.labels(), self.num_labels(), self.train.natural_clients(), clients, config, seed)
    }

    /// [`labels_digest`] of the training set's labels: partitions with equal digests are comparable index by index.
    #[must_use]
    pub fn labels_digest(&self) -> String {
        labels_digest(&self.train.labels())
    }
}

/// Where a data set's bytes came from, for the records of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Provenance {
    /// The place.
    pub origin: Origin,
    /// Every file that was read, with its digest.
    pub files: Vec<FileDigest>,
}

impl Provenance {
    /// Whether every file has a digest that is known to be the published data set's.
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

/// The place a data set was read from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", content = "path", rename_all = "snake_case")]
pub enum Origin {
    /// The program itself.
    Embedded,
    /// Files of a folder.
    Folder(PathBuf),
    /// One archive.
    Archive(PathBuf),
}

/// One file that was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileDigest {
    /// Its name, without folders.
    pub name: String,
    /// SHA-256 of the file as it lies there (compressed, where it is), lower-case hex.
    pub sha256: String,
    /// Whether the digest is known to be that of the published file, or of the same content compressed anew.
    pub official: bool,
}

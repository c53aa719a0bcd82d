//! A loaded data set: two splits of plain arrays, the names of its classes, and the origin of its bytes.

use std::{fmt, path::PathBuf};

use fltk_core::{catalogue::Choice, seed::Seed};
use serde::Serialize;

use crate::{
    partition::{PartitionError, UserFile, partition},
    samples::Split,
    sources::Source,
};

/// A data set in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dataset {
    /// The description of the data set.
    pub source: &'static Source,
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

    /// Divides the training set over `clients`. Returns the ascending indices of each client's samples. `file` is the content of the file that the
    /// partition [reads](crate::partition::file_of).
    ///
    /// # Errors
    /// The errors of [`partition`].
    ///
    /// # Panics
    /// As [`partition`].
    pub fn partition_train(
        &self,
        clients: u32,
        config: &Choice,
        file: Option<UserFile<'_>>,
        seed: Seed,
    ) -> Result<Vec<Vec<u32>>, PartitionError> {
        partition(&self.train.labels(), self.num_labels(), self.train.natural_clients(), clients, config, file, seed)
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

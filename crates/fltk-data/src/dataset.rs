//! A loaded data set: two splits of plain arrays, the names of its classes, and the origin of its bytes.

use std::{fmt, path::PathBuf};

use fltk_core::{catalogue::Choice, seed::Seed};
use serde::Serialize;

use crate::{
    partition::{Division, PartitionError, UserFile, natural_id, partition},
    samples::Split,
    sources::{Preparation, synthetic::Synthetic},
};

/// The largest number of samples that are all made, to be divided, counted or trained on by ranks, which takes seconds and up to 1 GB.
pub const SAMPLES_MADE_MAX: usize = 4_000_000;

/// A data set: in memory, but for samples that are made when they are used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dataset {
    /// The steps between its images and a net.
    pub preparation: Preparation,
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
            Split::Images(_) | Split::Vectors(_) | Split::Synthetic(_) => self.class_names.len(),
            Split::Text(set) => set.clients.iter().max().map_or(0, |&client| client as usize + 1),
        }
    }

    /// Returns a name for each value that [`Split::labels`] may have: the names of the classes, or `client 0` and so on for a text.
    #[must_use]
    pub fn label_names(&self) -> Vec<String> {
        match &self.train {
            Split::Images(_) | Split::Vectors(_) | Split::Synthetic(_) => self.class_names.clone(),
            Split::Text(_) => (0..self.num_labels()).map(|client| format!("client {client}")).collect(),
        }
    }

    /// Returns true if the training samples are made when they are used, and there are too many to keep.
    #[must_use]
    pub fn is_too_large_to_make(&self) -> bool {
        matches!(&self.train, Split::Synthetic(made) if made.len() > SAMPLES_MADE_MAX)
    }

    /// Returns the shape `[C, H, W]` of the images; `[F, 1, 1]` for vectors of `F` numbers; `None` for a text.
    #[must_use]
    pub fn image_shape(&self) -> Option<[usize; 3]> {
        match &self.train {
            Split::Images(set) => Some(set.shape),
            Split::Vectors(set) => Some([set.vector_len(), 1, 1]),
            Split::Synthetic(_) => Some([Synthetic::FEATURES, 1, 1]),
            Split::Text(_) => None,
        }
    }

    /// Divides the training set over `clients`. `file` is the content of the file that the
    /// partition [reads](crate::partition::file_of).
    ///
    /// # Errors
    /// The errors of [`partition`]; or if the samples are made, and the partitioner needs the labels of too many.
    ///
    /// # Panics
    /// As [`partition`].
    pub fn partition_train(
        &self,
        clients: u32,
        config: &Choice,
        file: Option<UserFile<'_>>,
        seed: Seed,
    ) -> Result<Division, PartitionError> {
        if let Split::Synthetic(made) = &self.train {
            if config.name() == natural_id::PARTITIONER.name() {
                return natural_id::ranges(made, clients, seed).map(Division::Ranges);
            }
            if self.is_too_large_to_make() {
                return Err(PartitionError::TooManyToMake {
                    partition: config.name().to_owned(),
                    samples: made.len(),
                    max: SAMPLES_MADE_MAX,
                });
            }
        }
        let natural = self.train.natural_clients();
        partition(&self.train.labels(), self.num_labels(), natural.as_deref(), clients, config, file, seed).map(Division::Lists)
    }
}

/// The origin of a data set's bytes, for the records of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Provenance {
    /// The place.
    pub origin: Origin,
    /// All files that were read, with their digests.
    pub files: Vec<FileDigest>,
    /// The normalization, if it was computed from the training part.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub normalization: Option<String>,
}

impl Provenance {
    /// The text of data that is at clients' nodes alone.
    pub const OF_CLIENTS: &'static str = "the clients' nodes";

    /// True if every file has a digest that is known to be the published data set's.
    #[must_use]
    pub fn is_official(&self) -> bool {
        !matches!(self.origin, Origin::Own(_)) && self.files.iter().all(|file| file.official)
    }
}

impl fmt::Display for Provenance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let status = if self.is_official() { "official" } else { "a local copy, digests differ from the official files" };
        match &self.origin {
            Origin::Embedded => write!(f, "embedded subset"),
            Origin::Made => write!(f, "made from its settings"),
            Origin::Clients => f.write_str(Self::OF_CLIENTS),
            Origin::Own(path) => write!(f, "`{}` (data of one's own)", path.display()),
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
    /// Nowhere: it is made.
    Made,
    /// The files of a folder.
    Folder(PathBuf),
    /// A single archive.
    Archive(PathBuf),
    /// The file, folder or archive of data of one's own.
    Own(PathBuf),
    /// The nodes of clients that have data of their own: there are no samples here.
    Clients,
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

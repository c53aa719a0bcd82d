//! The `manifest.json` of a checkpoint: its files, with digests.

use std::collections::BTreeMap;

use fltk_core::milestone::Milestone;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{BYTES_MAX, FILES_MAX, Files, is_allowed};
use crate::history::Unit;

/// The format of the manifest. A reader refuses any other.
const FORMAT: u64 = 1;

/// The size and digest of one file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileDigest {
    /// The size of the file, in bytes.
    pub num_bytes: u64,
    /// The SHA-256 of the file, lower-case hex.
    pub sha256: String,
}

impl FileDigest {
    /// Computes size and digest of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self { num_bytes: bytes.len() as u64, sha256: hex::encode(Sha256::digest(bytes)) }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    format: u64,
    unit: Unit,
    at: Milestone,
    pub(super) files: BTreeMap<String, FileDigest>,
}

impl Manifest {
    pub(super) fn of(unit: Unit, at: Milestone, files: &Files) -> Self {
        let files = files.iter().map(|(name, bytes)| (name.clone(), FileDigest::of(bytes))).collect();
        Self { format: FORMAT, unit, at, files }
    }

    pub(super) fn to_json(&self) -> Vec<u8> {
        let mut json = serde_json::to_vec_pretty(self).expect("maps with text keys, numbers and texts have a JSON form");
        json.push(b'\n');
        json
    }

    pub(super) fn from_json(bytes: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(bytes)
            .map_err(|error| format!("its manifest can't be read: {}", crate::files::printable(&error.to_string())))
    }

    /// Returns the size of all files, in bytes.
    pub(super) fn num_bytes(&self) -> u64 {
        self.files.values().fold(0, |sum, file| sum.saturating_add(file.num_bytes))
    }

    /// Checks that it can be the manifest of the checkpoint at `at`.
    pub(super) fn check(&self, unit: Unit, at: Milestone) -> Result<(), String> {
        if self.format != FORMAT {
            return Err(format!("its manifest has format {}, not {FORMAT}", self.format));
        }
        if (self.unit, self.at) != (unit, at) {
            return Err(format!("its manifest is of {}", self.at.text(self.unit.name())));
        }
        if self.files.len() > FILES_MAX || self.num_bytes() > BYTES_MAX {
            return Err(format!("its manifest names {} files with {} bytes", self.files.len(), self.num_bytes()));
        }
        match self.files.keys().find(|name| !is_allowed(name)) {
            Some(name) => Err(format!("its manifest names a file `{}`", crate::files::printable(name))),
            None => Ok(()),
        }
    }
}

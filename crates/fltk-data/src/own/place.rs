//! The place of data of one's own: a file, a folder or a zip, whose files are listed and read within limits.

use std::{
    fs::{self, File},
    io::Read,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::Mutex,
};

use flate2::read::MultiGzDecoder;
use sha2::{Digest as _, Sha256};
use zip::ZipArchive;

use super::error::OwnError;
use crate::{dataset::FileDigest, digest::sha256_hex};

/// The largest file, packed or unpacked: EMNIST's has 547 MB. This limits the effect of a decompression bomb.
const FILE_MAX: u64 = 4 << 30;
/// The largest number of files: ImageNet has 1.3 million.
const FILES_MAX: usize = 2_000_000;
/// The largest depth of folders in folders: more is a loop of links.
const DEPTH_MAX: usize = 16;
/// The largest number of files whose digests are recorded one by one; of more, the digest of their list is.
const DIGESTS_MAX: usize = 100;

/// A file, folder or zip.
#[derive(Debug)]
pub(super) struct Place {
    path: PathBuf,
    /// The names of the files, relative to the folder or archive and with `/`, sorted; of a single file, its own name.
    names: Vec<String>,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    File,
    Folder,
    Zip(Mutex<ZipArchive<File>>),
}

/// The bytes of a file, and the digest of the file as it is stored.
pub(super) struct FileRead {
    pub bytes: Vec<u8>,
    pub sha256: String,
}

impl Place {
    /// Lists the files at `path`. Those whose name, or a folder's on the way to them, begins with a dot or with `__` aren't among them: they are what
    /// systems and archivers leave behind.
    ///
    /// # Errors
    /// If nothing is there, it can't be read, or it has too many files.
    pub fn open(path: &Path) -> Result<Self, OwnError> {
        let metadata = fs::metadata(path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => OwnError::new(path, "there is no such file or folder"),
            _ => unreadable(path, &error),
        })?;
        let new = |names, kind| Self { path: path.to_path_buf(), names, kind };
        if metadata.is_dir() {
            let mut names = Vec::new();
            list(path, "", 0, &mut names)?;
            names.sort_unstable();
            return Ok(new(names, Kind::Folder));
        }
        if !metadata.is_file() {
            return Err(OwnError::new(path, "it is neither a file nor a folder"));
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !name.to_lowercase().ends_with(".zip") {
            return Ok(new(vec![name], Kind::File));
        }
        let file = File::open(path).map_err(|error| unreadable(path, &error))?;
        let archive = ZipArchive::new(file).map_err(|error| OwnError::new(path, format!("it isn't a zip that can be read: {error}")))?;
        if archive.len() > FILES_MAX {
            return Err(OwnError::new(path, format!("it has more than {FILES_MAX} files")));
        }
        let mut names: Vec<String> = Vec::new();
        for name in archive.file_names() {
            let name = name.map_err(|error| OwnError::new(path, format!("it isn't a zip that can be read: {error}")))?;
            if !name.ends_with('/') && !name.split('/').any(is_hidden) {
                names.push(name.to_string());
            }
        }
        names.sort_unstable();
        Ok(new(names, Kind::Zip(Mutex::new(archive))))
    }

    /// Returns the path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the names of the files, relative to the folder or archive, sorted.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Returns the names that end with one of these endings, or with one and `.gz`, whatever the case of their letters.
    pub fn ending(&self, endings: &[&str]) -> Vec<&str> {
        self.names.iter().map(String::as_str).filter(|name| has_ending(name, endings)).collect()
    }

    /// Returns the path of a file, for messages.
    pub fn path_of(&self, name: &str) -> PathBuf {
        match self.kind {
            Kind::File => self.path.clone(),
            Kind::Folder | Kind::Zip(_) => self.path.join(name),
        }
    }

    /// Creates the error of the whole place.
    pub fn error(&self, problem: String) -> OwnError {
        OwnError::new(&self.path, problem)
    }

    /// Creates the error of a file.
    pub fn error_in(&self, name: &str, problem: impl Into<String>) -> OwnError {
        OwnError::new(&self.path_of(name), problem)
    }

    /// Runs a library's reader over the bytes of a file: some of them panic on damaged bytes, such as sizes whose product doesn't fit.
    ///
    /// # Errors
    /// The error of `read`, or that the file is damaged.
    pub fn guarded<T>(&self, name: &str, read: impl FnOnce() -> Result<T, OwnError>) -> Result<T, OwnError> {
        catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| Err(self.error_in(name, "the file is damaged")))
    }

    /// Reads a file as it is stored.
    ///
    /// # Errors
    /// If it can't be read, or is too large.
    pub fn read(&self, name: &str) -> Result<FileRead, OwnError> {
        let path = self.path_of(name);
        let bytes = match &self.kind {
            Kind::File | Kind::Folder => {
                let file = File::open(&path).map_err(|error| unreadable(&path, &error))?;
                limited(file, &path)?
            }
            Kind::Zip(archive) => {
                let mut archive = archive.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                let file = archive.by_name(name).map_err(|error| OwnError::new(&path, format!("it can't be unpacked: {error}")))?;
                limited(file, &path)?
            }
        };
        Ok(FileRead { sha256: sha256_hex(&bytes), bytes })
    }

    /// Reads a file, and unpacks it if it is gzip. The digest is that of the file as it is stored.
    ///
    /// # Errors
    /// If it can't be read, is damaged, or is too large.
    pub fn read_unpacked(&self, name: &str) -> Result<FileRead, OwnError> {
        let FileRead { bytes, sha256 } = self.read(name)?;
        if !bytes.starts_with(&[0x1f, 0x8b]) {
            return Ok(FileRead { bytes, sha256 });
        }
        let path = self.path_of(name);
        let mut unpacked = Vec::new();
        let read = MultiGzDecoder::new(bytes.as_slice()).take(FILE_MAX + 1).read_to_end(&mut unpacked);
        read.map_err(|error| {
            OwnError::new(&path, format!("its gzip is damaged: {error}")).at(format!("unpacked byte {}", unpacked.len()))
        })?;
        if unpacked.len() as u64 > FILE_MAX {
            return Err(too_large(&path));
        }
        Ok(FileRead { bytes: unpacked, sha256 })
    }
}

/// Returns the digests of files, by name and in order. If they are many, it is that of the list that `sha256sum` prints of them.
pub(super) fn digests(files: Vec<(String, String)>) -> Vec<FileDigest> {
    if files.len() <= DIGESTS_MAX {
        return files.into_iter().map(|(name, sha256)| FileDigest { name, sha256, official: false }).collect();
    }
    let mut hash = Sha256::new();
    for (name, sha256) in &files {
        hash.update(format!("{sha256}  {name}\n"));
    }
    vec![FileDigest { name: format!("{} files", files.len()), sha256: hex::encode(hash.finalize()), official: false }]
}

/// Returns true if `name` ends with one of these endings, or with one and `.gz`, whatever the case of its letters.
pub(super) fn has_ending(name: &str, endings: &[&str]) -> bool {
    let name = name.to_lowercase();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    endings.iter().any(|ending| name.ends_with(ending))
}

fn is_hidden(name: &str) -> bool {
    name.starts_with('.') || name.starts_with("__")
}

/// Adds the files of a folder to `names`, each after `prefix`.
fn list(folder: &Path, prefix: &str, depth: usize, names: &mut Vec<String>) -> Result<(), OwnError> {
    if depth > DEPTH_MAX {
        return Err(OwnError::new(folder, format!("folders are more than {DEPTH_MAX} deep")));
    }
    for entry in fs::read_dir(folder).map_err(|error| unreadable(folder, &error))? {
        let entry = entry.map_err(|error| unreadable(folder, &error))?;
        let path = entry.path();
        let name = entry.file_name().into_string().map_err(|_| OwnError::new(&path, "its name is not UTF-8"))?;
        if is_hidden(&name) {
            continue;
        }
        let name = format!("{prefix}{name}");
        let metadata = fs::metadata(&path).map_err(|error| unreadable(&path, &error))?;
        if metadata.is_dir() {
            list(&path, &format!("{name}/"), depth + 1, names)?;
        } else if metadata.is_file() {
            names.push(name);
        }
        if names.len() > FILES_MAX {
            return Err(OwnError::new(folder, format!("there are more than {FILES_MAX} files")));
        }
    }
    Ok(())
}

/// Reads to the end, allocating only as bytes arrive.
fn limited(reader: impl Read, path: &Path) -> Result<Vec<u8>, OwnError> {
    let mut bytes = Vec::new();
    reader.take(FILE_MAX + 1).read_to_end(&mut bytes).map_err(|error| unreadable(path, &error))?;
    if bytes.len() as u64 > FILE_MAX { Err(too_large(path)) } else { Ok(bytes) }
}

fn too_large(path: &Path) -> OwnError {
    OwnError::new(path, format!("it is larger than {FILE_MAX} bytes")).hint("divide it into several files")
}

fn unreadable(path: &Path, error: &std::io::Error) -> OwnError {
    OwnError::new(path, format!("it can't be read: {error}"))
}

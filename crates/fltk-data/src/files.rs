//! Finding the files of a data set in a folder or an archive, and reading them within limits.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    thread,
};

use flate2::{bufread, read::GzDecoder};
use fltk_core::experiment::DatasetName;
use sha2::{Digest, Sha256};

use crate::{
    dataset::{FileDigest, Origin},
    digest::sha256_hex,
    error::{DataError, FormatError},
    sources::{ALL, Source, is_official, source},
};

/// No file of these data sets, packed or unpacked, is larger (CIFAR-100's training file: 154 MB). It bounds what a decompression bomb can take.
const FILE_MAX: u64 = 256 << 20;
/// Nor is any archive, unpacked (CIFAR: 184 MB). It bounds what a hostile archive's own tables, such as a long name, can take.
const ARCHIVE_MAX: u64 = 256 << 20;
/// A tar archive is made of blocks of so many bytes.
const TAR_BLOCK: u64 = 512;

/// Where the files lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// Paths of the parts, in the order of [`Format::parts`](crate::sources::Format::parts), and their folder.
    Folder { folder: PathBuf, parts: Vec<PathBuf> },
    /// A `.tar`, `.tar.gz` or `.tgz`.
    Archive(PathBuf),
}

/// The unpacked bytes of every part, in the order of `Format::parts`, with the path that an error should name.
pub(crate) struct Contents {
    pub parts: Vec<(PathBuf, Vec<u8>)>,
    pub digests: Vec<FileDigest>,
    pub origin: Origin,
}

/// Looks for the data set at `path`: the archive or text itself, or a folder that holds the files, or the published archive, or has
/// them in a sub-folder that common tools make. `None` where it is not there.
pub(crate) fn find(source: &Source, path: &Path) -> Option<Found> {
    let parts = source.format.parts();
    if path.is_file() {
        let folder = path.parent().unwrap_or(Path::new("")).to_path_buf();
        return match parts.as_slice() {
            _ if is_archive(path) => Some(Found::Archive(path.to_path_buf())),
            [_] => Some(Found::Folder { folder, parts: vec![path.to_path_buf()] }),
            _ => None,
        };
    }
    [path.to_path_buf()].into_iter().chain(source.subfolders.iter().map(|sub| path.join(sub))).find_map(|folder| {
        let files = parts.iter().map(|part| find_part(&folder, part)).collect::<Option<Vec<_>>>();
        if let Some(parts) = files {
            return Some(Found::Folder { folder, parts });
        }
        source.files.iter().map(|file| folder.join(&file.name)).find(|path| path.is_file() && is_archive(path)).map(Found::Archive)
    })
}

fn find_part(folder: &Path, part: &str) -> Option<PathBuf> {
    [folder.join(part), folder.join(format!("{part}.gz"))].into_iter().find(|path| path.is_file())
}

fn is_archive(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    [".tar", ".tar.gz", ".tgz"].iter().any(|ending| name.ends_with(ending))
}

/// Reads every part of what was found. Refuses the published files of another data set: MNIST and Fashion-MNIST have the same names and sizes.
pub(crate) fn read(name: DatasetName, this: &Source, found: &Found) -> Result<Contents, DataError> {
    let contents = match found {
        Found::Folder { folder, parts } => read_folder(name, this, folder, parts),
        Found::Archive(path) => read_archive(name, this, path),
    }?;
    for file in contents.digests.iter().filter(|file| !file.official) {
        if let Some(other) = ALL.into_iter().find(|&other| is_official(other, &file.sha256)) {
            let (Origin::Folder(path) | Origin::Archive(path)) = contents.origin else { continue };
            return Err(DataError::OtherDataset { name: this.name, path, other: source(other).name });
        }
    }
    Ok(contents)
}

/// Reads the parts at once, one thread each: there are at most six, and the large ones are unpacked on several cores.
fn read_folder(name: DatasetName, source: &Source, folder: &Path, parts: &[PathBuf]) -> Result<Contents, DataError> {
    let read = thread::scope(|scope| {
        let readers: Vec<_> = parts.iter().map(|path| scope.spawn(|| read_part(source, path))).collect();
        readers.into_iter().map(|reader| reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect::<Vec<_>>()
    });
    let mut contents = Contents { parts: Vec::new(), digests: Vec::new(), origin: Origin::Folder(folder.to_path_buf()) };
    for (path, read) in parts.iter().zip(read) {
        let (sha256, bytes) = read?;
        let official = is_official(name, &sha256);
        contents.digests.push(FileDigest { name: file_name(path), sha256, official });
        contents.parts.push((path.clone(), bytes));
    }
    Ok(contents)
}

fn read_part(source: &Source, path: &Path) -> Result<(String, Vec<u8>), DataError> {
    let bytes = read_file(path).map_err(|problem| problem.at(source, path))?;
    let sha256 = sha256_hex(&bytes);
    let bytes = unpack(bytes).map_err(|problem| format_error(source, path, problem))?;
    Ok((sha256, bytes))
}

fn read_file(path: &Path) -> Result<Vec<u8>, ReadError> {
    read_limited(File::open(path)?, FILE_MAX)
}

/// Unpacks `bytes` where they are gzip, which must end where they do.
pub(crate) fn unpack(bytes: Vec<u8>) -> Result<Vec<u8>, FormatError> {
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        return Ok(bytes);
    }
    let mut decoder = bufread::GzDecoder::new(bytes.as_slice());
    let unpacked = read_limited(&mut decoder, FILE_MAX).map_err(|error| match error {
        ReadError::Io(error) => FormatError::Damaged(error.to_string()),
        ReadError::Format(problem) => problem,
    })?;
    match decoder.into_inner() {
        [] => Ok(unpacked),
        rest => Err(FormatError::Trailing { extra: rest.len() as u64 }),
    }
}

/// Streams the archive once: its digest, and the parts found in it by their file names, in whatever folder.
fn read_archive(name: DatasetName, source: &Source, path: &Path) -> Result<Contents, DataError> {
    let wanted = source.format.parts();
    let (mut found, sha256) = read_members(path, &wanted).map_err(|problem| problem.at(source, path))?;
    let mut parts = Vec::new();
    for part in &wanted {
        let bytes = found.remove(part).ok_or_else(|| not_here(source, path))?;
        let member = path.join(part);
        parts.push((member.clone(), unpack(bytes).map_err(|problem| format_error(source, &member, problem))?));
    }
    let official = is_official(name, &sha256);
    let digests = vec![FileDigest { name: file_name(path), sha256, official }];
    Ok(Contents { parts, digests, origin: Origin::Archive(path.to_path_buf()) })
}

type Members<'a> = BTreeMap<&'a str, Vec<u8>>;

fn read_members<'a>(path: &Path, wanted: &[&'a str]) -> Result<(Members<'a>, String), ReadError> {
    let mut file = Hashing { inner: File::open(path)?, hash: Sha256::new() };
    let mut start = Vec::new();
    (&mut file).take(2).read_to_end(&mut start)?;
    if start.len() < 2 {
        return Err(FormatError::Truncated { found: start.len() as u64, expected: TAR_BLOCK }.into());
    }
    let found = {
        let raw = start.as_slice().chain(&mut file);
        let unpacked: Box<dyn Read + '_> = if start == [0x1f, 0x8b] { Box::new(GzDecoder::new(raw)) } else { Box::new(raw) };
        let mut archive = tar::Archive::new(unpacked.take(ARCHIVE_MAX + 1));
        let found = pick_members(&mut archive, wanted);
        // Whatever the cut at the limit looked like.
        if archive.into_inner().limit() == 0 {
            return Err(FormatError::TooLarge { limit: ARCHIVE_MAX }.into());
        }
        found?
    };
    // What follows the archive's end is part of the file, and so of its digest.
    io::copy(&mut file, &mut io::sink())?;
    Ok((found, hex::encode(file.hash.finalize())))
}

fn pick_members<'a>(archive: &mut tar::Archive<impl Read>, wanted: &[&'a str]) -> Result<Members<'a>, ReadError> {
    let mut found = Members::new();
    for entry in archive.entries().map_err(damaged)? {
        let mut entry = entry.map_err(damaged)?;
        let member = entry.path().map_err(damaged)?.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let plain = member.strip_suffix(".gz").unwrap_or(&member);
        let Some(&part) = wanted.iter().find(|&&part| part == plain && entry.header().entry_type().is_file()) else { continue };
        let size = entry.size();
        let bytes = read_limited(&mut entry, FILE_MAX).map_err(|error| match error {
            ReadError::Io(error) => damaged(error),
            format => format,
        })?;
        if (bytes.len() as u64) < size {
            return Err(FormatError::Truncated { found: bytes.len() as u64, expected: size }.into());
        }
        if found.insert(part, bytes).is_some() {
            return Err(FormatError::Twice.into());
        }
    }
    Ok(found)
}

/// Reads to the end, allocating only as bytes arrive, and refuses more than `limit` bytes.
fn read_limited(reader: impl Read, limit: u64) -> Result<Vec<u8>, ReadError> {
    let mut bytes = Vec::new();
    reader.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit { Err(FormatError::TooLarge { limit }.into()) } else { Ok(bytes) }
}

/// Hashes what passes through.
struct Hashing {
    inner: File,
    hash: Sha256,
}

impl Read for Hashing {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.hash.update(&buffer[..read]);
        Ok(read)
    }
}

/// Either side of [`DataError`], before its path is known.
#[derive(Debug, thiserror::Error)]
enum ReadError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Format(#[from] FormatError),
}

impl ReadError {
    fn at(self, source: &Source, path: &Path) -> DataError {
        match self {
            Self::Io(error) => DataError::Io { path: path.to_path_buf(), source: error },
            Self::Format(problem) => format_error(source, path, problem),
        }
    }
}

fn damaged(error: io::Error) -> ReadError {
    FormatError::Damaged(error.to_string()).into()
}

pub(crate) fn format_error(source: &Source, path: &Path, problem: FormatError) -> DataError {
    DataError::Format { name: source.name, path: path.to_path_buf(), problem }
}

pub(crate) fn not_here(source: &Source, path: &Path) -> DataError {
    let expected = source.format.parts().iter().map(|part| format!("`{part}`")).collect::<Vec<_>>().join(", ");
    DataError::NotHere { name: source.name, path: path.to_path_buf(), expected }
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

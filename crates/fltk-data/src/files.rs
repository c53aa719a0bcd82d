//! The search for the files of a data set in a folder or an archive, and reading them within limits.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read, Seek as _},
    path::{Path, PathBuf},
    thread,
};

use flate2::{bufread, read::MultiGzDecoder};
use sha2::{Digest, Sha256};

use crate::{
    dataset::{FileDigest, Origin},
    digest::sha256_hex,
    error::{DataError, FormatError},
    formats::cifar_python,
    sources::{ALL, Layout, Source},
};

/// The largest file of these data sets, packed or unpacked (CIFAR-100's training file has 154 MB). This limits the effect of a decompression
/// bomb.
const FILE_MAX: u64 = 256 << 20;
/// The largest archive, unpacked (CIFAR has 184 MB). This limits the effect of a hostile archive's own tables, such as a long name.
const ARCHIVE_MAX: u64 = 256 << 20;
/// The largest number of entries in a zip archive: those of our data sets have ten.
const ZIP_ENTRIES_MAX: usize = 100_000;
/// The size of the blocks of a tar archive, in bytes.
const TAR_BLOCK: u64 = 512;

/// The largest number of entries of a folder that are searched for files that can't be read as they are.
const ENTRIES_MAX: usize = 1000;

/// The place where the files are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// The paths of the parts, in the order of [`Format::parts`](crate::sources::Format::parts), their layout, and their folder.
    Folder { folder: PathBuf, parts: Vec<PathBuf>, layout: Layout },
    /// A `.tar`, `.tar.gz`, `.tgz` or `.zip`.
    Archive(PathBuf),
}

/// The unpacked bytes of every part, in the order of `Format::parts`, with the path that an error should name.
pub(crate) struct Contents {
    pub parts: Vec<(PathBuf, Vec<u8>)>,
    pub digests: Vec<FileDigest>,
    pub origin: Origin,
}

/// Looks for the data set at `path`: the archive or text itself, or a folder that contains the files or the published archive, or that has
/// them in a sub-folder that common tools make. Returns `None` if it is not there.
pub(crate) fn find(source: &Source, path: &Path) -> Option<Found> {
    if path.is_file() {
        let folder = path.parent().unwrap_or(Path::new("")).to_path_buf();
        let single = || source.format.layouts().into_iter().find(|layout| layout.parts.len() == 1 && !is_packed(path));
        return match is_archive(path) {
            true => Some(Found::Archive(path.to_path_buf())),
            false => single().map(|layout| Found::Folder { folder, parts: vec![path.to_path_buf()], layout }),
        };
    }
    [path.to_path_buf()].into_iter().chain(source.subfolders.iter().map(|sub| path.join(sub))).find_map(|folder| {
        for layout in source.format.layouts() {
            let files = layout.parts.iter().map(|part| find_part(&folder, part)).collect::<Option<Vec<_>>>();
            if let Some(parts) = files {
                return Some(Found::Folder { folder, parts, layout });
            }
        }
        let published = source.files.iter().map(|file| file.name).chain(source.other_archives.iter().map(|(name, _)| *name));
        published.map(|name| folder.join(name)).find(|path| path.is_file() && is_archive(path)).map(Found::Archive)
    })
}

fn find_part(folder: &Path, part: &str) -> Option<PathBuf> {
    [folder.join(part), folder.join(format!("{part}.gz"))].into_iter().find(|path| path.is_file())
}

fn is_archive(path: &Path) -> bool {
    ends_with(path, &[".tar", ".tar.gz", ".tgz", ".zip"])
}

/// True if the file is packed in a format that can't be read.
fn is_packed(path: &Path) -> bool {
    ends_with(path, &[".xz", ".txz", ".bz2", ".tbz2", ".zst", ".lzma", ".7z", ".rar"])
}

fn ends_with(path: &Path, endings: &[&str]) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    endings.iter().any(|ending| name.ends_with(ending))
}

/// Describes a file at `path` that may be the data set but can't be read as it is, and says what to do about it.
fn unread(source: &Source, path: &Path) -> Option<String> {
    if path.is_file() {
        return is_packed(path)
            .then(|| format!("only archives `.tar`, `.tar.gz`, `.tgz` and `.zip` are read, not `{}`: unpack it", file_name(path)));
    }
    let mut found: Vec<PathBuf> = std::fs::read_dir(path).ok()?.take(ENTRIES_MAX).filter_map(|entry| Some(entry.ok()?.path())).collect();
    found.sort();
    let dotted = |path: &PathBuf| {
        let name = file_name(path);
        let part =
            source.format.parts().into_iter().find(|part| name.strip_suffix(".gz").unwrap_or(&name) == part.replace("-idx", ".idx"))?;
        (part.contains("-idx")).then(|| format!("`{name}` isn't read by that name: rename it to `{}`", name.replace(".idx", "-idx")))
    };
    let packed = |path: &PathBuf| {
        let name = file_name(path);
        match () {
            () if is_packed(path) => Some(format!("`{name}` isn't read: unpack it")),
            () if is_archive(path) => Some(format!("`{name}` is read if the path names it")),
            () => None,
        }
    };
    found.iter().find_map(dotted).or_else(|| found.iter().find_map(packed))
}

/// Reads every part that was found. Refuses the published files of another data set: MNIST and Fashion-MNIST have the same names and sizes.
pub(crate) fn read(source: &Source, found: &Found) -> Result<Contents, DataError> {
    let contents = match found {
        Found::Folder { folder, parts, layout } => read_folder(source, folder, parts, layout),
        Found::Archive(path) => read_archive(source, path),
    }?;
    for file in contents.digests.iter().filter(|file| !file.official) {
        if let Some(other) = ALL.iter().find(|other| other.is_official(&file.sha256)) {
            let (Origin::Folder(path) | Origin::Archive(path)) = contents.origin else { continue };
            return Err(DataError::OtherDataset { name: source.name(), path, other: other.name() });
        }
    }
    Ok(contents)
}

/// Reads the parts at the same time, with one thread each: there are at most six, and the large ones are unpacked on several cores.
fn read_folder(source: &Source, folder: &Path, parts: &[PathBuf], layout: &Layout) -> Result<Contents, DataError> {
    let read = thread::scope(|scope| {
        let readers: Vec<_> = parts.iter().map(|path| scope.spawn(|| read_part(source, path, layout))).collect();
        readers.into_iter().map(|reader| reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect::<Vec<_>>()
    });
    let mut contents = Contents { parts: Vec::new(), digests: Vec::new(), origin: Origin::Folder(folder.to_path_buf()) };
    for (path, read) in parts.iter().zip(read) {
        let (sha256, bytes) = read?;
        let official = source.is_official(&sha256);
        contents.digests.push(FileDigest { name: file_name(path), sha256, official });
        contents.parts.push((path.clone(), bytes));
    }
    Ok(contents)
}

fn read_part(source: &Source, path: &Path, layout: &Layout) -> Result<(String, Vec<u8>), DataError> {
    let bytes = read_file(path).map_err(|problem| problem.at(source, path))?;
    let sha256 = sha256_hex(&bytes);
    let bytes = content(bytes, layout).map_err(|problem| format_error(source, path, problem))?;
    Ok((sha256, bytes))
}

fn read_file(path: &Path) -> Result<Vec<u8>, ReadError> {
    read_limited(File::open(path)?, FILE_MAX)
}

/// Returns the content of a part's file, in the form of the data set's format.
fn content(bytes: Vec<u8>, layout: &Layout) -> Result<Vec<u8>, FormatError> {
    let bytes = unpack(bytes)?;
    match layout.pickled {
        Some(labels) => cifar_python::records(&bytes, labels),
        None => Ok(bytes),
    }
}

const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Unpacks `bytes` if they are gzip: one member after another (RFC 1952, 2.2), the last of which must end where the bytes end.
pub(crate) fn unpack(bytes: Vec<u8>) -> Result<Vec<u8>, FormatError> {
    if !bytes.starts_with(&GZIP) {
        return Ok(bytes);
    }
    let (mut unpacked, mut rest) = (Vec::with_capacity(expected_len(&bytes)), bytes.as_slice());
    while rest.starts_with(&GZIP) {
        let mut decoder = bufread::GzDecoder::new(rest);
        let limit = FILE_MAX + 1 - unpacked.len() as u64;
        (&mut decoder).take(limit).read_to_end(&mut unpacked).map_err(|error| FormatError::Damaged(error.to_string()))?;
        if unpacked.len() as u64 > FILE_MAX {
            return Err(FormatError::TooLarge { limit: FILE_MAX });
        }
        rest = decoder.into_inner();
    }
    match rest {
        [] => Ok(unpacked),
        rest => Err(FormatError::Trailing { extra: rest.len() as u64 }),
    }
}

/// Returns the length of the last member of a gzip file as its trailer gives it (RFC 1952, 2.3.1), with which memory needn't grow while it is unpacked; 0 if
/// bytes can't be packed so densely, since somebody made the length up.
fn expected_len(gzip: &[u8]) -> usize {
    /// Deflate's largest ratio of bytes to packed ones.
    const RATIO_MAX: u64 = 1032;
    let length = gzip.last_chunk().map_or(0, |length| u32::from_le_bytes(*length));
    if u64::from(length) <= FILE_MAX.min(gzip.len() as u64 * RATIO_MAX) { length as usize } else { 0 }
}

/// Streams the archive once. Returns its digest and the parts found in it by their file names, in any folder.
fn read_archive(source: &Source, path: &Path) -> Result<Contents, DataError> {
    let layouts = source.format.layouts();
    let wanted: Vec<&str> = layouts.iter().flat_map(|layout| layout.parts.iter().copied()).collect();
    let read = if ends_with(path, &[".zip"]) { read_zip } else { read_members };
    let (mut found, sha256) = read(path, &wanted).map_err(|problem| problem.at(source, path))?;
    let layout = layouts.iter().find(|layout| layout.parts.iter().all(|part| found.contains_key(part)));
    let layout = layout.ok_or_else(|| not_here(source, path))?;
    let mut parts = Vec::new();
    for part in &layout.parts {
        let member = path.join(part);
        let bytes = content(found.remove(part).unwrap_or_default(), layout).map_err(|problem| format_error(source, &member, problem))?;
        parts.push((member, bytes));
    }
    let official = source.is_official(&sha256);
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
        let unpacked: Box<dyn Read + '_> = if start == GZIP { Box::new(MultiGzDecoder::new(raw)) } else { Box::new(raw) };
        let mut archive = tar::Archive::new(unpacked.take(ARCHIVE_MAX + 1));
        let found = pick_members(&mut archive, wanted);
        // This check comes first, whatever error the cut at the limit caused.
        if archive.into_inner().limit() == 0 {
            return Err(FormatError::TooLarge { limit: ARCHIVE_MAX }.into());
        }
        found?
    };
    // The bytes after the archive's end are part of the file, and so of its digest.
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

/// Does the same for a zip: returns its digest and the parts found in it by their file names, in any folder.
fn read_zip<'a>(path: &Path, wanted: &[&'a str]) -> Result<(Members<'a>, String), ReadError> {
    let mut file = File::open(path)?;
    if file.metadata()?.len() > ARCHIVE_MAX {
        return Err(FormatError::TooLarge { limit: ARCHIVE_MAX }.into());
    }
    let mut hashing = Hashing { inner: file.try_clone()?, hash: Sha256::new() };
    // This comes before the archive is opened, which reads the headers of all entries into memory.
    let mut headers = EntryHeaders::default();
    io::copy(&mut hashing, &mut headers)?;
    if headers.count > ZIP_ENTRIES_MAX {
        return Err(FormatError::Damaged(format!("it has {} entries, more than {ZIP_ENTRIES_MAX}", headers.count)).into());
    }
    let bad = |error: zip::result::ZipError| ReadError::from(FormatError::Damaged(error.to_string()));
    file.rewind()?;
    let mut archive = zip::ZipArchive::new(file).map_err(bad)?;
    let (mut found, mut left) = (Members::new(), ARCHIVE_MAX);
    for index in 0..archive.len() {
        let part = {
            // The entry is opened without unpacking: an unknown packing method matters only for an entry that is wanted.
            let entry = archive.by_index_raw(index).map_err(bad)?;
            let name = entry.name().map_err(bad)?;
            let name = name.rsplit(['/', '\\']).next().unwrap_or_default();
            let plain = name.strip_suffix(".gz").unwrap_or(name);
            wanted.iter().copied().find(|part| *part == plain && entry.is_file())
        };
        let Some(part) = part else { continue };
        let entry = archive.by_index(index).map_err(bad)?;
        let bytes = read_limited(entry, left.min(FILE_MAX)).map_err(|error| match error {
            ReadError::Io(error) => damaged(error),
            format => format,
        })?;
        left -= bytes.len() as u64;
        if found.insert(part, bytes).is_some() {
            return Err(FormatError::Twice.into());
        }
    }
    Ok((found, hex::encode(hashing.hash.finalize())))
}

/// A counter of possible headers of entries in a zip archive's central directory. The same four bytes are rare elsewhere in an archive.
#[derive(Default)]
struct EntryHeaders {
    count: usize,
    /// The last four bytes, with the newest last.
    last: [u8; 4],
}

impl io::Write for EntryHeaders {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for byte in bytes {
            self.last = [self.last[1], self.last[2], self.last[3], *byte];
            self.count += usize::from(self.last == *b"PK\x01\x02");
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads to the end, allocating only as bytes arrive. More than `limit` bytes are an error.
fn read_limited(reader: impl Read, limit: u64) -> Result<Vec<u8>, ReadError> {
    let mut bytes = Vec::new();
    reader.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit { Err(FormatError::TooLarge { limit }.into()) } else { Ok(bytes) }
}

/// A file whose bytes are hashed as they are read.
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

/// The two kinds of [`DataError`], before the path is known.
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
    DataError::Format { name: source.name(), path: path.to_path_buf(), problem }
}

pub(crate) fn not_here(source: &Source, path: &Path) -> DataError {
    let expected = source.format.parts().iter().map(|part| format!("`{part}`")).collect::<Vec<_>>().join(", ");
    DataError::NotHere { name: source.name(), path: path.to_path_buf(), expected, unread: unread(source, path) }
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

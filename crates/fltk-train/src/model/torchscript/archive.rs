//! The file of a TorchScript module, examined before libtorch sees any of it: a module is a program, and loading it may already run parts of it.
//!
//! libtorch gets a new archive that consists of the checked entries, so libtorch can't read the file in a way that this check didn't.

use std::{
    ffi::OsStr,
    fs::File,
    io::{Cursor, Read as _, Write as _},
    path::{Path, PathBuf},
};

use sha2::{Digest as _, Sha256};
use zip::{CompressionMethod, ZipArchive, ZipWriter, write::SimpleFileOptions};

use super::source;
use crate::TrainError;

/// The largest file of a module, and the limit on its unpacked bytes: 250 million parameters.
const MODULE_BYTES_MAX: u64 = 1 << 30;
/// The largest number of entries in an archive: two for each class and one for each tensor, of thousands of layers.
const ENTRIES_MAX: usize = 100_000;
/// The bytes at the start of each entry in a zip archive's central directory.
const ENTRY_HEADER: &[u8] = b"PK\x01\x02";
/// The longest source of a class in an archive, in bytes: TorchScript sources take some kilobytes.
const SOURCE_BYTES_MAX: usize = 16 << 20;

/// The archive of a module, found to contain nothing but a net.
pub(super) struct Checked {
    /// The archive to give to libtorch.
    pub archive: Vec<u8>,
    /// True if its sources name an operation that draws random numbers.
    pub draws: bool,
}

/// Returns the SHA-256 of the file of a TorchScript module, in lower-case hex.
///
/// # Errors
/// If it isn't a regular file of a bounded size, or can't be read.
pub fn module_sha256(path: &Path) -> Result<String, TrainError> {
    Ok(hex::encode(Sha256::digest(module_bytes(path)?)))
}

/// Returns the bytes of the file of a TorchScript module.
///
/// # Errors
/// As [`module_sha256`].
pub fn module_bytes(path: &Path) -> Result<Vec<u8>, TrainError> {
    read(path).map_err(|reason| TrainError::TorchScript { path: path.to_owned(), reason })
}

/// Reads the module at `path`. One whose name says its SHA-256 (`module-<SHA-256>.pt`) must have it, and may be in parts, with `.0`, `.1` and so on at the end of their names, as pods have what
/// is too large for one config map.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, String> {
    let part = |number: usize| {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{number}"));
        PathBuf::from(name)
    };
    let named = path.file_name().and_then(OsStr::to_str).and_then(|name| name.strip_prefix("module-")?.strip_suffix(".pt"));
    let sha256 = named.filter(|named| named.len() == 64 && named.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let mut bytes = Vec::new();
    if sha256.is_none() || path.exists() || !part(0).exists() {
        read_file(path, &mut bytes)?;
    } else {
        for part in (0..).map(part).take_while(|part| part.exists()) {
            read_file(&part, &mut bytes)?;
        }
    }
    match sha256 {
        Some(sha256) if *sha256 != hex::encode(Sha256::digest(&bytes)) => Err("its SHA-256 isn't that of its name".to_owned()),
        _ => Ok(bytes),
    }
}

/// Adds the content of the file at `path`, if it is a regular file.
fn read_file(path: &Path, bytes: &mut Vec<u8>) -> Result<(), String> {
    // This comes before the file is opened: opening a pipe that nobody writes to would block.
    let metadata = path.metadata().map_err(|error| error.to_string())?;
    if !metadata.is_file() {
        return Err("it is not a plain file".to_owned());
    }
    let file = File::open(path).map_err(|error| error.to_string())?;
    file.take(MODULE_BYTES_MAX + 1 - bytes.len() as u64).read_to_end(bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > MODULE_BYTES_MAX {
        return Err(format!("it has more bytes than a module may have ({MODULE_BYTES_MAX})"));
    }
    Ok(())
}

/// Checks every entry of the archive in `bytes`: its checksum, and that the sources use only what a net needs.
pub(super) fn check(bytes: &[u8]) -> Result<Checked, String> {
    // This comes before the archive is opened, which reads the headers of all entries into memory. The same four bytes are rare elsewhere
    // in an archive.
    let num_headers = bytes.windows(ENTRY_HEADER.len()).filter(|window| *window == ENTRY_HEADER).count();
    if num_headers > ENTRIES_MAX {
        return Err(format!("it has {num_headers} entries, more than {ENTRIES_MAX}"));
    }
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(|error| format!("not a TorchScript archive: {error}"))?;
    let mut checked = ZipWriter::new(Cursor::new(Vec::new()));
    // PyTorch writes archives like this: tensors are not compressed, and start at multiples of 64 bytes.
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored).with_alignment(64);
    let mut draws = false;
    let mut left = MODULE_BYTES_MAX;
    for index in 0..archive.len() {
        let entry = archive.by_index(index).map_err(|error| error.to_string())?;
        let name = entry.name().map_err(|error| error.to_string())?.into_owned();
        let damaged = |reason: &dyn std::fmt::Display| format!("`{}` in it: {reason}", name.escape_debug());
        let mut content = Vec::new();
        // Each entry is read to its end, since the checksum is compared only there.
        entry.take(left + 1).read_to_end(&mut content).map_err(|error| damaged(&error))?;
        left = left
            .checked_sub(content.len() as u64)
            .ok_or_else(|| format!("it unpacks to more bytes than a module may have ({MODULE_BYTES_MAX})"))?;
        if name.ends_with("/model.json") {
            return Err("it is of a format that PyTorch no longer supports\nhint: save it again with a current PyTorch".to_owned());
        }
        if name.ends_with(".py") {
            let text = std::str::from_utf8(&content).ok().filter(|text| text.len() <= SOURCE_BYTES_MAX);
            let text = text.ok_or_else(|| damaged(&"no text, or too long"))?;
            draws |= source::check(text).map_err(|reason| damaged(&reason))?;
        } else if name.ends_with(".pkl") && content.windows(FOREIGN_CLASSES.len()).any(|window| window == FOREIGN_CLASSES) {
            return Err(damaged(&"it has an object of a class of libtorch, which a net doesn't need"));
        }
        checked.start_file(name, options).map_err(|error| error.to_string())?;
        checked.write_all(&content).map_err(|error| error.to_string())?;
    }
    let archive = checked.finish().map_err(|error| error.to_string())?.into_inner();
    Ok(Checked { archive, draws })
}

/// The module of libtorch's own classes: streams, events, packed weights, profilers.
const FOREIGN_CLASSES: &[u8] = b"torch.classes";

#[cfg(test)]
mod tests {
    use super::*;

    /// A module made by `python/make_torchscript.py`.
    const PLAIN: &[u8] = include_bytes!("../../../../fltk-torch/tests/data/plain.pt");

    #[test]
    fn a_module_may_be_in_parts_and_has_the_digest_of_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let name = format!("module-{}.pt", hex::encode(Sha256::digest(PLAIN)));
        let path = folder.path().join(&name);
        assert!(read(&path).unwrap_err().contains("No such file"));
        for (part, bytes) in PLAIN.chunks(PLAIN.len().div_ceil(11)).enumerate() {
            std::fs::write(folder.path().join(format!("{name}.{part}")), bytes).unwrap();
        }
        assert_eq!(read(&path).unwrap(), PLAIN);
        std::fs::write(folder.path().join(format!("{name}.10")), b"another end").unwrap();
        assert_eq!(read(&path).unwrap_err(), "its SHA-256 isn't that of its name");
        // The whole file is the module, if it is there.
        std::fs::write(&path, PLAIN).unwrap();
        assert_eq!(read(&path).unwrap(), PLAIN);
        std::fs::write(&path, b"another").unwrap();
        assert_eq!(module_sha256(&path).unwrap_err().to_string().matches("isn't that of its name").count(), 1);
    }

    /// The module with every source changed by `change`, and with `more` appended to every pickle.
    fn changed(change: impl Fn(&str) -> String, more: &[u8]) -> Vec<u8> {
        let mut archive = ZipArchive::new(Cursor::new(PLAIN)).unwrap();
        let mut changed = ZipWriter::new(Cursor::new(Vec::new()));
        for index in 0..archive.len() {
            let mut entry = archive.by_index(index).unwrap();
            let name = entry.name().unwrap().into_owned();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            if name.ends_with(".py") {
                content = change(std::str::from_utf8(&content).unwrap()).into_bytes();
            } else if name.ends_with(".pkl") {
                content.extend_from_slice(more);
            }
            changed.start_file(name, SimpleFileOptions::default()).unwrap();
            changed.write_all(&content).unwrap();
        }
        changed.finish().unwrap().into_inner()
    }

    #[track_caller]
    fn refused(bytes: &[u8], words: &str) {
        let error = check(bytes).err().expect("refused");
        assert!(error.contains(words), "{error}");
    }

    #[test]
    fn loaded_module_is_the_checked_one() {
        let checked = check(PLAIN).unwrap();
        assert!(checked.draws, "it has dropout");
        assert_eq!(check(&checked.archive).unwrap().archive, checked.archive);
        assert!(check(&changed(str::to_owned, b"")).is_ok());
    }

    #[test]
    fn programs_other_than_nets_are_refused() {
        let with = |line: &str| changed(|source| source.replacen("    return ", &format!("    {line}\n    return "), 1), b"");
        refused(&with("_0 = torch.save(x, \"/tmp/a\")"), "it uses `save`");
        refused(&with("_0 = torch.from_file(\"/etc/passwd\", False, 9)"), "it uses `from_file`");
        refused(&with("print(\"a\")"), "it uses `print`");
        refused(&changed(str::to_owned, b"c__torch__.torch.classes.cuda\nEvent\n"), "a class of libtorch");
        refused(b"PK", "not a TorchScript archive");
    }

    #[test]
    fn excessive_numbers_of_entries_are_refused_unread() {
        let error = check(&ENTRY_HEADER.repeat(ENTRIES_MAX + 1)).err().unwrap();
        assert_eq!(error, "it has 100001 entries, more than 100000");
    }

    #[test]
    fn damaged_entries_are_refused() {
        // Weights are stored uncompressed: the flipped bit of the largest entry belongs to a weight.
        let mut bytes = PLAIN.to_vec();
        let mut archive = ZipArchive::new(Cursor::new(PLAIN)).unwrap();
        let starts = (0..archive.len()).map(|index| {
            let entry = archive.by_index(index).unwrap();
            (entry.size(), entry.data_start().unwrap())
        });
        let (size, start) = starts.max().unwrap();
        bytes[usize::try_from(start + size / 2).unwrap()] ^= 1;
        refused(&bytes, "checksum");
    }
}

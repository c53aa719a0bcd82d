//! Reading a data set that is part of the program.

use std::path::PathBuf;

use crate::{
    dataset::{FileDigest, Origin},
    digest::sha256_hex,
    error::DataError,
    files::{Contents, format_error, unpack},
    sources::Source,
};

/// Unpacks the embedded files of `source`.
///
/// # Errors
/// Never, unless the program file itself is damaged.
pub(crate) fn read(source: &Source) -> Result<Contents, DataError> {
    let mut contents = Contents { parts: Vec::new(), digests: Vec::new(), origin: Origin::Embedded };
    for file in source.embedded {
        let path = PathBuf::from(format!("embedded:{}", file.name));
        contents.digests.push(FileDigest { name: file.name.to_owned(), sha256: sha256_hex(file.bytes), official: true });
        let unpacked = unpack(file.bytes.to_vec()).map_err(|problem| format_error(source, &path, problem))?;
        contents.parts.push((path, unpacked));
    }
    Ok(contents)
}

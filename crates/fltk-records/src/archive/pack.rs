//! Packs a folder of records as a tar archive.

use std::{io::Write, path::Path, time::UNIX_EPOCH};

use tar::{Builder, EntryType, Header};

use super::{
    ArchiveError,
    walk::{Exact, Node, walk},
};

/// Writes the folder `name` in `root` as a tar archive (POSIX ustar). The folder may grow meanwhile.
///
/// # Errors
/// If a file can't be read or became shorter, or `out` can't be written.
pub fn pack(root: &Path, name: &str, out: &mut dyn Write) -> Result<(), ArchiveError> {
    let broken = ArchiveError::broken(name);
    let mut builder = Builder::new(out);
    walk(root, name, &mut |path, node| {
        let mut header = Header::new_ustar();
        header.set_path(path).map_err(&broken)?;
        match node {
            Node::Folder => {
                header.set_entry_type(EntryType::Directory);
                header.set_mode(0o755);
                header.set_size(0);
                header.set_cksum();
                builder.append(&header, std::io::empty()).map_err(&broken)
            }
            Node::File(file, metadata) => {
                let since = metadata.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
                header.set_entry_type(EntryType::Regular);
                header.set_mode(0o644);
                header.set_mtime(since.map_or(0, |since| since.as_secs()));
                header.set_size(metadata.len());
                header.set_cksum();
                builder.append(&header, Exact::new(file, metadata.len())).map_err(&broken)
            }
        }
    })?;
    builder.into_inner().and_then(Write::flush).map_err(&broken)
}

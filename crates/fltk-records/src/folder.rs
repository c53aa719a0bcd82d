//! What folders of runs and of streams have in common: they are made in one piece, and found by name.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    RunError,
    files::{self, FileError, TEMPORARY_PREFIX},
};

/// A folder of records with more in it than this is looked at in part.
const NAMES_MAX: usize = 1_000_000;

/// Makes the folder `path` in `root`, which is made if it isn't there. `fill` fills it under a temporary name, then it is renamed: a folder that exists is
/// complete, and one that exists is never replaced.
pub(crate) fn create(root: &Path, path: &Path, fill: impl FnOnce(&Path) -> Result<(), RunError>) -> Result<(), RunError> {
    if path.exists() {
        return Err(RunError::Exists { path: path.to_owned() });
    }
    fs::create_dir_all(root).map_err(FileError::io("create", root))?;
    let new = tempfile::Builder::new().prefix(TEMPORARY_PREFIX).tempdir_in(root).map_err(FileError::io("create a folder in", root))?;
    fill(new.path())?;
    files::sync_folder(new.path())?;
    // A folder with something in it is never replaced: a second one of this name fails here.
    fs::rename(new.path(), path).map_err(FileError::io("rename to", path))?;
    let _renamed_not_removed = new.keep();
    files::sync_folder(root)?;
    Ok(())
}

/// What a person named: the path of a folder, or the name of one in `root`, which has the file `description` then.
pub(crate) fn find(root: &Path, named: &Path, description: &str) -> PathBuf {
    let is_name = named.components().count() == 1 && !named.is_absolute();
    let in_root = root.join(named);
    if is_name && in_root.join(description).exists() { in_root } else { named.to_owned() }
}

/// The folders in `root` that have the file `description`, sorted by name; none if `root` isn't there. Hidden ones are left out.
pub(crate) fn list(root: &Path, description: &str) -> Result<Vec<PathBuf>, RunError> {
    let paths = names(root)?.into_iter().map(|name| root.join(name));
    // Whatever it is: a link or a pipe is damage to tell of, not a reason for silence.
    Ok(paths.filter(|path| files::is_there(&path.join(description))).collect())
}

/// The names in `root`, sorted; none if `root` isn't there. Hidden ones are left out.
pub(crate) fn names(root: &Path) -> Result<Vec<String>, RunError> {
    match files::names_in(root, NAMES_MAX) {
        Ok(mut names) => {
            names.retain(|name| !name.starts_with('.'));
            Ok(names)
        }
        Err(error) if error.is_not_found() => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

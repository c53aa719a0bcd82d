//! Code shared by the folders of runs and of streams: they are created atomically, and found by name.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    RunError,
    files::{self, FileError, TEMPORARY_PREFIX},
    side_by_side::side_by_side,
};

/// The limit on names in a folder of records: any beyond it are ignored.
const NAMES_MAX: usize = 1_000_000;

/// Creates the folder `path` in `root`; `root` is created if it doesn't exist. `fill` fills the folder under a temporary name, then it is
/// renamed. So a folder that exists is complete, and an existing one is never replaced.
pub(crate) fn create(root: &Path, path: &Path, fill: impl FnOnce(&Path) -> Result<(), RunError>) -> Result<(), RunError> {
    if path.exists() {
        return Err(RunError::Exists { path: path.to_owned() });
    }
    fs::create_dir_all(root).map_err(FileError::io("create", root))?;
    let new = tempfile::Builder::new().prefix(TEMPORARY_PREFIX).tempdir_in(root).map_err(FileError::io("create a folder in", root))?;
    fill(new.path())?;
    files::sync_folder(new.path())?;
    // A non-empty folder is never replaced: creating a second one of this name fails here.
    fs::rename(new.path(), path).map_err(FileError::io("rename to", path))?;
    let _renamed_not_removed = new.keep();
    files::sync_folder(root)?;
    Ok(())
}

/// Resolves what a person named: the path of a folder, or the name of a folder in `root` that has the file `description`.
pub(crate) fn find(root: &Path, named: &Path, description: &str) -> PathBuf {
    let is_name = named.components().count() == 1 && !named.is_absolute();
    let in_root = root.join(named);
    if is_name && in_root.join(description).exists() { in_root } else { named.to_owned() }
}

/// The folders in `root` that have the file `description`, sorted by name; none if `root` doesn't exist. Hidden folders are left out.
pub(crate) fn list(root: &Path, description: &str) -> Result<Vec<PathBuf>, RunError> {
    let paths: Vec<PathBuf> = listed(files::names_in(root, NAMES_MAX))?.into_iter().map(|name| root.join(name)).collect();
    Ok(described(paths, |path| path.join(description)))
}

/// The names of the folders in `root` that have the file `description` and whose names are `sound`, sorted; none if `root` doesn't exist. Hidden folders are left
/// out, and links to folders.
pub(crate) fn list_here(root: &Path, description: &str, sound: impl Fn(&str) -> bool) -> Result<Vec<String>, RunError> {
    let names: Vec<String> = listed(files::folders_in(root, NAMES_MAX))?.into_iter().filter(|name| sound(name)).collect();
    Ok(described(names, |name| root.join(name).join(description)))
}

/// Returns those of `all` whose description is there. Its type isn't checked: a link or a pipe there is damage, which should be reported, not hidden.
fn described<T: Sync>(all: Vec<T>, description: impl Fn(&T) -> PathBuf + Sync) -> Vec<T> {
    let are_there = side_by_side(&all, |one| files::is_there(&description(one)));
    all.into_iter().zip(are_there).filter_map(|(one, is_there)| is_there.then_some(one)).collect()
}

/// Returns those of `names` that aren't hidden; none if the folder doesn't exist.
fn listed(names: Result<Vec<String>, FileError>) -> Result<Vec<String>, RunError> {
    match names {
        Ok(mut names) => {
            names.retain(|name| !name.starts_with('.'));
            Ok(names)
        }
        Err(error) if error.is_not_found() => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

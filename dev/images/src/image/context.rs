//! The folder from which the Dockerfile builds: it has one folder per layer, in which files have the same paths as in the image.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    time::SystemTime,
};

use anyhow::{Context as _, bail};

const DOCKERFILE: &str = "Dockerfile";

/// The place of [`Layer::Home`] in the image.
const HOME: &str = "/var/lib/fltk";

/// A layer of an image, in the order of the Dockerfile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Layer {
    /// Libraries, users, certificates.
    System,
    /// Data sets.
    Data,
    /// The files that the image's user may write to.
    Home,
    /// The program.
    Program,
}

impl Layer {
    /// All layers.
    pub const ALL: [Self; 4] = [Self::System, Self::Data, Self::Home, Self::Program];

    /// Returns the layer's folder in the context.
    pub fn folder(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Data => "data",
            Self::Home => "home",
            Self::Program => "program",
        }
    }
}

/// A context that is being filled.
pub struct Context {
    folder: PathBuf,
}

impl Context {
    /// Makes an empty context in the empty folder `folder`, with `dockerfile`, the text of the Dockerfile.
    pub fn new(folder: &Path, dockerfile: &str) -> anyhow::Result<Self> {
        for layer in Layer::ALL {
            let folder = folder.join(layer.folder());
            fs::create_dir(&folder)?;
            set_mode(&folder, 0o755)?;
        }
        fs::write(folder.join(DOCKERFILE), dockerfile)?;
        let context = Self { folder: folder.to_path_buf() };
        // If COPY in the Dockerfile created the folders above the user's, they would belong to the user too.
        context.make_folder(Layer::System, HOME, 0o755)?;
        Ok(context)
    }

    /// The folder of the context.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns the place in this folder of the image's `path`, if it belongs to `layer`.
    pub fn at(&self, layer: Layer, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        self.root(layer).join(path.strip_prefix("/").unwrap_or(path))
    }

    /// Returns the folder that stands for the root of the image, in `layer`.
    pub fn root(&self, layer: Layer) -> PathBuf {
        self.folder.join(layer.folder())
    }

    /// Writes a new file with `text`.
    pub fn write(&self, layer: Layer, path: impl AsRef<Path>, text: &[u8]) -> anyhow::Result<()> {
        let to = self.place(layer, path)?;
        fs::write(&to, text)?;
        set_mode(&to, 0o644)
    }

    /// Copies the file `from`, following links.
    pub fn copy(&self, layer: Layer, from: &Path, path: impl AsRef<Path>, mode: u32) -> anyhow::Result<()> {
        let to = self.place(layer, path)?;
        fs::copy(from, &to).with_context(|| format!("can't copy `{}` to `{}`", from.display(), to.display()))?;
        set_mode(&to, mode)
    }

    /// Makes a link to `target`.
    pub fn link(&self, layer: Layer, target: &Path, path: impl AsRef<Path>) -> anyhow::Result<()> {
        Ok(symlink(target, self.place(layer, path)?)?)
    }

    /// Makes an empty folder.
    pub fn make_folder(&self, layer: Layer, path: impl AsRef<Path>, mode: u32) -> anyhow::Result<()> {
        let to = self.place(layer, path)?;
        fs::create_dir(&to)?;
        set_mode(&to, mode)
    }

    /// Returns the place of the new `path`, in folders that everybody may enter, whatever this process's umask is.
    pub fn place(&self, layer: Layer, path: impl AsRef<Path>) -> anyhow::Result<PathBuf> {
        let to = self.at(layer, path);
        let folder = to.parent().context("a file without a folder")?;
        fs::create_dir_all(folder)?;
        let root = self.root(layer);
        folder.ancestors().take_while(|above| *above != root).try_for_each(|above| set_mode(above, 0o755))?;
        Ok(to)
    }

    /// Gives all files the same time: otherwise, staging the same contents again would give another image.
    pub fn settle(&self) -> anyhow::Result<()> {
        let mut folders = vec![self.folder.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder)? {
                let entry = entry?;
                let kind = entry.file_type()?;
                if kind.is_dir() {
                    folders.push(entry.path());
                } else if kind.is_file() {
                    set_time(&entry.path())?;
                }
            }
            set_time(&folder)?;
        }
        Ok(())
    }

    /// Returns the total bytes of all files.
    pub fn size(&self) -> anyhow::Result<u64> {
        self.files()?.iter().map(|(layer, path)| Ok(fs::metadata(self.at(*layer, path))?.len())).sum()
    }

    /// Returns every file that is not a link, by its path in the image, in the order of layers and paths.
    pub fn files(&self) -> anyhow::Result<Vec<(Layer, PathBuf)>> {
        let mut found = Vec::new();
        for layer in Layer::ALL {
            let root = self.root(layer);
            let files = files_below(&root, Links::LeaveOut)?;
            found.extend(files.into_iter().map(|file| (layer, Path::new("/").join(file))));
        }
        Ok(found)
    }
}

/// The treatment of links among files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Links {
    /// Links are skipped.
    LeaveOut,
    /// Links are an error, so that nobody expects that they are followed.
    Refuse,
}

/// Returns the files in `folder` and its subfolders, relative to it, in order.
pub fn files_below(folder: &Path, links: Links) -> anyhow::Result<Vec<PathBuf>> {
    let (mut folders, mut files) = (vec![folder.to_path_buf()], Vec::new());
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).with_context(|| format!("can't list `{}`", next.display()))? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() {
                files.push(entry.path().strip_prefix(folder)?.to_path_buf());
            } else if !kind.is_symlink() || links == Links::Refuse {
                let what = if kind.is_symlink() { "a link" } else { "neither a file nor a folder" };
                bail!("`{}` is {what}", entry.path().display());
            }
        }
    }
    files.sort();
    Ok(files)
}

/// Lets everybody read the files in `folder`, and run the executable ones, whatever the umask was when they were written.
pub fn share(folder: &Path) -> anyhow::Result<()> {
    set_mode(folder, 0o755)?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            share(&entry.path())?;
        } else if kind.is_file() {
            let is_program = entry.metadata()?.permissions().mode() & 0o100 != 0;
            set_mode(&entry.path(), if is_program { 0o755 } else { 0o644 })?;
        }
    }
    Ok(())
}

/// Sets the permissions of `path`.
pub fn set_mode(path: &Path, mode: u32) -> anyhow::Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).with_context(|| format!("can't set the rights of `{}`", path.display()))
}

fn set_time(path: &Path) -> anyhow::Result<()> {
    let file = fs::File::open(path).with_context(|| format!("can't open `{}`", path.display()))?;
    Ok(file.set_modified(SystemTime::UNIX_EPOCH)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_and_times_of_the_context_are_reproducible() {
        let folder = tempfile::tempdir().unwrap();
        let context = Context::new(folder.path(), "FROM scratch\n").unwrap();
        context.write(Layer::Program, "/usr/share/a", b"a").unwrap();
        context.make_folder(Layer::System, "/tmp", 0o1777).unwrap();
        context.settle().unwrap();
        assert_eq!(context.files().unwrap(), [(Layer::Program, "/usr/share/a".into())]);
        for (layer, path, mode) in [
            (Layer::Program, "/usr", 0o755),
            (Layer::Program, "/usr/share", 0o755),
            (Layer::Program, "/usr/share/a", 0o644),
            (Layer::System, "/tmp", 0o1777),
        ] {
            let metadata = fs::metadata(context.at(layer, path)).unwrap();
            assert_eq!(metadata.permissions().mode() & 0o7777, mode, "{path}");
            assert_eq!(metadata.modified().unwrap(), SystemTime::UNIX_EPOCH, "{path}");
        }
    }
}

//! Data sets in an image.

use std::{fs, path::Path};

use anyhow::ensure;

use super::context::{Context, Layer, Links, files_below};
use crate::setup::debian;

/// The folder in `FLTK_DATA` of the Dockerfile.
const DATA: &str = "/var/lib/fltk/data";

/// Adds Fashion-MNIST where the program looks for it by itself, as on Debian.
pub fn fashion_mnist(context: &Context) -> anyhow::Result<()> {
    debian::fashion_mnist().map_err(anyhow::Error::msg)?;
    for name in debian::FASHION_MNIST_FILES {
        let file = Path::new(debian::FASHION_MNIST).join(name);
        context.copy(Layer::Data, &file, &file, 0o644)?;
    }
    Ok(())
}

/// Adds the files in `folder`, as filled by `fltk data fetch --data`.
pub fn folder(context: &Context, folder: &Path) -> anyhow::Result<()> {
    let hint = "hint: `fltk data fetch NAME --data DIR` fills one";
    ensure!(folder.is_dir(), "there is no folder `{}`\n{hint}", folder.display());
    let mut files = files_below(folder, Links::Refuse)?;
    // This is the lock of `fltk data fetch`.
    files.retain(|file| file.file_name().is_none_or(|name| name != ".lock"));
    ensure!(!files.is_empty(), "there are no files in `{}`\n{hint}", folder.display());
    for file in &files {
        let from = folder.join(file);
        // This is a partial file of an interrupted fetch.
        ensure!(
            file.extension().is_none_or(|extension| extension != "part"),
            "`{}` is half there\nhint: run `fltk data fetch` again",
            from.display()
        );
        context.copy(Layer::Data, &from, Path::new(DATA).join(file), 0o644)?;
    }
    let size = files.iter().map(|file| Ok(fs::metadata(folder.join(file))?.len())).sum::<anyhow::Result<u64>>()?;
    eprintln!("data: {} files, {:.1} MB", files.len(), size as f64 / 1e6);
    Ok(())
}

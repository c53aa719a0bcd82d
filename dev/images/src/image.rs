//! Images of our program, and of TensorBoard: they contain only what they need, and the same contents give the same bytes. Where images are pushed
//! is not decided here.
//!
//! ```text
//! program ──ldd──> libraries ──> context/  system/ data/ home/ program/ ──Dockerfile, buildah──> KIND.tar (docker-archive), KIND.cdx.json (SBOM)
//! ```

mod archive;
mod arguments;
mod buildah;
mod context;
pub mod cuda;
mod data;
mod distributions;
mod kind;
mod libraries;
mod program;
mod sbom;
mod stage;
mod tensorboard;
mod tools;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail, ensure};

pub use self::{
    archive::{Contents, read as contents},
    arguments::Arguments,
    buildah::{Buildah, Registry},
    context::{Context, Layer},
    kind::Kind,
    libraries::DRIVER,
    stage::{LIBRARIES, TORCH},
};
use crate::{checkout::Checkout, setup::libtorch};

/// The user who runs the program and owns what it writes: the number that distroless images use for `nonroot`. The Dockerfile has it too.
pub const USER: u32 = 65532;

/// The path of the SBOM in an image.
const SBOM: &str = "/usr/share/doc/fltk/sbom.cdx.json";

/// The inputs of an image, in addition to what every image of its kind has.
#[derive(Clone, Copy, Debug, Default)]
pub struct Inputs<'a> {
    /// This `fltk`, instead of a release build of this checkout; if the image trains, with the `fltk-torch` next to it.
    pub program: Option<&'a Path>,
    /// A folder with data sets.
    pub data: Option<&'a Path>,
}

/// Runs the command with its arguments.
pub fn run(checkout: &Checkout, arguments: &Arguments) -> anyhow::Result<()> {
    arguments.check()?;
    for &kind in &arguments.kinds {
        let inputs = Inputs { program: arguments.program.as_deref(), data: arguments.data.as_deref() };
        let name = arguments.name.as_deref().unwrap_or_else(|| kind.name());
        if let Some(folder) = &arguments.stage {
            stage_in(checkout, kind, inputs, folder)?;
            println!("docker build --target {} --tag {name} {}", kind.target(), folder.display());
            continue;
        }
        let work = work_folder(checkout)?;
        let context = stage(checkout, kind, inputs, work.path())?;
        let buildah = Buildah::new(work.path())?;
        buildah.build(context.folder(), kind.target(), name)?;
        let file = arguments.archive.clone().unwrap_or_else(|| images(checkout).join(kind.target()).with_extension("tar"));
        // This way, nobody finds an incomplete archive in its place.
        let partial = work.path().join("archive.tar");
        buildah.write(name, &partial)?;
        let contents = archive::read(&partial)?;
        move_to(&partial, &file)?;
        move_to(&context.at(Layer::Program, SBOM), &file.with_extension("cdx.json"))?;
        print!("{}", contents.describe(name));
        println!("  in `{}`", file.display());
        if let Some(registry) = arguments.registry() {
            println!("  pushed to {} {}", registry.to, buildah.push(name, &registry)?);
        }
    }
    Ok(())
}

/// Builds an image into the new file `archive`. Returns its contents.
pub fn build(checkout: &Checkout, kind: Kind, inputs: Inputs<'_>, archive: &Path) -> anyhow::Result<Contents> {
    let work = work_folder(checkout)?;
    let context = stage(checkout, kind, inputs, work.path())?;
    let buildah = Buildah::new(work.path())?;
    buildah.build(context.folder(), kind.target(), kind.name())?;
    buildah.write(kind.name(), archive)?;
    archive::read(archive)
}

/// Returns the `fltk` for `kind`, with `fltk-torch` next to it if the image trains: `given`, or a build of this checkout; `None` if the image
/// doesn't contain it.
pub fn program(checkout: &Checkout, kind: Kind, given: Option<&Path>) -> anyhow::Result<Option<PathBuf>> {
    if kind.package().is_none() {
        return Ok(None);
    }
    if let Some(given) = given {
        ensure!(given.is_file(), "there is no file `{}`", given.display());
        let torch = stage::torch_beside(given);
        ensure!(!kind.trains() || torch.is_file(), "there is no file `{}`\nhint: what trains is beside `fltk`", torch.display());
        return Ok(Some(given.to_path_buf()));
    }
    // With all packages at once, as people build them, `fltk` is the same in all images. Without libtorch, it can be built alone.
    let built = if kind.trains() || checkout.libtorch_link().exists() {
        checkout.build(&libtorch::ensure(checkout)?, &["--release"])
    } else {
        checkout.build_without_libtorch(&["--release", "--package", "fltk"])
    };
    built.map(Some)
}

/// Makes the new folder `folder` a context for the Dockerfile, atomically.
fn stage_in(checkout: &Checkout, kind: Kind, inputs: Inputs<'_>, folder: &Path) -> anyhow::Result<()> {
    if fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()) || folder.is_file() {
        bail!("`{}` is there already\nhint: name a new folder", folder.display());
    }
    let parent = match folder.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    fs::create_dir_all(parent).with_context(|| format!("can't make `{}`", parent.display()))?;
    let work = tempfile::Builder::new().prefix(".fltk-image").tempdir_in(parent)?;
    let context = stage(checkout, kind, inputs, work.path())?;
    fs::rename(context.folder(), folder).with_context(|| format!("can't make `{}`", folder.display()))
}

/// Fills a folder in `work` with the files from which the Dockerfile makes an image.
pub fn stage(checkout: &Checkout, kind: Kind, inputs: Inputs<'_>, work: &Path) -> anyhow::Result<Context> {
    let dockerfile = checkout.root.join("Dockerfile");
    let dockerfile = fs::read_to_string(&dockerfile).with_context(|| format!("can't read `{}`", dockerfile.display()))?;
    let folder = work.join("context");
    fs::create_dir(&folder)?;
    let context = Context::new(&folder, &dockerfile)?;
    let sources = match program(checkout, kind, inputs.program)? {
        Some(program) => stage::fltk(checkout, &context, kind, &program, inputs.data)
            .with_context(|| format!("can't make the image of `{}`", program.display()))?,
        None => tensorboard::stage(checkout, &context)?,
    };
    let sbom = sbom::of(checkout, &context, kind, &sources)?;
    context.write(Layer::Program, SBOM, &sbom)?;
    if let Some(max) = kind.size_max() {
        let size = context.size()?;
        ensure!(
            size <= max,
            "the image `{}` has {:.1} MB of files, and may have {:.1}",
            kind.target(),
            size as f64 / 1e6,
            max as f64 / 1e6
        );
    }
    context.settle()?;
    Ok(context)
}

/// Moves a file into its place, which may be on another file system.
fn move_to(from: &Path, to: &Path) -> anyhow::Result<()> {
    let folder = to.parent().context("a file without a folder")?;
    let place = || format!("can't write `{}`", to.display());
    if !folder.as_os_str().is_empty() {
        fs::create_dir_all(folder).with_context(place)?;
    }
    if fs::rename(from, to).is_ok() {
        return Ok(());
    }
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let mut partial = tempfile::NamedTempFile::new_in(folder).with_context(place)?;
    std::io::copy(&mut fs::File::open(from)?, &mut partial).with_context(place)?;
    context::set_mode(partial.path(), 0o644)?;
    partial.persist(to).with_context(place)?;
    Ok(())
}

fn images(checkout: &Checkout) -> PathBuf {
    checkout.target.join("images")
}

/// Makes a work folder next to the images, since it takes several times their size, and `/tmp` may be in memory.
fn work_folder(checkout: &Checkout) -> anyhow::Result<tempfile::TempDir> {
    let folder = images(checkout);
    fs::create_dir_all(&folder).with_context(|| format!("can't make `{}`", folder.display()))?;
    Ok(tempfile::Builder::new().prefix("work").tempdir_in(folder)?)
}

//! The contents of the images of our program.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::{
    Kind,
    context::{Context, Layer},
    data, libraries, program,
};
use crate::{checkout::Checkout, setup::debian};

/// The path of the program.
pub const PROGRAM: &str = "/usr/local/bin/fltk";
/// The path of the program that `fltk` becomes where libtorch is needed: next to it, with this name.
pub const TORCH: &str = "/usr/local/bin/fltk-torch";
/// The folder of their libraries, which `LD_LIBRARY_PATH` in the Dockerfile names.
pub const LIBRARIES: &str = "/usr/local/lib/fltk";

const CERTIFICATES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// The home is the only folder that the user may always write to.
const PASSWD: &str = "root:x:0:0:root:/:/sbin/nologin\nfltk:x:65532:65532:fltk:/tmp:/sbin/nologin\n";
const GROUP: &str = "root:x:0:\nfltk:x:65532:\n";

/// A pod's own name is only in `/etc/hosts`, and without this file, older C libraries ask only the name server.
const NAMES: &str = "passwd: files\ngroup: files\nhosts: files dns\n";

/// Returns the program with libtorch that belongs to `fltk`.
pub fn torch_beside(fltk: &Path) -> PathBuf {
    fltk.with_file_name("fltk-torch")
}

/// Fills `context` with `fltk`, with the `fltk-torch` next to it if the image trains, and with everything that they need. Returns the origin of each library on
/// this machine.
pub fn fltk(
    checkout: &Checkout,
    context: &Context,
    kind: Kind,
    fltk: &Path,
    data: Option<&Path>,
) -> anyhow::Result<Vec<(PathBuf, PathBuf)>> {
    base(context)?;
    let mut paths = checkout.machine_paths();
    let mut staged = vec![context.place(Layer::Program, PROGRAM)?];
    program::copy(fltk, &staged[0], &[], &paths)?;
    let (mut folders, mut loaded_later) = (Vec::new(), Vec::new());
    if kind.trains() {
        let torch = torch_beside(fltk);
        folders = program::search_path(&torch)?;
        paths.extend(folders.iter().filter_map(|folder| folder.parent()).map(Path::to_path_buf));
        let mut needed: &[&str] = &[];
        if kind == Kind::Cuda {
            let cuda = super::cuda::find(checkout)?;
            (folders, loaded_later, needed) = (cuda.folders, cuda.loaded_later, &super::cuda::NEEDED);
        }
        let to = context.place(Layer::Program, TORCH)?;
        program::copy(&torch, &to, needed, &paths)?;
        staged.push(to);
    }
    let mut sources = Vec::new();
    let mut copy = |from: &Path, to: PathBuf| -> anyhow::Result<()> {
        if !context.at(Layer::System, &to).exists() {
            context.copy(Layer::System, from, &to, 0o755)?;
            sources.push((to, from.to_path_buf()));
        }
        Ok(())
    };
    for program in staged.iter().chain(&loaded_later) {
        let linked = libraries::of(program, &folders)?;
        for (name, library) in &linked.libraries {
            copy(library, Path::new(LIBRARIES).join(name))?;
        }
        if let Some(loader) = &linked.loader {
            copy(loader, loader.clone())?;
        }
    }
    for library in &loaded_later {
        copy(library, Path::new(LIBRARIES).join(library.file_name().context("a library without a name")?))?;
    }
    if kind.trains() {
        data::fashion_mnist(context)?;
    }
    if let Some(folder) = data {
        data::folder(context, folder)?;
    }
    Ok(sources)
}

/// Adds what every image has: a user, its folders, and the trusted certificates.
pub fn base(context: &Context) -> anyhow::Result<()> {
    context.write(Layer::System, "/etc/passwd", PASSWD.as_bytes())?;
    context.write(Layer::System, "/etc/group", GROUP.as_bytes())?;
    context.write(Layer::System, "/etc/nsswitch.conf", NAMES.as_bytes())?;
    if !Path::new(CERTIFICATES).exists() {
        debian::install(&["ca-certificates"]).map_err(anyhow::Error::msg)?;
    }
    context.copy(Layer::System, Path::new(CERTIFICATES), CERTIFICATES, 0o644)?;
    context.make_folder(Layer::System, "/tmp", 0o1777)?;
    context.make_folder(Layer::Home, "/runs", 0o755)?;
    context.make_folder(Layer::Home, "/data", 0o755)
}

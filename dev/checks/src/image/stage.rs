//! What the images of our program have in them.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::{
    Kind,
    context::{Context, Layer},
    data, libraries, program,
};
use crate::{checkout::Checkout, setup::debian};

/// The program.
pub const PROGRAM: &str = "/usr/local/bin/fltk";
/// The folder of its libraries, by `LD_LIBRARY_PATH` in the Dockerfile.
pub const LIBRARIES: &str = "/usr/local/lib/fltk";

const CERTIFICATES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// The home is the one folder that the user may always write to.
const PASSWD: &str = "root:x:0:0:root:/:/sbin/nologin\nfltk:x:65532:65532:fltk:/tmp:/sbin/nologin\n";
const GROUP: &str = "root:x:0:\nfltk:x:65532:\n";

/// A pod's own name is in `/etc/hosts` alone, and without this file older C libraries ask only the name server.
const NAMES: &str = "passwd: files\ngroup: files\nhosts: files dns\n";

/// Fills `context` with `program` and all that it needs. Returns where each library of it is from on this machine.
pub fn fltk(
    checkout: &Checkout,
    context: &Context,
    kind: Kind,
    program: &Path,
    data: Option<&Path>,
) -> anyhow::Result<Vec<(PathBuf, PathBuf)>> {
    base(context)?;
    let staged = context.place(Layer::Program, PROGRAM)?;
    let cuda = (kind == Kind::Cuda).then(|| super::cuda::find(checkout)).transpose()?;
    let needed: &[&str] = if cuda.is_some() { &super::cuda::NEEDED } else { &[] };
    let mut paths = checkout.machine_paths();
    paths.extend(program::search_path(program)?.iter().filter_map(|folder| folder.parent()).map(Path::to_path_buf));
    program::copy(program, &staged, needed, &paths)?;
    let (folders, loaded_later) = match cuda {
        Some(cuda) => (cuda.folders, cuda.loaded_later),
        None => (program::search_path(program)?, Vec::new()),
    };
    let mut sources = Vec::new();
    let mut copy = |from: &Path, to: PathBuf| -> anyhow::Result<()> {
        if !context.at(Layer::System, &to).exists() {
            context.copy(Layer::System, from, &to, 0o755)?;
            sources.push((to, from.to_path_buf()));
        }
        Ok(())
    };
    for program in std::iter::once(&staged).chain(&loaded_later) {
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

/// What every image has: a user, its folders, and whom to trust.
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

//! The image of TensorBoard: Debian's Python without the rest of Debian, and the wheels that `python/tensorboard.txt` pins.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, ensure};

use super::{
    context::{Context, Layer, Links, files_below, set_mode},
    distributions::distributions,
    libraries,
    stage::{LIBRARIES, base},
};
use crate::{
    checkout::Checkout,
    setup::{debian, python},
    sh,
};

/// The path of Debian's own Python, whatever other Python a machine has.
const PYTHON: &str = "/usr/bin/python3";

/// The folder of the packages, which `PYTHONPATH` in the Dockerfile names.
pub const PACKAGES: &str = "/usr/local/lib/tensorboard";

/// The path of the program under its own name, which the Extractor's chart runs, and which other images with TensorBoard also have.
const PROGRAM: &str = "/usr/local/bin/tensorboard";
const SCRIPT: &str = "#!/usr/bin/python3
import sys
from tensorboard.main import run_main
sys.exit(run_main())
";

/// The parts of Python that a server doesn't need.
const LEFT_OUT: [&str; 6] = ["ensurepip", "idlelib", "lib2to3", "pydoc_data", "test", "turtledemo"];

/// Fills `context`. Returns the origin of each library on this machine.
pub fn stage(checkout: &Checkout, context: &Context) -> anyhow::Result<Vec<(PathBuf, PathBuf)>> {
    base(context)?;
    let interpreter = interpreter()?;
    let version = interpreter.file_name().and_then(|name| name.to_str()).context("a Python without a name")?.to_owned();
    interpreter_files(context, &interpreter, &version)?;
    packages(checkout, context, &version)?;
    context.write(Layer::Program, PROGRAM, SCRIPT.as_bytes())?;
    set_mode(&context.at(Layer::Program, PROGRAM), 0o755)?;
    let mut sources = Vec::new();
    for layer in [Layer::System, Layer::Program] {
        for file in files_below(&context.root(layer), Links::LeaveOut)? {
            let path = context.at(layer, &file);
            if path.to_string_lossy().contains(".so") || Path::new("/").join(&file) == interpreter {
                linked(context, &path, &mut sources)?;
            }
        }
    }
    Ok(sources)
}

/// Returns the Debian packages that are in the image, in addition to libraries.
pub fn debian_packages() -> anyhow::Result<[String; 3]> {
    let interpreter = interpreter()?;
    let version = interpreter.file_name().and_then(|name| name.to_str()).context("a Python without a name")?;
    Ok([format!("{version}-minimal"), format!("lib{version}-minimal"), format!("lib{version}-stdlib")])
}

/// Returns the path of the interpreter, such as `/usr/bin/python3.11`.
fn interpreter() -> anyhow::Result<PathBuf> {
    if !Path::new(PYTHON).exists() {
        debian::install(&["python3"]).map_err(anyhow::Error::msg)?;
    }
    Ok(Path::new(PYTHON).canonicalize()?)
}

fn interpreter_files(context: &Context, interpreter: &Path, version: &str) -> anyhow::Result<()> {
    let mut dpkg = Command::new("dpkg-query");
    dpkg.arg("--listfiles").args(debian_packages()?).stdin(Stdio::null());
    let files = sh::quiet_output(&mut dpkg, sh::LOOKUP_LIMIT).context("this Python is not from Debian packages")?;
    let library = Path::new("/usr/lib").join(version);
    let is_wanted = |path: &Path| match path.strip_prefix(&library) {
        Ok(inner) => !LEFT_OUT.iter().any(|part| inner.starts_with(part)),
        Err(_) => path == interpreter || path.starts_with("/usr/share/doc") && path.ends_with("copyright"),
    };
    // Links point to files in `/etc`, which are copied in their place.
    for file in files.lines().map(Path::new).filter(|path| is_wanted(path) && path.is_file()) {
        if !context.at(Layer::System, file).exists() {
            context.copy(Layer::System, file, file, if file == interpreter { 0o755 } else { 0o644 })?;
        }
    }
    ensure!(context.at(Layer::System, interpreter).exists(), "no package brought `{}`", interpreter.display());
    context.link(Layer::System, Path::new(version), PYTHON)
}

/// Installs only wheels: no code of a package runs here. They aren't compiled, since compiled files contain times.
fn packages(checkout: &Checkout, context: &Context, version: &str) -> anyhow::Result<()> {
    python::with_pip()?;
    let folder = context.place(Layer::Program, PACKAGES)?;
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-cache-dir", "--no-deps", "--no-compile"]);
    pip.args(["--only-binary=:all:", "--implementation", "cp", "--python-version", version.trim_start_matches("python"), "--target"]);
    pip.arg(&folder)
        .args(python::HASHED)
        .arg(checkout.root.join(python::TENSORBOARD))
        .stdin(Stdio::null())
        .env("PIP_ROOT_USER_ACTION", "ignore");
    sh::run(&mut pip, sh::INSTALL_LIMIT)?;
    // These are scripts that name this machine's Python, and pip's records about them and itself.
    fs::remove_dir_all(folder.join("bin"))?;
    for distribution in distributions(&folder)? {
        let record = distribution.folder.join("RECORD");
        let text = fs::read_to_string(&record)?;
        let kept: String = text.lines().filter(|line| !line.starts_with("../../bin/")).flat_map(|line| [line, "\n"]).collect();
        fs::write(&record, kept)?;
    }
    super::context::share(&folder)
}

/// Copies the libraries that `program` is linked with and that the image doesn't have yet.
fn linked(context: &Context, program: &Path, sources: &mut Vec<(PathBuf, PathBuf)>) -> anyhow::Result<()> {
    let linked = libraries::of(program, &[])?;
    let own = |path: &Path| path.starts_with(context.folder());
    for (name, library) in linked.libraries.iter().filter(|(_, library)| !own(library)) {
        let to = Path::new(LIBRARIES).join(name);
        if !context.at(Layer::System, &to).exists() {
            context.copy(Layer::System, library, &to, 0o755)?;
            sources.push((to, library.clone()));
        }
    }
    if let Some(loader) = linked.loader.filter(|loader| !context.at(Layer::System, loader).exists()) {
        context.copy(Layer::System, &loader, &loader, 0o755)?;
        sources.push((loader.clone(), loader));
    }
    Ok(())
}

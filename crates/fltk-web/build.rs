//! Takes ECharts, which draws the page's charts, out of the sources of the crate `charming`, and leaves it compressed for the page.
//!
//! That crate embeds a build of it for pictures that a server makes, behind a feature that brings a whole JavaScript engine. The page needs the file
//! alone, so it is read where cargo has unpacked the crate; the lock file fixes its content.

use std::{
    env, fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
};

use flate2::{Compression, write::GzEncoder};

/// The folder in the crate's sources that has the file.
const ASSETS: &str = "src/asset";
/// The beginning and the end of the file's name, with its version between them.
const NAME: (&str, &str) = ("echarts-", ".min.js");

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if let Err(problem) = prepare() {
        println!("cargo::error={problem}");
    }
}

fn prepare() -> Result<(), String> {
    let (file, version) = find(&crate_folder()?.join(ASSETS))?;
    println!("cargo::rerun-if-changed={}", file.display());
    println!("cargo::rustc-env=ECHARTS_VERSION={version}");
    let script = fs::read(&file).map_err(|error| format!("`{}` can't be read: {error}", file.display()))?;
    let folder = env::var("OUT_DIR").map_err(|_| "cargo sets OUT_DIR")?;
    let mut packed = GzEncoder::new(Vec::new(), Compression::best());
    let packed = packed.write_all(&script).and_then(|()| packed.finish()).map_err(|error| format!("ECharts can't be packed: {error}"))?;
    fs::write(Path::new(&folder).join("echarts.js.gz"), packed).map_err(|error| format!("`{folder}` can't be written: {error}"))
}

/// Returns the folder of the crate's sources, wherever cargo has them: in its registry, or vendored.
fn crate_folder() -> Result<PathBuf, String> {
    let cargo = env::var_os("CARGO").ok_or("cargo sets CARGO")?;
    let target = env::var("TARGET").map_err(|_| "cargo sets TARGET")?;
    let arguments = ["metadata", "--format-version", "1", "--offline", "--locked", "--filter-platform", &target];
    let output = Command::new(cargo).args(arguments).output().map_err(|error| format!("cargo can't be run: {error}"))?;
    if !output.status.success() {
        return Err(format!("`cargo metadata` failed: {}", String::from_utf8_lossy(&output.stderr).replace('\n', " ")));
    }
    let metadata: serde_json::Value =
        serde_json::from_slice(&output.stdout).map_err(|error| format!("`cargo metadata` printed no JSON: {error}"))?;
    let packages = metadata["packages"].as_array().ok_or("`cargo metadata` printed no packages")?;
    let found = packages.iter().find(|package| package["name"] == "charming").ok_or("`charming` isn't among the packages")?;
    let manifest = found["manifest_path"].as_str().ok_or("`charming` has no manifest")?;
    Ok(PathBuf::from(manifest).parent().ok_or("`charming` has no folder")?.to_owned())
}

/// Returns the file of ECharts in a folder, and its version.
fn find(folder: &Path) -> Result<(PathBuf, String), String> {
    let entries = fs::read_dir(folder).map_err(|error| format!("`{}` can't be listed: {error}", folder.display()))?;
    let version = |path: &PathBuf| Some(path.file_name()?.to_str()?.strip_prefix(NAME.0)?.strip_suffix(NAME.1)?.to_owned());
    let found = entries.filter_map(|entry| Some(entry.ok()?.path())).find_map(|path| version(&path).map(|version| (path, version)));
    found.ok_or_else(|| format!("there is no ECharts in `{}`", folder.display()))
}

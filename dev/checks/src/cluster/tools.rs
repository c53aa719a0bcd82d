//! The cluster's programs, built from the Go module proxy: each folder of `cluster/tools` is a module whose tools are built.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, bail};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use crate::{checkout::Checkout, sh};

/// What Kubernetes calls itself: without it the API server is v0.0.0-master, and clients stumble.
const VERSION: &str = "v1.34.4";

/// Programs that are called otherwise than the last part of their path.
const NAMES: [(&str, &str); 3] =
    [("/server/v3", "etcd"), ("/training-operator.v1", "training-operator"), ("/trainer-controller-manager", "trainer")];

/// Folders of manifests: tools module, Go module, folder within it, name.
const MANIFESTS: [(&str, &str, &str, &str); 4] = [
    ("training-operator", "github.com/kubeflow/training-operator", "manifests", "operator-manifests"),
    ("trainer", "github.com/kubeflow/trainer/v2", "manifests", "trainer-manifests"),
    ("jobset", "sigs.k8s.io/jobset", "config", "jobset-config"),
    ("kwok", "sigs.k8s.io/kwok", "kustomize/stage", "kwok-stages"),
];

/// Written last.
const STAMP: &str = "complete";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GoMod {
    tool: Vec<Tool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Tool {
    path: String,
}

/// The folder of built programs; built if it isn't there.
pub fn ensure(checkout: &Checkout, cache: &Path) -> anyhow::Result<PathBuf> {
    let modules = modules(&checkout.root.join("cluster/tools"))?;
    let folder = folder(cache, &modules)?;
    if folder.join(STAMP).exists() {
        return Ok(folder);
    }
    eprintln!("building Kubernetes and Kubeflow's operators (11 minutes with empty caches; Go's caches grow to 12 GB)");
    fs::create_dir_all(&folder)?;
    for module in &modules {
        for tool in tools(module)? {
            build(module, &tool, &folder)?;
        }
    }
    for (module, package, from, to) in MANIFESTS {
        let mut list = Command::new("go");
        list.args(["list", "-m", "-f", "{{.Dir}}", package]).current_dir(checkout.root.join("cluster/tools").join(module));
        let source = PathBuf::from(sh::quiet_output(list.stdin(Stdio::null()), sh::LOOKUP_LIMIT)?.trim());
        copy(&source.join(from), &folder.join(to))?;
    }
    fs::write(folder.join(STAMP), "")?;
    Ok(folder)
}

/// Helm; built alone if it isn't there.
pub fn helm(checkout: &Checkout, cache: &Path) -> anyhow::Result<PathBuf> {
    const NAME: &str = "helm";
    let tools_folder = checkout.root.join("cluster/tools");
    let folder = folder(cache, &modules(&tools_folder)?)?;
    fs::create_dir_all(&folder)?;
    let module = tools_folder.join(NAME);
    for tool in tools(&module)? {
        build(&module, &tool, &folder)?;
    }
    Ok(folder.join(NAME))
}

/// Where the programs of `modules` are. Its name holds what they depend on.
fn folder(cache: &Path, modules: &[PathBuf]) -> anyhow::Result<PathBuf> {
    let mut hash = Sha256::new();
    for module in modules {
        for file in ["go.mod", "go.sum"] {
            let path = module.join(file);
            hash.update(fs::read(&path).with_context(|| format!("can't read `{}`", path.display()))?);
        }
    }
    Ok(cache.join(format!("bin-{}", &hex::encode(hash.finalize())[..12])))
}

fn modules(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("can't list `{}`", folder.display()))?;
    let mut modules = entries.map(|entry| Ok(entry?.path())).collect::<anyhow::Result<Vec<_>>>()?;
    modules.retain(|path| path.join("go.mod").exists());
    modules.sort();
    Ok(modules)
}

fn tools(module: &Path) -> anyhow::Result<Vec<String>> {
    let mut edit = Command::new("go");
    edit.args(["mod", "edit", "-json"]).current_dir(module).stdin(Stdio::null());
    let parsed: GoMod = serde_json::from_str(&sh::quiet_output(&mut edit, sh::LOOKUP_LIMIT)?)?;
    if parsed.tool.is_empty() {
        bail!("`{}` names no tool", module.display());
    }
    Ok(parsed.tool.into_iter().map(|tool| tool.path).collect())
}

fn build(module: &Path, tool: &str, folder: &Path) -> anyhow::Result<()> {
    let short = tool.rsplit('/').next().unwrap_or(tool);
    let name = NAMES.iter().find(|(end, _)| tool.ends_with(end)).map_or(short, |(_, name)| name);
    let to = folder.join(name);
    if to.exists() {
        return Ok(());
    }
    let base = "k8s.io/component-base/version";
    let flags = format!(
        "-s -w -X {base}.gitVersion={VERSION} -X {base}.gitMajor=1 -X {base}.gitMinor=34 -X k8s.io/client-go/pkg/version.gitVersion={VERSION}"
    );
    // Renamed when it is whole: a build may be interrupted.
    let new = folder.join(format!(".{name}.new"));
    let mut go = Command::new("go");
    go.args(["build", "-trimpath", "-ldflags", &flags, "-o"]).arg(&new).arg(tool);
    go.current_dir(module).env("CGO_ENABLED", "0").stdin(Stdio::null());
    sh::run(&mut go, sh::BUILD_LIMIT)?;
    Ok(fs::rename(new, to)?)
}

/// A copy of a folder that can be written to; in the module cache it can't.
pub fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from).with_context(|| format!("can't list `{}`", from.display()))? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::write(&target, fs::read(entry.path())?)?;
        }
    }
    Ok(())
}

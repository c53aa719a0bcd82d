//! Calls of the `go` command.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::Kubernetes;
use crate::sh;

/// The identity of a package for compilation: its path, module and version.
const IDENTITY: &str = "{{.ImportPath}} {{with .Module}}{{.Path}} {{.Version}}{{with .Replace}} {{.Path}} {{.Version}}{{end}}{{end}}";

/// Returns everything from which `packages` of `module` are compiled, one line each, beginning with the package's path. Downloads the
/// sources.
pub fn dependencies(module: &Path, packages: &[&str]) -> anyhow::Result<Vec<String>> {
    let mut list = go(module);
    list.args(["list", "-deps", "-f", IDENTITY]).args(packages);
    Ok(sh::quiet_output(&mut list, sh::INSTALL_LIMIT)?.lines().map(str::to_owned).collect())
}

/// Builds programs into `folder`, each named after the last part of its path. Kubernetes' programs are given their version: without it, the API server
/// reports v0.0.0-master, which confuses clients. `see` gets every line of Go's output, including the path of each package that it compiles.
pub fn build(module: &Path, packages: &[&str], folder: &Path, kubernetes: Kubernetes, see: impl FnMut(&str)) -> anyhow::Result<()> {
    let base = "k8s.io/component-base/version";
    let version = kubernetes.version();
    let minor = version.split('.').nth(1).unwrap_or_default();
    let linker = format!(
        "-s -w -X {base}.gitVersion={version} -X {base}.gitMajor=1 -X {base}.gitMinor={minor} -X k8s.io/client-go/pkg/version.gitVersion={version}"
    );
    let mut build = go(module);
    // Nobody debugs these programs, and without debug information the compiler is a tenth faster.
    build.args(["build", "-v", "-trimpath", "-gcflags=all=-dwarf=false", "-ldflags", &linker, "-o"]).arg(folder).args(packages);
    // This is for the compiler itself: it spends a sixth of its time on garbage collection if it may not use more memory.
    build.env("GOGC", "400");
    sh::each_line(&mut build, sh::BUILD_LIMIT, see)
}

/// Returns the folder of the sources of `dependency`.
pub fn folder(module: &Path, dependency: &str) -> anyhow::Result<PathBuf> {
    let mut list = go(module);
    list.args(["list", "-m", "-f", "{{.Dir}}", dependency]);
    Ok(PathBuf::from(sh::quiet_output(&mut list, sh::LOOKUP_LIMIT)?.trim()))
}

fn go(module: &Path) -> Command {
    let mut go = Command::new("go");
    go.current_dir(module).env("CGO_ENABLED", "0").stdin(Stdio::null());
    go
}

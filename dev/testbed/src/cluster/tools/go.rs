//! Calls of the `go` command.

use std::{
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};

use super::Kubernetes;
use crate::sh;

/// The identity of a package for compilation: its path, module and version.
const IDENTITY: &str = "{{.ImportPath}} {{with .Module}}{{.Path}} {{.Version}}{{with .Replace}} {{.Path}} {{.Version}}{{end}}{{end}}";

/// The largest number of unread lines from a program; the program waits if there are more.
const LINES_MAX: usize = 1000;

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
    each_line(&mut build, sh::BUILD_LIMIT, see)
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

/// Runs `command` and passes on every line of its standard error as it arrives.
fn each_line(command: &mut Command, limit: Duration, mut each: impl FnMut(&str)) -> anyhow::Result<()> {
    eprintln!("$ {}", sh::show(command));
    let deadline = Instant::now() + limit;
    let mut child = sh::start(command.stderr(Stdio::piped()))?;
    let pipe = child.stderr.take().context("standard error is not a pipe")?;
    let (sender, lines) = mpsc::sync_channel(LINES_MAX);
    thread::spawn(move || BufReader::new(pipe).lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
    while let Ok(line) = lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
        each(&line);
    }
    let status = sh::wait(&mut child, command, deadline.saturating_duration_since(Instant::now()))?;
    ensure!(status.success(), "`{}` failed: {status}", sh::show(command));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn lines_are_forwarded_and_the_exit_status_is_returned() {
        let mut lines = Vec::new();
        let error =
            each_line(&mut shell("echo a >&2; echo b >&2; exit 3"), sh::LOOKUP_LIMIT, |line| lines.push(line.to_owned())).unwrap_err();
        assert_eq!(lines, ["a", "b"]);
        assert!(error.to_string().contains("exit 3"), "{error}");
        let error = each_line(&mut shell("echo a >&2; exec sleep 600"), Duration::from_millis(100), |_| ()).unwrap_err().to_string();
        assert!(error.contains("was killed"), "{error}");
    }
}

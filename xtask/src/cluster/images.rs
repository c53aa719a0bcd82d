//! Images without a registry: `FROM scratch` over a folder, built by buildah, imported into containerd.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
    process::{Command, Stdio},
};

use anyhow::Context as _;

use super::{Cluster, inside};
use crate::sh;

/// What becomes an image.
pub struct Image<'a> {
    /// `name:tag`; the whole name begins with `localhost/`.
    pub name: &'a str,
    /// What is at its root.
    pub root: &'a Path,
    /// The program that it runs.
    pub entrypoint: &'a str,
    /// As whom.
    pub user: &'a str,
}

/// The sandbox that every pod needs, and a shell for tests.
pub fn basic(cluster: &Cluster) -> anyhow::Result<()> {
    let work = tempfile::tempdir()?;
    let pause = work.path().join("pause");
    fs::create_dir(&pause)?;
    fs::write(work.path().join("pause.c"), PAUSE)?;
    let mut compiler = Command::new("cc");
    compiler.args(["-O2", "-static", "-o"]).arg(pause.join("pause")).arg(work.path().join("pause.c"));
    sh::run(&mut compiler, sh::LOOKUP_LIMIT)?;
    import(cluster, &Image { name: "pause:1", root: &pause, entrypoint: "/pause", user: "65534" })?;
    let busybox = work.path().join("busybox");
    fs::create_dir_all(busybox.join("bin"))?;
    copy_program(Path::new("/bin/busybox"), &busybox.join("bin/busybox"))?;
    let applets = sh::quiet_output(Command::new("/bin/busybox").arg("--list"), sh::LOOKUP_LIMIT)?;
    for applet in applets.lines().filter(|applet| *applet != "busybox") {
        symlink("busybox", busybox.join("bin").join(applet))?;
    }
    import(cluster, &Image { name: "busybox:1", root: &busybox, entrypoint: "/bin/sh", user: "0" })
}

/// Builds `image` and gives it to the cluster's containerd.
pub fn import(cluster: &Cluster, image: &Image<'_>) -> anyhow::Result<()> {
    let work = tempfile::tempdir()?;
    let name = format!("localhost/{}", image.name);
    let archive = work.path().join("image.tar");
    let buildah = |arguments: &[&str]| {
        let mut command = Command::new("buildah");
        command.args(["--storage-driver", "vfs", "--root"]).arg(work.path().join("store"));
        command.arg("--runroot").arg(work.path().join("run")).args(arguments).stdin(Stdio::null());
        sh::quiet_output(&mut command, sh::INSTALL_LIMIT)
    };
    let root = image.root.to_str().context("a folder whose name is not UTF-8")?;
    let container = buildah(&["from", "scratch"])?;
    let container = container.trim();
    buildah(&["copy", "--quiet", container, root, "/"])?;
    let entrypoint = format!("[\"{}\"]", image.entrypoint);
    buildah(&["config", "--entrypoint", &entrypoint, "--user", image.user, container])?;
    buildah(&["commit", "--quiet", container, &name])?;
    buildah(&["push", "--quiet", &name, &format!("docker-archive:{}:{name}", archive.display())])?;
    let mut ctr = inside("ctr");
    ctr.arg("--address").arg(cluster.state.join("containerd.sock")).args(["--namespace", "k8s.io", "images", "import"]).arg(&archive);
    sh::run(ctr.stdout(Stdio::null()), sh::INSTALL_LIMIT)
}

/// A copy that can be run.
pub fn copy_program(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::copy(from, to).with_context(|| format!("can't copy `{}`", from.display()))?;
    Ok(fs::set_permissions(to, fs::Permissions::from_mode(0o755))?)
}

/// Waits for ever, and reaps what is orphaned in its pod.
const PAUSE: &str = r"#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
static void stop(int s) { (void)s; _exit(0); }
static void reap(int s) { (void)s; while (waitpid(-1, 0, WNOHANG) > 0) {} }
int main(void) { signal(SIGINT, stop); signal(SIGTERM, stop); signal(SIGCHLD, reap); for (;;) pause(); }
";

//! The cluster's images, which are imported into its containerd without a registry.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
    process::Command,
};

use anyhow::Context as _;

use super::{Cluster, inside};
use crate::{image::Buildah, sh};

/// Imports the sandbox image that every pod needs, and a shell for tests.
pub fn basic(cluster: &Cluster) -> anyhow::Result<()> {
    let work = tempfile::tempdir()?;
    let pause = work.path().join("pause");
    fs::create_dir(&pause)?;
    fs::write(work.path().join("pause.c"), PAUSE)?;
    let mut compiler = Command::new("cc");
    compiler.args(["-O2", "-static", "-o"]).arg(pause.join("pause")).arg(work.path().join("pause.c"));
    sh::run(&mut compiler, sh::LOOKUP_LIMIT)?;
    import(cluster, "localhost/pause:1", &pause, "/pause", "65534")?;
    let busybox = work.path().join("busybox");
    fs::create_dir_all(busybox.join("bin"))?;
    copy_program(Path::new("/bin/busybox"), &busybox.join("bin/busybox"))?;
    let applets = sh::quiet_output(Command::new("/bin/busybox").arg("--list"), sh::LOOKUP_LIMIT)?;
    for applet in applets.lines().filter(|applet| *applet != "busybox") {
        symlink("busybox", busybox.join("bin").join(applet))?;
    }
    import(cluster, "localhost/busybox:1", &busybox, "/bin/sh", "0")
}

/// Makes the image `name` from the folder `root`, which runs `entrypoint` as `user`, and imports it into the cluster's containerd.
pub fn import(cluster: &Cluster, name: &str, root: &Path, entrypoint: &str, user: &str) -> anyhow::Result<()> {
    let work = tempfile::tempdir()?;
    let archive = work.path().join("image.tar");
    let buildah = Buildah::new(work.path())?;
    buildah.of_root(root, name, entrypoint, user)?;
    buildah.write(name, &archive)?;
    import_archive(cluster, name, &archive)
}

/// Imports the image `name` from `archive` into the cluster's containerd. Removes the previous image of that name: it would have no name any
/// more, and its files would stay until the cluster is stopped. Containers that run from it are unaffected.
pub fn import_archive(cluster: &Cluster, name: &str, archive: &Path) -> anyhow::Result<()> {
    let ctr = |arguments: &[&str]| {
        let mut ctr = inside("ctr");
        ctr.arg("--address").arg(cluster.state.join("containerd.sock")).args(["--namespace", "k8s.io", "images"]).args(arguments);
        sh::quiet_output(&mut ctr, sh::INSTALL_LIMIT)
    };
    let list = || -> anyhow::Result<Vec<(String, String)>> { Ok(names_and_digests(&ctr(&["list"])?)) };
    let digest_of = |list: &[(String, String)]| list.iter().find(|(known, _)| known == name).map(|(_, digest)| digest.clone());
    let before = digest_of(&list()?);
    ctr(&["import", archive.to_str().context("an archive whose name is not UTF-8")?])?;
    let listed = list()?;
    if let Some(old) = before.filter(|old| digest_of(&listed).as_ref() != Some(old)) {
        let same: Vec<&str> = listed.iter().filter(|(_, digest)| *digest == old).map(|(name, _)| name.as_str()).collect();
        // An image that somebody gave another name keeps that name.
        if !same.is_empty() && same.iter().all(|name| name.starts_with("sha256:")) {
            ctr(&[&["remove"], &same[..]].concat())?;
        }
    }
    Ok(())
}

/// Returns the first and third columns of the output of `ctr images list`, without the heading.
fn names_and_digests(listing: &str) -> Vec<(String, String)> {
    let columns = listing.lines().skip(1).map(|line| line.split_whitespace());
    columns.filter_map(|mut columns| Some((columns.next()?.to_owned(), columns.nth(1)?.to_owned()))).collect()
}

/// Makes a copy that can be executed.
pub fn copy_program(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::copy(from, to).with_context(|| format!("can't copy `{}`", from.display()))?;
    Ok(fs::set_permissions(to, fs::Permissions::from_mode(0o755))?)
}

/// The program of the sandbox: it waits forever, and reaps orphaned processes in its pod.
const PAUSE: &str = r"#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
static void stop(int s) { (void)s; _exit(0); }
static void reap(int s) { (void)s; while (waitpid(-1, 0, WNOHANG) > 0) {} }
int main(void) { signal(SIGINT, stop); signal(SIGTERM, stop); signal(SIGCHLD, reap); for (;;) pause(); }
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn image_listing_has_names_and_digests() {
        let listing = "REF               TYPE                  DIGEST     SIZE    PLATFORMS   LABELS
localhost/pause:1 application/vnd.x+json sha256:ff0 747 KiB linux/amd64 io.cri-containerd.image=managed
sha256:1d8        application/vnd.x+json sha256:ff0 747 KiB linux/amd64 io.cri-containerd.image=managed
";
        let pair = |name: &str, digest: &str| (name.to_owned(), digest.to_owned());
        assert_eq!(names_and_digests(listing), [pair("localhost/pause:1", "sha256:ff0"), pair("sha256:1d8", "sha256:ff0")]);
        assert_eq!(names_and_digests(""), []);
    }
}

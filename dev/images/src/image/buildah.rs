//! Builds with buildah: without a daemon, and with a temporary store.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use anyhow::Context as _;
use tempfile::TempDir;

use super::tools;
use crate::sh;

/// A store of images that lives as long as the value.
pub struct Buildah {
    store: TempDir,
}

/// The destination of a push, and its options.
pub struct Registry<'a> {
    /// The destination `REGISTRY/NAME:TAG`.
    pub to: &'a str,
    /// The file with the credentials, if it is not buildah's own.
    pub authfile: Option<&'a Path>,
    /// True if the registry's certificate is checked; otherwise HTTP is tried too.
    pub tls_verify: bool,
}

impl Buildah {
    /// Makes an empty store in the folder `work`, which takes as much space as the images that are built.
    pub fn new(work: &Path) -> anyhow::Result<Self> {
        tools::ensure(&["buildah"]).context("images are built with buildah")?;
        std::fs::create_dir_all(work).with_context(|| format!("can't make `{}`", work.display()))?;
        Ok(Self { store: tempfile::Builder::new().prefix("store").tempdir_in(work)? })
    }

    /// Builds the stage `target` of the Dockerfile in `context`, with a layer for each step, and calls it `name`.
    pub fn build(&self, context: &Path, target: &str, name: &str) -> anyhow::Result<()> {
        let mut command = self.command("build");
        // The time stamp is constant, and buildah's version is left out: otherwise the same contents would give another image.
        command.args(["--quiet", "--layers", "--timestamp", "0", "--identity-label=false", "--target", target, "--tag", name]);
        command.arg("--file").arg(context.join("Dockerfile")).arg(context);
        sh::quiet_output(&mut command, sh::INSTALL_LIMIT).map(drop)
    }

    /// Makes the image `name` from the folder `root`, in one layer. The image runs `entrypoint` as `user`.
    pub fn of_root(&self, root: &Path, name: &str, entrypoint: &str, user: &str) -> anyhow::Result<()> {
        let run = |command: &mut Command| sh::quiet_output(command, sh::INSTALL_LIMIT);
        let container = run(self.command("from").arg("scratch"))?;
        let container = container.trim();
        run(self.command("copy").args(["--quiet", container]).arg(root).arg("/"))?;
        let entrypoint = format!("[\"{entrypoint}\"]");
        run(self.command("config").args(["--entrypoint", &entrypoint, "--user", user, container]))?;
        run(self.command("commit").args(["--quiet", "--timestamp", "0", container, name])).map(drop)
    }

    /// Writes the image `name` to the new file `archive`, in the format of `docker load` and `ctr images import`.
    pub fn write(&self, name: &str, archive: &Path) -> anyhow::Result<()> {
        let to = format!("docker-archive:{}:{name}", archive.display());
        sh::quiet_output(self.command("push").args(["--quiet", name, &to]), sh::INSTALL_LIMIT).map(drop)
    }

    /// Pushes the image `name` to `registry`, and returns its digest there.
    pub fn push(&self, name: &str, registry: &Registry<'_>) -> anyhow::Result<String> {
        let digest = self.store.path().join("digest");
        let mut command = self.command("push");
        command.arg("--digestfile").arg(&digest).arg(format!("--tls-verify={}", registry.tls_verify));
        if let Some(authfile) = registry.authfile {
            command.arg("--authfile").arg(authfile);
        }
        command.args(["--quiet", name, &format!("docker://{}", registry.to)]);
        sh::quiet_output(&mut command, sh::INSTALL_LIMIT).with_context(|| format!("can't push to `{}`", registry.to))?;
        Ok(std::fs::read_to_string(&digest).context("buildah has written no digest")?.trim().to_owned())
    }

    /// Returns a buildah command. buildah chooses its storage: overlays if the system has them, otherwise copies. The images are the same.
    fn command(&self, verb: &str) -> Command {
        let mut command = Command::new("buildah");
        command.arg("--root").arg(self.store.path().join("root")).arg("--runroot").arg(self.store.path().join("run"));
        command.arg(verb).stdin(Stdio::null());
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        image::{archive, context::Context, context::Layer},
        setup::debian::is_root,
    };

    /// These files take ten milliseconds, but cover everything that the Dockerfile does: a difference in times, permissions or order would
    /// show.
    #[test]
    fn image_builds_are_reproducible() {
        if !is_root() || !sh::is_there("buildah") {
            eprintln!("skipped: images are built as root, with buildah");
            return;
        }
        let build = |text: &str| {
            let work = tempfile::tempdir().unwrap();
            let folder = work.path().join("context");
            std::fs::create_dir(&folder).unwrap();
            let context = Context::new(&folder, include_str!("../../../../Dockerfile")).unwrap();
            for path in ["/usr/local/bin/fltk", "/usr/share/a", "/usr/share/b"] {
                context.write(Layer::Program, path, text.as_bytes()).unwrap();
            }
            context.make_folder(Layer::System, "/tmp", 0o1777).unwrap();
            context.make_folder(Layer::Home, "/runs", 0o755).unwrap();
            context.settle().unwrap();
            let buildah = Buildah::new(work.path()).unwrap();
            buildah.build(&folder, "orchestrator", "localhost/small:1").unwrap();
            let file = work.path().join("small.tar");
            buildah.write("localhost/small:1", &file).unwrap();
            let contents = archive::read(&file).unwrap();
            let owners = owners_of_home(&file, &contents.layers[2].0);
            assert_eq!(owners, [("var/lib/fltk/runs/".to_owned(), 65532)]);
            contents
        };
        let first = build("a");
        assert_eq!(first.layers.len(), Layer::ALL.len());
        assert_eq!(first, build("a"));
        let other = build("b");
        assert!(other.digest != first.digest && other.layers[..3] == first.layers[..3], "only the program is another");
    }

    /// Returns the entries in a layer of an archive that don't belong to root.
    fn owners_of_home(file: &Path, layer: &str) -> Vec<(String, u64)> {
        let mut outer = tar::Archive::new(std::fs::File::open(file).unwrap());
        let name = format!("{layer}.tar");
        let inner = outer.entries().unwrap().map(Result::unwrap).find(|entry| entry.path().unwrap().to_str() == Some(&name)).unwrap();
        let mut inner = tar::Archive::new(inner);
        let entries = inner.entries().unwrap().map(Result::unwrap);
        let owners = entries.map(|entry| (entry.path().unwrap().to_string_lossy().into_owned(), entry.header().uid().unwrap()));
        owners.filter(|(_, owner)| *owner != 0).collect()
    }
}

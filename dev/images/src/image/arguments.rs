//! The command line of `cargo xtask image`.

use std::path::PathBuf;

use anyhow::ensure;
use clap::Args;

use super::{Kind, Registry};

const EXAMPLES: &str = "Examples:
  cargo xtask image training orchestrator                       # target/images/training.tar, target/images/orchestrator.tar
  docker load --input target/images/training.tar
  cargo xtask image training --data data --name example.com/fltk:cifar --push example.com/fltk:cifar
  cargo xtask image training --stage context && docker build --target training --tag fltk context

The image `cuda` has not been run on a GPU, and fltk trains on the CPU. See docs/images.md for details.";

/// The options of `cargo xtask image`.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// The images to build.
    #[arg(value_enum, default_value = "training", value_name = "KIND")]
    pub kinds: Vec<Kind>,
    /// The name of the image, instead of its default (`localhost/fltk:dev` and so on).
    #[arg(long, value_name = "NAME:TAG")]
    pub name: Option<String>,
    /// The archive to write, instead of `target/images/KIND.tar`; the SBOM is written next to it, as `.cdx.json`.
    #[arg(long, value_name = "FILE.tar")]
    pub archive: Option<PathBuf>,
    /// Don't build the image: create this new folder, from which `docker build` can build it.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["archive", "push"])]
    pub stage: Option<PathBuf>,
    /// Add the data sets in this folder, which `fltk data fetch --data DIR` has filled.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Use this `fltk` instead of a release build of this checkout; if the image trains, also the `fltk-torch` next to it.
    #[arg(long, value_name = "PATH")]
    pub program: Option<PathBuf>,
    /// Also push the image to a registry, under this name.
    #[arg(long, value_name = "REGISTRY/NAME:TAG")]
    pub push: Option<String>,
    /// The file with the registry's credentials, as written by `buildah login` or `docker login`.
    #[arg(long, value_name = "FILE", requires = "push")]
    pub authfile: Option<PathBuf>,
    /// Verify the registry's certificate; with `false`, HTTP is tried too.
    #[arg(long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set, requires = "push")]
    pub tls_verify: bool,
}

impl Arguments {
    /// Checks what clap doesn't.
    pub fn check(&self) -> anyhow::Result<()> {
        let one = [("--name", self.name.is_some()), ("--archive", self.archive.is_some()), ("--stage", self.stage.is_some())];
        for (option, given) in one.into_iter().chain([("--program", self.program.is_some()), ("--push", self.push.is_some())]) {
            ensure!(!given || self.kinds.len() == 1, "`{option}` goes with one image, not {}", self.kinds.len());
        }
        if let Some(kind) = self.kinds.iter().find(|kind| self.data.is_some() && !kind.trains()) {
            anyhow::bail!("`--data` is of no use in the image `{}`, which trains nothing", kind.target());
        }
        for (index, kind) in self.kinds.iter().enumerate() {
            ensure!(!self.kinds[..index].contains(kind), "`{}` is there twice", kind.target());
        }
        Ok(())
    }

    /// Returns the registry to push to.
    pub fn registry(&self) -> Option<Registry<'_>> {
        Some(Registry { to: self.push.as_deref()?, authfile: self.authfile.as_deref(), tls_verify: self.tls_verify })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Cli {
        #[command(flatten)]
        arguments: Arguments,
    }

    #[test]
    fn options_for_one_image_are_refused_for_two() {
        let check = |line: &str, words: Option<&str>| {
            let outcome = Cli::try_parse_from(line.split(' ')).map_err(anyhow::Error::from).and_then(|cli| cli.arguments.check());
            match (outcome, words) {
                (Ok(()), None) => {}
                (Err(error), Some(words)) => assert!(error.to_string().contains(words), "{line}: {error}"),
                (outcome, _) => panic!("{line}: {outcome:?}"),
            }
        };
        check("image", None);
        check("image training orchestrator", None);
        check("image cuda --name a:b --archive a.tar --data d", None);
        check("image training --push r/a:b --authfile f --tls-verify false", None);
        check("image training orchestrator --name a:b", Some("`--name` goes with one image"));
        check("image training training", Some("`training` is there twice"));
        check("image tensorboard --data d", Some("trains nothing"));
        check("image training --stage d --push a", Some("cannot be used with"));
        check("image training --authfile f", Some("--push"));
        check("image trainer", Some("invalid value 'trainer'"));
    }
}

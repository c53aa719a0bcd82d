//! The parts that a change can break: by the packages whose files it touches, the packages compiled with them, and the parts' own lists of
//! other files.

use std::{
    collections::BTreeSet,
    process::{Command, Stdio},
};

use anyhow::{Context as _, bail};

use super::part::{Part, Stage, Touched, Work};
use crate::{
    checkout::{Checkout, Package, packages},
    sh,
};

/// Files that affect how everything is compiled.
const EVERYTHING: [&str; 4] = ["Cargo.toml", "Cargo.lock", ".cargo/", "rust-toolchain"];

/// The branch from which a clone's branch usually starts.
const UPSTREAM: &str = "origin/main";

/// A change of the checkout.
#[derive(Debug)]
pub struct Change {
    since: String,
    /// The changed files, relative to the root.
    files: Vec<String>,
    /// The packages that the change affects.
    packages: BTreeSet<String>,
}

impl Change {
    /// Returns the changes in the commits since `since` and in the work tree. If `since` is empty, the start is the common ancestor with
    /// [`UPSTREAM`].
    ///
    /// # Errors
    /// If git doesn't know the commit.
    pub fn since(checkout: &Checkout, since: &str) -> anyhow::Result<Self> {
        let git = |arguments: &[&str]| {
            let mut git = Command::new("git");
            git.args(arguments).current_dir(&checkout.root).stdin(Stdio::null()).stderr(Stdio::null());
            sh::quiet_output(&mut git, sh::LOOKUP_LIMIT)
        };
        let commit = if since.is_empty() {
            if git(&["rev-parse", "--verify", "--quiet", UPSTREAM]).is_err() {
                bail!(
                    "`--changed` compares with `{UPSTREAM}`, which isn't here\nhint: name a commit, as in `cargo xtask test --changed HEAD~1`"
                );
            }
            git(&["merge-base", "HEAD", UPSTREAM])?
        } else {
            // These options prevent git from taking the text for a path or an option.
            git(&["rev-parse", "--verify", "--end-of-options", &format!("{since}^{{commit}}")])
                .with_context(|| format!("`--changed {since}`: git knows no such commit"))?
        };
        let since = commit.trim().to_owned();
        // A renamed file is gone from one place and new in another.
        let mut listed =
            git(&["diff", "--name-only", "--no-renames", "-z", &since, "--"]).context("`--changed` asks git what has changed")?;
        listed += &git(&["ls-files", "--others", "--exclude-standard", "-z"])?;
        let files = listed.split_terminator('\0').map(str::to_owned).collect();
        Ok(Self::of(since, files, &packages(&checkout.metadata_of_ours()?)))
    }

    fn of(since: String, files: Vec<String>, packages: &[Package]) -> Self {
        let is_in = |package: &Package, file: &String| file.starts_with(package.folder());
        let everything = files.iter().any(|file| EVERYTHING.iter().any(|beginning| file.starts_with(beginning)));
        let direct = packages.iter().filter(|package| everything || files.iter().any(|file| is_in(package, file)));
        let mut reached: BTreeSet<String> = direct.map(|package| package.name.clone()).collect();
        loop {
            let more = packages
                .iter()
                .filter(|package| !reached.contains(&package.name) && package.dependencies.iter().any(|need| reached.contains(need)));
            let more: Vec<String> = more.map(|package| package.name.clone()).collect();
            if more.is_empty() {
                return Self { since, files, packages: reached };
            }
            reached.extend(more);
        }
    }

    /// True if the change can break `part`.
    pub fn can_break(&self, part: &Part) -> bool {
        let Touched::By { packages, files } = part.touched else { return part.touched == Touched::Always && !self.files.is_empty() };
        let own = if part.work == Work::Acceptance { Some("acceptance") } else { part.tested() };
        let is_reached = |name: &str| if name == "*" { !self.packages.is_empty() } else { self.packages.contains(name) };
        let is_changed = |beginning: &str| self.files.iter().any(|file| file.starts_with(beginning));
        let is_with_python = part.after.iter().any(|after| after.name() == Some("Python packages"));
        packages.iter().copied().chain(own).any(is_reached)
            || files.iter().any(|beginning| is_changed(beginning))
            || is_with_python && is_changed("python/requirements.txt")
            || part.stage == Stage::Cluster && is_changed("cluster/tools/")
    }

    /// Describes the change in a few words.
    pub fn describe(&self) -> String {
        let packages: Vec<&str> = self.packages.iter().map(String::as_str).collect();
        let reached = if packages.is_empty() { "no package".to_owned() } else { packages.join(", ") };
        format!("{} files changed since {:.12}, which reaches {reached}", self.files.len(), self.since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test::PARTS;

    fn broken(files: &[&str]) -> Vec<&'static str> {
        let packages = [
            Package::new("crates/fltk-core", &[]),
            Package::new("crates/fltk-fed", &["fltk-core"]),
            Package::new("crates/fltk-records", &["fltk-core"]),
            Package::new("crates/fltk", &["fltk-core", "fltk-records"]),
            Package::new("crates/fltk-train", &["fltk-core"]),
            Package::new("crates/fltk-torch", &["fltk", "fltk-fed", "fltk-train"]),
            Package::new("dev/images", &["xtask"]),
            Package::new("dev/testbed", &["images"]),
            Package::new("dev/acceptance", &["testbed"]),
        ];
        let change = Change::of("HEAD".into(), files.iter().map(|&file| file.to_owned()).collect(), &packages);
        PARTS.iter().filter(|part| change.can_break(part)).map(|part| part.name).collect()
    }

    #[test]
    fn changes_affect_dependent_packages() {
        let parts = broken(&["crates/fltk-fed/src/round.rs"]);
        for (name, is_there) in [
            ("tests of fltk-fed", true),
            ("tests of fltk-torch", true),
            ("quickstart", true),
            ("clippy", true),
            ("format", true),
            ("accuracy of federated training", true),
            ("accuracy of central training", false),
            ("parity with PyTorch", false),
            ("tests of fltk-core", false),
            ("tests of fltk", false),
            ("Helm charts", false),
            ("compile", false),
        ] {
            assert_eq!(parts.contains(&name), is_there, "{name}: {parts:?}");
        }
    }

    #[test]
    fn files_outside_packages_affect_the_parts_that_name_them() {
        assert_eq!(broken(&[]), [""; 0]);
        assert_eq!(broken(&["docs/parity.md"]), ["format", "tidy", "tests of fltk"]);
        assert!(broken(&["charts/orchestrator/values.yaml"]).contains(&"Helm charts"));
        assert!(broken(&["Cargo.lock"]).contains(&"tests of fltk-core"));
    }

    #[test]
    fn files_of_a_part_affect_it() {
        for (file, part) in [
            ("dev/acceptance/src/parts/acceptance.rs", "accuracy of four ranks"),
            ("dev/acceptance/src/parts/parity.rs", "parity with PyTorch"),
            ("dev/acceptance/src/parts/nccl.rs", "torch-dist with NCCL"),
            ("dev/acceptance/src/parts/cluster/many_jobs.rs", "500 jobs on 50 nodes"),
            ("cluster/tools/kubernetes-1.37/go.mod", "an orchestrator in its pod, TrainJobs"),
            ("cluster/tools/kubernetes-1.37/go.mod", "tests of testbed"),
            ("cluster/tools/kubernetes-1.37/go.mod", "Helm charts"),
            ("crates/fltk-torch/src/cmd/parity.rs", "parity with PyTorch"),
            ("crates/fltk-torch/src/run/rank.rs", "accuracy of four ranks"),
            ("crates/fltk-core/src/lib.rs", "accuracy of central training"),
            ("configs/kfltk/experiment.json", "Helm charts"),
            ("examples/trace.csv", "charts and program"),
            ("examples/stream.yaml", "a namespace without rights"),
            ("examples/fashion-ddp.yaml", "ranks as containers"),
            ("examples/quickstart.yaml", "image cuda"),
            ("python/requirements.txt", "parity with PyTorch"),
            ("python/requirements.txt", "tests of fltk-records"),
            ("python/tensorboard.txt", "the guide"),
        ] {
            assert!(broken(&[file]).contains(&part), "`{file}` and `{part}`");
        }
        assert!(!broken(&["examples/stream.yaml"]).contains(&"quickstart"));
    }

    #[test]
    fn changes_are_read_from_git_and_cargo() {
        let checkout = Checkout::find().unwrap();
        let change = Change::since(&checkout, "HEAD").unwrap();
        assert!(change.describe().contains("files changed since "));
        // These are a path and an option, which git itself would accept.
        for no_commit in ["no-such-commit", "xtask", "--output=f"] {
            let error = Change::since(&checkout, no_commit).unwrap_err();
            assert!(error.to_string().contains("git knows no such commit"), "{error:#}");
        }
        let packages = packages(&checkout.metadata_of_ours().unwrap());
        let fed = packages.iter().find(|package| package.name == "fltk-fed").unwrap();
        assert!(fed.folder() == "crates/fltk-fed/" && fed.dependencies.iter().any(|name| name == "fltk-core"), "{fed:?}");
    }
}

//! The cluster's programs, built from the Go module proxy. Each folder in `cluster/tools` is a Go module, which pins versions that fit each
//! other.

mod go;
mod progress;
mod version;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use sha2::{Digest as _, Sha256};

use self::progress::Progress;
pub use self::version::Kubernetes;
use crate::{checkout::Checkout, folder, lock};

/// A part that a cluster may have; only the requested parts are built.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The programs of Kubernetes, and the name server.
    Kubernetes,
    /// Kubeflow's operators, and JobSet.
    Operators,
    /// The programs for nodes in name only.
    Kwok,
    /// Helm, which installs charts, in both major versions.
    Helm,
}

/// A major version of Helm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Helm {
    /// Helm 3.
    Three,
    /// Helm 4.
    Four,
}

impl Helm {
    /// Returns the name of the program among the built ones.
    pub const fn program(self) -> &'static str {
        match self {
            Self::Three => "helm",
            Self::Four => "helm-4",
        }
    }
}

struct Program {
    part: Part,
    /// The folder in `cluster/tools`; [`KUBERNETES`] stands for the folder of a version.
    module: &'static str,
    /// The import path.
    package: &'static str,
    name: &'static str,
}

impl Program {
    /// Returns Go's name for the built program.
    fn built(&self) -> &'static str {
        self.package.rsplit('/').next().unwrap_or(self.package)
    }
}

const PROGRAMS: [Program; 8] = [
    Program { part: Part::Kubernetes, module: KUBERNETES, package: "cluster/kubernetes/kubernetes", name: "kubernetes" },
    Program { part: Part::Kubernetes, module: KUBERNETES, package: "cluster/kubernetes/coredns", name: "coredns" },
    Program {
        part: Part::Operators,
        module: "trainer",
        package: "github.com/kubeflow/trainer/v2/cmd/trainer-controller-manager",
        name: "trainer",
    },
    Program { part: Part::Operators, module: "trainer", package: "sigs.k8s.io/jobset", name: "jobset" },
    Program { part: Part::Helm, module: "helm", package: "helm.sh/helm/v3/cmd/helm", name: Helm::Three.program() },
    Program { part: Part::Helm, module: "helm", package: "helm.sh/helm/v4/cmd/helm", name: Helm::Four.program() },
    Program {
        part: Part::Operators,
        module: "operator",
        package: "github.com/kubeflow/training-operator/cmd/training-operator.v1",
        name: "training-operator",
    },
    Program { part: Part::Kwok, module: "kwok", package: "sigs.k8s.io/kwok/cmd/kwok", name: "kwok" },
];

/// The module of Kubernetes itself, which has a folder for each version.
const KUBERNETES: &str = "kubernetes";

/// The names of the program `kubernetes`, which acts as each of these.
const NAMES: [&str; 7] = ["etcd", "kube-apiserver", "kube-controller-manager", "kube-proxy", "kube-scheduler", "kubectl", "kubelet"];

/// The folders of manifests: part, tools module, Go module, folder in it, name.
const MANIFESTS: [(Part, &str, &str, &str, &str); 4] = [
    (Part::Operators, "operator", "github.com/kubeflow/training-operator", "manifests", "operator-manifests"),
    (Part::Operators, "trainer", "github.com/kubeflow/trainer/v2", "manifests", "trainer-manifests"),
    (Part::Operators, "trainer", "sigs.k8s.io/jobset", "config", "jobset-config"),
    (Part::Kwok, "kwok", "sigs.k8s.io/kwok", "kustomize/stage", "kwok-stages"),
];

/// The prefix of folders in which a build is in progress.
const UNFINISHED: &str = ".unfinished-";

/// Returns the folder of built programs, including those of `parts`; missing ones are built.
pub fn ensure(checkout: &Checkout, cache: &Path, kubernetes: Kubernetes, parts: &[Part]) -> anyhow::Result<PathBuf> {
    let tools = checkout.root.join("cluster/tools");
    let folder = folder(cache, &tools, kubernetes)?;
    fs::create_dir_all(&folder)?;
    if is_there(&folder, parts) {
        return Ok(folder);
    }
    let _lock = lock::take(&cache.join("build.lock"), "building the cluster's programs")?;
    remove_unfinished(&folder)?;
    // The folder is renamed when it is complete, here and below, since a build may be interrupted.
    let new = tempfile::Builder::new().prefix(UNFINISHED).tempdir_in(&folder)?;
    let missing = PROGRAMS.iter().filter(|program| parts.contains(&program.part) && !folder.join(program.name).exists());
    let missing: Vec<&Program> = missing.collect();
    let mut progress = Progress::default();
    let mut builds = Vec::new();
    for together in missing.chunk_by(|left, right| left.module == right.module && left.built() != right.built()) {
        let module = tools.join(kubernetes.folder_of(together[0].module));
        let packages: Vec<&str> = together.iter().map(|program| program.package).collect();
        eprintln!("getting the sources of {}", names(together));
        progress.expect(&go::dependencies(&module, &packages)?);
        builds.push((module, packages, together));
    }
    for (module, packages, together) in builds {
        eprintln!("building {}", names(together));
        go::build(&module, &packages, new.path(), kubernetes, |line| progress.see(line))?;
        progress.finish_module();
        for program in together {
            fs::rename(new.path().join(program.built()), folder.join(program.name))?;
        }
    }
    for name in NAMES.iter().filter(|name| parts.contains(&Part::Kubernetes) && fs::symlink_metadata(folder.join(name)).is_err()) {
        std::os::unix::fs::symlink("kubernetes", folder.join(name))?;
    }
    for (_, module, package, from, to) in MANIFESTS.iter().filter(|manifests| parts.contains(&manifests.0)) {
        if !folder.join(to).exists() {
            folder::copy(&go::folder(&tools.join(module), package)?.join(from), &new.path().join(to))?;
            fs::rename(new.path().join(to), folder.join(to))?;
        }
    }
    Ok(folder)
}

fn is_there(folder: &Path, parts: &[Part]) -> bool {
    let names = NAMES.iter().copied().filter(|_| parts.contains(&Part::Kubernetes));
    let programs = PROGRAMS.iter().filter(|program| parts.contains(&program.part)).map(|program| program.name);
    let manifests = MANIFESTS.iter().filter(|manifests| parts.contains(&manifests.0)).map(|manifests| manifests.4);
    names.chain(programs).chain(manifests).all(|name| folder.join(name).exists())
}

/// Removes the remains of a killed build; nobody else uses them, since the lock is held.
fn remove_unfinished(folder: &Path) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
            fs::remove_dir_all(entry.path()).with_context(|| format!("can't remove `{}`", entry.path().display()))?;
        }
    }
    Ok(())
}

fn names(programs: &[&Program]) -> String {
    programs.iter().map(|program| program.name).collect::<Vec<_>>().join(", ")
}

/// Returns the folder for the programs of the modules in `tools`. Its name contains a digest of these modules, with only the given
/// version of Kubernetes.
fn folder(cache: &Path, tools: &Path, kubernetes: Kubernetes) -> anyhow::Result<PathBuf> {
    let mut hash = Sha256::new();
    let mut modules: Vec<&str> = PROGRAMS.iter().map(|program| kubernetes.folder_of(program.module)).collect();
    modules.sort_unstable();
    modules.dedup();
    modules.into_iter().try_for_each(|module| hash_files(&tools.join(module), &mut hash))?;
    Ok(cache.join(format!("bin-{}", &hex::encode(hash.finalize())[..12])))
}

fn hash_files(folder: &Path, hash: &mut Sha256) -> anyhow::Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("can't list `{}`", folder.display()))?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<anyhow::Result<Vec<_>>>()?;
    paths.sort();
    for path in paths {
        if path.is_dir() {
            hash_files(&path, hash)?;
        } else {
            hash.update(fs::read(&path).with_context(|| format!("can't read `{}`", path.display()))?);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_of_a_module_are_adjacent() {
        let modules: Vec<&str> = PROGRAMS.chunk_by(|left, right| left.module == right.module).map(|together| together[0].module).collect();
        let mut distinct = modules.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(modules.len(), distinct.len(), "{modules:?}");
    }

    #[test]
    fn modules_have_their_programs() {
        let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../cluster/tools");
        for kubernetes in Kubernetes::ALL {
            for Program { module, package, .. } in &PROGRAMS {
                let folder = kubernetes.folder_of(module);
                let text = fs::read_to_string(tools.join(folder).join("go.mod")).unwrap();
                assert!(text.lines().any(|line| line.trim().trim_start_matches("tool ") == *package), "{folder} {package}");
            }
        }
    }

    #[test]
    fn folder_depends_on_exactly_the_files_of_its_version() {
        let tools = tempfile::tempdir().unwrap();
        for kubernetes in Kubernetes::ALL {
            for Program { module, .. } in &PROGRAMS {
                let folder = kubernetes.folder_of(module);
                fs::create_dir_all(tools.path().join(folder).join("a")).unwrap();
                fs::write(tools.path().join(folder).join("go.mod"), folder).unwrap();
            }
        }
        let change = |module: &str, text: &str| fs::write(tools.path().join(module).join("a/main.go"), text).unwrap();
        let folders = || Kubernetes::ALL.map(|kubernetes| folder(Path::new("/cache"), tools.path(), kubernetes).unwrap());
        let before = folders();
        assert_ne!(before[0], before[1]);
        change("kwok", "1");
        let after = folders();
        assert!(after[0] != before[0] && after[1] != before[1]);
        change(Kubernetes::ALL[1].folder_of(KUBERNETES), "1");
        assert!(folders()[0] == after[0] && folders()[1] != after[1]);
    }
}

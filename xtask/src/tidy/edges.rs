//! The allowed dependencies between our packages, and from them on heavy libraries.

use std::collections::BTreeSet;

use anyhow::Context as _;
use cargo_metadata::{DependencyKind, Metadata, PackageId};

use super::{Finding, Source};
use crate::checkout::Package;

/// The packages of ours on which each may depend, separated by spaces. A package that isn't listed may depend on none.
const EDGES: &[(&str, &str)] = &[
    (
        "fltk",
        "features fltk-catalogue fltk-core fltk-data fltk-experiment fltk-fed fltk-kubernetes fltk-network fltk-plan fltk-records fltk-web",
    ),
    (
        "fltk-torch",
        "features fltk fltk-core fltk-data fltk-experiment fltk-fed fltk-network fltk-records fltk-train libtorch-build torch-dist",
    ),
    ("fltk-data", "fltk-core fltk-http"),
    // The entries of all catalogues, without libtorch. Tests of packages below it may use it.
    ("fltk-catalogue", "fltk-core fltk-data fltk-fed fltk-train-catalogue"),
    ("fltk-experiment", "fltk-catalogue fltk-core"),
    ("fltk-train-catalogue", "fltk-core"),
    ("fltk-train", "fltk-core fltk-data libtorch-build torch-dist torch-script"),
    ("torch-dist", "libtorch-build"),
    ("torch-script", "libtorch-build"),
    ("fltk-fed", "fltk-core"),
    ("fltk-network", "fltk-core fltk-fed fltk-server"),
    ("fltk-plan", "fltk-catalogue fltk-core fltk-experiment fltk-records"),
    ("fltk-kubernetes", "fake-kubernetes fltk-catalogue fltk-core fltk-experiment fltk-plan fltk-records fltk-server"),
    ("fltk-records", "fltk-catalogue fltk-core fltk-experiment"),
    ("fltk-web", "fltk-core fltk-http fltk-records fltk-server"),
    ("chart-values", "features fltk-catalogue fltk-core fltk-experiment fltk-kubernetes"),
    ("acceptance", "features images testbed xtask"),
    ("testbed", "features images xtask"),
    ("images", "features xtask"),
    ("xtask", "features"),
];

/// Libraries that are heavy, or that a design decision depends on, and the packages that may name each.
const OWNERS: &[(&str, &str)] = &[
    ("tch", "fltk-train torch-dist torch-script"),
    ("safetensors", "fltk-train"),
    ("libc", "fltk-train"),
    ("saphyr-parser", "fltk-experiment"),
    ("serde-saphyr", "fltk-experiment fltk fltk-kubernetes chart-values images testbed"),
    ("jsonschema", "images"),
    ("cyclonedx-bom", "images"),
    ("cargo-lock", "images"),
    ("annotate-snippets", "fltk-experiment"),
    ("flate2", "fltk-data fltk-web xtask"),
    ("tar", "fltk-data fltk-records images"),
    ("ureq", "fltk-data fltk-http fltk-web"),
    ("rustls-native-certs", "fltk-http"),
    ("rusqlite", "fltk-records"),
    ("prost", "fltk-records fltk-network"),
    ("tonic", "fltk-network"),
    ("kube", "fltk-kubernetes fake-kubernetes"),
    ("k8s-openapi", "fltk-kubernetes fake-kubernetes chart-values"),
    ("axum", "fltk-server fltk-web fake-kubernetes"),
    ("tokio", "fltk-network fltk-kubernetes fltk-server fltk-web fltk fake-kubernetes"),
    ("clap", "fltk xtask images testbed acceptance"),
    ("anyhow", "fltk fltk-torch xtask chart-values images testbed acceptance"),
    ("indicatif", "fltk fltk-torch"),
    ("zip", "fltk-data fltk-train xtask"),
    ("charming", "fltk-web"),
    ("cargo_metadata", "xtask"),
    ("image", "fltk-data"),
    ("npyz", "fltk-data"),
    ("parquet", "fltk-data"),
];

/// The libraries that a package may not reach, even indirectly, separated by spaces, and a description of the package.
const NOT_REACHED: &[(&str, &str, &str)] = &[
    (
        "fltk-core",
        "tokio async-std smol futures-executor tch torch-sys ndarray burn candle-core hyper ureq reqwest tonic axum kube k8s-openapi rusqlite",
        "plain data, without runtime, tensors or network",
    ),
    ("fltk-fed", "tokio tonic hyper rustls", "rounds, without a network or a runtime"),
    ("fltk-plan", "tokio kube k8s-openapi hyper", "decisions, without a cluster or a runtime"),
    ("fltk", "tch torch-sys torch-dist torch-script", "the program without libtorch"),
];

/// Checks the names in manifests.
pub fn check(packages: &[Package], sources: &[Source], findings: &mut Vec<Finding>) {
    let ours: BTreeSet<&str> = packages.iter().map(|package| package.name.as_str()).collect();
    for package in packages.iter() {
        let allowed = EDGES.iter().find(|(name, _)| *name == package.name).map_or("", |(_, allowed)| allowed);
        for dependency in &package.dependencies {
            let dependency = dependency.as_str();
            let mut find = |problem: String| {
                let line = line_of(sources, &package.manifest, dependency);
                findings.push(Finding { file: package.manifest.clone(), line, problem });
            };
            if ours.contains(dependency) && !names(allowed).any(|name| name == dependency) {
                find(format!("`{}` may not depend on `{dependency}` (EDGES in xtask/src/tidy/edges.rs)", package.name));
            }
            let is_owned = |(name, owners): &&(&str, &str)| *name == dependency && !names(owners).any(|owner| owner == package.name);
            if let Some((_, owners)) = OWNERS.iter().find(is_owned) {
                find(format!("only {} may name `{dependency}` (OWNERS in xtask/src/tidy/edges.rs)", owners.replace(' ', " and ")));
            }
        }
    }
}

/// Returns the names in a list that spaces separate.
fn names(list: &str) -> impl Iterator<Item = &str> {
    list.split(' ')
}

/// Returns the line of `manifest` that names `dependency`; 0 if it isn't found.
fn line_of(sources: &[Source], manifest: &str, dependency: &str) -> usize {
    let lines = sources.iter().find(|source| source.path == manifest).map(|source| source.text.lines());
    let at = lines
        .and_then(|mut lines| lines.position(|line| line.strip_prefix(dependency).is_some_and(|rest| rest.starts_with(['.', ' ', '=']))));
    at.map_or(0, |index| index + 1)
}

/// Checks that no package reaches the libraries in [`NOT_REACHED`].
pub fn check_reached(metadata: &Metadata, findings: &mut Vec<Finding>) -> anyhow::Result<()> {
    for (package, absent, is) in NOT_REACHED {
        for name in reached(metadata, package)?.iter().filter(|name| absent.split(' ').any(|library| library == *name)) {
            let problem = format!("`{package}` reaches `{name}`: it is {is}");
            findings.push(Finding { file: format!("crates/{package}/Cargo.toml"), line: 0, problem });
        }
    }
    Ok(())
}

/// Returns the names of all packages that our package `name` depends on, directly or indirectly.
fn reached(metadata: &Metadata, name: &str) -> anyhow::Result<BTreeSet<String>> {
    let root = metadata.workspace_packages().into_iter().find(|package| package.name == name);
    let root = root.with_context(|| format!("there is no package `{name}`"))?;
    let resolve = metadata.resolve.as_ref().context("cargo metadata resolved no dependencies")?;
    let name = |id: &PackageId| metadata.packages.iter().find(|package| package.id == *id).map(|package| package.name.to_string());
    let mut reached: BTreeSet<PackageId> = BTreeSet::new();
    let mut next = vec![root.id.clone()];
    while let Some(id) = next.pop() {
        if !reached.insert(id.clone()) {
            continue;
        }
        let node = resolve.nodes.iter().find(|node| node.id == id).context("cargo metadata lacks a package that it names")?;
        let normal = |dependency: &&cargo_metadata::NodeDep| dependency.dep_kinds.iter().any(|kind| kind.kind == DependencyKind::Normal);
        next.extend(node.deps.iter().filter(normal).map(|dependency| dependency.pkg.clone()));
    }
    Ok(reached.iter().filter_map(name).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, dependencies: &[&str]) -> Package {
        Package::new(&format!("crates/{name}"), dependencies)
    }

    fn problems(packages: &[Package]) -> Vec<String> {
        let mut findings = Vec::new();
        check(packages, &[], &mut findings);
        findings.into_iter().map(|finding| finding.problem).collect()
    }

    #[test]
    fn allowed_edges_give_no_finding() {
        let packages = [
            package("fltk-core", &["serde"]),
            package("fltk-data", &["fltk-core", "ureq"]),
            package("fltk-train", &["fltk-core", "fltk-data", "tch"]),
            package("fltk", &["fltk-core", "fltk-data", "clap"]),
            package("fltk-torch", &["features", "fltk", "fltk-core", "fltk-data", "fltk-train"]),
            package("xtask", &["zip"]),
        ];
        assert_eq!(problems(&packages), Vec::<String>::new());
    }

    #[test]
    fn forbidden_edges_are_found() {
        for (name, dependency) in [
            ("fltk-core", "fltk-data"),
            ("fltk-fed", "fltk-train"),
            ("xtask", "fltk-core"),
            ("fltk-fed", "tch"),
            ("fltk", "tch"),
            ("fltk", "fltk-train"),
            ("fltk-torch", "tch"),
            ("fltk-torch", "clap"),
            ("fltk-new", "fltk-core"),
        ] {
            let packages = [package("fltk-core", &[]), package("fltk-data", &[]), package("fltk-train", &[]), package(name, &[dependency])];
            let problems = problems(&packages);
            assert_eq!(problems.len(), 1, "{name} -> {dependency}: {problems:?}");
            assert!(problems[0].contains(dependency));
        }
    }

    #[test]
    fn findings_have_the_line_of_the_manifest() {
        let text = "[dependencies]\ntch-other = \"1\"\ntch.workspace = true\n".to_owned();
        let sources = [Source { path: "crates/fltk-fed/Cargo.toml".to_owned(), text }];
        let mut findings = Vec::new();
        check(&[package("fltk-fed", &["tch"])], &sources, &mut findings);
        assert_eq!(findings[0].line, 3);
    }
}

//! Helm, at work on copies of the charts: their notes are made a part of what is rendered, which helm itself shows only beside a cluster.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, bail};
use tempfile::TempDir;

use super::{CHARTS, objects, objects::Object, sets::ValueSet};
use crate::{cluster, sh};

/// What helm tells charts that they are rendered for.
const KUBERNETES: &str = "1.34.0";
/// The release and the namespace of what is committed.
pub const RELEASE: &str = "demo";
/// Its namespace.
pub const NAMESPACE: &str = "fltk-test";

/// Renders the notes as an object of a kind that nothing else has.
const NOTES_TEMPLATE: &str = "kind: Notes\nnotes: {{ tpl (.Files.Get \"notes.txt\") . | toJson }}\n";
/// What helm writes before it.
const NOTES_SOURCE: &str = "# Source: ";
const NOTES_FILE: &str = "zz-notes.yaml";

/// What a chart renders.
pub struct Rendered {
    /// As helm prints it, without the notes, and without the empty lines that helm 4 has between objects.
    pub text: String,
    /// The same, read.
    pub objects: Vec<Object>,
    /// What helm tells who installs it.
    pub notes: String,
}

/// The program, and the copies.
pub struct Helm {
    program: PathBuf,
    charts: PathBuf,
    copies: TempDir,
}

impl Helm {
    /// With the charts of the checkout `root`.
    pub fn new(root: &Path, program: PathBuf) -> anyhow::Result<Self> {
        let (charts, copies) = (root.join("charts"), tempfile::tempdir()?);
        for chart in CHARTS {
            let copy = copies.path().join(chart);
            cluster::copy_folder(&charts.join(chart), &copy)?;
            let templates = copy.join("templates");
            fs::rename(templates.join("NOTES.txt"), copy.join("notes.txt")).with_context(|| format!("charts/{chart} has no notes"))?;
            fs::write(templates.join(NOTES_FILE), NOTES_TEMPLATE)?;
        }
        Ok(Self { program, charts, copies })
    }

    /// `helm lint`, where a warning is a failure.
    pub fn lint(&self, set: &ValueSet) -> anyhow::Result<()> {
        let mut command = self.command(&["lint", "--strict", "--quiet", "--kube-version", KUBERNETES]);
        command.arg(self.charts.join(set.chart)).args(set.arguments());
        sh::quiet_output(&mut command, sh::LOOKUP_LIMIT).map(drop).with_context(|| format!("{set} isn't well formed"))
    }

    /// What `set` renders.
    pub fn set(&self, set: &ValueSet) -> anyhow::Result<Rendered> {
        self.render(set.chart, RELEASE, NAMESPACE, &set.arguments()).with_context(|| format!("{set} can't be rendered"))
    }

    /// What `chart` renders as `release` in `namespace`, with helm's `arguments`.
    pub fn render<T: AsRef<std::ffi::OsStr>>(
        &self,
        chart: &str,
        release: &str,
        namespace: &str,
        arguments: &[T],
    ) -> anyhow::Result<Rendered> {
        let text = sh::quiet_output(&mut self.template(chart, release, namespace, arguments), sh::LOOKUP_LIMIT)?;
        let source = format!("{NOTES_SOURCE}{chart}/templates/{NOTES_FILE}\n");
        // Hooks come after it.
        let (is_notes, objects): (Vec<&str>, Vec<&str>) = documents(&text).partition(|document| document.contains(&source));
        let [notes] = is_notes.as_slice() else { bail!("charts/{chart} renders no notes") };
        let notes = objects::read(notes)?.into_iter().next().context("no notes")?;
        let notes = objects::text(&notes.json["notes"]).trim_end();
        let read = objects::read(&objects.concat())?;
        let text = objects.into_iter().map(|document| format!("{}\n", document.trim_end_matches('\n'))).collect();
        Ok(Rendered { objects: read, notes: format!("{notes}\n"), text })
    }

    /// What helm says of values that it refuses.
    pub fn refusal<T: AsRef<std::ffi::OsStr>>(&self, chart: &str, arguments: &[T]) -> anyhow::Result<String> {
        let output = self.template(chart, RELEASE, NAMESPACE, arguments).output().context("can't run helm")?;
        if output.status.success() {
            bail!("it is rendered");
        }
        Ok(String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// Makes an archive of `chart` in `folder`.
    pub fn package(&self, chart: &str, folder: &Path) -> anyhow::Result<()> {
        fs::create_dir_all(folder).with_context(|| format!("can't make `{}`", folder.display()))?;
        let mut command = self.command(&["package", "--destination"]);
        sh::run(command.arg(folder).arg(self.charts.join(chart)), sh::LOOKUP_LIMIT)
    }

    fn template<T: AsRef<std::ffi::OsStr>>(&self, chart: &str, release: &str, namespace: &str, arguments: &[T]) -> Command {
        let mut command = self.command(&["template", release]);
        command.arg(self.copies.path().join(chart)).args(["--namespace", namespace, "--kube-version", KUBERNETES]).args(arguments);
        command
    }

    /// Nothing of this machine's own settings, and no cluster.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(arguments).stdin(Stdio::null()).env("KUBECONFIG", "/dev/null");
        for place in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
            command.env(place, self.copies.path().join("helm"));
        }
        command
    }
}

/// The documents in what helm prints, each with the line that begins it.
fn documents(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let end = rest.get(1..)?.find("\n---\n").map_or(rest.len(), |at| at + 2);
        let (document, others) = rest.split_at(end);
        rest = others;
        Some(document).filter(|document| !document.is_empty())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_told_apart() {
        let text = "---\na: 1\n---\n# Source: b\nb: |\n  ---\n---\nc\n";
        assert_eq!(documents(text).collect::<Vec<_>>(), ["---\na: 1\n", "---\n# Source: b\nb: |\n  ---\n", "---\nc\n"]);
        assert_eq!(documents("").count(), 0);
    }
}

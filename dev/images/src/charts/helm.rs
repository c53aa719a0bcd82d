//! Helm, run on copies of the charts. The copies render the notes as an object, since helm itself shows notes only with a cluster.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, bail};
use tempfile::TempDir;

use super::{CHARTS, objects, objects::Object, sets::ValueSet};
use crate::{folder, sh};

/// The Kubernetes version for which helm renders the charts.
const KUBERNETES: &str = "1.34.0";
/// The release of the committed output.
pub const RELEASE: &str = "demo";
/// The namespace of the committed output.
pub const NAMESPACE: &str = "fltk-test";

/// The template that renders the notes as an object of a kind that nothing else has.
const NOTES_TEMPLATE: &str = "kind: Notes\nnotes: {{ tpl (.Files.Get \"notes.txt\") . | toJson }}\n";
/// The line that helm writes before each object.
const NOTES_SOURCE: &str = "# Source: ";
const NOTES_FILE: &str = "zz-notes.yaml";

/// The output of a chart.
pub struct Rendered {
    /// The text that helm prints, without the notes, and without the empty lines that helm 4 puts between objects.
    pub text: String,
    /// The same, parsed.
    pub objects: Vec<Object>,
    /// The notes that helm shows after an installation.
    pub notes: String,
}

/// The program and the copies of the charts.
pub struct Helm {
    program: PathBuf,
    charts: PathBuf,
    copies: TempDir,
}

impl Helm {
    /// Copies the charts of the checkout `root`.
    pub fn new(root: &Path, program: PathBuf) -> anyhow::Result<Self> {
        let (charts, copies) = (root.join("charts"), tempfile::tempdir()?);
        for chart in CHARTS {
            let copy = copies.path().join(chart);
            folder::copy(&charts.join(chart), &copy)?;
            let templates = copy.join("templates");
            fs::rename(templates.join("NOTES.txt"), copy.join("notes.txt")).with_context(|| format!("charts/{chart} has no notes"))?;
            fs::write(templates.join(NOTES_FILE), NOTES_TEMPLATE)?;
        }
        Ok(Self { program, charts, copies })
    }

    /// Runs `helm lint`; a warning is a failure.
    pub fn lint(&self, set: &ValueSet) -> anyhow::Result<()> {
        let mut command = self.command(&["lint", "--strict", "--quiet", "--kube-version", KUBERNETES]);
        command.arg(self.charts.join(set.chart)).args(set.arguments());
        sh::quiet_output(&mut command, sh::LOOKUP_LIMIT).map(drop).with_context(|| format!("{set} isn't well formed"))
    }

    /// Renders `set`.
    pub fn set(&self, set: &ValueSet) -> anyhow::Result<Rendered> {
        self.render(set.chart, RELEASE, NAMESPACE, &set.arguments()).with_context(|| format!("{set} can't be rendered"))
    }

    /// Renders `chart` as `release` in `namespace`, with helm's `arguments`.
    pub fn render<T: AsRef<std::ffi::OsStr>>(
        &self,
        chart: &str,
        release: &str,
        namespace: &str,
        arguments: &[T],
    ) -> anyhow::Result<Rendered> {
        let text = sh::quiet_output(&mut self.template(chart, release, namespace, arguments), sh::LOOKUP_LIMIT)?;
        let source = format!("{NOTES_SOURCE}{chart}/templates/{NOTES_FILE}\n");
        // Hooks come after the notes.
        let (is_notes, objects): (Vec<&str>, Vec<&str>) = documents(&text).partition(|document| document.contains(&source));
        let [notes] = is_notes.as_slice() else { bail!("charts/{chart} renders no notes") };
        let notes = objects::read(notes)?.into_iter().next().context("no notes")?;
        let notes = objects::text(&notes.json["notes"]).trim_end();
        let read = objects::read(&objects.concat())?;
        let text = objects.into_iter().map(|document| format!("{}\n", document.trim_end_matches('\n'))).collect();
        Ok(Rendered { objects: read, notes: format!("{notes}\n"), text })
    }

    /// Returns helm's message for values that it refuses.
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

    /// Returns a helm command without this machine's own settings, and without a cluster.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(arguments).stdin(Stdio::null()).env("KUBECONFIG", "/dev/null");
        for place in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
            command.env(place, self.copies.path().join("helm"));
        }
        command
    }
}

/// Returns the documents in helm's output, each with its first line.
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
    fn yaml_documents_are_separated() {
        let text = "---\na: 1\n---\n# Source: b\nb: |\n  ---\n---\nc\n";
        assert_eq!(documents(text).collect::<Vec<_>>(), ["---\na: 1\n", "---\n# Source: b\nb: |\n  ---\n", "---\nc\n"]);
        assert_eq!(documents("").count(), 0);
    }
}

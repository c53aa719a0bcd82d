//! The sets of values with which the charts are rendered: `charts/<chart>/ci/<set>-values.yaml`.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};

use super::{CHARTS, read};

/// Values that are the contents of files, as for `--set-file`: the chart, the set, the value and the file.
const SET_FILES: [(&str, &str, &str, &str); 8] = [
    ("orchestrator", "admission", "orchestrator.configuration", "configs/example_cloud_experiment.json"),
    ("orchestrator", "admission", "orchestrator.experiment", "configs/tasks/example_arrival_config.json"),
    ("orchestrator", "kfltk", "orchestrator.configuration", "configs/example_cloud_experiment.json"),
    ("orchestrator", "kfltk", "orchestrator.experiment", "configs/tasks/example_arrival_config.json"),
    ("orchestrator", "seed", "orchestrator.configuration", "configs/example_cloud_experiment.json"),
    ("orchestrator", "seed", "orchestrator.experiment", "configs/tasks/example_arrival_config.json"),
    ("orchestrator", "trace", "orchestrator.experiment", "examples/trace.yaml"),
    ("orchestrator", "trace", r"orchestrator.files.trace\.csv", "examples/trace.csv"),
];

/// A set of values of a chart.
#[derive(Clone, Debug)]
pub struct ValueSet {
    /// The name of the chart, which is its folder in `charts`.
    pub chart: &'static str,
    /// The name.
    pub name: String,
    file: PathBuf,
    root: PathBuf,
}

impl fmt::Display for ValueSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "charts/{}, {}", self.chart, self.name)
    }
}

impl ValueSet {
    /// Returns the arguments for helm.
    pub fn arguments(&self) -> Vec<String> {
        let mut arguments = vec!["--values".to_owned(), self.file.display().to_string()];
        for (chart, name, value, file) in SET_FILES {
            if (chart, name) == (self.chart, self.name.as_str()) {
                arguments.extend(["--set-file".to_owned(), format!("{value}={}", self.root.join(file).display())]);
            }
        }
        arguments
    }

    /// Returns the text of the file, which names the objects of others that the set's objects may refer to.
    pub fn text(&self) -> anyhow::Result<String> {
        read(&self.file)
    }
}

/// Returns all sets, sorted.
pub fn all(root: &Path) -> anyhow::Result<Vec<ValueSet>> {
    let mut sets = Vec::new();
    for chart in CHARTS {
        let folder = root.join("charts").join(chart).join("ci");
        for entry in fs::read_dir(&folder).with_context(|| format!("can't list `{}`", folder.display()))? {
            let file = entry?.path();
            let name =
                file.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix("-values.yaml")).map(str::to_owned);
            if let Some(name) = name {
                sets.push(ValueSet { chart, name, file, root: root.to_owned() });
            }
        }
    }
    sets.sort_by(|a, b| (a.chart, &a.name).cmp(&(b.chart, &b.name)));
    for (chart, name, ..) in SET_FILES {
        if !sets.iter().any(|set| set.chart == chart && set.name == name) {
            bail!("SET_FILES names the set `{name}` of charts/{chart}, which isn't there");
        }
    }
    Ok(sets)
}

/// Checks that the templates that both charts have are the same.
pub fn shared_templates(root: &Path) -> anyhow::Result<()> {
    let texts = CHARTS.map(|chart| read(&root.join("charts").join(chart).join("templates/_fltk.tpl")));
    let [first, second] = texts;
    if first? != second? {
        bail!("templates/_fltk.tpl isn't the same in both charts\nhint: copy the newer one over the other");
    }
    Ok(())
}

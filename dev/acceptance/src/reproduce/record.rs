//! Records of runs: small files that are committed, from which the page is made.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::cell::Cell;

/// The folder of the records in a checkout.
pub const RECORDS: &str = "docs/reproduction";

/// The result of one cell with one seed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// The name of the cell.
    pub cell: String,
    /// The root seed.
    pub seed: u64,
    /// The task that was run. If the cell's task is another one now, the record doesn't count.
    pub task: Value,
    /// The test accuracy of the initial model and after each round, `0..=1`.
    pub accuracies: Vec<f64>,
    /// The SHA-256 of the final parameters and buffers; absent if the run failed for good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters_sha256: Option<String>,
    /// The reason if the run failed for good, for example because it diverged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
    /// The wall-clock time of training, over all rounds, in seconds.
    pub train_seconds: f64,
    /// The number of cores that the program could use.
    pub cores: u32,
    /// The kind of processor.
    pub processor: String,
    /// The version of fltk that began the run.
    pub fltk: String,
    /// The version of libtorch.
    pub libtorch: String,
}

impl Record {
    /// Returns the accuracy after the last round that was reached.
    pub fn last(&self) -> f64 {
        self.accuracies.last().copied().unwrap_or(f64::NAN)
    }

    /// Returns the best accuracy, and the first round that has it.
    pub fn best(&self) -> (usize, f64) {
        let better = |best: (usize, f64), (round, &accuracy): (usize, &f64)| if accuracy > best.1 { (round, accuracy) } else { best };
        self.accuracies.iter().enumerate().fold((0, f64::NEG_INFINITY), better)
    }

    /// Returns the first round with at least this accuracy.
    pub fn rounds_to(&self, accuracy: f64) -> Option<usize> {
        self.accuracies.iter().position(|&reached| reached >= accuracy)
    }

    /// Returns the result in a line.
    pub fn told(&self) -> String {
        let (round, best) = self.best();
        let end = self.failed.as_ref().map_or_else(String::new, |reason| format!("; it failed for good: {reason}"));
        format!("accuracy {:.4} after the last round, {best:.4} after round {round}, in {:.0} s{end}", self.last(), self.train_seconds)
    }

    /// Returns the name of its file.
    fn file(&self) -> String {
        format!("{}-seed{}.json", self.cell, self.seed)
    }

    /// Returns its text: JSON with a line for each field.
    fn text(&self) -> anyhow::Result<String> {
        let Value::Object(fields) = serde_json::to_value(self)? else { unreachable!("a struct is an object") };
        let lines: Vec<String> = fields.iter().map(|(name, value)| format!("  \"{name}\": {value}")).collect();
        Ok(format!("{{\n{}\n}}\n", lines.join(",\n")))
    }
}

/// The records of a folder.
pub struct Records {
    folder: PathBuf,
    all: Vec<Record>,
}

impl Records {
    /// Reads all records in `folder`, which may be missing.
    ///
    /// # Errors
    /// If a file can't be read, or isn't the record that its name says.
    pub fn read(folder: &Path) -> anyhow::Result<Self> {
        let mut records = Self { folder: folder.to_owned(), all: Vec::new() };
        let Ok(entries) = fs::read_dir(folder) else { return Ok(records) };
        for entry in entries {
            let path = entry?.path();
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            let text = fs::read_to_string(&path).with_context(|| format!("can't read `{}`", path.display()))?;
            let record: Record = serde_json::from_str(&text).with_context(|| format!("`{}` is no record of a cell", path.display()))?;
            anyhow::ensure!(path.ends_with(record.file()), "`{}` is the record `{}`", path.display(), record.file());
            records.all.push(record);
        }
        Ok(records)
    }

    /// Returns the records of `cell` as it is now, by seed.
    pub fn of(&self, cell: &Cell) -> Vec<&Record> {
        let mut records: Vec<&Record> = self.all.iter().filter(|record| record.cell == cell.name && record.task == cell.task).collect();
        records.sort_by_key(|record| record.seed);
        records
    }

    /// Adds a record, in place of an earlier one of the same cell and seed, and writes its file.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn add(&mut self, record: Record) -> anyhow::Result<()> {
        fs::create_dir_all(&self.folder)?;
        write(&self.folder.join(record.file()), &record.text()?)?;
        self.all.retain(|other| (&other.cell, other.seed) != (&record.cell, record.seed));
        self.all.push(record);
        Ok(())
    }
}

/// Writes a file as a whole, or not at all: a process that is killed leaves no half of it.
///
/// # Errors
/// If it can't be written.
pub fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let folder = path.parent().context("a file without a folder")?;
    let written = tempfile::NamedTempFile::new_in(folder).and_then(|file| {
        fs::write(file.path(), text)?;
        // Temporary files are for their owner alone.
        fs::set_permissions(file.path(), std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
        Ok(file.persist(path)?)
    });
    written.map(drop).with_context(|| format!("can't write `{}`", path.display()))
}

#[cfg(test)]
pub mod tests {
    use serde_json::json;

    use super::*;
    use crate::reproduce::cell::Published;

    /// Returns a cell with one round more than `accuracies` has rounds, and its record.
    pub fn example(seed: u64, accuracies: &[f64]) -> (Cell, Record) {
        let task = json!({ "kind": "federated", "federated": { "rounds": 4, "partition": { "alpha": 0.5 } } });
        let cell = Cell {
            name: "a-b".to_owned(),
            what: "A, b".to_owned(),
            published: Published::best(88.09, 0.29),
            task: task.clone(),
            seeds: 3,
            core_seconds_per_round: 900.0,
            differs: None,
        };
        let record = Record {
            cell: cell.name.clone(),
            seed,
            task,
            accuracies: accuracies.to_vec(),
            parameters_sha256: Some("ab".to_owned()),
            failed: None,
            train_seconds: 12.5,
            cores: 2,
            processor: "P".to_owned(),
            fltk: "0.1.0".to_owned(),
            libtorch: "2.13.0".to_owned(),
        };
        (cell, record)
    }

    #[test]
    fn records_are_written_and_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("reproduction");
        let (cell, second) = example(2, &[0.1, 0.8801, 0.87]);
        let first = Record { seed: 1, parameters_sha256: None, failed: Some("it \"diverged\"\n".to_owned()), ..second.clone() };
        let mut records = Records::read(&path).unwrap();
        records.add(second.clone()).unwrap();
        records.add(Record { train_seconds: 1.0, ..first.clone() }).unwrap();
        records.add(first.clone()).unwrap();
        for records in [records, Records::read(&path).unwrap()] {
            assert_eq!(records.of(&cell), [&first, &second]);
        }
        let text = fs::read_to_string(path.join("a-b-seed2.json")).unwrap();
        assert!(
            text.starts_with("{\n  \"cell\": \"a-b\",\n  \"seed\": 2,\n") && text.contains("  \"accuracies\": [0.1,0.8801,0.87],\n"),
            "{text}"
        );
    }

    #[test]
    fn record_of_another_experiment_does_not_count() {
        let folder = tempfile::tempdir().unwrap();
        let (mut cell, record) = example(1, &[0.1]);
        Records::read(folder.path()).unwrap().add(record).unwrap();
        let records = Records::read(folder.path()).unwrap();
        // The order of keys means nothing.
        cell.task =
            serde_json::from_str(r#"{ "federated": { "partition": { "alpha": 0.5 }, "rounds": 4 }, "kind": "federated" }"#).unwrap();
        assert_eq!(records.of(&cell).len(), 1);
        cell.task["federated"]["partition"]["alpha"] = json!(0.1);
        assert!(records.of(&cell).is_empty());
    }

    #[test]
    fn foreign_and_renamed_files_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (_, record) = example(1, &[0.1]);
        fs::write(folder.path().join("other-seed1.json"), record.text().unwrap()).unwrap();
        assert!(Records::read(folder.path()).is_err());
        fs::write(folder.path().join("other-seed1.json"), "{}").unwrap();
        assert!(Records::read(folder.path()).is_err());
    }

    #[test]
    fn figures_are_read_from_the_curve() {
        let (_, record) = example(1, &[0.1, 0.88, 0.991, 0.991, 0.97]);
        assert_eq!((record.best(), record.rounds_to(0.9), record.rounds_to(0.995)), ((2, 0.991), Some(2), None));
        assert!((record.last() - 0.97).abs() < 1e-12);
    }
}

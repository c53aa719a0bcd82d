//! `partition.json`: how many samples of each class the clients of a federated run have.

use serde::{Deserialize, Serialize};

use super::{RunError, RunFolder};
use crate::files;

/// The file.
const PARTITION: &str = "partition.json";
/// The largest such file, in bytes: the counts of a thousand classes of a thousand clients.
const PARTITION_BYTES_MAX: u64 = 16 << 20;
/// The limit on counts, over all clients, which keeps the file below that.
const COUNTS_MAX: usize = 1_000_000;

/// The samples of the clients of a federated run, by class. It is written once, when the run begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionCounts {
    /// The number of all clients.
    pub num_clients: u32,
    /// The number of classes.
    pub classes: u32,
    /// The names of the classes; empty if they have none but their numbers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// The first clients, at most [`PartitionCounts::CLIENTS_MAX`].
    pub clients: Vec<ClientCounts>,
}

/// The samples of one client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientCounts {
    /// The client.
    pub client: u32,
    /// The number of its samples.
    pub samples: u64,
    /// The number of samples of each class.
    pub counts: Vec<u64>,
}

impl PartitionCounts {
    /// The limit on clients whose samples are counted: a picture shows no more.
    pub const CLIENTS_MAX: usize = 1000;

    /// Checks that the numbers fit together, and that the names can be displayed.
    fn check(&self) -> Result<(), String> {
        let Self { num_clients, classes, names, clients } = self;
        if clients.len() > Self::CLIENTS_MAX || clients.len() > *num_clients as usize {
            return Err(format!("{} clients of {num_clients}, and at most {} are counted", clients.len(), Self::CLIENTS_MAX));
        }
        let num_counts: usize = clients.iter().map(|client| client.counts.len()).sum();
        if num_counts > COUNTS_MAX || clients.iter().any(|client| client.counts.len() != *classes as usize) {
            return Err(format!("{num_counts} counts of {} clients and {classes} classes, at most {COUNTS_MAX}", clients.len()));
        }
        if !names.is_empty() && names.len() != *classes as usize {
            return Err(format!("{} names of {classes} classes", names.len()));
        }
        match names.iter().find(|name| !files::is_printable(name)) {
            Some(name) => Err(format!("the name `{}` has control characters, or is too long", files::printable(name))),
            None => Ok(()),
        }
    }
}

impl RunFolder {
    /// Returns the samples of the clients by class; `None` if they weren't recorded, as by earlier versions.
    ///
    /// # Errors
    /// If the file is damaged, too large, or can't be read.
    pub fn partition(&self) -> Result<Option<PartitionCounts>, RunError> {
        let path = self.path.join(PARTITION);
        let bytes = match files::read(&path, PARTITION_BYTES_MAX) {
            Err(error) if error.is_not_found() => return Ok(None),
            bytes => bytes?,
        };
        let damaged = |problem: String| RunError::Description { path: path.clone(), problem: files::printable(&problem) };
        let partition: PartitionCounts = serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
        partition.check().map_err(damaged)?;
        Ok(Some(partition))
    }

    /// True if the samples of the clients by class were recorded.
    #[must_use]
    pub fn has_partition(&self) -> bool {
        files::is_there(&self.path.join(PARTITION))
    }

    /// Records the samples of the clients by class, unless that was done before. The caller must hold the [lock](Self::lock). Returns false if there are
    /// too many classes for so many clients, of which nothing is recorded.
    ///
    /// # Errors
    /// If the file can't be written.
    pub fn record_partition(&self, partition: &PartitionCounts) -> Result<bool, RunError> {
        if partition.check().is_err() {
            return Ok(false);
        }
        if !self.has_partition() {
            let mut json = serde_json::to_vec(partition).expect("numbers and texts have a JSON form");
            json.push(b'\n');
            files::replace(&self.path.join(PARTITION), &json)?;
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::{
        samples::{recorded, started},
        summary::RunReport,
    };

    fn counts() -> PartitionCounts {
        let client = |client, counts: [u64; 2]| ClientCounts { client, samples: counts.iter().sum(), counts: counts.to_vec() };
        let names = vec!["cat".to_owned(), "dog".to_owned()];
        PartitionCounts { num_clients: 1000, classes: 2, names, clients: vec![client(0, [3, 0]), client(1, [1, 2])] }
    }

    #[test]
    fn partition_is_recorded_once_and_read_back() {
        let root = tempfile::tempdir().unwrap();
        let run = recorded(root.path(), 1, &[started(0)]);
        assert_eq!(run.partition().unwrap(), None);
        assert!(serde_json::to_value(RunReport::of(&run.clone().read().unwrap()).unwrap()).unwrap().get("partition").is_none());
        assert!(!run.has_partition() && run.record_partition(&counts()).unwrap() && run.has_partition());
        assert!(run.record_partition(&PartitionCounts { num_clients: 7, ..counts() }).unwrap());
        assert_eq!(run.partition().unwrap(), Some(counts()), "the first counts");
        let json = serde_json::to_value(RunReport::of(&run.read().unwrap()).unwrap()).unwrap();
        assert_eq!(json["partition"]["clients"][1], serde_json::json!({ "client": 1, "samples": 3, "counts": [1, 2] }));
    }

    #[test]
    fn partitions_that_do_not_fit_together_are_refused() {
        let root = tempfile::tempdir().unwrap();
        let run = recorded(root.path(), 1, &[started(0)]);
        let check = |partition: PartitionCounts, expected: &str| {
            assert!(!run.record_partition(&partition).unwrap(), "{expected}");
            fs::write(run.path().join(PARTITION), serde_json::to_vec(&partition).unwrap()).unwrap();
            let error = run.partition().unwrap_err().to_string();
            assert!(error.contains(expected), "{expected}: {error}");
            fs::remove_file(run.path().join(PARTITION)).unwrap();
        };
        check(PartitionCounts { num_clients: 1, ..counts() }, "2 clients of 1");
        check(PartitionCounts { classes: 3, ..counts() }, "3 classes");
        check(PartitionCounts { names: vec!["cat".to_owned()], ..counts() }, "1 names of 2");
        check(PartitionCounts { names: vec!["cat".to_owned(), "\u{1b}".to_owned()], ..counts() }, "control characters");
        let many = ClientCounts { client: 0, samples: 1, counts: vec![0; 2000] };
        check(PartitionCounts { classes: 2000, names: Vec::new(), clients: vec![many; 501], ..counts() }, "1002000 counts");
        let path = run.path().join(PARTITION);
        fs::write(&path, "{}").unwrap();
        assert!(run.partition().is_err() && RunReport::of(&run.clone().read().unwrap()).is_err());
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", &path).unwrap();
        assert!(run.partition().unwrap_err().to_string().contains("partition.json"));
    }
}

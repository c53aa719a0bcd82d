//! The stream that is measured: the mix of job classes from Kueue's own benchmark, 70 % small, 20 % medium and 10 % large jobs, which all
//! arrive at once.

use std::{fmt::Write as _, fs, path::PathBuf};

use tempfile::TempDir;

const EXPERIMENT: &str = "\
name: bench
tasks:
  - name: small
    kind: distributed
    network: LeNet5
    dataset: fashion-mnist-mini
    distributed: { epochs: 1, data_parallelism: 1 }
    resources: { master: { cores: 1, memory: 1Gi }, worker: { cores: 1, memory: 1Gi } }
  - name: medium
    kind: distributed
    network: FashionMNISTCNN
    dataset: fashion-mnist
    distributed: { epochs: 5, data_parallelism: 2 }
    resources: { master: { cores: 2500m, memory: 4Gi }, worker: { cores: 2500m, memory: 4Gi } }
  - name: large
    kind: distributed
    network: Cifar10ResNet
    dataset: cifar10
    distributed: { epochs: 20, data_parallelism: 2 }
    resources: { master: { cores: 10, memory: 16Gi }, worker: { cores: 10, memory: 16Gi } }
stream:
  orchestrator: trace
  trace: trace.csv
  admission: { type: unlimited }
";

/// The operator ignores jobs with another manager, whether or not that exists. The image isn't pulled.
const KUBERNETES: &str = "\
kubernetes:
  image: localhost/fltk:dev
  log_claim: null
  run_policy: { managed_by: kueue.x-k8s.io/multikueue }
";

/// Ten arrivals with the shares of the classes; every part of the stream has the same shares.
const CLASSES: [&str; 10] = ["small", "small", "medium", "small", "small", "large", "small", "medium", "small", "small"];

/// The input files, which are removed when the value is dropped.
pub struct Inputs {
    folder: TempDir,
    /// The number of jobs that arrive.
    pub jobs: u32,
}

impl Inputs {
    /// Writes the files for a stream with this many `jobs`.
    pub fn write(jobs: u32) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let inputs = Self { folder, jobs };
        fs::write(inputs.experiment(), EXPERIMENT)?;
        fs::write(inputs.kubernetes(), KUBERNETES)?;
        fs::write(inputs.trace(), trace(jobs))?;
        Ok(inputs)
    }

    /// The experiment file.
    pub fn experiment(&self) -> PathBuf {
        self.folder.path().join("experiment.yaml")
    }

    /// The arrivals.
    pub fn trace(&self) -> PathBuf {
        self.folder.path().join("trace.csv")
    }

    /// The configuration of the pods.
    pub fn kubernetes(&self) -> PathBuf {
        self.folder.path().join("kubernetes.yaml")
    }
}

fn trace(jobs: u32) -> String {
    let mut text = "time,class\n".to_owned();
    for class in CLASSES.iter().cycle().take(jobs as usize) {
        // Writing to a string can't fail.
        let _ = writeln!(text, "0,{class}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trace_has_the_mix_of_classes() {
        let trace = trace(100);
        let count = |class: &str| trace.lines().filter(|line| line.ends_with(class)).count();
        assert_eq!([count("small"), count("medium"), count("large")], [70, 20, 10]);
    }
}

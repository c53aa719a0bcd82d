//! The most that the API server can take: bare creates of the same objects.

use std::{path::Path, time::Duration};

use anyhow::Context as _;
use serde::Deserialize;

use super::{Inputs, RUN, namespace::NAMESPACE};
use crate::{
    cluster::{self, Cluster},
    sh,
};

/// The time limit for 100,000 jobs.
const LIMIT: Duration = Duration::from_secs(3600);

/// The measurement of bare creates.
pub struct Ceiling<'a> {
    /// The example `creates` of `fltk-kubernetes`.
    pub program: &'a Path,
    /// The cluster.
    pub cluster: &'a Cluster,
}

/// The output of the example `creates`, which is JSON.
#[derive(Deserialize)]
struct Measurement {
    jobs: u32,
    seconds: f64,
}

impl Ceiling<'_> {
    /// Returns the jobs created per second, from the first to the last.
    pub fn jobs_per_second(&self, inputs: &Inputs, concurrency: u32) -> anyhow::Result<f64> {
        let mut command = cluster::inside(self.program);
        command.arg(self.cluster.kubeconfig()).args([NAMESPACE, RUN, &concurrency.to_string()]);
        command.args([inputs.experiment(), inputs.trace(), inputs.kubernetes()]);
        let text = sh::output(&mut command, LIMIT)?;
        let Measurement { jobs, seconds } =
            serde_json::from_str(&text).with_context(|| format!("`{}` printed something else", sh::show(&command)))?;
        anyhow::ensure!(jobs == inputs.jobs && seconds > 0.0, "it made {jobs} jobs of {} in {seconds} s", inputs.jobs);
        Ok(f64::from(jobs - 1) / seconds)
    }
}

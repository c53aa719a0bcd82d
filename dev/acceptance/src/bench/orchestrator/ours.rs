//! `fltk cluster` itself, measured from the outside: it runs until its journal says that every job was created.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use serde::Deserialize;

use super::{Inputs, RUN, namespace::NAMESPACE};
use crate::{
    cluster::{self, Cluster},
    sh,
};

/// The time limit for creating 100,000 jobs.
const LIMIT: Duration = Duration::from_secs(3600);
/// The interval at which the journal is read.
const POLL: Duration = Duration::from_millis(200);
/// The time limit for the program to stop after it is asked to.
const STOP_LIMIT: Duration = Duration::from_secs(60);

/// Our program.
pub struct Ours<'a> {
    /// The program that does no training.
    pub program: &'a Path,
    /// The cluster.
    pub cluster: &'a Cluster,
}

/// The results of the measurement.
pub struct Measurement {
    /// The rate from the first job that the program saw in the cluster to the last.
    pub jobs_per_second: f64,
    /// The largest resident memory, in 10^6 bytes.
    pub peak_mb: f64,
}

/// A row of the program's output, as far as it is used here.
#[derive(Deserialize)]
struct Row {
    created: Option<f64>,
}

impl Ours<'_> {
    /// Runs the stream until all of its jobs were created.
    pub fn measure(&self, inputs: &Inputs) -> anyhow::Result<Measurement> {
        let work = tempfile::tempdir()?;
        let (rows, words) = (work.path().join("rows.json"), work.path().join("words"));
        let mut command = cluster::inside(self.program);
        command.args(["--quiet", "--output", "json", "cluster"]).args([inputs.experiment(), inputs.kubernetes()]);
        command.args(["--id", RUN, "--namespace", NAMESPACE, "--kubeconfig"]).arg(self.cluster.kubeconfig());
        command.arg("--runs").arg(work.path()).stdout(File::create(&rows)?).stderr(File::create(&words)?);
        eprintln!("$ {}", sh::show(&command));
        // `nsenter` becomes the program.
        let mut child = sh::start(&mut command)?;
        let peak_mb = wait(&mut child, &work.path().join(RUN).join("journal.jsonl"), inputs.jobs)
            .and_then(|()| peak_mb(child.id()))
            .inspect_err(|_| eprintln!("{}", fs::read_to_string(&words).unwrap_or_default()));
        let stopped = stop(&mut child, &command);
        let (peak_mb, ()) = (peak_mb?, stopped?);
        let rows: Vec<Row> = serde_json::from_slice(&fs::read(&rows)?).context("`fltk cluster` printed something else")?;
        Ok(Measurement { jobs_per_second: rate(&rows, inputs.jobs)?, peak_mb })
    }
}

/// Waits until the journal has the creation of this many `jobs`.
fn wait(child: &mut Child, journal: &Path, jobs: u32) -> anyhow::Result<()> {
    let deadline = Instant::now() + LIMIT;
    let (mut lines, mut created) = (None, 0);
    let mut text = String::new();
    while created < jobs {
        if let Some(status) = child.try_wait()? {
            bail!("`fltk cluster` ended after {created} of {jobs} jobs: {status}");
        }
        anyhow::ensure!(Instant::now() < deadline, "`fltk cluster` made {created} of {jobs} jobs in {} s", LIMIT.as_secs());
        thread::sleep(POLL);
        if lines.is_none() {
            lines = File::open(journal).ok().map(BufReader::new);
        }
        let Some(lines) = &mut lines else { continue };
        while lines.read_line(&mut text)? > 0 {
            // An incomplete line is continued later.
            if text.ends_with('\n') {
                created += u32::from(text.contains(r#""event":"created""#));
                text.clear();
            }
        }
    }
    Ok(())
}

fn peak_mb(pid: u32) -> anyhow::Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM in its status")?;
    let kib: f64 = line.trim().trim_end_matches(" kB").parse().with_context(|| format!("`{line}` isn't an amount"))?;
    Ok(kib * 1024.0 / 1e6)
}

/// Stops the program as a person would, so that it prints its jobs.
fn stop(child: &mut Child, command: &Command) -> anyhow::Result<()> {
    if child.try_wait()?.is_none() {
        sh::quiet_output(Command::new("kill").arg(child.id().to_string()).stdin(Stdio::null()), sh::LOOKUP_LIMIT)?;
    }
    sh::wait(child, command, STOP_LIMIT).map(drop)
}

fn rate(rows: &[Row], jobs: u32) -> anyhow::Result<f64> {
    let created: Vec<f64> = rows.iter().filter_map(|row| row.created).collect();
    anyhow::ensure!(created.len() == jobs as usize, "{} of {jobs} jobs were made", created.len());
    let (first, last) = created.iter().fold((f64::MAX, 0.0f64), |(first, last), at| (first.min(*at), last.max(*at)));
    Ok(f64::from(jobs - 1) / (last - first))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate_is_measured_from_the_first_job_to_the_last() {
        let rows = [2.0, 1.0, 4.0, 3.0].map(|created| Row { created: Some(created) });
        assert_eq!(rate(&rows, 4).unwrap(), 1.0);
        assert!(rate(&rows, 5).is_err());
        assert!(peak_mb(std::process::id()).unwrap() > 0.1);
    }
}

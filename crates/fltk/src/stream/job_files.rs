//! The files of jobs that run as processes of this machine, in the stream's folder.
//!
//! ```text
//! <stream>/jobs/
//!   <job>.yaml   its experiment: one task, one seed
//!   <job>.log    what its processes said
//!   <job>.json   how the last of them ended (`TerminationReport`)
//! ```

use std::path::{Path, PathBuf};

use fltk_cluster::JobId;
use fltk_core::termination::{REPORT_BYTES_MAX, TerminationReport};
use fltk_records::{StreamFolder, read_in};

/// Where the files of a stream's jobs are.
pub struct JobFiles {
    jobs: PathBuf,
    runs: PathBuf,
}

impl JobFiles {
    /// Of the stream in `folder`.
    #[must_use]
    pub fn of(folder: &StreamFolder) -> Self {
        let path = folder.path();
        // `.` has no parent by name.
        let real = if path.file_name().is_some() { path.to_owned() } else { path.canonicalize().unwrap_or_else(|_| path.to_owned()) };
        let runs = real.parent().filter(|runs| *runs != Path::new("")).unwrap_or(Path::new("."));
        Self { jobs: path.join("jobs"), runs: runs.to_owned() }
    }

    /// What its processes said.
    #[must_use]
    pub fn log(&self, job: &JobId) -> PathBuf {
        self.jobs.join(format!("{job}.log"))
    }

    /// How the last of them ended, if that's there and whole, and neither it nor the folder of jobs is a link.
    #[must_use]
    pub fn read_report(&self, job: &JobId) -> Option<TerminationReport> {
        serde_json::from_slice(&read_in(&self.jobs, &report_name(job), REPORT_BYTES_MAX as u64).ok()?).ok()
    }

    /// The folder of the job's run, once a process of it has ended by itself.
    #[must_use]
    pub fn run(&self, job: &JobId) -> Option<PathBuf> {
        let name = self.read_report(job)?.run.filter(|name| !name.contains('/') && !name.starts_with('.'))?;
        Some(self.runs.join(name))
    }
}

fn report_name(job: &JobId) -> String {
    format!("{job}.json")
}

/// For who starts the processes.
impl JobFiles {
    /// The folder that they are in.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.jobs
    }

    /// The folder of runs: that which the stream's folder is in.
    #[must_use]
    pub fn runs(&self) -> &Path {
        &self.runs
    }

    /// How the last of them ended.
    #[must_use]
    pub fn report(&self, job: &JobId) -> PathBuf {
        self.jobs.join(report_name(job))
    }

    /// The job's experiment.
    #[must_use]
    pub fn experiment(&self, job: &JobId) -> PathBuf {
        self.jobs.join(format!("{job}.yaml"))
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink, process::Command, sync::mpsc::channel, thread, time::Duration};

    use super::*;

    /// Of what takes no time.
    const LIMIT: Duration = Duration::from_secs(30);

    /// What is read of the report of job `a` in `jobs`, if it doesn't take for ever.
    fn read(jobs: &Path) -> bool {
        let files = JobFiles { jobs: jobs.to_owned(), runs: PathBuf::new() };
        let (send, receive) = channel();
        thread::spawn(move || send.send(files.read_report(&JobId("a".to_owned())).is_some()));
        receive.recv_timeout(LIMIT).expect("it ends")
    }

    #[test]
    fn reports_that_are_links_or_pipes_are_none() {
        let folder = tempfile::tempdir().unwrap();
        let (jobs, outside) = (folder.path().join("jobs"), folder.path().join("outside"));
        [&jobs, &outside].iter().for_each(|folder| fs::create_dir(folder).unwrap());
        let report = TerminationReport::default();
        fs::write(outside.join("a.json"), serde_json::to_vec(&report).unwrap()).unwrap();
        assert!(read(&outside) && !read(&jobs));
        symlink(outside.join("a.json"), jobs.join("a.json")).unwrap();
        assert!(!read(&jobs), "a link");
        symlink(&outside, folder.path().join("link")).unwrap();
        assert!(!read(&folder.path().join("link")), "in a folder that is a link");
        fs::remove_file(jobs.join("a.json")).unwrap();
        assert!(Command::new("mkfifo").arg(jobs.join("a.json")).status().unwrap().success());
        assert!(!read(&jobs), "a pipe");
    }
}

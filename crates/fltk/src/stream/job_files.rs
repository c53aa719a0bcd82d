//! The files of jobs that run as processes of this machine, in the stream's folder.
//!
//! ```text
//! <stream>/jobs/
//!   <job>.yaml   the job's experiment: one task, one seed
//!   <job>.log    the output of its processes
//!   <job>.json   the report of how the last process ended (`TerminationReport`)
//! ```

use std::path::{Path, PathBuf};

use fltk_core::termination::{REPORT_BYTES_MAX, TerminationReport};
use fltk_plan::JobId;
use fltk_records::{StreamFolder, read_in};

/// The paths of the files of a stream's jobs.
pub struct JobFiles {
    jobs: PathBuf,
    runs: PathBuf,
}

impl JobFiles {
    /// Returns the paths for the stream in `folder`.
    #[must_use]
    pub fn of(folder: &StreamFolder) -> Self {
        let path = folder.path();
        // A path such as `.` has no parent in its text.
        let real = if path.file_name().is_some() { path.to_owned() } else { path.canonicalize().unwrap_or_else(|_| path.to_owned()) };
        let runs = real.parent().filter(|runs| *runs != Path::new("")).unwrap_or(Path::new("."));
        Self { jobs: path.join("jobs"), runs: runs.to_owned() }
    }

    /// Returns the path of the job's log, the output of its processes.
    #[must_use]
    pub fn log(&self, job: &JobId) -> PathBuf {
        self.jobs.join(format!("{job}.log"))
    }

    /// Reads the report of how the job's last process ended, if it exists and is complete, and neither it nor the folder of jobs is a link.
    #[must_use]
    pub fn read_report(&self, job: &JobId) -> Option<TerminationReport> {
        serde_json::from_slice(&read_in(&self.jobs, &report_name(job), REPORT_BYTES_MAX as u64).ok()?).ok()
    }

    /// Returns the folder of the job's run, once one of its processes has ended by itself.
    #[must_use]
    pub fn run(&self, job: &JobId) -> Option<PathBuf> {
        let name = self.read_report(job)?.run.filter(|name| !name.contains('/') && !name.starts_with('.'))?;
        Some(self.runs.join(name))
    }
}

fn report_name(job: &JobId) -> String {
    format!("{job}.json")
}

/// The paths for the code that starts the processes.
impl JobFiles {
    /// Returns the folder that the jobs' files are in.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.jobs
    }

    /// Returns the folder of runs, which is the parent of the stream's folder.
    #[must_use]
    pub fn runs(&self) -> &Path {
        &self.runs
    }

    /// Returns the path of the report of how the job's last process ended.
    #[must_use]
    pub fn report(&self, job: &JobId) -> PathBuf {
        self.jobs.join(report_name(job))
    }

    /// Returns the path of the job's experiment file.
    #[must_use]
    pub fn experiment(&self, job: &JobId) -> PathBuf {
        self.jobs.join(format!("{job}.yaml"))
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink, process::Command, sync::mpsc::channel, thread, time::Duration};

    use super::*;

    /// The time limit for something that should be immediate.
    const LIMIT: Duration = Duration::from_secs(30);

    /// Returns true if the report of job `a` in `jobs` can be read; panics if reading doesn't end.
    fn read(jobs: &Path) -> bool {
        let files = JobFiles { jobs: jobs.to_owned(), runs: PathBuf::new() };
        let (send, receive) = channel();
        thread::spawn(move || send.send(files.read_report(&JobId("a".to_owned())).is_some()));
        receive.recv_timeout(LIMIT).expect("it ends")
    }

    #[test]
    fn reports_that_are_links_or_pipes_are_ignored() {
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

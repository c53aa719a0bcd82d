//! The files of jobs that run as processes of this machine, in the stream's folder.
//!
//! ```text
//! <stream>/jobs/
//!   <job>.yaml   its experiment: one task, one seed
//!   <job>.log    what its processes said
//!   <job>.json   how the last of them ended (`TerminationReport`)
//! ```

use std::{
    fs,
    io::Read as _,
    path::{Path, PathBuf},
};

use fltk_cluster::JobId;
use fltk_core::termination::{REPORT_BYTES_MAX, TerminationReport};
use fltk_records::StreamFolder;

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

    /// How the last of them ended.
    #[must_use]
    pub fn report(&self, job: &JobId) -> PathBuf {
        self.jobs.join(format!("{job}.json"))
    }

    /// That, if it's there and whole.
    #[must_use]
    pub fn read_report(&self, job: &JobId) -> Option<TerminationReport> {
        let mut text = String::new();
        fs::File::open(self.report(job)).ok()?.take(REPORT_BYTES_MAX as u64).read_to_string(&mut text).ok()?;
        serde_json::from_str(&text).ok()
    }

    /// The folder of the job's run, once a process of it has ended by itself.
    #[must_use]
    pub fn run(&self, job: &JobId) -> Option<PathBuf> {
        let name = self.read_report(job)?.run.filter(|name| !name.contains('/') && !name.starts_with('.'))?;
        Some(self.runs.join(name))
    }
}

/// For who starts the processes.
#[cfg(feature = "train")]
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

    /// The job's experiment.
    #[must_use]
    pub fn experiment(&self, job: &JobId) -> PathBuf {
        self.jobs.join(format!("{job}.yaml"))
    }
}

//! A stream's folder, and the folders of its jobs' runs beside it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
    time::SystemTime,
};

use fltk_plan::{JobId, Orchestrator, StreamEvent, plan::State};
use fltk_records::{
    FollowedRun, RunFolder, StreamFolder,
    history::Status,
    journal::{Added, Follower},
};
use jiff::Timestamp;

use super::{
    super::{
        stream_view::{Known, Series},
        view::StreamView,
    },
    since,
};
use crate::{
    exit::{Exit, OrExit as _},
    follow::seconds,
    stream::{Begun, JobFiles},
};

/// The number of runs that are read: those of running jobs, and of those that ended last.
const FOLLOWED_MAX: usize = 24;

/// A stream's folder.
pub struct StreamSource {
    begun: Begun,
    name: String,
    follower: Follower<StreamEvent>,
    orchestrator: Orchestrator<'static>,
    series: Series,
    is_orchestrated: bool,
    found: Found,
    /// The runs that are read, by the job's name.
    followed: BTreeMap<String, FollowedRun>,
}

/// The folders of runs beside the stream's.
struct Found {
    root: PathBuf,
    /// The names that were looked at.
    seen: BTreeSet<PathBuf>,
    /// The runs by the name that they were started with.
    by_name: BTreeMap<String, PathBuf>,
    /// When the folder that has them had last changed.
    changed: Option<SystemTime>,
}

impl StreamSource {
    /// Opens the stream in `folder`, and reads its journal.
    ///
    /// # Errors
    /// If the folder is damaged.
    pub fn open(folder: StreamFolder) -> anyhow::Result<Self> {
        let follower = folder.follow();
        let name =
            folder.path().file_name().map_or_else(|| folder.description().run.to_string(), |name| name.to_string_lossy().into_owned());
        let root = JobFiles::of(&folder).runs().to_owned();
        let begun = Begun::open(folder)?;
        let orchestrator = begun.look_on(&[])?;
        let found = Found { root, seen: BTreeSet::new(), by_name: BTreeMap::new(), changed: None };
        let (series, followed) = (Series::default(), BTreeMap::new());
        let mut source = Self { begun, name, follower, orchestrator, series, is_orchestrated: false, found, followed };
        source.refresh()?;
        Ok(source)
    }

    /// Reads what was added since the last time.
    ///
    /// # Errors
    /// If the journal can't be read or is damaged. A run that can't be read isn't shown, which is no error.
    pub fn refresh(&mut self) -> anyhow::Result<()> {
        // First the lock, as for a run.
        self.is_orchestrated = self.begun.folder.is_taken();
        let Added { entries, is_anew } = self.follower.read_on().or_exit(Exit::Records)?;
        if is_anew {
            // Another stream has taken the place of this one: its experiment is another one too.
            let folder = StreamFolder::open(self.begun.folder.path()).or_exit(Exit::Records)?;
            self.begun = Begun::open(folder)?;
            (self.orchestrator, self.series) = (self.begun.look_on(&[])?, Series::default());
        }
        for entry in entries {
            // Without a journal, nothing is written. The actions are those of whoever runs the stream.
            drop(self.orchestrator.take(entry.event.now, vec![entry.event.event], entry.at).or_exit(Exit::Records)?);
            let planner = self.orchestrator.planner();
            self.series.note(seconds(self.orchestrator.now()), planner.num_waiting(), planner.num_active());
        }
        self.found.look();
        self.follow();
        Ok(())
    }

    /// Reads the runs of the jobs that run, and of those that ended last.
    fn follow(&mut self) {
        let mut ended: Vec<_> = self.orchestrator.all_jobs().filter(|job| job.state == State::Ended).collect();
        ended.sort_by_key(|job| std::cmp::Reverse((job.spec.replication, job.record.ended)));
        let active = self.orchestrator.all_jobs().filter(|job| job.state.is_active());
        let wanted: Vec<JobId> = active.chain(ended).take(FOLLOWED_MAX).map(|job| job.spec.id.clone()).collect();
        self.followed.retain(|job, _| wanted.iter().any(|wanted| wanted.0 == *job));
        for job in wanted {
            let is_active = self.is_active(&job);
            match self.followed.get_mut(&job.0) {
                // What has ended isn't written any more.
                Some(source) if matches!(source.run().status, Status::Finished | Status::Failed) && !is_active => {}
                Some(source) => {
                    // It may just be replaced: the next look sees it.
                    let _ = source.read_on();
                }
                None => {
                    if let Some(source) = self.run_of(&job.0).and_then(|folder| FollowedRun::open(folder).ok()) {
                        self.followed.insert(job.0, source);
                    }
                }
            }
        }
    }

    fn is_active(&self, job: &JobId) -> bool {
        self.orchestrator.job(job).is_some_and(|job| job.state.is_active())
    }

    /// Returns the folder of the run of `job`; `None` if it isn't here, or not yet.
    #[must_use]
    pub fn run_of(&self, job: &str) -> Option<RunFolder> {
        // On this machine a job's run is named after stream and job, in pods after the job alone.
        let names = [format!("{}-{job}", self.begun.name()), format!("trainjob-{job}"), job.to_owned()];
        let by_name = names.iter().find_map(|name| self.found.by_name.get(name)).cloned();
        let path = by_name.or_else(|| JobFiles::of(&self.begun.folder).run(&JobId(job.to_owned())))?;
        RunFolder::open(path).ok()
    }

    /// Returns the view at `now`.
    #[must_use]
    pub fn view(&self, now: Timestamp, selected: Option<&str>, is_unicode: bool) -> StreamView {
        let description = self.begun.folder.description();
        StreamView::of(&Known {
            name: &self.name,
            experiment: &description.experiment,
            orchestrator: &self.orchestrator,
            series: &self.series,
            runs: self.followed.iter().map(|(job, source)| (job.as_str(), source.run())).collect(),
            now: since(description.started_at, now).max(self.orchestrator.now()),
            is_orchestrated: self.is_orchestrated,
            selected,
            is_unicode,
        })
    }
}

impl Found {
    /// Looks at folders that are new since the last time.
    fn look(&mut self) {
        let changed = fs::metadata(&self.root).and_then(|metadata| metadata.modified()).ok();
        if changed.is_some() && changed == self.changed {
            return;
        }
        let mut is_complete = true;
        for path in RunFolder::list(&self.root).unwrap_or_default() {
            if self.seen.contains(&path) {
                continue;
            }
            match RunFolder::open(&path) {
                Ok(folder) => {
                    if let Some(name) = folder.description().group_name.clone() {
                        self.by_name.insert(name, path.clone());
                    }
                    self.seen.insert(path);
                }
                // It may just be made: the next look sees it.
                Err(_) if is_recent(fs::metadata(&path).and_then(|metadata| metadata.modified()).ok()) => is_complete = false,
                Err(_) => drop(self.seen.insert(path)),
            }
        }
        // Within a moment, another folder may be made without another time of change.
        self.changed = changed.filter(|_| is_complete && !is_recent(changed));
    }
}

/// Returns true if something was changed in the last seconds, or its time isn't known.
fn is_recent(changed: Option<SystemTime>) -> bool {
    const RECENT: std::time::Duration = std::time::Duration::from_secs(5);
    changed.is_none_or(|changed| changed.elapsed().is_ok_and(|age| age < RECENT))
}

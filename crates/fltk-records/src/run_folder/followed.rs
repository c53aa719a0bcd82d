//! A run that somebody else is writing, as it was when it was last looked at.

use super::{RunError, RunFolder, RunRef};
use crate::{history::History, journal::Follower};

/// A run that may grow. Each look at it costs as much as what was added to its journal.
#[derive(Clone, Debug)]
pub struct FollowedRun {
    follower: Follower,
    run: RunRef,
    /// True if the journal has to be read from its beginning: it is another one, or some of what was added last couldn't follow what was there.
    is_damaged: bool,
}

impl FollowedRun {
    /// Opens the run in `folder`, and reads its journal.
    ///
    /// # Errors
    /// If the journal can't be read or is damaged.
    pub fn open(folder: RunFolder) -> Result<Self, RunError> {
        let history = History::default();
        let status = history.status(folder.is_locked());
        let mut followed = Self { follower: folder.follow(), run: RunRef { folder, history, status }, is_damaged: false };
        followed.read_on()?;
        Ok(followed)
    }

    /// Returns the run as it was read last.
    #[must_use]
    pub fn run(&self) -> &RunRef {
        &self.run
    }

    /// Reads what was added since the last time; if the journal is another one than before, all of it.
    ///
    /// # Errors
    /// If the journal can't be read or is damaged; the next call tries it again.
    pub fn read_on(&mut self) -> Result<(), RunError> {
        if self.is_damaged {
            return self.read_anew();
        }
        // First the lock: a run that ends in between is then seen as running a moment longer, and never as interrupted.
        let locked = self.run.folder.is_locked();
        let added = self.follower.read_on()?;
        if added.is_anew {
            // Until that has succeeded, this is the run before.
            self.is_damaged = true;
            return self.read_anew();
        }
        for entry in &added.entries {
            self.run.history.apply(entry).map_err(|source| {
                self.is_damaged = true;
                self.run.folder.order_error(source)
            })?;
        }
        self.run.status = self.run.history.status(locked);
        Ok(())
    }

    /// Reads all of it: another run may have taken the place of this one, with other settings.
    fn read_anew(&mut self) -> Result<(), RunError> {
        *self = Self::open(RunFolder::open(self.run.folder.path())?)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::{
        RunRecorder,
        history::Status,
        samples::{at, finished, recorded, round, started},
    };

    #[test]
    fn run_is_as_if_it_was_read_at_once() {
        let root = tempfile::tempdir().unwrap();
        let folder = recorded(root.path(), 1, &[started(0), round(0, 0.1)]);
        let mut followed = FollowedRun::open(folder.clone()).unwrap();
        let (mut recorder, _) = RunRecorder::open(folder.clone(), "a test").unwrap();
        let as_read = |followed: &mut FollowedRun, status: Status| {
            followed.read_on().unwrap();
            let run = folder.clone().read().unwrap();
            assert_eq!((followed.run().status, run.status), (status, status));
            assert!(followed.run().history.rows().eq(run.history.rows()));
        };
        as_read(&mut followed, Status::Running);
        recorder.record_all(&[round(1, 0.2), round(2, 0.3)], at(5)).unwrap();
        as_read(&mut followed, Status::Running);
        // Another start voids rounds.
        recorder.record(&started(1), at(6)).unwrap();
        as_read(&mut followed, Status::Running);
        recorder.record_all(&[round(2, 0.4), finished()], at(7)).unwrap();
        drop(recorder);
        as_read(&mut followed, Status::Finished);
    }

    #[test]
    fn run_in_its_place_and_mended_damage_are_read_from_the_beginning() {
        let root = tempfile::tempdir().unwrap();
        let first = recorded(root.path(), 1, &[started(0), round(0, 0.1), round(1, 0.2)]);
        let mut followed = FollowedRun::open(first.clone()).unwrap();
        let other = recorded(root.path(), 2, &[started(0), round(0, 0.5)]);
        let seed = other.description().seed;
        fs::remove_dir_all(first.path()).unwrap();
        assert!(followed.read_on().is_err());
        fs::rename(other.path(), first.path()).unwrap();
        followed.read_on().unwrap();
        assert_eq!((followed.run().history.rows().count(), followed.run().folder.description().seed), (1, seed));
        // After the end, nothing can follow; the end was applied already.
        let lines = |number, events: &[_]| {
            let text = fs::read_to_string(recorded(root.path(), number, events).journal_path()).unwrap();
            text.split_inclusive('\n').map(str::to_owned).collect::<Vec<_>>()
        };
        let whole = lines(3, &[started(0), round(0, 0.5), round(1, 0.6), round(2, 0.7)]);
        let ended = lines(4, &[started(0), round(0, 0.5), finished()]);
        fs::write(first.journal_path(), [&ended.concat(), &whole[3]].map(String::as_str).concat()).unwrap();
        let error = followed.read_on().unwrap_err();
        assert!(matches!(error, RunError::Order { .. }), "{error}");
        assert!(followed.read_on().is_err());
        fs::write(first.journal_path(), whole.concat()).unwrap();
        followed.read_on().unwrap();
        assert_eq!(followed.run().history.rows().count(), 3);
    }
}

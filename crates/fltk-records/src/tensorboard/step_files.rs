//! Event files for steps that are counted from 1 and recomputed each time: those of a stream's jobs, in the order in which they ended.
//!
//! Usually there are only additional steps, which are appended. If earlier steps have changed, a new file voids all steps from the first
//! change on.

use std::path::Path;

use prost::Message as _;

use super::{
    NAMES_MAX, START, complete, encoded, file_name, opening, proto, proto::What, record::unframe, remove_others, run_events, seconds_of,
};
use crate::files::{self, FileError};

/// The largest event files that are read, in bytes in total: those of several million jobs. Larger ones are rewritten.
const BYTES_MAX: u64 = 1 << 30;

/// Scalars by step.
#[derive(Debug)]
pub(crate) struct Steps {
    /// The earliest possible start of the first step, in seconds since 1970.
    began: f64,
    /// The event of each step, beginning with step 1.
    events: Vec<proto::Event>,
}

/// The steps that TensorBoard shows for the existing files.
struct Shown {
    /// The event of each step, beginning with step 1.
    steps: Vec<Vec<u8>>,
    /// The name and content of the last file.
    last: Option<(String, Vec<u8>)>,
    /// True if every file is complete and was written by this module.
    is_sound: bool,
}

impl Steps {
    /// Creates an empty list of steps.
    pub(crate) fn new(began: f64) -> Self {
        Self { began, events: Vec::new() }
    }

    /// Adds the next step: its time, in seconds since 1970, and its scalars by tag.
    pub(crate) fn add(&mut self, wall_time: f64, values: impl Iterator<Item = (String, f64)>) {
        let step = self.events.len() as i64 + 1;
        self.events.push(run_events::scalars(wall_time, step, values));
    }

    /// Updates the event files in `folder` so that TensorBoard, even one that is already reading them, shows exactly these steps.
    ///
    /// # Errors
    /// If a file can't be read or written.
    pub(crate) fn write(&self, folder: &Path) -> Result<(), FileError> {
        let names: Vec<String> = files::names_in(folder, NAMES_MAX)?.into_iter().filter(|name| seconds_of(name).is_some()).collect();
        let shown = Shown::of(folder, &names)?;
        let wanted: Vec<Vec<u8>> = self.events.iter().map(proto::Event::encode_to_vec).collect();
        let same = if shown.is_sound { shown.steps.iter().zip(&wanted).take_while(|(left, right)| left == right).count() } else { 0 };
        let rest = &self.events[same..];
        #[expect(clippy::cast_possible_truncation, reason = "seconds since 1970")]
        let (name, bytes) = match shown.last {
            None => (file_name(self.began as i64), encoded(&[opening(self.began, None), rest.to_vec()].concat())),
            Some((name, mut bytes)) if shown.is_sound && shown.steps.len() == same => {
                bytes.extend(encoded(rest));
                (name, bytes)
            }
            Some((name, _)) => {
                let void_from = if same == 0 { 0 } else { same as i64 + 1 };
                let seconds = seconds_of(&name).map_or(self.began as i64, |seconds| seconds + 1);
                (file_name(seconds), encoded(&[opening(self.began, Some(void_from)), rest.to_vec()].concat()))
            }
        };
        if !shown.is_sound {
            remove_others(folder, std::slice::from_ref(&name))?;
        }
        complete(&folder.join(name), &bytes)?;
        Ok(())
    }
}

impl Shown {
    fn of(folder: &Path, names: &[String]) -> Result<Self, FileError> {
        let mut shown = Self { steps: Vec::new(), last: None, is_sound: true };
        let mut bytes_left = BYTES_MAX;
        for name in names {
            let bytes = match files::read(&folder.join(name), bytes_left) {
                Ok(bytes) => bytes,
                Err(FileError::TooLarge { .. } | FileError::NotAFile { .. }) => {
                    shown.is_sound = false;
                    Vec::new()
                }
                Err(error) => return Err(error),
            };
            bytes_left -= bytes.len() as u64;
            shown.is_sound &= shown.take_in(&bytes).is_some();
            shown.last = Some((name.clone(), bytes));
        }
        Ok(shown)
    }

    /// Adds the content of a file; `None` if it isn't a complete file of this module.
    fn take_in(&mut self, bytes: &[u8]) -> Option<()> {
        let (records, rest) = unframe(bytes);
        if !rest.is_empty() {
            return None;
        }
        for record in records {
            let event = proto::Event::decode(record).ok()?;
            let before = usize::try_from(event.step.max(1) - 1).ok()?;
            match event.what? {
                What::FileVersion(_) => {}
                What::SessionLog(log) if log.status == START => self.steps.truncate(before),
                What::Summary(_) if before == self.steps.len() => self.steps.push(record.to_vec()),
                What::SessionLog(_) | What::Summary(_) => return None,
            }
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn steps(values: &[f64]) -> Steps {
        let mut steps = Steps::new(1000.5);
        values.iter().for_each(|value| steps.add(2000.0, [("a".to_owned(), *value)].into_iter()));
        steps
    }

    fn names(folder: &Path) -> Vec<String> {
        files::names_in(folder, 10).unwrap()
    }

    fn shown(folder: &Path) -> usize {
        let shown = Shown::of(folder, &names(folder)).unwrap();
        assert!(shown.is_sound);
        shown.steps.len()
    }

    #[test]
    fn new_steps_are_appended_and_changed_steps_void_later_ones() {
        use std::os::unix::fs::MetadataExt as _;
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        steps(&[]).write(folder).unwrap();
        let first = file_name(1000);
        assert_eq!((names(folder), shown(folder)), (vec![first.clone()], 0));
        let inode = fs::metadata(folder.join(&first)).unwrap().ino();
        for values in [&[1.0, 2.0][..], &[1.0, 2.0], &[1.0, 2.0, 3.0]] {
            steps(values).write(folder).unwrap();
            assert_eq!((names(folder), shown(folder)), (vec![first.clone()], values.len()));
        }
        assert_eq!(fs::metadata(folder.join(&first)).unwrap().ino(), inode, "it is the same file");
        // The second step changes, and then there are fewer steps.
        steps(&[1.0, 5.0]).write(folder).unwrap();
        assert_eq!((names(folder), shown(folder)), (vec![first.clone(), file_name(1001)], 2));
        steps(&[1.0]).write(folder).unwrap();
        assert_eq!((names(folder), shown(folder)), (vec![first, file_name(1001), file_name(1002)], 1));
        let last = fs::read(folder.join(file_name(1002))).unwrap();
        let restarts = encoded(&opening(1000.5, Some(2)));
        assert_eq!(last, restarts);
    }

    #[test]
    fn damaged_files_are_rewritten_under_a_later_name() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        steps(&[1.0, 2.0]).write(folder).unwrap();
        let whole = fs::read(folder.join(file_name(1000))).unwrap();
        fs::write(folder.join(file_name(1000)), &whole[..whole.len() - 1]).unwrap();
        steps(&[1.0, 2.0]).write(folder).unwrap();
        assert_eq!((names(folder), shown(folder)), (vec![file_name(1001)], 2));
    }

    #[test]
    fn earlier_file_without_starts_is_continued() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let before = [&opening(1000.5, None)[..1], &steps(&[1.0]).events].concat();
        fs::write(folder.join(file_name(1000)), encoded(&before)).unwrap();
        steps(&[1.0, 2.0]).write(folder).unwrap();
        assert_eq!((names(folder), shown(folder)), (vec![file_name(1000)], 2));
    }
}

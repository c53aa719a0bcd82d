//! The number of jobs in each state, where it can be told without folding the journal.

use std::collections::BTreeMap;

use super::{JOURNAL, StreamFolder, derived};
use crate::files;

/// The largest table of jobs that is counted, in bytes: a hundred thousand jobs. A larger one isn't cheap.
const TABLE_BYTES_MAX: u64 = 32 << 20;
/// The largest number of states: a table with more isn't one of ours.
const STATES_MAX: usize = 100;
/// The column with the state.
const STATE: &str = "state";

impl StreamFolder {
    /// Returns the number of jobs in each state, by the table that the last orchestrator left; `None` if there is no such table, or it is older
    /// than the journal, as while a stream runs.
    #[must_use]
    pub fn states(&self) -> Option<BTreeMap<String, u32>> {
        let table = self.path.join(derived::CSV);
        let modified =
            |path| files::require_plain(path).and_then(|metadata| metadata.modified().map_err(files::FileError::io("read", path)));
        if modified(&table).ok()? < modified(&self.path.join(JOURNAL)).ok()? {
            return None;
        }
        count(&files::read(&table, TABLE_BYTES_MAX).ok()?)
    }
}

/// Counts the states in a table of jobs; `None` if it isn't one.
fn count(table: &[u8]) -> Option<BTreeMap<String, u32>> {
    let mut reader = csv::Reader::from_reader(table);
    let column = reader.headers().ok()?.iter().position(|name| name == STATE)?;
    let mut states = BTreeMap::new();
    for record in reader.records() {
        let record = record.ok()?;
        let state = record.get(column)?;
        *states.entry(files::printable(state)).or_insert(0) += 1;
        if states.len() > STATES_MAX {
            return None;
        }
    }
    Some(states)
}

#[cfg(test)]
mod tests {
    use fltk_core::event::RunEvent;

    use super::*;
    use crate::{StreamDescription, StreamTexts, samples::at, stream_folder::derived::JobRow};

    #[test]
    fn states_are_counted_while_the_table_is_current() {
        let root = tempfile::tempdir().unwrap();
        let folder = StreamFolder::create::<RunEvent>(root.path(), &StreamDescription::example(), &StreamTexts::default()).unwrap();
        assert_eq!(folder.states(), None);
        let job = |job: &str, state| JobRow { job: job.to_owned(), state, reason: Some("a,\n\"b\"".to_owned()), ..JobRow::default() };
        derived::write(&folder, &[job("a", "failed"), job("b", "succeeded"), job("c", "succeeded")]).unwrap();
        assert_eq!(folder.states(), Some([("failed".to_owned(), 1), ("succeeded".to_owned(), 2)].into()));
        let (mut journal, _) = folder.journal::<RunEvent>().unwrap();
        journal.append(&RunEvent::Started { from: 0.into(), version: "0".into() }, at(0)).unwrap();
        let journal = std::fs::File::open(folder.path().join(JOURNAL)).unwrap();
        journal.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(1 << 33)).unwrap();
        assert_eq!(folder.states(), None, "the journal went on");
    }

    #[test]
    fn other_tables_are_not_counted() {
        for table in ["", "a,b\n1,2\n", "state,a\nfailed\n"] {
            assert_eq!(count(table.as_bytes()), None, "{table}");
        }
        let many: String = (0..200).map(|state| format!("{state}\n")).collect();
        assert_eq!(count(format!("state\n{many}").as_bytes()), None);
        assert_eq!(count(b"a,state\n1,failed\n2,a\x07\n3,a\x07\n").unwrap().into_values().collect::<Vec<_>>(), [2, 1]);
    }
}

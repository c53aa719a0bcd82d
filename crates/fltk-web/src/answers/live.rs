//! The rows of a run that a client lacks, as it follows the run: pieces of bounded size, one after another.

use fltk_records::{
    RunRef,
    history::{Row, Status},
    summary::RunSummary,
};
use jiff::Timestamp;

/// The size beyond which a piece takes no further row, in bytes: with it, a slow client keeps little in memory. A row has a kilobyte, or a few
/// hundred for a confusion matrix of a hundred classes.
const PIECE_BYTES: usize = 256 << 10;

/// A run as it was when it was last read.
#[derive(Debug)]
pub struct RunNow {
    /// The run in one line.
    pub summary: RunSummary,
    /// Rounds or epochs, ascending.
    pub rows: Vec<Row>,
}

/// The memory of what a client that follows a run has been sent.
#[derive(Debug)]
pub struct Follower {
    /// The last step that the client said it has, until the first piece; `None` if it has nothing.
    after: Option<u32>,
    /// The steps that it has, ascending, and when each was recorded.
    rows: Vec<(u32, Timestamp)>,
    summary: Option<RunSummary>,
}

/// One event for the client.
#[derive(Debug, PartialEq, Eq)]
pub struct Piece {
    /// The last step that the client then has; `None` if it has none.
    pub last: Option<u32>,
    /// The object `{"summary": ..., "rows": [...], "reset": ...}` in one line.
    pub json: Vec<u8>,
}

impl RunNow {
    /// Returns what a client is sent of `run`.
    #[must_use]
    pub fn of(run: &RunRef) -> Self {
        Self { summary: RunSummary::of(run), rows: run.history.rows().cloned().collect() }
    }

    /// Returns true if no event follows unless somebody starts the run again.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        matches!(self.summary.status, Status::Finished | Status::Failed)
    }
}

impl Follower {
    /// Returns a client that has all rows up to the step `after`.
    #[must_use]
    pub fn new(after: Option<u32>) -> Self {
        Self { after, rows: Vec::new(), summary: None }
    }

    /// Returns the next piece that the client lacks of `now`, and counts it as sent; `None` if it lacks nothing. The last row that it has may
    /// come once more, with further figures. If any row before that changed or is void, all rows come again.
    ///
    /// # Errors
    /// If a row has no JSON form, which doesn't happen.
    pub fn next(&mut self, now: &RunNow) -> Result<Option<Piece>, serde_json::Error> {
        let is_reset = self.forget_changed(&now.rows);
        let is_news = self.summary.as_ref() != Some(&now.summary);
        let lacking = &now.rows[self.rows.len()..];
        if lacking.is_empty() && !is_news && !is_reset {
            return Ok(None);
        }
        let mut json = b"{\"summary\":".to_vec();
        serde_json::to_writer(&mut json, &now.summary)?;
        json.extend_from_slice(b",\"rows\":[");
        for (index, row) in lacking.iter().enumerate() {
            if index > 0 {
                json.push(b',');
            }
            serde_json::to_writer(&mut json, row)?;
            self.rows.push((row.step, row.at));
            if json.len() > PIECE_BYTES {
                break;
            }
        }
        json.extend_from_slice(if is_reset { b"],\"reset\":true}" } else { b"],\"reset\":false}" });
        self.summary = Some(now.summary.clone());
        Ok(Some(Piece { last: self.rows.last().map(|(step, _)| *step), json }))
    }

    /// Forgets the rows that aren't in `rows` any more as they were sent. Returns true if the client has to forget all that it has.
    fn forget_changed(&mut self, rows: &[Row]) -> bool {
        if let Some(after) = self.after.take() {
            // A client that has a step that isn't there has rows of a start that was voided.
            let is_known = rows.last().is_some_and(|last| last.step >= after);
            if is_known {
                // The client may have an earlier form of its last row: a program can report further figures of a step.
                self.rows = rows.iter().take_while(|row| row.step < after).map(|row| (row.step, row.at)).collect();
            }
            return !is_known;
        }
        let same = self.rows.iter().zip(rows).take_while(|(sent, row)| **sent == (row.step, row.at)).count();
        let is_last_updated = same + 1 == self.rows.len() && rows.get(same).is_some_and(|row| row.step == self.rows[same].0);
        let is_reset = same < self.rows.len() && !is_last_updated;
        self.rows.truncate(if is_reset { 0 } else { same });
        is_reset
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use fltk_records::history::Unit;
    use serde_json::{Value as Json, json};

    use super::*;

    fn row(step: u32, second: i64) -> Row {
        Row {
            unit: Unit::Round,
            step,
            at: Timestamp::from_second(second).unwrap(),
            clients: Vec::new(),
            train: None,
            learning_rate: None,
            test: None,
            client_test: None,
            train_seconds: 0.0,
            virtual_seconds: None,
            test_seconds: 0.0,
            sent_bytes: None,
            parallel: None,
            figures: BTreeMap::new(),
        }
    }

    fn now(status: &str, rows: &[(u32, i64)]) -> RunNow {
        let summary = json!({
            "run": "a", "path": "a", "experiment": "a", "task": "a", "kind": "federated", "network": "a", "dataset": "a", "seed": 1, "group": "",
            "status": status, "train_seconds": 0.0, "test_seconds": 0.0, "started_at": "2026-01-02T03:04:05Z", "num_resumptions": 0,
        });
        RunNow { summary: serde_json::from_value(summary).unwrap(), rows: rows.iter().map(|(step, second)| row(*step, *second)).collect() }
    }

    /// Returns the steps, whether all others are void, and the last step of the next piece.
    fn next(follower: &mut Follower, now: &RunNow) -> Option<(Vec<u64>, bool, Option<u32>)> {
        let piece = follower.next(now).unwrap()?;
        let json: Json = serde_json::from_slice(&piece.json).unwrap();
        assert_eq!(json["summary"], serde_json::to_value(&now.summary).unwrap());
        let steps = json["rows"].as_array().unwrap().iter().map(|row| row["step"].as_u64().unwrap()).collect();
        Some((steps, json["reset"].as_bool().unwrap(), piece.last))
    }

    #[test]
    fn only_lacking_rows_are_sent() {
        let mut follower = Follower::new(None);
        assert_eq!(next(&mut follower, &now("running", &[])), Some((vec![], false, None)), "at once, also without rows");
        assert_eq!(next(&mut follower, &now("running", &[])), None);
        let two = now("running", &[(0, 10), (1, 11)]);
        assert_eq!(next(&mut follower, &two), Some((vec![0, 1], false, Some(1))));
        assert_eq!(next(&mut follower, &two), None);
        assert_eq!(next(&mut follower, &now("running", &[(0, 10), (1, 11), (2, 12)])), Some((vec![2], false, Some(2))));
        let ended = now("finished", &[(0, 10), (1, 11), (2, 12)]);
        assert!(ended.has_ended() && !two.has_ended());
        assert_eq!(next(&mut follower, &ended), Some((vec![], false, Some(2))), "the status changed");
        assert_eq!(next(&mut follower, &ended), None);
    }

    #[test]
    fn voided_rows_cause_a_reset() {
        let check = |sent: &[(u32, i64)], then: &[(u32, i64)], expected: Option<(Vec<u64>, bool, Option<u32>)>| {
            let mut follower = Follower::new(None);
            next(&mut follower, &now("running", sent));
            assert_eq!(next(&mut follower, &now("running", then)), expected, "{sent:?} {then:?}");
            assert_eq!(next(&mut follower, &now("running", then)), None);
        };
        let sent = [(0, 10), (1, 11), (2, 12)];
        check(&sent, &sent, None);
        check(&sent, &[(0, 10), (1, 11)], Some((vec![0, 1], true, Some(1))));
        check(&sent, &[], Some((vec![], true, None)));
        check(&sent, &[(0, 10), (1, 20), (2, 21), (3, 22)], Some((vec![0, 1, 2, 3], true, Some(3))));
        // A program may report the last step again.
        check(&sent, &[(0, 10), (1, 11), (2, 20)], Some((vec![2], false, Some(2))));
        check(&sent, &[(0, 10), (1, 11), (2, 20), (3, 21)], Some((vec![2, 3], false, Some(3))));
    }

    #[test]
    fn client_that_comes_back_has_its_rows() {
        let check = |after: u32, rows: &[(u32, i64)], expected: (Vec<u64>, bool, Option<u32>)| {
            let mut follower = Follower::new(Some(after));
            assert_eq!(next(&mut follower, &now("running", rows)), Some(expected), "{after} {rows:?}");
        };
        let rows = [(0, 10), (1, 11), (3, 12)];
        check(0, &rows, (vec![0, 1, 3], false, Some(3)));
        check(2, &rows, (vec![3], false, Some(3)));
        check(3, &rows, (vec![3], false, Some(3)));
        check(4, &rows, (vec![0, 1, 3], true, Some(3)));
        check(0, &[], (vec![], true, None));
    }

    #[test]
    fn many_rows_come_in_pieces() {
        let rows: Vec<(u32, i64)> = (0..10_000).map(|step| (step, i64::from(step))).collect();
        let (now, mut follower, mut steps, mut pieces) = (now("running", &rows), Follower::new(Some(20_000)), Vec::new(), 0);
        while let Some((piece, is_reset, last)) = next(&mut follower, &now) {
            assert_eq!((is_reset, last.map(u64::from)), (pieces == 0, piece.last().copied()));
            steps.extend(piece);
            pieces += 1;
        }
        assert!(pieces > 3, "{pieces}");
        assert!(steps.into_iter().eq(0..10_000));
    }
}

//! The event files of a run as a function of its journal: one for each start.

use std::collections::BTreeMap;

use fltk_core::{event::RunEvent, milestone::Milestone};

use super::{encoded, file_name, opening, proto::Event, run_events};
use crate::{
    RunDescription,
    history::{End, Row},
    journal::Entry,
};

/// Returns names and contents, in order. A file's name has the second in which its start was recorded, or the next second after that of the
/// previous file: so the names sort in order even if two starts are within a second, or if a clock was set back.
pub(super) fn run_files(run: &RunDescription, entries: &[Entry]) -> Vec<(String, Vec<u8>)> {
    let mut all: Vec<(i64, Vec<Event>)> = Vec::new();
    let mut end = None;
    let mut rows: BTreeMap<u32, Row> = BTreeMap::new();
    for entry in entries {
        if let RunEvent::Started { from, .. } = &entry.event {
            // The end of a run that is resumed isn't written.
            end = None;
            let seconds = match all.last() {
                None => run.started_at.as_second(),
                Some((before, _)) => entry.at.as_second().max(before + 1),
            };
            let first_step = all.last().map(|_| first_step(*from));
            let mut events = opening(run_events::seconds(entry.at), first_step);
            events.push(run_events::session_start(run));
            // Points over simulated time have steps of their own, all of which the opening declares void.
            rows.retain(|step, _| first_step.is_some_and(|first| i64::from(*step) < first));
            events.extend(rows.values().filter_map(run_events::over_virtual_time));
            all.push((seconds, events));
        }
        let Some((_, events)) = all.last_mut() else { continue };
        if let Some(row) = Row::of(entry) {
            events.push(run_events::row(&row));
            events.extend(run_events::over_virtual_time(&row));
            rows.insert(row.step, row);
        }
        end = End::of(entry).or(end);
    }
    if let Some((_, events)) = all.last_mut() {
        events.extend(end.as_ref().map(run_events::end));
    }
    all.into_iter().map(|(seconds, events)| (file_name(seconds), encoded(&events))).collect()
}

/// Returns the first step that is recorded after a start from `from`: a fresh start also evaluates the initial model again.
fn first_step(from: Milestone) -> i64 {
    if from == Milestone::START { 0 } else { i64::from(from.completed) + 1 }
}

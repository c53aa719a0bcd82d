//! The event files of a run as a function of its journal: one for each start.

use fltk_core::{event::RunEvent, milestone::Milestone};

use super::{encoded, file_name, opening, proto::Event, run_events};
use crate::{
    RunDescription,
    history::{End, Row},
    journal::Entry,
};

/// Names and contents, the first first. A name has the second in which its start was recorded, or the next one that no file before it has: two starts within
/// a second, or a clock that was put back, are no reason for names that sort otherwise.
pub(super) fn run_files(run: &RunDescription, entries: &[Entry]) -> Vec<(String, Vec<u8>)> {
    let mut all: Vec<(i64, Vec<Event>)> = Vec::new();
    let mut end = None;
    for entry in entries {
        if let RunEvent::Started { from, .. } = &entry.event {
            // Of what goes on again, no end is told.
            end = None;
            let seconds = match all.last() {
                None => run.started_at.as_second(),
                Some((before, _)) => entry.at.as_second().max(before + 1),
            };
            let first_step = all.last().map(|_| first_step(*from));
            let mut events = opening(run_events::seconds(entry.at), first_step);
            events.push(run_events::session_start(run));
            all.push((seconds, events));
        }
        let Some((_, events)) = all.last_mut() else { continue };
        events.extend(Row::of(entry).as_ref().map(run_events::row));
        end = End::of(entry).or(end);
    }
    if let Some((_, events)) = all.last_mut() {
        events.extend(end.as_ref().map(run_events::end));
    }
    all.into_iter().map(|(seconds, events)| (file_name(seconds), encoded(&events))).collect()
}

/// The first step that is recorded after a start from there: a fresh one evaluates the initial model again too.
fn first_step(from: Milestone) -> i64 {
    if from == Milestone::START { 0 } else { i64::from(from.completed) + 1 }
}

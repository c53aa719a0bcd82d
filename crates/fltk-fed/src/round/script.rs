//! The rounds of an asynchronous run that an earlier start recorded: a wall clock decided them, and a run that goes on after an interruption repeats them.

use std::collections::BTreeMap;

use fltk_core::{
    attendance::{Attendance, Attended},
    ids::{ClientId, Round},
};

use super::AbsenceRecord;

/// Rounds that are to be repeated, each with all of its updates. A round that was recorded in part isn't among them: it never ended, so nothing follows
/// from it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Script(BTreeMap<Round, Scripted>);

/// One round.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Scripted {
    /// The clients that count, with the round in which each began.
    counted: BTreeMap<ClientId, Round>,
    /// Those that were lost.
    pub(super) absences: Vec<AbsenceRecord>,
}

impl Script {
    /// Reads what was recorded of the rounds after `completed`, as far as each has all of its `buffer` updates.
    pub(super) fn of(attendance: &Attendance, completed: Round, buffer: u32) -> Self {
        let of_round = |round: Round| {
            let mut scripted = Scripted::default();
            for (&client, attended) in attendance.of(round)? {
                match attended {
                    Attended::Counted { staleness } => drop(scripted.counted.insert(client, Round(round.0.saturating_sub(*staleness)))),
                    Attended::Absent { absence, reason } => {
                        scripted.absences.push(AbsenceRecord { round, client, absence: *absence, reason: reason.clone() });
                    }
                }
            }
            (scripted.counted.len() == buffer as usize).then_some(scripted)
        };
        Self((completed.0 + 1..).map(Round).map_while(|round| Some((round, of_round(round)?))).collect())
    }

    /// Returns what is to be repeated in `round`; `None` if it is free.
    pub(super) fn get(&self, round: Round) -> Option<&Scripted> {
        self.0.get(&round)
    }

    /// Returns the clients that begin in `round` and count in it or later, ascending.
    pub(super) fn begins(&self, round: Round) -> Vec<ClientId> {
        let rounds = self.0.range(round..).flat_map(|(_, scripted)| &scripted.counted);
        let mut clients: Vec<ClientId> = rounds.filter(|(_, began)| **began == round).map(|(client, _)| *client).collect();
        clients.sort_unstable();
        clients
    }

    /// Returns the round from `round` on in which a client counts that began in `began`.
    pub(super) fn counts_in(&self, round: Round, client: ClientId, began: Round) -> Option<Round> {
        self.0.range(round..).find(|(_, scripted)| scripted.counted.get(&client) == Some(&began)).map(|(round, _)| *round)
    }
}

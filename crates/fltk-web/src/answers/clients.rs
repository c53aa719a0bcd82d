//! The clients of a federated run, round by round.

use std::collections::BTreeSet;

use fltk_core::ids::{ClientId, Round};
use fltk_records::history::History;
use serde::{Serialize, Serializer};

/// The part of every client in every round. The lists borrow from the history, which can have millions of entries, and are written one by one.
#[derive(Serialize)]
pub struct Clients<'a> {
    /// The rounds in which any client was selected or tested, ascending.
    pub rounds: BTreeSet<Round>,
    /// The clients that were, ascending.
    pub clients: BTreeSet<ClientId>,
    trained: Trained<'a>,
    absent: Absent<'a>,
    tested: Tested<'a>,
}

/// Round, client, mean training loss or null, samples, seconds, staleness or null, and true if the client is malicious.
struct Trained<'a>(&'a History);
/// Round, client, and why its update didn't count.
struct Absent<'a>(&'a History);
/// Round, client, and its accuracy on test samples of its own, or null.
struct Tested<'a>(&'a History);

impl<'a> Clients<'a> {
    /// Returns the clients of `history`.
    #[must_use]
    pub fn of(history: &'a History) -> Self {
        let keys = || history.clients().keys().chain(history.absences().keys()).chain(history.client_tests().keys());
        Self {
            rounds: keys().map(|(round, _)| *round).collect(),
            clients: keys().map(|(_, client)| *client).collect(),
            trained: Trained(history),
            absent: Absent(history),
            tested: Tested(history),
        }
    }
}

impl Serialize for Trained<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.clients().iter().map(|((round, client), row)| {
            (round, client, row.train.loss, row.train.num_samples, row.seconds, row.staleness, row.malicious)
        }))
    }
}

impl Serialize for Absent<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.absences().iter().map(|((round, client), absence)| (round, client, absence)))
    }
}

impl Serialize for Tested<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.client_tests().iter().map(|((round, client), test)| (round, client, test.accuracy)))
    }
}

#[cfg(test)]
mod tests {
    use fltk_core::{attendance::Absence, client_test::ClientFigures, event::RunEvent, metrics::TrainSummary};
    use fltk_records::journal::Entry;
    use serde_json::{Value as Json, json};

    use super::*;

    fn clients(events: Vec<RunEvent>) -> Json {
        let started = RunEvent::Started { from: 0.into(), version: "0".to_owned() };
        let events = std::iter::once(started).chain(events);
        let entries: Vec<Entry> = (0..).zip(events).map(|(seq, event)| Entry { seq, at: jiff::Timestamp::UNIX_EPOCH, event }).collect();
        serde_json::to_value(Clients::of(&History::fold(&entries).unwrap())).unwrap()
    }

    #[test]
    fn each_client_of_each_round_is_a_row() {
        let trained = |round, client, loss, staleness, malicious| RunEvent::ClientTrained {
            round: Round(round),
            client: ClientId(client),
            train: TrainSummary { num_samples: 600, num_steps: 19, loss },
            seconds: 0.5,
            virtual_seconds: None,
            staleness,
            malicious,
        };
        let absent = RunEvent::ClientAbsent { round: Round(2), client: ClientId(7), absence: Absence::DroppedOut, reason: None };
        let test = |accuracy| ClientFigures { num_samples: Some(10), loss: None, accuracy };
        let tested = |client, accuracy| RunEvent::ClientTested { round: Round(3), client: ClientId(client), test: test(accuracy) };
        let events = vec![
            trained(1, 4, Some(0.25), None, false),
            trained(2, 3, Some(f64::NAN), Some(2), true),
            trained(2, 1, None, None, false),
            absent,
            tested(9, Some(0.75)),
            tested(4, None),
        ];
        let expected = json!({
            "rounds": [1, 2, 3],
            "clients": [1, 3, 4, 7, 9],
            "trained": [
                [1, 4, 0.25, 600, 0.5, null, false], [2, 1, null, 600, 0.5, null, false], [2, 3, null, 600, 0.5, 2, true],
            ],
            "absent": [[2, 7, "dropped_out"]],
            "tested": [[3, 4, null], [3, 9, 0.75]],
        });
        assert_eq!(clients(events), expected);
        let nobody = json!({ "rounds": [], "clients": [], "trained": [], "absent": [], "tested": [] });
        assert_eq!(clients(Vec::new()), nobody);
    }
}

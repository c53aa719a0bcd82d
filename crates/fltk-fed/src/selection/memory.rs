//! The server's memory of each client for a selection: its last round that counted, and what it reported then.

use fltk_core::{
    ids::{ClientId, Round},
    server_state::ServerState,
};

use super::{Observing, Trained};

/// The last round in which each client counted; 0 for none.
const ROUND: &str = "selection.round";
/// The mean training loss of each client in that round; 0 without one.
const LOSS: &str = "selection.loss";
/// The local steps of each client in that round; on a virtual clock, the seconds from its order to its answer.
const STEPS: &str = "selection.steps";

/// The last part of a client that counted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct LastPart {
    /// The round, counted from 1.
    pub(super) round: f64,
    /// The mean loss over its local steps; 0 if it took none.
    pub(super) loss: f64,
    /// The time that it took: its local steps, or seconds on a virtual clock.
    pub(super) time: f64,
}

/// Returns the last part of `client`; `None` if it never counted.
pub(super) fn last_part(server: &ServerState, client: ClientId) -> Option<LastPart> {
    let of = |name| server.arrays.get(name).and_then(|values| values.get(client.0 as usize)).copied().unwrap_or(0.0);
    let round = of(ROUND);
    (round > 0.0).then(|| LastPart { round, loss: of(LOSS), time: of(STEPS) })
}

/// Notes the parts of all clients that counted in a round.
#[expect(clippy::cast_precision_loss, reason = "updates with more than 2^53 steps are refused")]
pub(super) fn note(this: &Observing<'_>, server: &mut ServerState) {
    let Round(round) = this.round;
    let mut set = |name: &str, value: &dyn Fn(usize) -> f64| {
        let values = server.arrays.entry(name.to_owned()).or_default();
        values.resize(this.samples.len(), 0.0);
        for (place, Trained { client, .. }) in this.trained.iter().enumerate() {
            if let Some(slot) = values.get_mut(client.0 as usize) {
                *slot = value(place);
            }
        }
    };
    set(ROUND, &|_| f64::from(round));
    set(LOSS, &|place| this.trained[place].summary.loss.unwrap_or(0.0));
    set(STEPS, &|place| this.trained[place].duration.unwrap_or(this.trained[place].summary.num_steps as f64));
}

//! The settings of who counts in a federated round.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Duration;
use crate::decimal::product;

/// The clients that count in a round. Without this block, every selected client has to answer, and one that fails ends the run, unless the strategy is a robust one or faults are ordered. With it, a client that
/// fails or is late costs its update and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "participation")]
#[serde(deny_unknown_fields)]
pub struct ParticipationConfig {
    /// Updates that a round needs, at most `clients_per_round`. A round with fewer ends the run with an error.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub min_updates: u32,
    /// Time from the beginning of a round after which no answer counts; there is no limit if left out. It is measured by the wall clock,
    /// or by the virtual one of `simulation`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Duration>,
    /// Share of `clients_per_round` that is selected in addition. The first `clients_per_round` answers count.
    #[schemars(range(min = 0.0, max = 100.0))]
    pub over_select: f64,
}

impl ParticipationConfig {
    /// Returns the number of clients to select if `clients_per_round` answers count: `clients_per_round` times `1 + over_select`, rounded up.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the share is not negative, and `as` takes what is out of range to the nearest end"
    )]
    pub fn num_selected(&self, clients_per_round: u32) -> u64 {
        let more = product(clients_per_round.into(), self.over_select).ceil();
        u64::from(clients_per_round).saturating_add(more as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn over_selection_is_rounded_up_to_whole_clients() {
        let check = |clients_per_round, over_select, expected| {
            let config = ParticipationConfig { min_updates: 1, deadline: None, over_select };
            assert_eq!(config.num_selected(clients_per_round), expected, "{clients_per_round} and {over_select}");
        };
        check(10, 0.0, 10);
        check(10, 0.3, 13);
        check(5, 0.3, 7);
        // In floating point, 100 times 0.07 is 7.000000000000001, and 100 times 1.1 is 110.00000000000001.
        check(100, 0.07, 107);
        check(100, 0.1, 110);
        check(1, 0.001, 2);
        check(1_000_000, 100.0, 101_000_000);
    }
}

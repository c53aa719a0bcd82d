//! The settings of faults to order: clients that drop out, crash or attack, drawn from the seed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::definition;
use crate::{
    catalogue::{Choice, Number, Range},
    decimal::product,
};

/// Faults to order. Who is affected, and when, depends on the root seed alone, by client and round. A client that drops out or has crashed
/// costs its update, and is no error.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "faults")]
#[serde(deny_unknown_fields)]
pub struct FaultsConfig {
    /// Probability that a selected client doesn't answer in a round, drawn for each client and round; below 1.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub drop_out: f64,
    /// Clients that stop to answer for good; none if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crash: Option<CrashConfig>,
    /// The attack of a fraction of the clients, by `type`; none if left out.
    #[schemars(schema_with = "definition::optional_attack")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attack: Option<Choice>,
}

impl FaultsConfig {
    /// Returns true if clients may fail to answer.
    #[must_use]
    pub fn lose_updates(&self) -> bool {
        self.drop_out > 0.0 || self.crash.is_some()
    }
}

/// Clients that stop to answer: each has a round of its own, drawn from `first_round` to `last_round`, from which on it never answers again.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "crash")]
#[serde(deny_unknown_fields)]
pub struct CrashConfig {
    /// Fraction of the clients with samples that crash, rounded to the nearest whole number of clients.
    #[schemars(range(max = 1.0), extend("exclusiveMinimum" = 0.0))]
    pub fraction: f64,
    /// First round in which a client may crash.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub first_round: u32,
    /// Last round in which a client may crash; the task's last if left out.
    #[schemars(range(min = 1, max = 1_000_000))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_round: Option<u32>,
}

/// The fraction of malicious clients. Every attack has this parameter.
pub const ATTACK_FRACTION: Number = Number::required(
    "fraction",
    "Fraction of the clients with samples that are malicious, rounded to the nearest whole number of clients.",
)
.within(Range::positive_up_to(1.0));

/// Returns the number of clients that `fraction` of `num_clients` is, rounded to the nearest.
#[must_use]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a fraction is from 0 to 1")]
pub fn num_affected(fraction: f64, num_clients: u32) -> u32 {
    // What is a half is rounded up.
    product(num_clients.into(), fraction).round() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_are_rounded_to_the_nearest_number_of_clients() {
        let check = |fraction, num_clients, expected| assert_eq!(num_affected(fraction, num_clients), expected, "{fraction}");
        check(0.1, 10, 1);
        check(0.1, 4, 0);
        check(0.25, 10, 3);
        check(1.0, 7, 7);
        // 50 times 0.07 is 3.5000000000000004 in floating point, and 150 times 0.07 is 10.500000000000002; 0.29 times 50 is 14.499999999999998.
        check(0.29, 50, 15);
        check(0.07, 50, 4);
    }
}

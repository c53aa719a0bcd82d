//! The learning rate as a pure function of the number of epochs or rounds passed: `MinCapableStepLR`.

use crate::{
    decimal::product,
    experiment::{Epochs, ScheduleUnit, SchedulerConfig, TrainConfig},
    ids::Round,
};

/// The learning rates of a training: the initial value, and the schedule.
#[derive(Clone, Debug, PartialEq)]
pub struct LearningRates {
    /// The initial step size.
    pub initial: f64,
    /// The schedule; `None` for a constant learning rate.
    pub scheduler: Option<SchedulerConfig>,
}

impl LearningRates {
    /// The learning rates of `train`.
    #[must_use]
    pub fn of(train: &TrainConfig) -> Self {
        Self { initial: train.learning_rate(), scheduler: train.scheduler }
    }

    /// Returns the learning rate after `units` complete epochs or rounds, whichever the schedule counts.
    #[must_use]
    pub fn after(&self, units: u64) -> LearningRate {
        learning_rate(self.scheduler.as_ref(), self.initial, units)
    }

    /// Returns the learning rate of a federated `round`, counted from 1, whose clients train `epochs_per_round` epochs each. A schedule that
    /// counts epochs counts the whole ones of every earlier round, whether or not a client took part.
    #[must_use]
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "numbers of epochs")]
    pub fn of_round(&self, round: Round, epochs_per_round: Epochs) -> LearningRate {
        let before = u64::from(round.0.saturating_sub(1));
        self.after(match self.scheduler.map(|scheduler| scheduler.unit) {
            Some(ScheduleUnit::Epoch) => product(before as f64, epochs_per_round.0) as u64,
            Some(ScheduleUnit::Round) | None => before,
        })
    }
}

/// A learning rate, and whether the schedule's minimum holds it there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LearningRate {
    /// The step size to train with.
    pub value: f64,
    /// True if a reduction was due and left out, because it would have gone below the minimum. This is worth a warning.
    pub held_by_minimum: bool,
}

/// Returns the learning rate after `units` complete epochs or rounds (whichever the schedule counts): `initial`, multiplied by `gamma`
/// after every `step_size` units as long as that stays at or above the minimum.
#[must_use]
pub fn learning_rate(schedule: Option<&SchedulerConfig>, initial: f64, units: u64) -> LearningRate {
    let mut rate = LearningRate { value: initial, held_by_minimum: false };
    let Some(SchedulerConfig { step_size, gamma, minimum_learning_rate, .. }) = schedule else { return rate };
    let reductions = units.checked_div(u64::from(*step_size)).unwrap_or(0);
    for _ in 0..reductions {
        let reduced = rate.value * gamma;
        if reduced < *minimum_learning_rate {
            return LearningRate { held_by_minimum: true, ..rate };
        }
        // If gamma is 1, or the rate is 0, further reductions change nothing.
        if reduced == rate.value {
            return rate;
        }
        rate.value = reduced;
    }
    rate
}

#[cfg(test)]
mod tests {
    use crate::experiment::ScheduleUnit;
    use proptest::prelude::*;

    use super::*;

    fn schedule(step_size: u32, gamma: f64, minimum_learning_rate: f64) -> SchedulerConfig {
        SchedulerConfig { step_size, gamma, minimum_learning_rate, unit: ScheduleUnit::Epoch }
    }

    #[test]
    fn learning_rate_decays_at_every_step_down_to_the_minimum() {
        let halve = schedule(2, 0.5, 0.03);
        let rates: Vec<f64> = (0..8).map(|units| learning_rate(Some(&halve), 0.1, units).value).collect();
        assert_eq!(rates, [0.1, 0.1, 0.05, 0.05, 0.05, 0.05, 0.05, 0.05]);
        let held: Vec<bool> = (0..8).map(|units| learning_rate(Some(&halve), 0.1, units).held_by_minimum).collect();
        assert_eq!(held, [false, false, false, false, true, true, true, true]);
        assert_eq!(learning_rate(None, 0.1, 1000).value, 0.1);
        // Exactly the minimum is allowed.
        assert_eq!(learning_rate(Some(&schedule(1, 0.5, 0.25)), 1.0, 2), LearningRate { value: 0.25, held_by_minimum: false });
    }

    #[test]
    fn rounds_count_in_the_unit_of_the_schedule() {
        let rates = |unit| LearningRates { initial: 0.8, scheduler: Some(SchedulerConfig { unit, ..schedule(2, 0.5, 0.01) }) };
        let of_rounds = |rates: LearningRates| (0..6).map(|round| rates.of_round(Round(round), 3.into()).value).collect::<Vec<_>>();
        // Rounds 0 and 1 begin with the initial rate. There are 0, 3, 6, 9, 12 epochs before rounds 1 to 5, so 0, 1, 3, 4, 6 reductions.
        assert_eq!(of_rounds(rates(ScheduleUnit::Epoch)), [0.8, 0.8, 0.4, 0.1, 0.05, 0.0125]);
        assert_eq!(of_rounds(rates(ScheduleUnit::Round)), [0.8, 0.8, 0.8, 0.4, 0.4, 0.2]);
        assert_eq!(of_rounds(LearningRates { initial: 0.8, scheduler: None }), [0.8; 6]);
    }

    proptest! {
        /// The pure function equals the reference's counter, stepped `units` times.
        #[test]
        fn closed_form_equals_stepping(step_size in 1_u32..20, gamma in 0.01_f64..0.999, minimum in 1e-6_f64..0.1, units in 0_u64..300) {
            let config = schedule(step_size, gamma, minimum);
            let mut rate = 0.1_f64;
            for counter in 1..=units {
                if counter % u64::from(step_size) == 0 && rate * gamma >= minimum {
                    rate *= gamma;
                }
            }
            prop_assert_eq!(learning_rate(Some(&config), 0.1, units).value, rate);
        }

        #[test]
        fn extreme_settings_terminate(step_size in 0_u32..3, gamma in prop::num::f64::ANY, minimum in prop::num::f64::ANY) {
            let _ = learning_rate(Some(&schedule(step_size, gamma, minimum)), 0.1, 100_000);
        }
    }
}

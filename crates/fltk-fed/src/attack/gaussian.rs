//! Gaussian noise: malicious clients send random changes.

use fltk_core::{
    catalogue::{AttackEntry, Entry, Number, Range},
    experiment::ATTACK_FRACTION,
    seed::Purpose,
};
use rand_distr::{Distribution as _, StandardNormal};

use super::{Attack, How};

const DEVIATION: Number =
    Number::new("standard_deviation", 1.0, "Standard deviation of the change of each parameter.").within(Range::POSITIVE);

/// A change of each parameter that is drawn from a normal distribution with mean 0, in place of the honest one: `w_i' = w + sigma z`, with the
/// global model `w`. (Blanchard et al., section 5, draw gradients with a standard deviation of 200.) Draws depend on client and round.
pub static ATTACK: Attack = Attack {
    entry: AttackEntry::new(
        Entry::new("gaussian", "Malicious clients send a normally distributed change of each parameter in place of their own.")
            .paper("Blanchard et al., Machine Learning with Adversaries: Byzantine Tolerant Gradient Descent, 2017, arXiv:1703.02757")
            .parameters(&[ATTACK_FRACTION.parameter(), DEVIATION.parameter()]),
    ),
    how: How::Alone(|this, model| {
        let deviation = DEVIATION.of(this.settings);
        let mut stream = this.seed.stream(Purpose::Attack, &[this.client.0.into(), this.round.0.into()]);
        this.replace_changes(model, |_| {
            let drawn: f64 = StandardNormal.sample(&mut stream);
            deviation * drawn
        });
    }),
};

#[cfg(test)]
mod tests {
    use fltk_core::catalogue::Choice;

    use super::*;
    use crate::attack::by_hand::alone;

    fn sent(global: f32, honest: f32, num: usize, client: u32, round: u32) -> Vec<f32> {
        let settings = Choice::new("gaussian").with("standard_deviation", 200.0);
        alone(&ATTACK, &settings, &vec![global; num], &vec![honest; num], client, round)
    }

    #[test]
    fn changes_are_normal_around_the_global_model_whatever_was_trained() {
        let sent_of = |honest| sent(1000.0, honest, 10_000, 3, 7);
        let drawn = sent_of(1.0);
        assert_eq!(drawn, sent_of(2.0));
        let mean = drawn.iter().map(|value| f64::from(*value)).sum::<f64>() / 10_000.0;
        let variance = drawn.iter().map(|value| (f64::from(*value) - mean).powi(2)).sum::<f64>() / 10_000.0;
        // The standard errors are 200 / 100 = 2 for the mean and 200 / sqrt(2 * 10,000) = 1.4 for the standard deviation: five of each.
        assert!((mean - 1000.0).abs() < 10.0 && (variance.sqrt() - 200.0).abs() < 7.0, "{mean} {variance}");
    }

    #[test]
    fn draws_differ_by_client_and_round() {
        let first = sent(0.0, 0.0, 3, 3, 7);
        assert_ne!(first, sent(0.0, 0.0, 3, 4, 7));
        assert_ne!(first, sent(0.0, 0.0, 3, 3, 8));
    }
}

//! Scaling: malicious clients exaggerate their change, as in model replacement.

use fltk_core::{
    catalogue::{AttackEntry, Entry, Number, Range},
    experiment::ATTACK_FRACTION,
};

use super::{Attack, How};

const FACTOR: Number = Number::new("factor", 10.0, "Size of the change, as a multiple of the honest one.").within(Range::POSITIVE);

/// The honest change times `factor`, `w_i' = w + factor (w_i - w)`, from the global model `w` and the honest model `w_i`. With the number of
/// updates in the average as `factor`, and others that hardly change, the next global model is the client's own (Bagdasaryan et al.,
/// section 4.2, eq. 3, whose `gamma` this is).
///
/// From w = (1, 1) and the honest (3, 0) with `factor: 10`: (1 + 20, 1 - 10) = (21, -9).
pub static ATTACK: Attack = Attack {
    entry: AttackEntry::new(
        Entry::new("scale", "Malicious clients send their change of each parameter times `factor`: model replacement.")
            .paper("Bagdasaryan et al., How To Backdoor Federated Learning, 2020, arXiv:1807.00459")
            .parameters(&[ATTACK_FRACTION.parameter(), FACTOR.parameter()]),
    ),
    how: How::Alone(|this, model| {
        let factor = FACTOR.of(this.settings);
        this.replace_changes(model, |change| factor * change);
    }),
};

#[cfg(test)]
mod tests {
    use fltk_core::catalogue::Choice;

    use super::*;
    use crate::attack::by_hand::alone;

    #[test]
    fn changes_are_multiplied() {
        assert_eq!(alone(&ATTACK, &Choice::new("scale"), &[1.0, 1.0], &[3.0, 0.0], 0, 1), [21.0, -9.0]);
    }

    #[test]
    fn one_client_replaces_the_mean_of_others_that_stand_still() {
        // Of five models four are the global one: the mean is that of the client's honest training.
        let sent = alone(&ATTACK, &Choice::new("scale").with("factor", 5.0), &[1.0, 1.0], &[3.0, 0.0], 0, 1);
        let mean: Vec<f32> = sent.iter().map(|value| (4.0 * 1.0 + value) / 5.0).collect();
        assert_eq!(mean, [3.0, 0.0]);
    }
}

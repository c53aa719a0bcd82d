//! Sign flipping: malicious clients send the opposite of their change.

use fltk_core::{
    catalogue::{AttackEntry, Entry, Number, Range},
    experiment::ATTACK_FRACTION,
};

use super::{Attack, How};

const FACTOR: Number = Number::new("factor", 1.0, "Size of the opposite change, as a multiple of the honest one.").within(Range::POSITIVE);

/// The opposite of the honest change, `w_i' = w - factor (w_i - w)`, from the global model `w` and the honest model `w_i`.
///
/// From w = (1, 1) and the honest (3, 0) with `factor: 1`: (1 - 2, 1 + 1) = (-1, 2).
pub static ATTACK: Attack = Attack {
    entry: AttackEntry::new(
        Entry::new("sign_flip", "Malicious clients send the opposite of their change of each parameter, times `factor`.")
            .paper("Li et al., RSA: Byzantine-Robust Stochastic Aggregation Methods, 2019, arXiv:1811.03761")
            .parameters(&[ATTACK_FRACTION.parameter(), FACTOR.parameter()]),
    ),
    how: How::Alone(|this, model| {
        let factor = FACTOR.of(this.settings);
        this.replace_changes(model, |change| -factor * change);
    }),
};

#[cfg(test)]
mod tests {
    use fltk_core::catalogue::Choice;

    use super::*;
    use crate::attack::by_hand::alone;

    #[test]
    fn changes_have_the_opposite_sign() {
        let sent = |settings: Choice| alone(&ATTACK, &settings, &[1.0, 1.0], &[3.0, 0.0], 0, 1);
        assert_eq!(sent(Choice::new("sign_flip")), [-1.0, 2.0]);
        assert_eq!(sent(Choice::new("sign_flip").with("factor", 4.0)), [-7.0, 5.0]);
    }
}

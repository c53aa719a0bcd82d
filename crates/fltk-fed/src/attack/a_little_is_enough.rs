//! A Little Is Enough: malicious clients stay within the spread of the others.

use fltk_core::{
    catalogue::{AttackEntry, Entry, Number, Range, Word},
    experiment::ATTACK_FRACTION,
};

use super::{Attack, How, Together, parameters, quantile::normal_quantile};

const KNOWLEDGE: Word = Word::new(
    "knowledge",
    &["malicious", "everyone"],
    "The clients whose honest models the malicious ones know: their own, as in the paper, or those of everyone in the round.",
);

const Z: Number = Number::new(
    "z",
    0.0,
    "Distance from the mean in standard deviations; 0 for the paper's, which follows from the numbers of clients and of malicious ones in the round.",
)
.within(Range::NOT_NEGATIVE);

/// All malicious clients send the same, coordinate by coordinate: `mean - z std` of the honest models that they know (algorithm 3 of the paper;
/// the standard deviation is that of the population, as in the authors' code).
///
/// ```text
/// s = floor(n/2 + 1) - f          supporters needed among the n - f others
/// z = Phi^-1((n - f - s)/(n - f))
/// ```
///
/// n and f are the numbers of updates, and of malicious ones among them, that count in the round. Where fewer than one supporter is needed, one
/// is assumed, and a z below 0 is taken as 0. With n = 50 and f = 24: s = 2, z = Phi^-1(24/26) = 1.43.
///
/// With z = 1 and malicious clients at 1 and 3: mean 2, standard deviation 1, so both send 1. A single malicious client that knows only itself
/// sends its honest model.
pub static ATTACK: Attack = Attack {
    entry: AttackEntry::concerted(
        Entry::new(
            "a_little_is_enough",
            "Malicious clients all send the mean less z standard deviations of the honest models that they know, within what robust rules take for honest.",
        )
        .paper("Baruch et al., A Little Is Enough: Circumventing Defenses For Distributed Learning, 2019, arXiv:1902.06156")
        .parameters(&[ATTACK_FRACTION.parameter(), KNOWLEDGE.parameter(), Z.parameter()]),
    ),
    how: How::Together(send),
};

fn send(this: &Together<'_>) -> Vec<f64> {
    let Together { settings, malicious, others } = this;
    let z = match Z.of(settings) {
        0.0 => z_of(malicious.len() + others.len(), malicious.len()),
        given => given,
    };
    let everyone = || malicious.iter().chain(others).copied().collect();
    let known = if KNOWLEDGE.of(settings) == "everyone" { everyone() } else { malicious.clone() };
    let Some(first) = known.first() else { return Vec::new() };
    #[expect(clippy::cast_precision_loss, reason = "a number of clients")]
    let count = known.len() as f64;
    let of_place = |place: usize| {
        let values = || known.iter().map(|model| f64::from(model.floats[place]));
        let mean = values().sum::<f64>() / count;
        let variance = values().map(|value| (value - mean) * (value - mean)).sum::<f64>() / count;
        mean - z * variance.sqrt()
    };
    parameters(first).flatten().map(of_place).collect()
}

/// Returns the paper's z for `n` updates of which `f` are malicious.
#[expect(clippy::cast_precision_loss, reason = "numbers of clients")]
fn z_of(n: usize, f: usize) -> f64 {
    let supporters = (n / 2 + 1).saturating_sub(f).max(1);
    let others = n - f;
    let probability = others.saturating_sub(supporters) as f64 / (others as f64).max(1.0);
    if probability > 0.5 { normal_quantile(probability) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use fltk_core::{catalogue::Choice, model_state::ModelState};

    use super::*;
    use crate::attack::by_hand::model;

    fn sent(settings: &Choice, malicious: &[ModelState], others: &[ModelState]) -> Vec<f64> {
        let together = Together { settings, malicious: malicious.iter().collect(), others: others.iter().collect() };
        send(&together)
    }

    #[test]
    fn z_is_the_papers() {
        let check = |n, f, expected: f64| assert!((z_of(n, f) - expected).abs() < 5e-4, "{n}, {f}: {}", z_of(n, f));
        // s = 26 - 24 = 2, of 26 others: Phi^-1(24/26).
        check(50, 24, 1.426);
        // s = 6 - 4 = 2, of 6 others: Phi^-1(4/6).
        check(10, 4, 0.4307);
        // s = 3 - 2 = 1, of 3 others: Phi^-1(2/3).
        check(5, 2, 0.4307);
        // s = 6 - 1 = 5, of 9 others: 4/9 is below 1/2.
        check(10, 1, 0.0);
        // Malicious majorities need nobody else.
        check(5, 3, 0.0);
        check(9, 6, 0.4307);
        check(4, 4, 0.0);
        check(1, 1, 0.0);
    }

    #[test]
    fn mean_less_z_standard_deviations_of_those_that_are_known() {
        let (malicious, others) = ([model(&[1.0, 10.0]), model(&[3.0, 10.0])], [model(&[2.0, 0.0]), model(&[6.0, 0.0])]);
        let settings = Choice::new("a_little_is_enough").with("z", 1.0);
        assert_eq!(sent(&settings, &malicious, &others), [1.0, 10.0]);
        // Of everyone: mean 3, variance (4 + 0 + 1 + 9)/4 = 3.5; mean 5, standard deviation 5.
        let [first, second] = sent(&settings.clone().with("knowledge", "everyone"), &malicious, &others)[..] else {
            panic!("two parameters")
        };
        assert!((first - (3.0 - 3.5_f64.sqrt())).abs() < 1e-12 && (second - 0.0).abs() < 1e-12, "{first} {second}");
        assert_eq!(sent(&settings.with("z", 2.0), &malicious, &others), [0.0, 10.0]);
    }

    #[test]
    fn a_client_that_knows_only_itself_is_honest() {
        assert_eq!(sent(&Choice::new("a_little_is_enough").with("z", 3.0), &[model(&[1.5, 2.0])], &[model(&[9.0, 9.0])]), [1.5, 2.0]);
    }
}

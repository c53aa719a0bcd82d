//! Krum and Multi-Krum: Blanchard et al., Machine Learning with Adversaries: Byzantine Tolerant Gradient Descent, 2017, arXiv:1703.02757.

use fltk_core::{
    catalogue::{Choice, Entry, Misfit, StrategyEntry, Whole},
    model_state::ModelState,
    server_state::{ServerState, WrongLength},
};

use super::{Gathered, Gathering, Spec, robust};

const PAPER: &str = "Blanchard et al., Machine Learning with Adversaries: Byzantine Tolerant Gradient Descent, 2017, arXiv:1703.02757";
const M: Whole = Whole::required("m", "The number of clients whose models are averaged, from 1 to n - f - 2 of n.").within(1, u32::MAX);

/// The model of the client that is closest to its neighbors:
///
/// ```text
/// score(i) = sum of |w_i - w_j|^2 over the n - f - 2 clients j nearest to i
/// w'       = w_i with the lowest score; of equal ones, that of the lower client
/// ```
///
/// With f = 1 and clients at 0, 1, 3, 4 and 100, each has 2 neighbors: the scores are 1 + 9, 1 + 4, 1 + 4, 1 + 9 and more, so w' = 1, by the
/// lower of two clients with the score 5.
pub static KRUM: Spec = Spec::robust(
    StrategyEntry::new(
        Entry::new("Krum", "The model of the client that is closest to its neighbors; robust.")
            .paper(PAPER)
            .parameters(&[robust::F.parameter()]),
    )
    .cohort(|settings, cohort| check(settings, "Krum", cohort))
    .withstands(robust::withstood),
    |round, gathered, _| Ok(best(round, &gathered, 1)),
);

/// The plain mean of the models of the `m` clients with the lowest scores of [`KRUM`].
///
/// With f = 1, m = 2 and clients at 0, 1, 3, 4 and 100: (1 + 3) / 2 = 2.
pub static MULTI_KRUM: Spec = Spec::robust(
    StrategyEntry::new(
        Entry::new("MultiKrum", "The mean of the models of the clients that are closest to their neighbors; robust.")
            .paper(PAPER)
            .parameters(&[robust::F.parameter(), M.parameter()]),
    )
    .cohort(check_multi)
    .withstands(robust::withstood),
    finish_multi,
);

fn check(settings: &Choice, name: &str, cohort: u32) -> Result<(), Misfit> {
    let needed = 2 * u64::from(robust::F.of(settings)) + 3;
    robust::at_least(settings, name, needed, "2 f + 3", cohort)
}

fn check_multi(settings: &Choice, cohort: u32) -> Result<(), Misfit> {
    check(settings, "MultiKrum", cohort)?;
    let (f, m) = (robust::F.of(settings), M.of(settings));
    let most = cohort.saturating_sub(f).saturating_sub(2);
    if m <= most {
        return Ok(());
    }
    let message = format!("`m` is {m}, and of {cohort} updates with `f: {f}` at most {cohort} - {f} - 2 = {most} may be averaged");
    Err(Misfit { parameter: M.name(), message, hint: "lower `m` or `f`, or raise `clients_per_round`".to_owned() })
}

fn finish_multi(round: &Gathering<'_>, gathered: Gathered, _: &mut ServerState) -> Result<ModelState, WrongLength> {
    Ok(best(round, &gathered, M.of(round.config) as usize))
}

/// Returns the mean of the `num` models with the lowest scores.
fn best(round: &Gathering<'_>, gathered: &Gathered, num: usize) -> ModelState {
    let updates = &gathered.updates;
    let all: Vec<usize> = (0..updates.len()).collect();
    let nearest = updates.len().saturating_sub(robust::F.of(round.config) as usize + 2);
    let mut taken = robust::Distances::new(round, updates).ranked(&all, nearest);
    taken.truncate(num);
    // Sums are in client order.
    taken.sort_unstable();
    robust::model(round, updates, robust::mean_of(round, updates, &taken))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategy::by_hand::{Answer, Run, client};

    fn answers(values: &[f32]) -> Vec<Answer> {
        values.iter().map(|&value| client(&[value])).collect()
    }

    fn krum(f: u32, values: &[f32]) -> Vec<f32> {
        Run::new(&KRUM, Choice::new("Krum").with("f", f), &[0.0]).round(&answers(values))
    }

    #[test]
    fn lowest_score_wins_and_the_lower_client_if_equal() {
        assert_eq!(krum(1, &[0.0, 1.0, 3.0, 4.0, 100.0]), [1.0]);
        assert_eq!(krum(1, &[100.0, 4.0, 3.0, 1.0, 0.0]), [3.0]);
        // With f = 0 each of three has one neighbor: the scores are 4, 1 and 1.
        assert_eq!(krum(0, &[0.0, 2.0, 3.0]), [2.0]);
    }

    #[test]
    fn equal_models_are_neighbors_of_each_other() {
        // Client 2's distance to client 1 is 0: a neighbor like any other. Scores: 0 + 0 for the three fives.
        assert_eq!(krum(1, &[0.0, 5.0, 5.0, 5.0, 9.0]), [5.0]);
    }

    #[test]
    fn distances_of_close_models_are_exact() {
        // In f32, or from norms and inner products, all of these distances would be 0 or noise.
        let far = 16_777_216.0;
        assert_eq!(krum(1, &[far, far + 2.0, far + 4.0, far + 6.0, far + 80.0]), [far + 2.0]);
    }

    #[test]
    fn distances_are_over_parameters_alone() {
        let mut run = Run::new(&KRUM, Choice::new("Krum").with("f", 1), &[0.0]);
        let mut answers = answers(&[0.0, 1.0, 3.0, 4.0, 100.0]);
        answers[1] = client(&[1.0]).buffer(1e30).samples(1 << 52);
        assert_eq!((run.round(&answers), run.buffer()), (vec![1.0], 0.0));
    }

    #[test]
    fn multi_krum_averages_the_lowest_scores_without_weights() {
        let mut run = Run::new(&MULTI_KRUM, Choice::new("MultiKrum").with("f", 1).with("m", 2), &[0.0]);
        let mut answers = answers(&[0.0, 1.0, 3.0, 4.0, 100.0]);
        answers[1] = client(&[1.0]).samples(1 << 40);
        assert_eq!(run.round(&answers), [2.0]);
    }

    #[test]
    fn impossible_cohorts_are_refused() {
        let krum = |f: u32, cohort| check(&Choice::new("Krum").with("f", f), "Krum", cohort);
        assert_eq!(krum(1, 5), Ok(()));
        let refusal = krum(1, 4).unwrap_err();
        assert_eq!(refusal.message, "`Krum` with `f: 1` needs at least 2 f + 3 = 5 updates in a round, and there are 4");
        assert_eq!(krum(u32::MAX, u32::MAX).unwrap_err().parameter, "f");
        let multi = |m: u32| check_multi(&Choice::new("MultiKrum").with("f", 1).with("m", m), 6);
        assert_eq!(multi(3), Ok(()));
        assert_eq!(multi(4).unwrap_err().message, "`m` is 4, and of 6 updates with `f: 1` at most 6 - 1 - 2 = 3 may be averaged");
    }
}

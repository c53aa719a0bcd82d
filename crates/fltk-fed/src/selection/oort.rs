//! Oort: Lai et al., Oort: efficient federated learning via guided participant selection, 2021, arXiv:2010.06081, Algorithm 1, in a version that
//! depends on no real clock.

use fltk_core::{
    catalogue::{Choice, Entry, Misfit, Number, Range, SelectionEntry, Whole},
    ids::ClientId,
    server_state::ServerState,
};

use super::{
    Observing, Selecting, Selection, Trained, draw_uniformly,
    memory::{self, LastPart},
    urn::Urn,
};

const PACER_STEP: Whole = Whole::required(
    "pacer_step",
    "The preferred duration `T` of a client's training before it has changed, and the amount by which it grows: in local steps, of which an epoch of a typical \
     client is a good value, or in seconds from order to answer if time is simulated.",
)
.within(1, u32::MAX);
const WINDOW: Whole = Whole::new(
    "window",
    20,
    "Rounds from one look at `T` to the next: it grows if the utility of these rounds is less than that of as many before them.",
)
.within(1, 1_000_000);
const ALPHA: Number =
    Number::new("alpha", 2.0, "The exponent of the penalty for clients that take longer than `T`; 0 for none.").within(Range::NOT_NEGATIVE);
const EPSILON: Number =
    Number::new("epsilon", 0.9, "The share of a first round that goes to clients that never counted.").within(Range::between(0.0, 1.0));
const EPSILON_DECAY: Number =
    Number::new("epsilon_decay", 0.98, "The factor of that share from each round to the next.").within(Range::between(0.0, 1.0));
const EPSILON_MIN: Number = Number::new("epsilon_min", 0.2, "The smallest such share.").within(Range::between(0.0, 1.0));
const CUTOFF: Number = Number::new(
    "cutoff",
    0.95,
    "The share of the smallest utility among the best that a client needs in order to be drawn: with 1 only the best are.",
)
.within(Range::between(0.0, 1.0));
const CLIP: Number =
    Number::new("clip", 0.95, "The quantile of the statistical utilities above which they are cut off.").within(Range::between(0.0, 1.0));

/// The preferred duration `T`, in local steps or in simulated seconds.
const PREFERRED: &str = "selection.preferred_steps";
/// The sum of the rounds' utilities in the window that goes on, and in the window before.
const UTILITY: &str = "selection.utility";
const UTILITY_BEFORE: &str = "selection.utility_before";

/// Some clients that never counted, uniformly at random, and for the rest of the round clients that did, with probabilities proportional to their
/// utility.
///
/// The statistical utility of client `i` with `n_i` samples is `U_i = n_i l_i`, cut off at its 95 % quantile; its utility in round `R` is
///
/// ```text
/// ((U_i - U_min) / (U_max - U_min) + sqrt(0.1 ln R / L_i)) * (T / t_i)^alpha, without the last factor if t_i <= T
/// ```
///
/// where it counted last in round `L_i`. What stands for what the paper has:
///
/// - `n_i sqrt(mean of squared sample losses)`: the clients report the mean of their losses in that round, `l_i`, not that of the squares.
/// - The duration `t_i`: the number of local steps in that round, or the simulated seconds from order to answer. What a real clock measures would make results depend on the machine.
/// - Utilities are normalized before the term of staleness is added, as the authors' program does: the paper's sum has no common scale.
/// - Clients that never counted are drawn uniformly: nothing is known of their speed.
///
/// Of `K` clients, `floor(K max(0.2, 0.9 * 0.98^(R-1)))` never counted, if there are as many. The others are drawn, without replacement, among those
/// with a utility of at least 95 % of the least among the best that would fill the round.
///
/// Clients of 10, 20 and 40 samples, losses 2, 0.5 and 1, last rounds 1, 2 and 1, and 5, 5 and 20 steps, in round 3 with T = 10: U = 20, 10, 40. The
/// utilities are `1/3 + sqrt(0.1 ln 3)` = 0.6648, `0 + sqrt(0.1 ln 3 / 2)` = 0.2344 and `(1 + 0.3315) / 4` = 0.3329.
pub static SELECTION: Selection = Selection {
    observe,
    ..Selection::new(
        SelectionEntry::new(
            Entry::new(
                "oort",
                "Clients that help most in little time, and a share of clients that never counted. The utility of a client is its samples times its mean training loss \
                 in its last round that counted, plus a term that grows while it isn't selected, less a penalty if it takes longer than a preferred duration. \
                 Durations are seconds if time is simulated, otherwise numbers of local steps: what a real clock measures would make results depend on the machine. \
                 The paper's limits for fairness and \
                 its noise for privacy aren't there.",
            )
            .paper("Lai et al., Oort: efficient federated learning via guided participant selection, 2021, arXiv:2010.06081")
            .parameters(&[
                PACER_STEP.parameter(),
                WINDOW.parameter(),
                ALPHA.parameter(),
                EPSILON.parameter(),
                EPSILON_DECAY.parameter(),
                EPSILON_MIN.parameter(),
                CUTOFF.parameter(),
                CLIP.parameter(),
            ])
            .check(check),
        ),
        select,
    )
};

fn check(settings: &Choice) -> Result<(), Misfit> {
    let (epsilon, min) = (EPSILON.of(settings), EPSILON_MIN.of(settings));
    if min <= epsilon {
        return Ok(());
    }
    let message = format!("`epsilon_min` is {min}, above `epsilon`, which is {epsilon}");
    Err(Misfit { parameter: EPSILON_MIN.parameter().name, message, hint: format!("choose at most {epsilon}, or raise `epsilon`") })
}

fn select(this: &Selecting<'_>) -> Vec<ClientId> {
    let mut stream = this.stream();
    let (mut tried, mut untried) = (Vec::new(), Vec::new());
    for &client in this.eligible {
        match memory::last_part(this.server, client) {
            Some(last) => tried.push((client, last)),
            None => untried.push(client),
        }
    }
    let num_untried = num_untried(this).clamp(this.amount.saturating_sub(tried.len()), untried.len());
    let mut clients = draw_uniformly(&untried, num_untried, &mut stream);
    let mut urn = Urn::new(tickets(&utilities(this, &tried), this.amount - num_untried, CUTOFF.of(this.settings)));
    clients.extend(std::iter::from_fn(|| urn.draw(&mut stream)).take(this.amount - num_untried).map(|place| tried[place].0));
    clients
}

/// Returns the number of clients of a round that never counted, if there are as many.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a share of a number of clients")]
fn num_untried(this: &Selecting<'_>) -> usize {
    let (mut epsilon, decay, min) = (EPSILON.of(this.settings), EPSILON_DECAY.of(this.settings), EPSILON_MIN.of(this.settings));
    // By multiplication: `powi` may be rounded differently on another machine. It ends early unless the decay is close to 1.
    for _ in 1..this.round.0 {
        if epsilon <= min || decay >= 1.0 {
            break;
        }
        epsilon *= decay;
    }
    (this.amount as f64 * epsilon.max(min)).floor() as usize
}

/// Returns the utility of each client that has counted.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a place in a list of clients")]
fn utilities(this: &Selecting<'_>, tried: &[(ClientId, LastPart)]) -> Vec<f64> {
    let statistical: Vec<f64> = tried.iter().map(|(client, last)| statistical_utility(this.samples_of(*client), last.loss)).collect();
    let mut sorted = statistical.clone();
    sorted.sort_by(f64::total_cmp);
    let Some(largest) = sorted.len().checked_sub(1) else { return Vec::new() };
    let (min, max) = (sorted[0], sorted[((CLIP.of(this.settings) * sorted.len() as f64) as usize).min(largest)]);
    let (alpha, preferred) = (ALPHA.of(this.settings), preferred_steps(this.settings, this.server));
    let utility = |(statistical, (_, last)): (f64, &(ClientId, LastPart))| {
        let normalized = if max > min { (statistical.min(max) - min) / (max - min) } else { 0.0 };
        let utility = normalized + (0.1 * f64::from(this.round.0).ln() / last.round).sqrt();
        if last.time > preferred { utility * (preferred / last.time).powf(alpha) } else { utility }
    };
    statistical.into_iter().zip(tried).map(utility).collect()
}

#[expect(clippy::cast_precision_loss, reason = "exact up to 2^53")]
fn statistical_utility(samples: u64, loss: f64) -> f64 {
    samples as f64 * loss.max(0.0)
}

fn preferred_steps(settings: &Choice, server: &ServerState) -> f64 {
    server.scalars.get(PREFERRED).copied().unwrap_or_else(|| f64::from(PACER_STEP.of(settings)))
}

/// Returns whole weights that are proportional to the utilities of those who may be drawn if `amount` of them are; none for the others. There may be
/// a million, and their sum is below 2^53.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number from 0 to 2^32")]
fn tickets(utilities: &[f64], amount: usize, cutoff: f64) -> Vec<u64> {
    const SCALE: f64 = (1_u64 << 32) as f64;
    let mut sorted = utilities.to_vec();
    sorted.sort_by(|one, other| other.total_cmp(one));
    let (Some(best), Some(last)) = (sorted.first(), amount.checked_sub(1).and_then(|last| sorted.get(last))) else {
        return vec![0; utilities.len()];
    };
    let threshold = cutoff * last;
    let ticket = |utility: f64| if *best > 0.0 { (utility / best * SCALE).round().max(1.0) as u64 } else { 1 };
    utilities.iter().map(|utility| if utility.total_cmp(&threshold).is_lt() { 0 } else { ticket(*utility) }).collect()
}

/// Remembers who counted, and lets the preferred duration grow at the end of a window with less utility than the one before: the mean of the
/// statistical utilities of a round's updates, summed over its rounds.
#[expect(clippy::cast_precision_loss, reason = "a number of clients")]
fn observe(this: &Observing<'_>, server: &mut ServerState) {
    memory::note(this, server);
    let utility = |Trained { client, summary, .. }: &Trained| {
        statistical_utility(this.samples.get(client.0 as usize).copied().unwrap_or(0), summary.loss.unwrap_or(0.0))
    };
    let of_round = this.trained.iter().map(utility).sum::<f64>() / this.trained.len().max(1) as f64;
    let of_window = server.scalars.get(UTILITY).copied().unwrap_or(0.0) + of_round;
    if !this.round.0.is_multiple_of(WINDOW.of(this.settings)) {
        server.scalars.insert(UTILITY.to_owned(), of_window);
        return;
    }
    if server.scalars.get(UTILITY_BEFORE).is_some_and(|before| of_window < *before) {
        let grown = preferred_steps(this.settings, server) + f64::from(PACER_STEP.of(this.settings));
        server.scalars.insert(PREFERRED.to_owned(), grown);
    }
    server.scalars.insert(UTILITY_BEFORE.to_owned(), of_window);
    server.scalars.insert(UTILITY.to_owned(), 0.0);
}

#[cfg(test)]
mod tests {
    use fltk_core::{ids::Round, metrics::TrainSummary, seed::Seed};

    use super::*;

    fn settings(pacer_step: u32) -> Choice {
        Choice::new("oort").with("pacer_step", pacer_step)
    }

    fn train(num_steps: u64, loss: f64) -> TrainSummary {
        TrainSummary { num_samples: 1, num_steps, loss: Some(loss) }
    }

    fn observe(server: &mut ServerState, settings: &Choice, round: u32, samples: &[u64], trained: &[(u32, TrainSummary)]) {
        let trained: Vec<Trained> = trained.iter().map(|&(client, train)| Trained::new(ClientId(client), train)).collect();
        (SELECTION.observe)(&Observing { settings, round: Round(round), samples, trained: &trained }, server);
    }

    fn with<T>(
        (settings, server): (&Choice, &ServerState),
        (seed, round): (u64, u32),
        samples: &[u64],
        amount: usize,
        of: impl FnOnce(&Selecting<'_>) -> T,
    ) -> T {
        let eligible: Vec<ClientId> = (0..).zip(samples).map(|(client, _)| ClientId(client)).collect();
        let (seed, round, eligible) = (Seed(seed), Round(round), &eligible[..]);
        of(&Selecting::new(settings, (seed, round), eligible, amount, samples, server))
    }

    fn tried(this: &Selecting<'_>) -> Vec<(ClientId, LastPart)> {
        this.eligible.iter().filter_map(|&client| memory::last_part(this.server, client).map(|last| (client, last))).collect()
    }

    fn assert_close(found: &[f64], expected: &[f64]) {
        assert_eq!(found.len(), expected.len());
        assert!(found.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 5e-5), "{found:?}");
    }

    #[test]
    fn utilities_are_statistical_recent_and_quick() {
        let (settings, samples, mut server) = (settings(10), [10, 20, 40, 5], ServerState::default());
        observe(&mut server, &settings, 1, &samples, &[(0, train(5, 2.0)), (2, train(20, 1.0))]);
        observe(&mut server, &settings, 2, &samples, &[(1, train(5, 0.5))]);
        let utilities_of = |settings: &Choice| with((settings, &server), (1, 3), &samples, 2, |this| utilities(this, &tried(this)));
        assert_close(&utilities_of(&settings), &[0.6648, 0.2344, 0.3329]);
        assert_close(&utilities_of(&settings.clone().with("alpha", 1.0)), &[0.6648, 0.2344, 0.6657]);
        // As many steps as preferred are no reason for a penalty.
        assert_close(&utilities_of(&settings.clone().with("pacer_step", 20)), &[0.6648, 0.2344, 1.3315]);
        // The largest is cut off at the second: 20 of 10 to 20.
        assert_close(&utilities_of(&settings.with("clip", 0.5)), &[1.3315, 0.2344, 0.3329]);
    }

    #[test]
    fn those_near_the_best_are_drawn_by_their_utility() {
        let half = 1 << 31;
        // Two are drawn: the second best has 0.5, and 95 % of that are 0.475.
        assert_eq!(tickets(&[0.5, 1.0, 0.48, 0.47, 0.1], 2, 0.95), [half, 2 * half, 2_061_584_302, 0, 0]);
        assert_eq!(tickets(&[0.5, 1.0, 0.48, 0.47, 0.1], 2, 1.0), [half, 2 * half, 0, 0, 0]);
        assert_eq!(tickets(&[0.5, 1.0, 0.48], 0, 0.95), [0; 3]);
        assert_eq!(tickets(&[0.0, 0.0], 1, 0.95), [1, 1]);
        // A share of 1/3 and 2/3 of the draws, if one of two is drawn and none is cut off.
        let (settings, samples, mut server) =
            (settings(10).with("cutoff", 0.0).with("epsilon", 0.0).with("epsilon_min", 0.0), [10, 10], ServerState::default());
        observe(&mut server, &settings, 1, &samples, &[(0, train(5, 0.0)), (1, train(5, 1.0))]);
        // In round 2: sqrt(0.1 ln 2) = 0.2633, and 1.2633.
        let num = (0..4000)
            .filter(|&seed| with((&settings, &server), (seed, 2), &samples, 1, |this| SELECTION.cohort(this)) == [ClientId(0)])
            .count();
        // 0.2633 / 1.5266 = 0.1725 of 4000 is 690, with a standard deviation of 24.
        assert!((570..810).contains(&num), "{num}");
    }

    #[test]
    fn a_share_of_each_round_never_counted() {
        let (settings, samples) = (settings(10), [10; 40]);
        let mut server = ServerState::default();
        let all: Vec<(u32, TrainSummary)> = (0..20).map(|client| (client, train(5, f64::from(client)))).collect();
        observe(&mut server, &settings, 1, &samples, &all);
        let num_new = |round, amount| {
            let cohort = with((&settings, &server), (1, round), &samples, amount, |this| SELECTION.cohort(this));
            assert_eq!(cohort.len(), amount);
            cohort.iter().filter(|client| client.0 >= 20).count()
        };
        // 0.9 * 0.98 = 0.882; 0.9 * 0.98^10 = 0.735; 0.9 * 0.98^74 = 0.2018, and less is 0.2.
        let found = [num_new(2, 10), num_new(11, 10), num_new(75, 10), num_new(5000, 10)];
        assert_eq!(found, [8, 7, 2, 2]);
        // There are no more than 20 of either.
        assert_eq!([num_new(2, 30), num_new(5000, 30), num_new(2, 40)], [20, 10, 20]);
        // In the first round all are new.
        let first = with((&settings, &ServerState::default()), (1, 1), &samples, 10, |this| SELECTION.cohort(this));
        assert_eq!(first.len(), 10);
    }

    #[test]
    fn the_preferred_duration_grows_when_utility_falls() {
        let (settings, samples) = (settings(7).with("window", 2), [10, 20]);
        let mut server = ServerState::default();
        // Means over updates: 15 and 10, then 10 and 15, then 10 and 14, then 12 and 13.
        let rounds = [(2.0, 0.5), (1.0, 0.5), (1.0, 0.5), (2.0, 0.5), (1.0, 0.5), (1.8, 0.5), (1.4, 0.5), (1.6, 0.5)];
        let mut found = Vec::new();
        for (round, (one, other)) in (1..).zip(rounds) {
            observe(&mut server, &settings, round, &samples, &[(0, train(5, one)), (1, train(5, other))]);
            found.push(preferred_steps(&settings, &server));
        }
        assert_eq!(found, [7.0, 7.0, 7.0, 7.0, 7.0, 14.0, 14.0, 14.0]);
        assert_eq!((server.scalars[UTILITY], server.scalars[UTILITY_BEFORE]), (0.0, 25.0));
    }

    #[test]
    fn the_smallest_share_is_at_most_the_first() {
        assert!(check(&settings(1).with("epsilon", 0.2)).is_ok());
        assert_eq!(check(&settings(1).with("epsilon", 0.1)).unwrap_err().message, "`epsilon_min` is 0.2, above `epsilon`, which is 0.1");
    }
}

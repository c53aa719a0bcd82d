//! Power-of-choice: Cho et al., Client selection in federated learning: convergence analysis and power-of-choice selection strategies, 2020,
//! arXiv:2010.01243.

use fltk_core::{
    catalogue::{Choice, Entry, Misfit, SelectionEntry, SelectionSize, Whole, Word},
    ids::ClientId,
};

use super::{Candidates, Selecting, Selection, memory, weighted::draw_by_samples};

const CANDIDATES: Whole = Whole::required(
    "candidates",
    "The number of candidates `d` of a round: at least as many as are selected, at most `clients`. With as many as are selected this is `weighted`.",
)
.within(1, 1_000_000);

const LOSSES: Word = Word::new(
    "losses",
    &["reported", "current"],
    "The losses that decide: `reported`, the mean over the local steps of the client's last round that counted (the paper's rpow-d, which costs nothing); \
     or `current`, that of the current model on the client's training samples, which every candidate measures before the clients of a round are \
     selected (pi_pow-d).",
);

const LOSS_SAMPLES: Whole = Whole::new(
    "loss_samples",
    0,
    "With `losses: current`: the number of samples, drawn anew for each round, on which a candidate measures its loss (the paper's cpow-d); 0 for all that it has.",
);

/// `candidates` clients are drawn with probabilities proportional to their samples, without replacement; of them those with the largest losses are
/// selected. By default, a client's loss is the mean over its local steps in the last round in which it counted (the paper's rpow-d); one that never
/// counted goes before all others, and among several of these the one that was drawn first. With `losses: current`, each candidate first measures
/// the loss of the current model (pi_pow-d, or cpow-d with `loss_samples`); one that can't isn't selected.
///
/// Candidates 7, 2, 9 and 4, as drawn, with the losses 0.5, 1.5, none and none: two to select are 9 and 4, three are 9, 4 and 2.
pub static SELECTION: Selection = Selection {
    observe: memory::note,
    candidates,
    ..Selection::new(
        SelectionEntry::new(
            Entry::new(
                "power_of_choice",
                "Those with the largest losses among `candidates`, which are drawn by samples without replacement. A client's loss is the mean over its local \
                 steps in its last round that counted, as it reported it, and one that never counted comes first: the paper's variant rpow-d. With \
                 `losses: current`, candidates first measure the loss of the current model: pi_pow-d, or cpow-d on a few samples.",
            )
            .paper(
                "Cho et al., Client selection in federated learning: convergence analysis and power-of-choice selection strategies, 2020, arXiv:2010.01243",
            )
            .parameters(&[CANDIDATES.parameter(), LOSSES.parameter(), LOSS_SAMPLES.parameter()])
            .check(check),
        )
        .fits(fits)
        .pool(|settings, selected| selected.max(CANDIDATES.of(settings).into())),
        select,
    )
};

fn check(settings: &Choice) -> Result<(), Misfit> {
    if LOSS_SAMPLES.of(settings) > 0 && LOSSES.of(settings) != "current" {
        let message = "`loss_samples` has no meaning with `losses: reported`: no loss is measured".to_owned();
        return Err(Misfit { parameter: LOSS_SAMPLES.name(), message, hint: "add `losses: current`, or remove `loss_samples`".to_owned() });
    }
    Ok(())
}

fn fits(settings: &Choice, SelectionSize { selected, clients }: SelectionSize) -> Result<(), Misfit> {
    let candidates = CANDIDATES.of(settings);
    let misfit = |message, hint| Err(Misfit { parameter: CANDIDATES.name(), message, hint });
    if u64::from(candidates) < selected {
        let message = format!("`candidates` is {candidates}, and {selected} clients are selected among them for a round");
        return misfit(message, format!("choose at least {selected}; with more, clients with large losses are preferred more"));
    }
    if u64::from(candidates) > clients {
        let message = format!("`candidates` is {candidates}, and there are {clients} clients to draw them from");
        return misfit(message, format!("choose at most {clients}"));
    }
    Ok(())
}

fn draw(this: &Selecting<'_>) -> Vec<ClientId> {
    let num_candidates = (CANDIDATES.of(this.settings) as usize).max(this.amount);
    draw_by_samples(this, num_candidates, &mut this.stream())
}

fn candidates(this: &Selecting<'_>) -> Candidates {
    match LOSSES.of(this.settings) {
        "current" => Candidates { clients: draw(this), num_samples: LOSS_SAMPLES.of(this.settings) },
        _ => Candidates::default(),
    }
}

fn select(this: &Selecting<'_>) -> Vec<ClientId> {
    // Those that measured a loss were drawn before they did; others may have come and gone since.
    let mut candidates = if LOSSES.of(this.settings) == "current" { this.losses.keys().copied().collect() } else { draw(this) };
    // Stable: those that never counted keep the order of their draw, and so do equal losses.
    candidates.sort_by(|&one, &other| loss(this, other).total_cmp(&loss(this, one)));
    candidates.truncate(this.amount);
    candidates
}

fn loss(this: &Selecting<'_>, client: ClientId) -> f64 {
    match this.losses.get(&client) {
        Some(loss) => *loss,
        None => memory::last_part(this.server, client).map_or(f64::INFINITY, |last| last.loss),
    }
}

#[cfg(test)]
mod tests {
    use fltk_core::{ids::Round, metrics::TrainSummary, seed::Seed, server_state::ServerState};

    use super::*;
    use crate::selection::{Observing, Trained};

    /// Clients 0 to 9, of which 0, 3 and 6 hold no samples.
    const SAMPLES: [u64; 10] = [0, 10, 20, 0, 30, 10, 0, 50, 20, 40];

    fn settings(candidates: u32) -> Choice {
        Choice::new("power_of_choice").with("candidates", candidates)
    }

    fn with_losses(losses: &[(u32, f64)]) -> ServerState {
        let trained: Vec<Trained> = losses
            .iter()
            .map(|&(client, loss)| Trained::new(ClientId(client), TrainSummary { num_samples: 10, num_steps: 2, loss: Some(loss) }))
            .collect();
        let mut server = ServerState::default();
        let settings = settings(4);
        (SELECTION.observe)(&Observing { settings: &settings, round: Round(1), samples: &SAMPLES, trained: &trained }, &mut server);
        server
    }

    fn with<T>(server: &ServerState, round: u32, candidates: u32, amount: usize, of: impl FnOnce(&Selecting<'_>) -> T) -> T {
        let eligible = [1, 2, 4, 5, 7, 8, 9].map(ClientId);
        let (settings, seed, round) = (settings(candidates), Seed(42), Round(round));
        let (settings, eligible) = (&settings, &eligible[..]);
        of(&Selecting::new(settings, (seed, round), eligible, amount, &SAMPLES, server))
    }

    /// The law, from the candidates as they were drawn.
    #[test]
    fn candidates_with_the_largest_losses_are_selected() {
        let losses = [(1, 0.1), (2, 0.9), (4, 0.4), (5, 0.7), (7, 0.2), (8, 0.8), (9, 0.3)];
        let server = with_losses(&losses);
        let mut seen = std::collections::BTreeSet::new();
        for round in 2..40 {
            let drawn = with(&server, round, 4, 2, |this| draw_by_samples(this, 4, &mut this.stream()));
            let mut by_loss: Vec<(f64, u32)> =
                losses.iter().filter(|(client, _)| drawn.contains(&ClientId(*client))).map(|&(client, loss)| (loss, client)).collect();
            assert_eq!(by_loss.len(), 4);
            by_loss.sort_by(|one, other| other.0.total_cmp(&one.0));
            let mut expected = [ClientId(by_loss[0].1), ClientId(by_loss[1].1)];
            expected.sort_unstable();
            assert_eq!(with(&server, round, 4, 2, |this| SELECTION.cohort(this)), expected, "round {round}");
            seen.extend(expected);
        }
        // Not just the largest of all.
        assert!(seen.len() >= 4, "{seen:?}");
        // All are candidates: the largest losses are those of 2, 8 and 5.
        assert_eq!(with(&server, 2, 7, 3, |this| SELECTION.cohort(this)), [2, 5, 8].map(ClientId));
    }

    #[test]
    fn clients_that_never_counted_come_first_in_the_order_of_their_draw() {
        let server = with_losses(&[(1, 0.1), (2, 0.9), (4, 100.0), (5, 0.7), (7, 0.2)]);
        assert_eq!(with(&server, 2, 7, 3, |this| SELECTION.cohort(this)), [4, 8, 9].map(ClientId));
        let server = ServerState::default();
        for round in 1..20 {
            let mut first = with(&server, round, 5, 2, |this| draw_by_samples(this, 2, &mut this.stream()));
            first.sort_unstable();
            assert_eq!(with(&server, round, 5, 2, |this| SELECTION.cohort(this)), first);
        }
    }

    #[test]
    fn only_what_is_possible_is_accepted() {
        let check = |candidates, selected, clients, expected: &str| {
            let found = (SELECTION.entry.fits)(&settings(candidates), SelectionSize { selected, clients });
            assert_eq!(found.map_or_else(|misfit| misfit.message, |()| "fine".to_owned()), expected);
        };
        check(5, 5, 5, "fine");
        check(4, 5, 9, "`candidates` is 4, and 5 clients are selected among them for a round");
        check(10, 5, 9, "`candidates` is 10, and there are 9 clients to draw them from");
    }
}

//! The selection by which clients take turns.

use fltk_core::{
    catalogue::{Entry, SelectionEntry},
    ids::ClientId,
};

use super::{Selecting, Selection};

/// Clients take turns in their order. Of the clients 0, 1, 2, 4 and 5 two at a time are 0 and 1, then 2 and 4, then 5 and 0.
pub static SELECTION: Selection = Selection::new(
    SelectionEntry::new(Entry::new(
        "cyclic",
        "Clients take turns in their order: each round takes the next ones, and after the last client comes the first. One that fails or drops out, where a round goes on without it, loses its turn.",
    ))
    .everybody(),
    select,
);

fn select(this: &Selecting<'_>) -> Vec<ClientId> {
    let num_turns = u64::from(this.round.0.saturating_sub(1)).saturating_mul(this.amount as u64);
    let first = num_turns.checked_rem(this.eligible.len() as u64).and_then(|first| usize::try_from(first).ok()).unwrap_or(0);
    this.eligible.iter().cycle().skip(first).take(this.amount).copied().collect()
}

#[cfg(test)]
mod tests {
    use fltk_core::{catalogue::Choice, ids::Round, seed::Seed, server_state::ServerState};

    use super::*;

    #[test]
    fn clients_take_turns() {
        let eligible = [0, 1, 2, 4, 5].map(ClientId);
        let check = |round: u32, amount: usize, expected: &[u32]| {
            let (settings, server, seed) = (&Choice::new("cyclic"), &ServerState::default(), Seed(1));
            let this = Selecting::new(settings, (seed, Round(round)), &eligible, amount, &[], server);
            let found: Vec<u32> = SELECTION.cohort(&this).into_iter().map(|client| client.0).collect();
            assert_eq!(found, expected, "round {round}, {amount} clients");
        };
        for (round, expected) in (1..).zip([0, 1, 2, 4, 5, 0, 1]) {
            check(round, 1, &[expected]);
        }
        check(1, 2, &[0, 1]);
        check(2, 2, &[2, 4]);
        check(3, 2, &[0, 5]);
        check(4, 2, &[1, 2]);
        check(2, 5, &[0, 1, 2, 4, 5]);
        check(2, 9, &[0, 1, 2, 4, 5]);
        // 999,999 rounds of 4 are 3,999,996 turns: 4 * 999,999 = 1 modulo 5.
        check(1_000_000, 4, &[1, 2, 4, 5]);
    }
}

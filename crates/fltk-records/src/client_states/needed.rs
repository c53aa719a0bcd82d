//! Which files of a client's states are needed: a decision about rounds, without files.

use std::collections::BTreeSet;

use fltk_core::ids::Round;

/// Returns the rounds after which a client's states are no longer needed, given those after which there is one. `oldest` is the round of the
/// oldest checkpoint that is kept, and `last` is the client's last round that counted until then. A run that resumes from any kept
/// checkpoint needs the state of `last`, or a later one.
pub(super) fn superseded(rounds: &BTreeSet<Round>, oldest: Round, last: Option<Round>) -> Vec<Round> {
    rounds.range(..=oldest).copied().filter(|round| Some(*round) != last).collect()
}

/// Returns the rounds after `after`: their states are void once the run resumes from there.
pub(super) fn void(rounds: &BTreeSet<Round>, after: Round) -> Vec<Round> {
    rounds.iter().copied().filter(|round| *round > after).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rounds(rounds: &[u32]) -> BTreeSet<Round> {
        rounds.iter().copied().map(Round).collect()
    }

    #[test]
    fn a_state_is_superseded_once_the_oldest_checkpoint_has_a_later_one() {
        let check = |there: &[u32], oldest: u32, last: Option<u32>, expected: &[u32]| {
            let found = superseded(&rounds(there), Round(oldest), last.map(Round));
            assert_eq!(found, expected.iter().copied().map(Round).collect::<Vec<_>>(), "{there:?} at {oldest}, {last:?}");
        };
        check(&[], 4, None, &[]);
        check(&[3], 4, Some(3), &[]);
        check(&[4], 4, Some(4), &[]);
        check(&[1, 3], 4, Some(3), &[1]);
        check(&[1, 3, 5, 6], 4, Some(3), &[1]);
        check(&[5, 6], 4, None, &[]);
        // The client was idle for long: its only state stays.
        check(&[1], 400, Some(1), &[]);
        // The update of round 4 was refused, so its state doesn't count, and that of round 3 is still needed.
        check(&[1, 3, 4, 6], 5, Some(3), &[1, 4]);
        check(&[2], 3, None, &[2]);
    }

    #[test]
    fn what_is_later_than_the_checkpoint_to_resume_from_is_void() {
        let check = |there: &[u32], after: u32, expected: &[u32]| {
            assert_eq!(void(&rounds(there), Round(after)), expected.iter().copied().map(Round).collect::<Vec<_>>());
        };
        check(&[], 0, &[]);
        check(&[1, 2], 0, &[1, 2]);
        check(&[1, 4, 5], 4, &[5]);
        check(&[1, 4], 4, &[]);
    }
}

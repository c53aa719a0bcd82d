//! Generated inputs for everything that reads what others send: the decoder, objects that arrive, and the hub.
//!
//! Inputs follow from a seed, so that what was found is found again: valid messages of which a few bytes are others, and bytes that mean nothing. Whatever comes is refused or
//! taken, and nothing panics.
//!
//! Not for: what is refused and why, which tests of the parts check.

mod calls;
mod messages;

use self::{calls::Calls, messages::Messages};
use crate::draws::Draws;

/// Generates so many inputs from `seed`, and passes them on. `done` is called after each with the number of those that are over.
///
/// # Panics
/// If an input makes something panic, or the hub gives work to a node that isn't there.
pub fn run(seed: u64, inputs: u64, done: &mut dyn FnMut(u64)) {
    let mut draws = Draws::new(seed);
    let messages = Messages::new();
    let mut calls = Calls::new();
    for over in 1..=inputs {
        match draws.below(4) {
            0 | 1 => messages.decode(&mut draws),
            2 => messages.receive(&mut draws),
            _ => calls.call(&mut draws),
        }
        done(over);
    }
}

/// Changes a few bytes, or none.
fn mutate(draws: &mut Draws, bytes: &mut Vec<u8>) {
    for _ in 0..draws.below(4) {
        let at = draws.index(bytes.len() + 1);
        let byte = draws.next().to_le_bytes()[0];
        match draws.below(6) {
            0 => bytes.insert(at, byte),
            1 => bytes.truncate(at),
            2 => bytes.extend_from_slice(&draws.next().to_le_bytes()),
            3 if at < bytes.len() => drop(bytes.remove(at)),
            4 if at < bytes.len() => bytes[at] ^= 1 << (byte % 8),
            // The largest numbers, and the longest.
            _ if at < bytes.len() => bytes[at] = if byte.is_multiple_of(2) { 0xff } else { byte },
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_input_makes_anything_panic() {
        let mut num_over = 0;
        for seed in [1, 2] {
            run(seed, 10_000, &mut |_| num_over += 1);
        }
        assert_eq!(num_over, 20_000);
    }
}

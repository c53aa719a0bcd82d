//! Who is lost: ranks that notice a failure say so in the store, and those that don't within a few seconds are missing.

use std::time::{Duration, Instant};

use crate::{Error, TcpStore};

/// How long the ranks that notice a failure wait for the others to notice it too, before they call them missing.
const ROLL_CALL: Duration = Duration::from_secs(3);

/// The ranks that don't say within [`ROLL_CALL`] that they noticed a failure. Without the store that is rank 0, which serves it, unless it
/// noticed before it ended; it waits longer than the others for that.
pub fn roll_call(store: &TcpStore, own: u32, size: u32) -> Vec<u32> {
    let end = Instant::now() + if own == 0 { ROLL_CALL + ROLL_CALL / 3 } else { ROLL_CALL };
    let (mut missing, mut saw_first) = (Vec::new(), own == 0);
    for rank in (0..size).filter(|&rank| rank != own) {
        let key = failed(rank);
        let left = end.saturating_duration_since(Instant::now());
        let seen = match store.wait(&[&key], left) {
            Ok(()) => Ok(true),
            // The time may have gone to the ranks before this one.
            Err(Error::StoreTimeout { .. }) => store.check(&[&key]),
            Err(error) => Err(error),
        };
        match seen {
            Ok(true) => saw_first |= rank == 0,
            Ok(false) => missing.push(rank),
            Err(_) if saw_first => return missing,
            Err(_) => return vec![0],
        }
    }
    missing
}

/// Set by a rank that is about to join.
pub fn present(rank: u32) -> String {
    format!("torch_dist/present/{rank}")
}

/// Set by a rank that noticed a failure.
pub fn failed(rank: u32) -> String {
    format!("torch_dist/failed/{rank}")
}

/// Set by a rank that left in good order.
pub fn left(rank: u32) -> String {
    format!("torch_dist/left/{rank}")
}

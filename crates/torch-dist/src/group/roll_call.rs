//! The search for lost ranks: ranks that notice a failure report it in the store, and those that don't within a few seconds are missing.

use std::time::{Duration, Instant};

use crate::{Error, TcpStore};

/// The time that the ranks that notice a failure give the others to notice it too, before they report them missing. In the middle
/// of a message that takes two seconds (`PATIENCE` and `TRY_EVERY` in `shim/gloo.hpp`).
const ROLL_CALL: Duration = Duration::from_secs(4);

/// Returns the ranks that don't report a failure within [`ROLL_CALL`]. If the store is gone, that is rank 0, which serves it, unless rank 0
/// reported the failure before it ended. To make that likely, rank 0 waits longer than the others.
pub fn roll_call(store: &TcpStore, own: u32, size: u32) -> Vec<u32> {
    let end = Instant::now() + if own == 0 { ROLL_CALL + ROLL_CALL / 3 } else { ROLL_CALL };
    let (mut missing, mut saw_first) = (Vec::new(), own == 0);
    for rank in (0..size).filter(|&rank| rank != own) {
        let key = failed(rank);
        let left = end.saturating_duration_since(Instant::now());
        let seen = match store.wait(&[&key], left) {
            Ok(()) => Ok(true),
            // The time may have been spent on the ranks before this one.
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

/// The key that a rank sets before it joins group `number`.
pub fn present(number: u32, rank: u32) -> String {
    format!("torch_dist/present/{number}/{rank}")
}

/// The key that a rank sets when it notices a failure, in whichever of its groups.
pub fn failed(rank: u32) -> String {
    format!("torch_dist/failed/{rank}")
}

/// The key that a rank sets when it leaves in good order.
pub fn left(rank: u32) -> String {
    format!("torch_dist/left/{rank}")
}

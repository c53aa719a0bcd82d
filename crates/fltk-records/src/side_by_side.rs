//! The same work on many things, on a few threads.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

/// The limit on threads: each may hold one run's history.
const THREADS_MAX: usize = 4;

/// Does `work` on each of `things`, several at a time, and returns the results in their order.
///
/// # Panics
/// If `work` does.
pub(crate) fn side_by_side<T: Sync, R: Send>(things: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let some = || -> Vec<(usize, R)> {
        let places = std::iter::from_fn(|| Some(next.fetch_add(1, Ordering::Relaxed)));
        places.map_while(|place| Some((place, work(things.get(place)?)))).collect()
    };
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let num_others = cores.min(THREADS_MAX).min(things.len()).saturating_sub(1);
    let mut found = thread::scope(|scope| {
        // Without a further thread, the others do its work.
        let others: Vec<_> = (0..num_others).filter_map(|_| thread::Builder::new().spawn_scoped(scope, some).ok()).collect();
        let mut found = some();
        for other in others {
            match other.join() {
                Ok(more) => found.extend(more),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        found
    });
    found.sort_by_key(|(place, _)| *place);
    found.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_in_order() {
        let things: Vec<usize> = (0..1000).collect();
        assert!(side_by_side(&things, |thing| thing * 2).into_iter().eq((0..1000).map(|thing| thing * 2)));
        assert!(side_by_side(&[], |thing: &usize| *thing).is_empty());
    }
}

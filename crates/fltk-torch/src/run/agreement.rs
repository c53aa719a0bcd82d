//! The comparison of what all ranks must have in common, once they have met: ranks on several hosts read their own files. If one rank had another
//! batch size or other data, the mean of the gradients would be wrong, or a collective would abort.

use std::path::Path;

use fltk::exit::{Exit, failure};
use fltk_data::Dataset;
use fltk_train::ranks::gather_bytes;
use torch_dist::ProcessGroup;

use super::{
    job::Job,
    settings::{DIGEST_BYTES, digests},
};

/// The names, hints and exit codes of the compared items, in the order of [`digests`].
const COMPARED: [(&str, &str, Exit); 3] = [
    ("version of fltk", "run the same program on every host", Exit::Experiment),
    ("task or seed", "start every rank with the same experiment file and the same settings", Exit::Experiment),
    ("data set", "give every host the same files: see `fltk data show`", Exit::Data),
];

/// Fails on every rank of the `control` group if the ranks' jobs differ. The paths of files don't count, their contents do.
///
/// # Errors
/// If ranks differ, a rank is lost, or the file of a network can't be read.
pub fn check(control: &ProcessGroup, job: &Job, dataset: &Dataset, base: &Path) -> anyhow::Result<()> {
    let own = digests(job.task.clone(), job.seed, dataset, base)?;
    let all = gather_bytes(control, &own.concat())?;
    match difference(&all) {
        None => Ok(()),
        Some((rank, compared)) => {
            let (what, hint, exit) = COMPARED[compared];
            Err(failure(exit, format!("rank {rank} has another {what} than rank 0\nhint: {hint}")))
        }
    }
}

/// Broadcasts the value of rank 0: returns it on every rank.
///
/// # Errors
/// If a rank is lost.
pub fn tell(control: &ProcessGroup, first: bool) -> anyhow::Result<bool> {
    Ok(gather_bytes(control, &[u8::from(first)])?[0] == [1])
}

/// The first rank that differs from rank 0, and the index of the first item that differs.
fn difference(all: &[Vec<u8>]) -> Option<(usize, usize)> {
    let (first, others) = all.split_first()?;
    (1..).zip(others).find_map(|(rank, other)| {
        let mut pairs = first.chunks(DIGEST_BYTES).zip(other.chunks(DIGEST_BYTES));
        Some((rank, pairs.position(|(left, right)| left != right)?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_differing_setting_is_named() {
        let digests = |version: u8, task: u8, data: u8| [[version; DIGEST_BYTES], [task; DIGEST_BYTES], [data; DIGEST_BYTES]].concat();
        assert_eq!(difference(&[digests(1, 2, 3), digests(1, 2, 3)]), None);
        assert_eq!(difference(&[digests(1, 2, 3), digests(1, 2, 3), digests(1, 2, 4)]), Some((2, 2)));
        assert_eq!(difference(&[digests(1, 2, 3), digests(0, 2, 4)]), Some((1, 0)));
    }
}

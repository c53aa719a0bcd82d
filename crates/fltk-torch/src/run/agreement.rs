//! The comparison of what all ranks must have in common, once they have met: ranks on several hosts read their own files. If one rank had another
//! batch size or other data, the mean of the gradients would be wrong, or a collective would abort.

use std::path::Path;

use fltk::exit::{Exit, OrExit as _, failure};
use fltk_core::experiment::{Experiment, NetworkConfig};
use fltk_data::{Dataset, digest::samples_digest};
use fltk_train::ranks::gather_bytes;
use sha2::{Digest as _, Sha256};
use torch_dist::ProcessGroup;

use super::job::Job;

const DIGEST_BYTES: usize = 32;

/// The names, hints and exit codes of the compared items, in the order of [`digests_of`].
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
    let own = digests_of(job, dataset, base)?;
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

fn digests_of(job: &Job, dataset: &Dataset, base: &Path) -> anyhow::Result<[[u8; DIGEST_BYTES]; COMPARED.len()]> {
    let mut task = job.task.clone();
    task.dataset.path = None;
    if let NetworkConfig::TorchScript { torchscript } = &mut task.network {
        *torchscript = fltk_train::module_sha256(&base.join(&*torchscript)).or_exit(Exit::Experiment)?;
    }
    // The YAML text is comparable only within one version, so the version is compared first.
    let alone = Experiment { name: "job".to_owned(), seeds: vec![job.seed], tasks: vec![task], stream: None };
    let digest = |text: &str| Sha256::digest(text).into();
    Ok([digest(env!("CARGO_PKG_VERSION")), digest(&fltk_experiment::to_yaml(&alone)), samples_digest(dataset)])
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
    fn the_first_that_differs_is_named() {
        let digests = |version: u8, task: u8, data: u8| [[version; DIGEST_BYTES], [task; DIGEST_BYTES], [data; DIGEST_BYTES]].concat();
        assert_eq!(difference(&[digests(1, 2, 3), digests(1, 2, 3)]), None);
        assert_eq!(difference(&[digests(1, 2, 3), digests(1, 2, 3), digests(1, 2, 4)]), Some((2, 2)));
        assert_eq!(difference(&[digests(1, 2, 3), digests(0, 2, 4)]), Some((1, 0)));
    }
}

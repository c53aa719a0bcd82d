//! The clients of each round that a file gives, for the selection `file`.

use fltk_core::ids::ClientId;

use super::{bounded::AtMost, error::PartitionError, split_file::SplitFile, user_file::UserFile};

/// Returns the clients of each of `rounds` rounds, ascending, as `file` gives them in `cohorts`; it may have more rounds. `parts` are the samples of
/// each client.
///
/// # Errors
/// If the file is invalid, has fewer rounds, or a round has another number of clients than `clients_per_round`, a client twice, one that doesn't
/// exist or one without samples.
pub fn cohorts(file: UserFile<'_>, rounds: u32, clients_per_round: u32, parts: &[Vec<u32>]) -> Result<Vec<Vec<ClientId>>, PartitionError> {
    let Some(AtMost(mut cohorts)) = SplitFile::read(file)?.cohorts else {
        return Err(file.refuse("the file".to_owned(), "has no `cohorts`".to_owned()));
    };
    if cohorts.len() < rounds as usize {
        let problem = format!("its length is {}, and the task has {rounds} rounds", cohorts.len());
        return Err(file.refuse("cohorts".to_owned(), problem));
    }
    cohorts.truncate(rounds as usize);
    let mut last_round: Vec<Option<usize>> = vec![None; parts.len()];
    for (round, cohort) in cohorts.iter().enumerate() {
        if cohort.len() != clients_per_round as usize {
            let problem = format!("its length is {}, and `clients_per_round` is {clients_per_round}", cohort.len());
            return Err(file.refuse(format!("cohorts[{round}]"), problem));
        }
        for (position, &client) in cohort.iter().enumerate() {
            let refuse = |problem| Err(file.refuse(format!("cohorts[{round}][{position}]"), problem));
            match (parts.get(client as usize), last_round.get_mut(client as usize)) {
                (Some(part), Some(last)) => {
                    if part.is_empty() {
                        return refuse(format!("client {client} has no samples"));
                    }
                    if last.replace(round) == Some(round) {
                        return refuse(format!("client {client} is already in this round"));
                    }
                }
                _ => return refuse(format!("there is no client {client}: the task has {}, counted from 0", parts.len())),
            }
        }
    }
    let ascending = |mut cohort: Vec<u32>| {
        cohort.sort_unstable();
        cohort.into_iter().map(ClientId).collect()
    };
    Ok(cohorts.into_iter().map(ascending).collect())
}

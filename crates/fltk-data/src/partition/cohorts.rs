//! The clients of each round that a file gives, for the selection `file`.

use fltk_core::ids::ClientId;

use super::{
    bounded::AtMost, division::Division, error::PartitionError, partitioner::CLIENTS_MAX, split_file::SplitFile, user_file::UserFile,
};

/// Returns the clients of each of `rounds` rounds, ascending, as `file` gives them in `cohorts`; it may have more rounds. `parts` are the samples of
/// each client.
///
/// # Errors
/// If the file is invalid, has fewer rounds, or a round has another number of clients than `clients_per_round`, a client twice, one that doesn't
/// exist or one without samples.
pub fn cohorts(file: UserFile<'_>, rounds: u32, clients_per_round: u32, parts: &Division) -> Result<Vec<Vec<ClientId>>, PartitionError> {
    let cohorts = read(file, rounds, clients_per_round, parts.num_clients(), &|client| parts.num_samples(client) == 0)?;
    let ascending = |mut cohort: Vec<u32>| {
        cohort.sort_unstable();
        cohort.into_iter().map(ClientId).collect()
    };
    Ok(cohorts.into_iter().map(ascending).collect())
}

/// Checks what [`cohorts`] does and what is known without the samples of the `clients` clients.
///
/// # Errors
/// Those of [`cohorts`], but for clients without samples; or if there are more than [`CLIENTS_MAX`] clients.
pub fn check_cohorts(file: UserFile<'_>, rounds: u32, clients_per_round: u32, clients: u32) -> Result<(), PartitionError> {
    if clients > CLIENTS_MAX {
        return Err(PartitionError::TooManyClients { clients, max: CLIENTS_MAX });
    }
    read(file, rounds, clients_per_round, clients as usize, &|_| false).map(drop)
}

/// Returns the clients of each of `rounds` rounds in the file's order.
fn read(
    file: UserFile<'_>,
    rounds: u32,
    clients_per_round: u32,
    num_clients: usize,
    is_empty: &dyn Fn(usize) -> bool,
) -> Result<Vec<Vec<u32>>, PartitionError> {
    let Some(AtMost(mut cohorts)) = SplitFile::read(file)?.cohorts else {
        let problem = "has no `cohorts`\nhint: give the clients of each round: `{ \"cohorts\": [[0, 1], [2, 0]] }`";
        return Err(file.refuse("the file".to_owned(), problem.to_owned()));
    };
    if cohorts.len() < rounds as usize {
        let problem = format!("its length is {}, and the task has {rounds} rounds\nhint: `rounds: {0}`, or give more", cohorts.len());
        return Err(file.refuse("cohorts".to_owned(), problem));
    }
    cohorts.truncate(rounds as usize);
    let mut last_round: Vec<Option<usize>> = vec![None; num_clients];
    for (round, cohort) in cohorts.iter().enumerate() {
        if cohort.len() != clients_per_round as usize {
            let problem = format!("its length is {}, and `clients_per_round` is {clients_per_round}", cohort.len());
            return Err(file.refuse(format!("cohorts[{round}]"), problem));
        }
        for (position, &client) in cohort.iter().enumerate() {
            let refuse = |problem| Err(file.refuse(format!("cohorts[{round}][{position}]"), problem));
            match last_round.get_mut(client as usize) {
                None => return refuse(format!("there is no client {client}: the task has {num_clients}, counted from 0")),
                Some(_) if is_empty(client as usize) => return refuse(format!("client {client} has no samples")),
                Some(last) => {
                    if last.replace(round) == Some(round) {
                        return refuse(format!("client {client} is already in this round"));
                    }
                }
            }
        }
    }
    Ok(cohorts)
}

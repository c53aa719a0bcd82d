//! The division that a file gives, such as one that another tool made.

use fltk_core::catalogue::{DatasetEntry, Entry, FilePath, PartitionerEntry};
use rand_chacha::ChaCha8Rng;

use super::{
    error::PartitionError,
    partitioner::{Partitioner, Parts, Request},
    split_file::{Clients, SplitFile},
    user_file::UserFile,
};
use crate::digest::labels_digest;

const PATH: FilePath = FilePath::required(
    "path",
    "A JSON file with `clients`: for each client the list of its samples, by their position in the training set. If it has a `labels_digest`, that \
     has to be the training set's. What `fltk data split --output json` prints for one task and one seed is such a file.",
);

/// The partitioner `file`.
pub static PARTITIONER: Partitioner = Partitioner {
    entry: PartitionerEntry {
        file: Some(PATH),
        ..PartitionerEntry::new(
            Entry::new(
                "file",
                "The division that a file gives, so that one of another tool can be repeated; the seed changes nothing. A sample that the file doesn't \
                 name isn't used.",
            )
            .parameters(&[PATH.parameter()]),
        )
    },
    divide,
};

fn divide(request: &Request<'_>, _: &mut ChaCha8Rng) -> Result<Parts, PartitionError> {
    let file = request.file()?;
    let split = SplitFile::read(file)?;
    let clients = clients_of(file, split.clients, request.clients)?;
    if let Some(given) = split.labels_digest {
        let own = labels_digest(request.labels);
        if given != own {
            let problem =
                format!("is that of other labels; those of this training set have `{own}`\nhint: it was made for another data set");
            return Err(file.refuse("labels_digest".to_owned(), problem));
        }
    }
    check_samples(file, &clients, request.labels.len())?;
    Ok(clients)
}

/// Checks what is known without the data set itself: for `clients` clients, and for the samples of `dataset` if their number is known.
pub(super) fn check(file: UserFile<'_>, clients: u32, dataset: &DatasetEntry) -> Result<(), PartitionError> {
    let clients = clients_of(file, SplitFile::read(file)?.clients, clients)?;
    dataset.num_train.map_or(Ok(()), |num_train| check_samples(file, &clients, num_train as usize))
}

/// Returns the samples of each of `expected` clients.
fn clients_of(file: UserFile<'_>, clients: Option<Clients>, expected: u32) -> Result<Parts, PartitionError> {
    let Some(Clients(clients)) = clients else {
        let problem = "has no `clients`\nhint: give the samples of each client: `{ \"clients\": [[0, 5, 7], [1, 2]] }`";
        return Err(file.refuse("the file".to_owned(), problem.to_owned()));
    };
    if clients.len() != expected as usize {
        let problem = format!("its length is {}, and the task has {expected} clients\nhint: `clients: {0}`", clients.len());
        return Err(file.refuse("clients".to_owned(), problem));
    }
    Ok(clients)
}

/// Checks that each sample exists, and belongs to one client only.
fn check_samples(file: UserFile<'_>, clients: &[Vec<u32>], num_samples: usize) -> Result<(), PartitionError> {
    let mut places: Vec<Option<(u32, u32)>> = vec![None; num_samples];
    for (client, samples) in (0..).zip(clients) {
        for (position, &sample) in (0..).zip(samples) {
            let refuse = |problem| Err(file.refuse(format!("clients[{client}][{position}]"), problem));
            match places.get_mut(sample as usize) {
                None => return refuse(format!("there is no sample {sample}: the training set has {num_samples}, counted from 0")),
                Some(Some((other, at))) => return refuse(format!("sample {sample} is already in clients[{other}][{at}]")),
                Some(place) => *place = Some((client, position)),
            }
        }
    }
    Ok(())
}

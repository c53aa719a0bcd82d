//! A partitioner as a value: its entry in the catalogue, and its function.

use fltk_core::{
    catalogue::{Choice, ClientCount, DatasetEntry, PartitionerEntry},
    seed::{Purpose, Seed},
};
use rand_chacha::ChaCha8Rng;

use super::{error::PartitionError, user_file::UserFile};

/// The largest number of clients of a partition: more than any study has, and few enough that buffers of this size are small.
pub const CLIENTS_MAX: u32 = 1_000_000;

/// The indices of each client's samples.
pub type Parts = Vec<Vec<u32>>;

/// A way to divide samples among clients. It is a pure function of (labels, number of clients, its parameters, seed).
#[derive(Debug)]
pub struct Partitioner {
    /// The name and parameters, and what it needs of a data set and of the number of clients.
    pub entry: PartitionerEntry,
    /// Divides samples `0..labels.len()`, whose number and labels are already checked, and returns each client's samples, in any order.
    /// Draws come from the given generator.
    pub divide: fn(&Request<'_>, &mut ChaCha8Rng) -> Result<Parts, PartitionError>,
}

/// A check of the file that a partitioner reads, for a number of clients and for what is known of a data set without loading it.
pub(super) type CheckFile = fn(UserFile<'_>, u32, &DatasetEntry) -> Result<(), PartitionError>;

/// A training set to divide, and how.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The class of each sample, below `num_classes`.
    pub labels: &'a [u16],
    /// The number of classes.
    pub num_classes: usize,
    /// The natural client of each sample, if the data set has natural clients.
    pub natural: Option<&'a [u32]>,
    /// The number of clients.
    pub clients: u32,
    /// The partitioner's parameters.
    pub settings: &'a Choice,
    /// The file that the parameters name, if the partitioner reads one.
    pub file: Option<UserFile<'a>>,
    /// The root seed.
    pub seed: Seed,
}

impl<'a> Request<'a> {
    /// Returns the file that the parameters name.
    pub(super) fn file(&self) -> Result<UserFile<'a>, PartitionError> {
        self.file.ok_or_else(|| PartitionError::NoFile { partition: self.settings.name().to_owned() })
    }
}

impl Partitioner {
    /// The name in experiment files.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.entry.entry.name
    }

    /// Divides a training set. Returns the ascending indices of each client's samples; no sample appears twice.
    ///
    /// This also runs a partitioner that is in no catalogue.
    ///
    /// # Errors
    /// If the parameters, the number of clients and the data set don't fit each other.
    ///
    /// # Panics
    /// If the settings lack a parameter without a default, or have one of another type. Settings that were read from a file don't.
    pub fn partition(&self, request: &Request<'_>) -> Result<Parts, PartitionError> {
        check_samples(request)?;
        self.check_needs(request)?;
        let mut parts = (self.divide)(request, &mut request.seed.stream(Purpose::Partition, &[]))?;
        for part in &mut parts {
            part.sort_unstable();
        }
        Ok(parts)
    }

    /// Checks what the entry says about classes and clients.
    fn check_needs(&self, request: &Request<'_>) -> Result<(), PartitionError> {
        let (partition, clients, num_classes) = (self.name(), request.clients, request.num_classes);
        if let Some(parameter) = self.entry.classes_per_client {
            let asked = parameter.of(request.settings);
            if asked == 0 || asked as usize > num_classes {
                return Err(PartitionError::ClassesPerClient { partition, asked, num_classes });
            }
        }
        if let Some(parameter) = self.entry.client_sizes {
            check_sizes(&parameter.of(request.settings), request)?;
        }
        match self.entry.clients {
            ClientCount::MultipleOfClasses if num_classes == 0 || !(clients as usize).is_multiple_of(num_classes) => {
                Err(PartitionError::NotMultiple { partition, clients, num_classes: num_classes.max(1) })
            }
            ClientCount::AtMostClasses if clients as usize > num_classes => {
                Err(PartitionError::MoreClientsThanClasses { partition, clients, num_classes })
            }
            ClientCount::Any | ClientCount::MultipleOfClasses | ClientCount::AtMostClasses => Ok(()),
        }
    }
}

/// Checks that there is a size for each client, and that there are enough samples.
fn check_sizes(sizes: &[u32], request: &Request<'_>) -> Result<(), PartitionError> {
    if sizes.len() != request.clients as usize {
        return Err(PartitionError::Sizes { sizes: sizes.len(), clients: request.clients });
    }
    if let Some(client) = sizes.iter().position(|size| *size == 0) {
        return Err(PartitionError::SizeZero { client });
    }
    let sum = sizes.iter().map(|&size| u64::from(size)).sum();
    if sum > request.labels.len() as u64 {
        return Err(PartitionError::SizesSum { sum, samples: request.labels.len() });
    }
    Ok(())
}

fn check_samples(request: &Request<'_>) -> Result<(), PartitionError> {
    let Request { labels, num_classes, clients, .. } = *request;
    if clients == 0 {
        return Err(PartitionError::NoClients);
    }
    if clients > CLIENTS_MAX {
        return Err(PartitionError::TooManyClients { clients, max: CLIENTS_MAX });
    }
    if u32::try_from(labels.len()).is_err() {
        return Err(PartitionError::TooManySamples { samples: labels.len() });
    }
    match labels.iter().position(|&label| usize::from(label) >= num_classes) {
        Some(index) => Err(PartitionError::Label { index, label: labels[index], num_classes }),
        None => Ok(()),
    }
}

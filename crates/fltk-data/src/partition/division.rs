//! The samples of all clients.

use std::{borrow::Cow, ops::Range};

/// The samples of each client: ascending indices into the training set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Division {
    /// The indices themselves.
    Lists(Vec<Vec<u32>>),
    /// Samples that follow each other: a million clients of them take 8 MB, however many samples they have.
    Ranges(Vec<Range<u32>>),
}

impl Division {
    /// The division of no samples over `clients`.
    #[must_use]
    pub fn empty(clients: usize) -> Self {
        Self::Ranges(vec![0..0; clients])
    }

    /// The number of clients.
    #[must_use]
    pub fn num_clients(&self) -> usize {
        match self {
            Self::Lists(lists) => lists.len(),
            Self::Ranges(ranges) => ranges.len(),
        }
    }

    /// Returns the samples of `client`, ascending; none if there is no such client.
    #[must_use]
    pub fn of(&self, client: usize) -> Cow<'_, [u32]> {
        match self {
            Self::Lists(lists) => Cow::Borrowed(lists.get(client).map_or(&[], Vec::as_slice)),
            Self::Ranges(ranges) => Cow::Owned(ranges.get(client).cloned().into_iter().flatten().collect()),
        }
    }

    /// Returns the number of samples of `client`; 0 if there is no such client.
    #[must_use]
    pub fn num_samples(&self, client: usize) -> usize {
        match self {
            Self::Lists(lists) => lists.get(client).map_or(0, Vec::len),
            Self::Ranges(ranges) => ranges.get(client).map_or(0, ExactSizeIterator::len),
        }
    }

    /// Returns the number of samples of each client.
    pub fn sizes(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.num_clients()).map(|client| self.num_samples(client))
    }

    /// Returns the indices of each client's samples.
    #[must_use]
    pub fn into_lists(self) -> Vec<Vec<u32>> {
        match self {
            Self::Lists(lists) => lists,
            Self::Ranges(ranges) => ranges.into_iter().map(Iterator::collect).collect(),
        }
    }
}

impl From<Vec<Vec<u32>>> for Division {
    fn from(lists: Vec<Vec<u32>>) -> Self {
        Self::Lists(lists)
    }
}

//! The runs that are left, in the order of importance.

use std::fmt;

use super::{cell::Cell, record::Records};

/// A run that isn't done.
#[derive(Clone, Copy)]
pub struct Job<'a> {
    /// The cell.
    pub cell: &'a Cell,
    /// The root seed.
    pub seed: u64,
}

impl fmt::Display for Job<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, seed {}", self.cell.name, self.seed)
    }
}

/// Returns the runs of `cells` that have no record, with `seeds` seeds each or as many as the cell says. The cells are in the order of importance; the seeds
/// of a cell follow each other.
pub fn jobs<'a>(cells: &[&'a Cell], records: &Records, seeds: Option<u32>) -> Vec<Job<'a>> {
    cells.iter().flat_map(|cell| missing(cell, records, seeds).into_iter().map(|seed| Job { cell, seed })).collect()
}

/// Returns the seeds of `cell` that have no record.
pub fn missing(cell: &Cell, records: &Records, seeds: Option<u32>) -> Vec<u64> {
    let done: Vec<u64> = records.of(cell).iter().map(|record| record.seed).collect();
    (1..=u64::from(seeds.unwrap_or(cell.seeds))).filter(|seed| !done.contains(seed)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reproduce::record::tests::example;

    #[test]
    fn runs_without_a_record_are_left() {
        let folder = tempfile::tempdir().unwrap();
        let mut records = Records::read(folder.path()).unwrap();
        let (cell, record) = example(2, &[0.1]);
        records.add(record).unwrap();
        let left = |seeds| jobs(&[&cell], &records, seeds).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(left(None), ["a-b, seed 1", "a-b, seed 3"]);
        assert_eq!(left(Some(1)), ["a-b, seed 1"]);
        assert_eq!(left(Some(4)).len(), 3);
    }
}

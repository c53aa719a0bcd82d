//! The tables that are reproduced, the most important first. A table is a file and a line here.

mod fedprox;
mod ji;
mod mcmahan;
mod niid_bench;

use super::cell::Table;

/// Returns all tables.
pub fn all() -> Vec<Table> {
    vec![niid_bench::table(), ji::table(), fedprox::table(), mcmahan::table()]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::reproduce::cell::Measure;

    /// This checks what the program can't know: that it accepts the experiments is checked by the part "published tables" of `cargo xtask test`.
    #[test]
    fn cells_are_complete() {
        let tables = all();
        let cells = || tables.iter().flat_map(|table| &table.cells);
        for cell in cells() {
            let name = &cell.name;
            // A name becomes a file's, and with `-seed100` that of a run, which has at most 63 characters.
            assert!(name.len() <= 55 && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c)), "{name}");
            assert!(cell.num_rounds() > 0 && cell.core_seconds_per_round > 0.0 && cell.seeds > 0, "{name}");
            let largest = if let Measure::RoundsTo { .. } = cell.published.measure { f64::INFINITY } else { 100.0 };
            assert!(cell.published.figure.is_none_or(|figure| figure > 1.0 && figure <= largest), "{name}: percent, or rounds");
            assert!(cell.task["federated"].get("evaluate_every").is_none(), "{name}: the best round is among all of them");
        }
        assert_eq!(cells().map(|cell| &cell.name).collect::<BTreeSet<_>>().len(), cells().count(), "names are unique");
        let shared: Vec<_> =
            cells().flat_map(|cell| cells().filter(move |other| other.name != cell.name && other.task == cell.task)).collect();
        assert!(shared.is_empty(), "two cells have the same experiment: {}", shared[0].name);
    }
}

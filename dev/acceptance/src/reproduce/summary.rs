//! The figures of a cell over its seeds.

use serde::Serialize;

use super::{
    cell::{Cell, Measure},
    record::Record,
};

/// The figures of the seeds that were run to their end.
#[derive(Debug, PartialEq, Serialize)]
pub struct Summary {
    /// The figure that the source reports: percent, or rounds. Absent without a run, or if no run reached the accuracy.
    pub ours: Option<Figure>,
    /// The best accuracy over rounds, in percent.
    pub best: Option<Figure>,
    /// The round of the best accuracy, for each seed.
    pub best_rounds: Vec<usize>,
    /// The accuracy after the last round, in percent.
    pub last: Option<Figure>,
    /// The seeds that were run to their end.
    pub seeds: Vec<u64>,
    /// The seeds whose run failed for good, for example because it diverged: they are in no figure.
    pub failed_seeds: Vec<u64>,
    /// The seeds that never reached the accuracy to which rounds are counted: they are in no count.
    pub short_seeds: Vec<u64>,
}

/// A mean over seeds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Figure {
    /// The mean.
    pub mean: f64,
    /// The sample standard deviation; absent with one seed.
    pub deviation: Option<f64>,
}

impl Summary {
    /// Returns the figures of `cell`, of which these are the records.
    pub fn of(cell: &Cell, records: &[&Record]) -> Self {
        let (ended, failed): (Vec<&Record>, Vec<&Record>) = records.iter().partition(|record| record.failed.is_none());
        let best = Figure::of(ended.iter().map(|record| 100.0 * record.best().1));
        let last = Figure::of(ended.iter().map(|record| 100.0 * record.last()));
        let mut short = Vec::new();
        let ours = match cell.published.measure {
            Measure::Best => best,
            Measure::Last => last,
            Measure::RoundsTo { accuracy } => {
                short.extend(ended.iter().filter(|record| record.rounds_to(accuracy).is_none()).map(|record| record.seed));
                #[expect(clippy::cast_precision_loss, reason = "rounds are far below 2^52")]
                Figure::of(ended.iter().filter_map(|record| record.rounds_to(accuracy)).map(|rounds| rounds as f64))
            }
        };
        Self {
            ours,
            best,
            best_rounds: ended.iter().map(|record| record.best().0).collect(),
            last,
            seeds: ended.iter().map(|record| record.seed).collect(),
            failed_seeds: failed.iter().map(|record| record.seed).collect(),
            short_seeds: short,
        }
    }
}

impl Figure {
    fn of(values: impl Iterator<Item = f64>) -> Option<Self> {
        let values: Vec<f64> = values.collect();
        #[expect(clippy::cast_precision_loss, reason = "there are at most 100 seeds")]
        let number = values.len() as f64;
        let mean = values.iter().sum::<f64>() / number;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        (!values.is_empty()).then(|| Self { mean, deviation: (values.len() > 1).then(|| (squares / (number - 1.0)).sqrt()) })
    }

    /// Returns the text of the figure of a measure.
    pub fn told(self, measure: Measure) -> String {
        match (measure, self.deviation) {
            (Measure::RoundsTo { .. }, None) => format!("{:.0}", self.mean),
            (Measure::RoundsTo { .. }, Some(deviation)) => format!("{:.1} ± {deviation:.1}", self.mean),
            (_, None) => format!("{:.2}", self.mean),
            (_, Some(deviation)) => format!("{:.2} ± {deviation:.2}", self.mean),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reproduce::record::tests::example;

    #[test]
    fn seeds_are_averaged() {
        let (mut cell, first) = example(1, &[0.1, 0.88, 0.86]);
        let second = example(2, &[0.1, 0.9, 0.92]).1;
        let lost = Record { failed: Some("it diverged".to_owned()), ..example(3, &[0.1]).1 };
        let summary = Summary::of(&cell, &[&first, &second, &lost]);
        assert_eq!(summary.ours, summary.best);
        assert_eq!(summary.best.unwrap().told(Measure::Best), "90.00 ± 2.83");
        assert_eq!(summary.last.unwrap().told(Measure::Last), "89.00 ± 4.24");
        assert_eq!((summary.best_rounds, summary.seeds, summary.failed_seeds), (vec![1, 2], vec![1, 2], vec![3]));
        cell.published.measure = Measure::RoundsTo { accuracy: 0.89 };
        let summary = Summary::of(&cell, &[&first, &second]);
        assert_eq!((summary.ours.unwrap().told(cell.published.measure), summary.short_seeds), ("1".to_owned(), vec![1]));
        assert_eq!(Summary::of(&cell, &[]).ours, None);
    }
}

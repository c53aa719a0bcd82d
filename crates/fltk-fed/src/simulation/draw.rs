//! The draws of one client, and what laws have in common.

use fltk_core::{
    catalogue::{Choice, Misfit, NumberList, Range, Word},
    ids::ClientId,
    seed::{Purpose, Seed},
};
use rand::RngExt as _;
use rand_distr::{Distribution as _, StandardNormal};

use super::Table;

/// The largest number of classes of devices or links.
pub(super) const CLASSES_MAX: usize = 1000;

pub(super) const SHARES: NumberList = NumberList::new(
    "shares",
    &[],
    CLASSES_MAX,
    Range::NOT_NEGATIVE,
    "For each class, the share of the clients that is in it, in proportion to the others; equal shares if left out. Each client's class is drawn.",
);

pub(super) const ASSIGN: Word = Word::new(
    "assign",
    &["in_order", "random"],
    "The row of a client: `in_order`, that of its number, from the first row on and again from there after the last; `random`, one that is drawn for it.",
);

/// The client of a law, and the law's settings.
#[derive(Clone, Copy, Debug)]
pub struct ClientDraw<'a> {
    /// The law's settings.
    pub settings: &'a Choice,
    /// The content of the file that the settings name.
    pub table: &'a Table,
    /// The root seed.
    pub seed: Seed,
    /// The purpose of the law's draws.
    pub purpose: Purpose,
    /// The client.
    pub client: ClientId,
}

impl ClientDraw<'_> {
    /// Returns a number from 0 to below 1; the client always draws the same one.
    pub(super) fn uniform(&self) -> f64 {
        self.seed.stream(self.purpose, &[self.client.0.into()]).random()
    }

    /// Returns a number with a standard normal distribution; the client always draws the same one.
    pub(super) fn normal(&self) -> f64 {
        StandardNormal.sample(&mut self.seed.stream(self.purpose, &[self.client.0.into()]))
    }

    /// Returns the class of the client among `num_classes`, by the [`SHARES`] in the settings.
    pub(super) fn class(&self, num_classes: usize) -> usize {
        let shares = SHARES.of(self.settings);
        let share = |class| if shares.is_empty() { 1.0 } else { shares.get(class).copied().unwrap_or(0.0) };
        let mut left = self.uniform() * (0..num_classes).map(share).sum::<f64>();
        let found = (0..num_classes).find(|&class| {
            left -= share(class);
            left < 0.0
        });
        // Rounding may leave something of the last class that has a share.
        found.unwrap_or_else(|| (0..num_classes).rev().find(|&class| share(class) > 0.0).unwrap_or(0))
    }

    /// Returns the place of the client's row among `num_rows`, by the [`ASSIGN`] in the settings.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a place among rows in memory"
    )]
    pub(super) fn row(&self, num_rows: usize) -> usize {
        let place = if ASSIGN.of(self.settings) == "random" { (self.uniform() * num_rows as f64) as usize } else { self.client.0 as usize };
        place % num_rows.max(1)
    }
}

/// Checks that there is a share for each of `num_classes`, if there are shares.
pub(super) fn check_shares(settings: &Choice, parameter: &str, num_classes: usize) -> Result<(), Misfit> {
    let shares = SHARES.of(settings);
    let misfit = |message, hint: &str| Err(Misfit { parameter: SHARES.name(), message, hint: hint.to_owned() });
    if !shares.is_empty() && shares.len() != num_classes {
        let message = format!("`shares` has {} numbers, and `{parameter}` has {num_classes}", shares.len());
        return misfit(message, "give one share for each class, or none for equal shares");
    }
    if !shares.is_empty() && shares.iter().all(|share| *share == 0.0) {
        return misfit("all `shares` are 0: no client would have a class".to_owned(), "give one of them more");
    }
    Ok(())
}

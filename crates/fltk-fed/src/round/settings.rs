//! The settings that a trainer has on its own, as a digest: an order contains it, so that nobody trains something else than was ordered.

use std::fmt;

/// The SHA-256 of everything that decides a client's update and isn't in its order: net, data, partition, loss, hyper-parameters. The program
/// computes it, as this crate knows none of them; all zeros stand for trainers without such settings.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct SettingsDigest(pub [u8; 32]);

impl SettingsDigest {
    /// Checks that a trainer with the settings `own` may carry out an order for these.
    ///
    /// # Errors
    /// If they differ.
    pub(super) fn check(self, own: Self) -> Result<(), OtherSettings> {
        if own == self { Ok(()) } else { Err(OtherSettings { ordered: self, own }) }
    }
}

impl fmt::Display for SettingsDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for SettingsDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SettingsDigest({self})")
    }
}

/// The error of a trainer that has other settings than the order is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the order is for settings with digest {ordered}, and this trainer has {own}; \
     hint: give it the same experiment, data set and seed as the federator, and the same version of fltk"
)]
pub struct OtherSettings {
    /// The digest in the order.
    pub ordered: SettingsDigest,
    /// The digest of the trainer's settings.
    pub own: SettingsDigest,
}

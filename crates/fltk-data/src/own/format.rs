//! The description of a format, and the settings that formats have in common.

use fltk_core::{
    catalogue::{Choice, DatasetEntry, Entry, Number, Range, Switch},
    experiment::FOUND_OUT,
};

use super::{error::OwnError, place::Place, samples::Read};

/// A format of files.
pub(super) struct Format {
    /// The name, the settings, and whether there may be natural clients.
    pub entry: DatasetEntry,
    /// Returns true if files with these names, relative to their folder or archive, may be of this format.
    pub detects: fn(&[String]) -> bool,
    /// True if it is found out only where no other format fits, since its names are also those of other things.
    pub is_last_resort: bool,
    /// Reads the files.
    pub read: fn(&Place, &Choice) -> Result<Read, OwnError>,
}

impl Format {
    /// The name in experiment files.
    pub const fn name(&self) -> &'static str {
        self.entry.entry.name
    }
}

/// The share of the samples that becomes the test part.
pub(super) const TEST_FRACTION: Number = Number::new(
    "test_fraction",
    0.2,
    "The share of the samples that is the test part where the files have none. Which samples these are depends on the data alone, not on the seed of a run.",
)
.within(Range { min: Some((0.0, true)), max: Some((1.0, true)) });

/// True if samples are normalized.
pub(super) const NORMALIZE: Switch = Switch::new(
    "normalize",
    true,
    "True if samples are normalized to mean 0 and standard deviation 1 of the training part, by channel of images or by number of vectors; otherwise pixels are \
     divided by 255, and numbers stay as they are.",
);

/// The format of data whose format is found out by the names of the files.
pub(super) const AUTO: Format = Format {
    entry: DatasetEntry::format(
        Entry::new(
            FOUND_OUT,
            "The format that the names of the files tell; `format` may be left out for it. Settings beyond these need the format by name.",
        )
        .parameters(const { &[TEST_FRACTION.parameter(), NORMALIZE.parameter()] }),
        true,
    ),
    detects: |_| false,
    is_last_resort: false,
    read: |place, _| Err(place.error("its format isn't known".to_owned())),
};

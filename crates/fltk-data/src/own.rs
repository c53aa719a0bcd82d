//! Data of one's own: files of common formats that aren't one of the known data sets. Nothing is known of them before they are read.
//!
//! ```text
//! a folder, a file or a zip ── a format ──> parts: samples, labels, clients ── finish ──> Dataset
//! ```
//!
//! A format is a file beside its siblings here, and a line in `FORMATS`. What is the same for all of them is done once: which files are training and which are
//! test (`parts`), which classes there are, the test part of data that has none, and the normalization (`finish`).

mod csv;
mod error;
mod finish;
mod format;
mod idx;
mod images;
mod leaf;
mod npz;
mod parquet;
mod parts;
mod pixels;
mod place;
mod samples;
mod table;
mod text;

use std::path::Path;

use fltk_core::{
    catalogue::DatasetEntry,
    experiment::{DatasetConfig, FOUND_OUT},
};

pub use self::error::OwnError;
use self::{format::Format, place::Place};
use crate::{dataset::Dataset, error::DataError};

/// The formats, in the order in which they are offered.
const FORMATS: &[&Format] =
    &[&format::AUTO, &idx::FORMAT, &images::FORMAT, &npz::FORMAT, &csv::FORMAT, &parquet::FORMAT, &leaf::FORMAT, &text::FORMAT];

/// Returns the entries of the formats, in the order of the list.
#[must_use]
pub fn entries() -> Vec<&'static DatasetEntry> {
    FORMATS.iter().map(|format| &format.entry).collect()
}

/// Loads data of one's own from `config.path`, which is relative to `base`.
///
/// # Errors
/// If there is no path or nothing at it, the format is unknown or can't be found out, or the files aren't what the format says.
pub(crate) fn load(config: &DatasetConfig, base: &Path) -> Result<Dataset, DataError> {
    let format = FORMATS.iter().find(|format| format.name() == config.name());
    let format = *format.ok_or_else(|| DataError::UnknownFormat {
        name: config.name().to_owned(),
        known: FORMATS.iter().map(|format| format.name()).collect(),
    })?;
    let path = base.join(config.path.as_deref().ok_or(DataError::NoPath { format: format.name() })?);
    let wrong = |problem: String| OwnError::new(&path, problem);
    let settings = config.data.clone().settled(&format.entry.entry).map_err(|error| wrong(error.to_string()))?;
    (format.entry.entry.check)(&settings).map_err(|misfit| wrong(misfit.message))?;
    let place = Place::open(&path)?;
    let format = if format.name() == FOUND_OUT { found_out(&place)? } else { format };
    let read = (format.read)(&place, &settings)?;
    Ok(finish::finish(read, &place, &settings)?)
}

/// Returns the format of the files at `place`, by their names.
fn found_out(place: &Place) -> Result<&'static Format, OwnError> {
    let fitting: Vec<&&Format> = FORMATS.iter().filter(|format| (format.detects)(place.names())).collect();
    let named: Vec<&&Format> = fitting.iter().copied().filter(|format| !format.is_last_resort).collect();
    let names = |formats: &[&&Format]| formats.iter().map(|format| format!("`{}`", format.name())).collect::<Vec<_>>();
    match (&named[..], &fitting[..]) {
        ([one], _) | ([], [one]) => Ok(one),
        ([], _) => {
            let all: Vec<&&Format> = FORMATS.iter().filter(|format| format.name() != FOUND_OUT).collect();
            let problem = "its format can't be found out: no file has a name of one".to_owned();
            Err(place.error(problem).hint(format!("add `format`: one of {}", names(&all).join(", "))))
        }
        (several, _) => {
            let problem = format!("its format can't be found out: it may be {}", names(several).join(" or "));
            Err(place.error(problem).hint("say which with `format`"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_have_names_of_their_own_and_the_settings_that_all_need() {
        let names: std::collections::BTreeSet<&str> = FORMATS.iter().map(|format| format.name()).collect();
        assert_eq!(names.len(), FORMATS.len());
        for format in FORMATS {
            let has = |name: &str| format.entry.entry.parameters.iter().any(|parameter| parameter.name == name);
            assert!(has(format::TEST_FRACTION.parameter().name) && !format.entry.entry.doc.is_empty(), "{}", format.name());
            assert!(!has("path") && !has("name") && !has("format"), "{}", format.name());
        }
    }
}

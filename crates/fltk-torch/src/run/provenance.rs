//! Where a run's data came from: written when its folder is made, compared when it is taken up again.

use std::collections::BTreeMap;

use fltk::{
    exit::{Exit, failure},
    output,
};
use fltk_data::Dataset;
use fltk_records::RunDescription;

use super::host::host;

/// The digest of every file of `dataset`, and under `source` where they lay.
#[must_use]
pub fn provenance(dataset: &Dataset) -> BTreeMap<String, String> {
    digests(dataset).into_iter().chain([("source".to_owned(), dataset.provenance.to_string())]).collect()
}

/// The digest of every file of `dataset`, wherever they lay.
#[must_use]
pub fn digests(dataset: &Dataset) -> BTreeMap<String, String> {
    dataset.provenance.files.iter().map(|file| (file.name.clone(), format!("sha256:{}", file.sha256))).collect()
}

/// That `dataset` is the one the run began with. Another program or machine, where the same bits are not promised, is worth a warning.
///
/// # Errors
/// If a file's digest differs.
pub fn check(begun: &RunDescription, dataset: &Dataset) -> anyhow::Result<()> {
    let begun_with = begun.provenance.iter().filter(|(name, _)| *name != "source");
    if !begun_with.eq(&digests(dataset)) {
        let source = begun.provenance.get("source").map_or("another source", String::as_str);
        return Err(failure(
            Exit::Data,
            format!(
                "the data set is not the one that the run began with, which came from {source}\nhint: put that one back, or run the experiment again"
            ),
        ));
    }
    let (now, version) = (host(), env!("CARGO_PKG_VERSION"));
    let differs = [
        ("fltk", begun.fltk_version.as_str(), version),
        ("libtorch", begun.host.libtorch.as_deref().unwrap_or("none"), now.libtorch.as_deref().unwrap_or("none")),
        ("processor", begun.host.cpu.as_str(), now.cpu.as_str()),
    ];
    for (what, then, now) in differs.into_iter().filter(|(_, then, now)| then != now) {
        output::talk(format_args!(
            "warning: the run began with {what} `{then}` and goes on with `{now}`; the last bits of its results may differ"
        ));
    }
    Ok(())
}

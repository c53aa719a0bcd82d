//! `fltk data split --write DIR`: the samples of each client as a data set of its own.

use std::{fs, path::Path};

use anyhow::Context as _;
use fltk_data::{
    Dataset, Division, Split,
    formats::idx,
    sources::{self, Format},
};

use crate::{
    exit::{Exit, failure},
    pace::Unit,
    work::Work,
};

/// Writes a folder for each client, `DIR/0`, `DIR/1` and so on, with its samples as training set and the whole test set. A folder that is there already stays as it is.
///
/// # Errors
/// If the data set isn't one of IDX files, a folder is there already, or a file can't be written.
pub fn write(folder: &Path, name: &str, dataset: &Dataset, parts: &Division) -> anyhow::Result<()> {
    let format = sources::by_name(name).map_or(Format::Made, |source| source.format);
    let (Split::Images(train), Split::Images(test), Format::Idx { .. }) = (&dataset.train, &dataset.test, format) else {
        let idx: Vec<&str> =
            sources::ALL.iter().filter(|source| matches!(source.format, Format::Idx { .. })).map(|source| source.name()).collect();
        let message = format!("`{name}` can't be written\nhint: the data sets of IDX files can: {}", idx.join(", "));
        return Err(failure(Exit::Data, message));
    };
    let everything: Vec<u32> = (0..u32::try_from(test.labels.len()).unwrap_or(u32::MAX)).collect();
    let there = (0..parts.num_clients()).map(|client| folder.join(client.to_string())).find(|own| own.exists());
    if let Some(there) = there {
        // It may be somebody's data.
        let message = format!("`{}` is there already\nhint: choose a folder that has no clients yet", there.display());
        return Err(failure(Exit::General, message));
    }
    let work = Work::begin("writing the clients", Unit::Named("client"), Some(parts.num_clients() as u64));
    for client in 0..parts.num_clients() {
        work.reach(client as u64);
        let own = folder.join(client.to_string());
        fs::create_dir_all(&own).with_context(|| format!("can't make the folder `{}`", own.display()))?;
        let files = idx::files(train, &parts.of(client)).into_iter().chain(idx::files(test, &everything));
        for (name, bytes) in format.parts().into_iter().zip(files) {
            let path = own.join(name);
            fs::write(&path, bytes).with_context(|| format!("can't write `{}`", path.display()))?;
        }
    }
    drop(work);
    tracing::info!("wrote the samples of {} clients, each with the whole test set, to `{}`", parts.num_clients(), folder.display());
    Ok(())
}

//! Sentences about data-parallel trainings.

use super::{bibliography::Bibliography, settings::Settings, text::counted};

/// Tells the epochs, the ranks and their batches.
pub(super) fn ranks(settings: &Settings<'_>, _: &mut Bibliography<'_>) -> Option<String> {
    if !settings.is_kind("distributed") {
        return None;
    }
    let epochs = counted(settings.number("distributed.epochs")?, "epoch");
    let ranks = settings.number("distributed.data_parallelism")?;
    let batch = counted(settings.number("train.batch_size")?, "sample");
    let drop = if settings.is_on("train.drop_last") { ", without a smaller last batch" } else { "" };
    if ranks == 1.0 {
        return Some(format!("Training took {epochs} in batches of {batch}{drop}."));
    }
    let mut sentences =
        vec![format!("Training took {epochs} on {ranks} data-parallel ranks, in batches of {batch} for each of them{drop}.")];
    if settings.is_on("distributed.pad_last") {
        sentences.push("An epoch's last step was filled up with samples from its beginning.".to_owned());
    }
    if settings.is_on("distributed.sync_batch_norm") {
        sentences.push("Batch norms used the statistics of all ranks' batches together.".to_owned());
    }
    let compression = settings.text("distributed.compression").filter(|name| *name != "none");
    sentences.extend(compression.map(|name| format!("Gradients were sent as {}.", super::text::escaped(name))));
    Some(sentences.join(" "))
}

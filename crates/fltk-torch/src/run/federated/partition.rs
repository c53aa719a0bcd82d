//! The samples of the clients by class, as they are recorded when a run begins.

use fltk::exit::{Exit, OrExit as _};
use fltk_data::{Dataset, Division, heterogeneity::class_counts};
use fltk_records::{ClientCounts, PartitionCounts, RunFolder};

/// Records how many training samples of each class the clients have, if that is known here; a run that is resumed has recorded it before.
///
/// # Errors
/// If the file can't be written.
pub fn record(folder: &RunFolder, dataset: &Dataset, parts: &Division) -> anyhow::Result<()> {
    if folder.has_partition() {
        return Ok(());
    }
    let Some(counts) = class_counts(dataset, parts, PartitionCounts::CLIENTS_MAX) else { return Ok(()) };
    let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let names = dataset.label_names();
    let are_numbers = names.iter().enumerate().all(|(class, name)| *name == class.to_string());
    let of_client = |(client, counts): (usize, Vec<u64>)| ClientCounts { client: number(client), samples: counts.iter().sum(), counts };
    let partition = PartitionCounts {
        num_clients: number(parts.num_clients()),
        classes: number(dataset.num_labels()),
        names: if are_numbers { Vec::new() } else { names },
        clients: counts.into_iter().enumerate().map(of_client).collect(),
    };
    if !folder.record_partition(&partition).or_exit(Exit::Records)? {
        tracing::debug!("the samples of clients by class aren't recorded: there are too many classes, or their names can't be shown");
    }
    Ok(())
}

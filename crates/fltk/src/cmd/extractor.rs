//! `fltk extractor CONFIG`: downloads the data sets that a configuration needs.

use fltk_core::experiment::Task;
use fltk_data::sources::{self, Source, cifar10, cifar100, fashion_mnist, mnist};
use fltk_experiment::{FileKind, file_kind};

use super::data::fetch;
use crate::{
    cli::{Cli, ExtractorArgs},
    exit::{Exit, failure},
    inputs, output,
};

/// The data sets that KFLTK's extractor downloads, whatever its cluster file contains.
const KFLTK_DATASETS: [&Source; 4] = [&mnist::SOURCE, &fashion_mnist::SOURCE, &cifar10::SOURCE, &cifar100::SOURCE];

/// Fetches the data sets that `args.config` needs: all of KFLTK's for one of its cluster files, otherwise those of the experiment's tasks.
///
/// # Errors
/// If the file is wrong, or a data set can't be fetched.
pub fn run(cli: &Cli, args: &ExtractorArgs) -> anyhow::Result<()> {
    let file = inputs::read_source(&args.config)?;
    let needed: Vec<&Source> = if file_kind(&file) == FileKind::Cluster {
        let parsed = fltk_experiment::parse_cluster(&file, crate::catalogues());
        parsed.map_err(|report| failure(Exit::Experiment, report.render(output::color_stderr())))?;
        KFLTK_DATASETS.to_vec()
    } else {
        let experiment = inputs::read_experiment(std::slice::from_ref(&args.config), &[], None)?;
        let is_needed = |source: &Source| {
            experiment
                .tasks
                .iter()
                .filter_map(Task::training)
                .any(|task| task.dataset.path.is_none() && task.dataset.name() == source.name())
        };
        sources::ALL.iter().copied().filter(|source| is_needed(source)).collect()
    };
    fetch(cli, &needed, &args.locations)
}

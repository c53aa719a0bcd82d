//! `fltk extractor CONFIG`: downloads the data sets that a configuration needs.

use fltk_core::experiment::{self, DatasetName, FileKind, file_kind};

use super::data::fetch;
use crate::{
    cli::{Cli, ExtractorArgs},
    exit::{Exit, failure},
    inputs, output,
};

/// The data sets that KFLTK's extractor downloads, whatever its cluster file contains.
const KFLTK_DATASETS: [DatasetName; 4] = [DatasetName::Mnist, DatasetName::FashionMnist, DatasetName::Cifar10, DatasetName::Cifar100];

/// Fetches the data sets that `args.config` needs: all of KFLTK's for one of its cluster files, otherwise those of the experiment's tasks.
///
/// # Errors
/// If the file is wrong, or a data set can't be fetched.
pub fn run(cli: &Cli, args: &ExtractorArgs) -> anyhow::Result<()> {
    let source = inputs::read_source(&args.config)?;
    let names = if file_kind(&source) == FileKind::Cluster {
        experiment::parse_cluster(&source).map_err(|report| failure(Exit::Experiment, report.render(output::color_stderr())))?;
        KFLTK_DATASETS.to_vec()
    } else {
        let experiment = inputs::read_experiment(std::slice::from_ref(&args.config), &[], None)?;
        let mut names: Vec<_> = experiment.tasks.iter().filter(|task| task.dataset.path.is_none()).map(|task| task.dataset.name).collect();
        names.sort_unstable();
        names.dedup();
        names
    };
    fetch(cli, &names, &args.locations)
}

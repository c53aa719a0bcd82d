//! The commands of data sets.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use fltk_data::partition::CLIENTS_MAX;

use super::{ExperimentArgs, LocationArgs, names};

#[derive(Subcommand, Debug)]
pub enum DataCommand {
    /// List the data sets, and which of them are on this machine.
    List {
        #[command(flatten)]
        locations: LocationArgs,
    },
    /// Download data sets into the cache; interrupted downloads are resumed, and files are verified.
    Fetch {
        #[arg(required = true, help = names::datasets())]
        names: Vec<String>,
        #[command(flatten)]
        locations: LocationArgs,
    },
    /// Check the data sets on this machine against the published digests.
    Verify {
        #[arg(help = names::datasets_or_all())]
        names: Vec<String>,
        #[command(flatten)]
        locations: LocationArgs,
    },
    /// Show sizes and class counts and, with `--partition`, how heterogeneous a split over clients is.
    #[command(after_help = "\
Examples:
  fltk data show fashion-mnist-mini
  fltk data show fashion-mnist-mini --partition '{type: dirichlet, alpha: 0.1}' --clients 10 --svg split.svg
  fltk data show my/photos        # data of your own: a folder, file or zip
  fltk data show '{path: table.csv, format: csv, label: species}'
  fltk data show '{name: synthetic, alpha: 0.5, clients: 10}' --partition '{type: natural_id}' --clients 10")]
    Show(DataShowArgs),
    /// Print which training samples each client of each federated task gets, or write them as data sets of the clients' own.
    #[command(after_help = "\
Examples:
  fltk data split examples/quickstart.yaml --output json > split.json
  fltk data split examples/quickstart.yaml --write parts        # parts/0, parts/1, ...: for `fltk node --client NAME --data parts/0`")]
    Split {
        #[command(flatten)]
        experiment: ExperimentArgs,
        /// Write a folder for each client, with its samples as training set, instead of printing them. The experiment has to be a single task with one seed.
        #[arg(long, value_name = "DIR")]
        write: Option<PathBuf>,
        #[command(flatten)]
        locations: LocationArgs,
    },
    /// Write the samples of an experiment and their division over clients as NumPy arrays, for nodes in Python.
    #[command(after_help = "\
Examples:
  fltk data arrays experiment.yaml --write arrays     # for `python -m fltk.node --arrays arrays`
  fltk data arrays experiment.yaml --write arrays --client north --data north")]
    Arrays {
        #[command(flatten)]
        experiment: ExperimentArgs,
        /// The folder to make. The experiment has to be a single federated task with one seed.
        #[arg(long, value_name = "DIR")]
        write: PathBuf,
        /// The client whose samples to write, if clients have data of their own (`data: here`); `--data` is the folder of its data set then.
        #[arg(long, value_name = "NAME", requires = "data")]
        client: Option<String>,
        #[command(flatten)]
        locations: LocationArgs,
    },
}

#[derive(Args, Debug)]
pub struct DataShowArgs {
    #[arg(help = names::dataset_or_block())]
    pub name: String,
    /// Read this folder or archive instead of the cache.
    #[arg(long, value_name = "PATH")]
    pub path: Option<String>,
    #[arg(long, value_name = "PARTITION", help = names::partition())]
    pub partition: Option<String>,
    /// The number of clients.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=i64::from(CLIENTS_MAX)))]
    pub clients: u32,
    /// The seed of the partition.
    #[arg(long, default_value_t = 42)]
    pub seed: u64,
    /// Also write a picture of the partition to this file.
    #[arg(long, value_name = "FILE", requires = "partition")]
    pub svg: Option<PathBuf>,
    #[command(flatten)]
    pub locations: LocationArgs,
}

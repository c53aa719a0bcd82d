//! The command line: arguments, help and examples. The commands themselves are in `cmd`.

mod data;
mod names;
mod network;
#[cfg(feature = "web")]
mod records;
mod report;
mod strategies;

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

pub use self::data::{DataCommand, DataShowArgs};
pub use self::network::{FederateArgs, NodeArgs, PkiCommand};
#[cfg(feature = "web")]
pub use self::records::{ExtractArgs, ServeArgs, ThroughArgs};
pub use self::report::{ReportArgs, ReportFormat};
pub use self::strategies::{ApplyArgs, StrategiesCommand};
use crate::log::LogFormat;

/// Streams of distributed and federated training jobs, with records that can be trusted.
#[derive(Parser, Debug)]
#[command(name = "fltk", version, propagate_version = true, after_help = EXIT_CODES)]
pub struct Cli {
    /// Print only warnings and errors.
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Also print details, such as every client of every round; `-vv` prints more. FLTK_LOG=debug does the same.
    #[arg(short, long, global = true, conflicts_with = "quiet", action = ArgAction::Count)]
    pub verbose: u8,
    /// The format of standard output.
    #[arg(long, global = true, value_enum, default_value_t = Output::Text)]
    pub output: Output,
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_CODES: &str = "\
Exit codes:
  0  success
  1  an error that is not listed below
  2  the command line is wrong
  3  an experiment file is wrong
  4  data is missing, damaged or can't be fetched
  5  a run, or a job of a stream, failed
  6  a run's folder is missing, damaged or in use, or can't be fetched from its source
  7  another rank of a distributed run was lost, or never joined; or no federator answers a node
  8  the cluster doesn't respond, or lacks something that a stream needs
  130  interrupted (Ctrl-C); `fltk run --resume RUN` resumes the run
  141  standard output was closed early, for example by `| head`";

/// The format of standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// Text for people.
    Text,
    /// One JSON document.
    Json,
}

#[derive(Subcommand, Debug)]
pub enum Command {
    /// Run an experiment on this machine: every task once per seed, or its stream of jobs if it has one.
    Run(RunArgs),
    /// Train one rank of a distributed task, given by environment variables (`RANK`, `WORLD_SIZE`, ...), or a federated task with all of its clients, or be its federator or
    /// one of its nodes.
    Client(ClientArgs),
    /// Run a federated task over nodes that call this machine: it says what they type.
    Federate(FederateArgs),
    /// Train clients for a federator on this or another machine.
    Node(NodeArgs),
    /// Make and revoke certificates of federators and nodes by hand.
    #[command(subcommand)]
    Pki(PkiCommand),
    /// Check experiment files, or the cluster and arrival JSON files of KFLTK.
    Validate(ValidateArgs),
    /// Run an experiment's stream of jobs on Kubernetes.
    #[cfg(feature = "cluster")]
    Cluster(ClusterArgs),
    /// Explain why a job of a stream is waiting, or how it ended.
    Explain(ExplainArgs),
    /// Show an experiment's stream of jobs, without running it: when the jobs arrive, and which resources they request.
    Plan(PlanArgs),
    /// Convert files of KFLTK to one experiment file of fltk.
    Convert(ConvertArgs),
    /// Print the JSON Schema of experiment files.
    Schema(SchemaArgs),
    /// Show what experiment files can name: nets, data sets, partitions, strategies, selections, attacks, compressed updates, clients' devices and hours, optimizers and losses, with their settings.
    Catalogue(CatalogueArgs),
    /// List and show federated strategies, and apply one to updates that a file gives, to check its arithmetic.
    #[command(subcommand)]
    Strategies(StrategiesCommand),
    /// Download the data sets that a configuration needs.
    Extractor(ExtractorArgs),
    /// List, fetch, verify and inspect data sets and their partitions.
    #[command(subcommand)]
    Data(DataCommand),
    /// List and show nets, and write their initial weights.
    #[command(subcommand)]
    Nets(NetsCommand),
    /// Train for a few steps from given weights on given batches, for a comparison with PyTorch.
    Parity(ParityArgs),
    /// List, show, compare and export the records of runs and streams.
    #[command(subcommand)]
    Runs(RunsCommand),
    /// Write a report of runs, or of the runs of a stream, as a document.
    Report(ReportArgs),
    /// Watch a run or a stream of jobs on a live screen: progress, curves, jobs and nodes.
    Watch(WatchArgs),
    /// Serve the records of runs and streams over HTTP, read-only.
    #[cfg(feature = "web")]
    Serve(ServeArgs),
    /// Copy whole folders of runs and streams from a server, or from a volume of a cluster.
    #[cfg(feature = "web")]
    Extract(ExtractArgs),
    /// Print a completion script for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

impl Command {
    /// Returns the format of the command's diagnostics.
    #[must_use]
    pub fn log_format(&self) -> LogFormat {
        match self {
            Self::Client(args) => args.log.log_format,
            Self::Federate(args) => args.log.log_format,
            Self::Node(args) => args.log.log_format,
            #[cfg(feature = "cluster")]
            Self::Cluster(args) => args.log.log_format,
            #[cfg(feature = "web")]
            Self::Serve(args) => args.log.log_format,
            _ => LogFormat::Text,
        }
    }
}

/// The format of diagnostics, for commands whose logs a cluster collects.
#[derive(Args, Debug)]
pub struct LogArgs {
    /// The format of the messages on standard error: lines for people, or one JSON object per line for programs that collect logs.
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t, env = crate::log::FORMAT)]
    pub log_format: LogFormat,
}

/// The experiment files, and what overrides their values.
#[derive(Args, Debug)]
pub struct ExperimentArgs {
    /// The experiment file (YAML or JSON), or the cluster and arrival JSON files of KFLTK, in any order.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Replace a value in the file, as in `--set tasks.0.train.batch_size=64`. May be repeated.
    #[arg(long = "set", value_name = "PATH=VALUE")]
    pub overrides: Vec<String>,
    /// Use this seed instead of those in the file.
    #[arg(long)]
    pub seed: Option<u64>,
}

#[derive(Args, Debug)]
#[command(after_help = "\
If an experiment has a `stream`, its jobs arrive, wait, run concurrently and preempt each other as they would on a cluster (docs/streams.md). Otherwise,
every task is run once per seed, one run after another.

Examples:
  fltk run examples/quickstart.yaml
  fltk run examples/quickstart.yaml --seed 7 --set tasks.0.federated.rounds=5
  fltk run examples/fashion-central.yaml --output json > result.json
  fltk run --resume runs/quickstart-20260101-120000-1a2b3c4d
  fltk run examples/stream.yaml
  fltk run --resume runs/stream-20260101-120000-1a2b")]
pub struct RunArgs {
    /// The experiment file (YAML or JSON), or the cluster and arrival JSON files of KFLTK, in any order.
    #[arg(required_unless_present = "resume", conflicts_with_all = ["resume"], value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Replace a value in the file, as in `--set tasks.0.train.batch_size=64`. May be repeated.
    #[arg(long = "set", value_name = "PATH=VALUE", conflicts_with = "resume")]
    pub overrides: Vec<String>,
    /// Use this seed instead of those in the file.
    #[arg(long, conflicts_with = "resume")]
    pub seed: Option<u64>,
    /// A name for the runs or the stream: if they are started again with the same name and the same file, they resume where they stopped.
    #[arg(long, value_name = "NAME", conflicts_with = "resume", group = "begun_before")]
    pub id: Option<String>,
    /// Resume an interrupted run from its last checkpoint, and the rest of its group; or resume a stream.
    #[arg(long, value_name = "RUN", group = "begun_before")]
    pub resume: Option<PathBuf>,
    /// With `--resume` or `--id`: also retry runs that have failed permanently, for example by diverging, from their last checkpoints; in a stream, retry
    /// all failed jobs.
    #[arg(long, alias = "failed", requires = "begun_before")]
    pub retry_failed: bool,
    /// Stop at the first run that fails, instead of running the remaining ones too. This is not available for streams.
    #[arg(long)]
    pub fail_fast: bool,
    /// Load a TorchScript module even if it is in a folder of records, which may have been copied from another machine. A module is a program.
    #[arg(long)]
    pub trust_module: bool,
    /// The folder in which the runs' folders are created.
    #[arg(long, value_name = "DIR", env = "FLTK_RUNS", default_value = "runs")]
    pub runs: PathBuf,
    /// The cache folder of data sets (default: `fltk/data` in the user's cache folder).
    #[arg(long, value_name = "DIR", env = "FLTK_DATA")]
    pub data: Option<PathBuf>,
    /// The number of clients trained concurrently in a federated task (default: one per core). It affects the time taken, not the results.
    #[arg(long, value_name = "N")]
    pub workers: Option<std::num::NonZeroUsize>,
    /// Serve `/metrics` of federated runs over nodes (`federated.nodes`) for Prometheus at this address. This is not available for streams.
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub metrics: Option<std::net::SocketAddr>,
}

#[derive(Args, Debug)]
#[command(after_help = "\
Environment variables, as set by Kubeflow's training operator and torchrun:
  RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT
or, if these are missing, as set by Kubeflow Trainer v2:
  PET_NODE_RANK, PET_NNODES, PET_NPROC_PER_NODE, PET_MASTER_ADDR, PET_MASTER_PORT
Without any of them, the task is trained by this process alone. Of the processes of a federated task, the first is the federator, and the others are its nodes.
GLOO_SOCKET_IFNAME selects a network interface.
If FLTK_TERMINATION_LOG=FILE is set, the outcome is written to FILE as JSON; in Kubernetes, FILE is /dev/termination-log.

Examples:
  RANK=0 WORLD_SIZE=4 MASTER_ADDR=127.0.0.1 MASTER_PORT=29500 fltk client examples/fashion-ddp.yaml
  fltk client experiment.yaml 1 --id trainjob-1a2b3c4d --runs /logs")]
pub struct ClientArgs {
    /// The experiment file (YAML or JSON), or an arrival JSON file of KFLTK.
    #[arg(required_unless_present = "run", value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// The task's name, or its position counted from 0; it may be omitted if there is only one task.
    #[arg(value_name = "TASK")]
    pub task: Option<String>,
    /// Replace a value in the file, as in `--set tasks.0.train.batch_size=64`. May be repeated.
    #[arg(long = "set", value_name = "PATH=VALUE")]
    pub overrides: Vec<String>,
    /// Use this seed instead of the file's first.
    #[arg(long)]
    pub seed: Option<u64>,
    /// A name for the job: processes that are started again with the same name resume the run that they began.
    #[arg(long, value_name = "NAME")]
    pub id: Option<String>,
    /// The credentials of this process, for a federated task over several: those of a federator for rank 0, and of a node for the others.
    #[arg(long, value_name = "FILE")]
    pub credentials: Option<PathBuf>,
    /// Train the run in this folder, instead of a task of a file.
    #[arg(long, value_name = "RUN", hide = true, conflicts_with_all = ["file", "overrides", "seed", "id"])]
    pub run: Option<PathBuf>,
    /// The folder in which rank 0 creates the run's folder.
    #[arg(long, value_name = "DIR", env = "FLTK_RUNS", default_value = "runs")]
    pub runs: PathBuf,
    /// The cache folder of data sets (default: `fltk/data` in the user's cache folder).
    #[arg(long, value_name = "DIR", env = "FLTK_DATA")]
    pub data: Option<PathBuf>,
    /// The number of clients trained concurrently in a federated task, and of threads in an evaluation (default: one per core). It affects the time taken,
    /// not the results.
    #[arg(long, value_name = "N")]
    pub workers: Option<std::num::NonZeroUsize>,
    /// Serve `/metrics` of a federated task over nodes for Prometheus at this address.
    #[arg(long, value_name = "ADDRESS:PORT", env = network::METRICS)]
    pub metrics: Option<std::net::SocketAddr>,
    #[command(flatten)]
    pub log: LogArgs,
}

#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  fltk validate examples/*.yaml
  fltk validate configs/example_cloud_experiment.json configs/federated_tasks/example_arrival_config.json
  fltk validate examples/quickstart.yaml --set tasks.0.federated.rounds=50")]
pub struct ValidateArgs {
    /// The files, each of which is checked separately; a cluster file of KFLTK is also checked together with each arrival file.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Replace a value in each experiment, as in `--set tasks.0.train.batch_size=64`. May be repeated.
    #[arg(long = "set", value_name = "PATH=VALUE")]
    pub overrides: Vec<String>,
}

#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  fltk plan examples/stream.yaml
  fltk plan examples/stream.yaml --seed 7 --set stream.duration=10min
  fltk plan examples/trace.yaml --output json | jq '.replications[0].jobs | length'
  fltk plan examples/stream.yaml examples/kubernetes.yaml --manifests manifests")]
pub struct PlanArgs {
    #[command(flatten)]
    pub experiment: ExperimentArgs,
    /// Write the Kubernetes objects of every job to this folder, one file per job. The settings of the pods come from a file with a `kubernetes` block,
    /// given in addition to the experiment.
    #[cfg(feature = "cluster")]
    #[arg(long, value_name = "DIR")]
    pub manifests: Option<PathBuf>,
    /// The maximum number of jobs listed for each replication (JSON contains all).
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub rows: usize,
}

/// The API server, and the namespace.
#[cfg(feature = "cluster")]
#[derive(Args, Debug, Clone)]
pub struct TargetArgs {
    /// The kubeconfig (default: KUBECONFIG, `~/.kube/config`, or the pod's own service account).
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// The context in the kubeconfig.
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
    /// The namespace, instead of the one in the files.
    #[arg(long, value_name = "NAME")]
    pub namespace: Option<String>,
}

#[cfg(feature = "cluster")]
#[derive(Args, Debug)]
#[command(after_help = "\
The files are, in any order: an experiment file, or the cluster and arrival JSON files of KFLTK; and, if the pods need other settings than the defaults, \
a file with a `kubernetes` block (`fltk schema --kubernetes`).

A stream that was interrupted or killed is resumed with `--resume`, or by starting it again with the same `--id`: nothing is done twice.

Examples:
  fltk cluster examples/kubernetes.yaml examples/stream.yaml
  fltk cluster configs/example_cloud_experiment.json configs/tasks/example_arrival_config.json --image registry.example/fltk:1
  fltk cluster experiment.yaml --dry-run
  fltk cluster kubernetes.yaml experiment.yaml --id nightly --runs /runs --listen 0.0.0.0:9090 --linger
  fltk cluster --resume runs/stream-20260101-120000-1a2b
  fltk cluster --down stream-20260101-120000-1a2b")]
pub struct ClusterArgs {
    /// The experiment, and the settings of the pods; see below.
    #[arg(required_unless_present_any = ["resume", "down"], conflicts_with_all = ["resume", "down"], value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Replace a value in the experiment, as in `--set stream.duration=10min`. May be repeated.
    #[arg(long = "set", value_name = "PATH=VALUE", conflicts_with_all = ["resume", "down"])]
    pub overrides: Vec<String>,
    /// Use this seed instead of those in the file.
    #[arg(long, conflicts_with_all = ["resume", "down"])]
    pub seed: Option<u64>,
    /// A name for the stream; if a stream of this name was begun before, it is resumed.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["resume", "down"])]
    pub id: Option<String>,
    /// Resume this stream, given by its folder or its name within `--runs`.
    #[arg(long, value_name = "STREAM", conflicts_with = "down")]
    pub resume: Option<PathBuf>,
    /// With `--resume` or `--id`: delete the objects of all failed jobs, and retry these jobs from their last checkpoints.
    #[arg(long, alias = "failed", conflicts_with_all = ["down", "dry_run"])]
    pub retry_failed: bool,
    /// Delete everything that this stream, given by its folder or its name, created in the cluster.
    #[arg(long, value_name = "STREAM")]
    pub down: Option<PathBuf>,
    /// Check everything against the API server, and create nothing.
    #[arg(long, conflicts_with_all = ["resume", "down"])]
    pub dry_run: bool,
    /// The container image of the jobs, instead of the one in the files.
    #[arg(long, conflicts_with_all = ["resume", "down"])]
    pub image: Option<String>,
    /// Serve `/metrics`, `/healthz` and `/readyz` at this address.
    #[arg(long, value_name = "ADDRESS", value_parser = clap::value_parser!(std::net::SocketAddr))]
    pub listen: Option<std::net::SocketAddr>,
    /// When every job has ended, keep serving `--listen` until SIGTERM or Ctrl-C: for a Deployment, which would otherwise restart this command forever.
    #[arg(long, requires = "listen", conflicts_with_all = ["down", "dry_run"])]
    pub linger: bool,
    /// If another orchestrator is working on the stream, wait for it to end, at most this long, such as `2min`: for pods that replace each other.
    #[arg(long, value_name = "DURATION", conflicts_with_all = ["down", "dry_run"])]
    pub wait: Option<fltk_core::experiment::Duration>,
    /// The folder in which the streams' folders are created.
    #[arg(long, value_name = "DIR", env = "FLTK_RUNS", default_value = "runs")]
    pub runs: PathBuf,
    #[command(flatten)]
    pub target: TargetArgs,
    #[command(flatten)]
    pub log: LogArgs,
}

#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  fltk explain 1a2b3c4d5e6f7a8b
  fltk explain 1a2b --stream runs/stream-20260101-120000-1a2b")]
pub struct ExplainArgs {
    /// The job's name, or the beginning of it.
    pub job: String,
    /// The stream's folder, or its name (default: the stream that has the job).
    #[arg(long, value_name = "STREAM")]
    pub stream: Option<PathBuf>,
    #[command(flatten)]
    pub runs: RunsArgs,
    #[cfg(feature = "cluster")]
    #[command(flatten)]
    pub target: TargetArgs,
}

#[derive(Args, Debug)]
pub struct SchemaArgs {
    /// Print the schema of files with a `kubernetes` block instead.
    #[cfg(feature = "cluster")]
    #[arg(long)]
    pub kubernetes: bool,
}

#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  fltk catalogue                 # everything, by kind
  fltk catalogue strategy        # the strategies, with their settings
  fltk catalogue dirichlet       # one entry")]
pub struct CatalogueArgs {
    #[arg(value_name = "KIND|NAME", help = names::kind_or_entry())]
    pub name: Option<String>,
    /// Print a page in Markdown.
    #[arg(long, hide = true, conflicts_with = "name")]
    pub markdown: bool,
}

#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  fltk convert configs/example_cloud_experiment.json configs/federated_tasks/example_arrival_config.json > experiment.yaml
  fltk convert experiment.yaml --output json | jq '.tasks[].network'")]
pub struct ConvertArgs {
    #[command(flatten)]
    pub experiment: ExperimentArgs,
}

#[derive(Args, Debug)]
pub struct ExtractorArgs {
    /// The cluster JSON file of KFLTK (for all four of its data sets), or an experiment file (for the data sets that it uses).
    pub config: PathBuf,
    #[command(flatten)]
    pub locations: LocationArgs,
}

/// The location of data sets.
#[derive(Args, Debug, Clone)]
pub struct LocationArgs {
    /// The cache folder of data sets (default: `fltk/data` in the user's cache folder).
    #[arg(long, value_name = "DIR", env = "FLTK_DATA")]
    pub data: Option<PathBuf>,
}

#[derive(Subcommand, Debug)]
pub enum NetsCommand {
    /// List all nets with input shape, classes and trainable parameters.
    List,
    /// Show every parameter and buffer of a net: name, shape, count.
    Show {
        #[arg(help = names::net())]
        name: String,
    },
    /// Write a net's initial weights as safetensors.
    Init {
        #[arg(help = names::net())]
        name: String,
        /// The seed.
        #[arg(long)]
        seed: u64,
        /// The file to write.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
}

#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  fltk nets init FashionMNISTCNN --seed 1 --out w.safetensors
  fltk parity FashionMNISTCNN --weights w.safetensors --batch b.safetensors --steps 5 \\
    --optimizer '{\"type\":\"SGD\",\"learning_rate\":0.05,\"momentum\":0.9}' --output json")]
pub struct ParityArgs {
    #[arg(help = names::net())]
    pub net: String,
    /// The initial weights: safetensors with PyTorch's names.
    #[arg(long, value_name = "FILE")]
    pub weights: PathBuf,
    /// The batches: safetensors with `x` (f32 `[B,C,H,W]`, or `[n,B,C,H,W]` for n batches used in turn; for token nets, i64 `[B,T]` or `[n,B,T]`) and `y`
    /// (i64 class indices).
    #[arg(long, value_name = "FILE")]
    pub batch: PathBuf,
    /// The number of optimizer steps.
    #[arg(long, default_value_t = 5)]
    pub steps: u32,
    #[arg(long, value_name = "OPTIMIZER", help = names::optimizer())]
    pub optimizer: String,
    /// The memory format: `contiguous` uses the kernels that a plain PyTorch script uses; `channels-last` uses those of `fltk run`, which round
    /// differently.
    #[arg(long, value_enum, default_value_t = MemoryFormatArg::Contiguous)]
    pub memory_format: MemoryFormatArg,
    /// Write the weights after the last step to this file.
    #[arg(long, value_name = "FILE")]
    pub save: Option<PathBuf>,
}

/// The order of images and convolution weights in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum MemoryFormatArg {
    /// N, C, H, W.
    Contiguous,
    /// N, H, W, C.
    ChannelsLast,
}

/// The location of records.
#[derive(Args, Debug, Clone)]
pub struct RunsArgs {
    /// The folder that contains the folders of runs and streams.
    #[arg(long, value_name = "DIR", env = "FLTK_RUNS", default_value = "runs")]
    pub runs: PathBuf,
}

#[derive(Subcommand, Debug)]
pub enum RunsCommand {
    /// List the runs.
    List(ListArgs),
    /// Show one run: settings, rounds or epochs, per-class results.
    Show {
        /// The run's folder, or its name within `--runs`, or the name that it was started with (`--id`).
        run: PathBuf,
        #[command(flatten)]
        runs: RunsArgs,
    },
    /// Show the nodes of a federated run over a network: when they were there, on what processor, what each did, sent and waited for.
    Nodes {
        /// The run's folder, or its name within `--runs`, or the name that it was started with (`--id`).
        run: PathBuf,
        #[command(flatten)]
        runs: RunsArgs,
    },
    /// Compare several runs side by side, with means and intervals over the seeds of the same task, and tests of the differences between tasks and settings.
    #[command(after_help = "\
Runs that differ only in their seeds are a group. Means over its seeds have intervals of 95 % by Student's t; differences between groups are tested, paired
where both have the same seeds, otherwise by Welch's test, with Holm's correction for the number of tests (docs/records.md#comparing).

Examples:
  fltk runs compare runs/compare-*
  fltk runs compare runs/compare-* --output json")]
    Compare {
        /// The runs' folders or names.
        #[arg(required = true, num_args = 2..)]
        run: Vec<PathBuf>,
        #[command(flatten)]
        runs: RunsArgs,
    },
    /// Show the jobs of a stream: when they arrived, waited, ran and ended, and the reason if they didn't succeed.
    #[command(after_help = "\
Examples:
  fltk runs jobs
  fltk runs jobs stream-20260101-120000-1a2b --format csv > jobs.csv")]
    Jobs {
        /// The stream's folder, or its name; if it is omitted, the streams are listed.
        stream: Option<PathBuf>,
        /// The format.
        #[arg(long, value_enum, default_value_t = JobsFormat::Table)]
        format: JobsFormat,
        #[command(flatten)]
        runs: RunsArgs,
    },
    /// Print every round or epoch of runs as one table, for a notebook.
    #[cfg_attr(
        feature = "web",
        command(after_help = "\
Examples:
  fltk runs export > results.csv
  fltk runs export --format json quickstart-20260101-120000-1a2b3c4d
  fltk runs export --from http://example.com:8080 > results.csv
  fltk runs export --from pvc/fl-log-claim --namespace training > results.csv")
    )]
    Export {
        /// The runs' folders or names (default: all).
        run: Vec<PathBuf>,
        /// The format (default: csv); `--output json` means `json`.
        #[arg(long, value_enum)]
        format: Option<ExportFormat>,
        /// Print every test of a client on samples of its own instead, as far as it is recorded.
        #[arg(long)]
        clients: bool,
        #[command(flatten)]
        runs: RunsArgs,
        /// Export runs from this source instead of a local folder: the address of a running `fltk serve`, or a claim in a Kubernetes cluster.
        #[cfg(feature = "web")]
        #[arg(long, value_name = records::FROM, conflicts_with = "clients")]
        from: Option<String>,
        #[cfg(feature = "web")]
        #[command(flatten)]
        through: Box<ThroughArgs>,
    },
}

#[derive(Args, Debug)]
#[command(after_help = "\
Keys: arrows, PgUp and PgDn scroll, Enter opens a job's run, Esc goes back, ? shows all keys, q quits. Whatever is watched goes on, and doesn't notice.
Records elsewhere are copied first: `fltk extract`.

Examples:
  fltk watch
  fltk watch quickstart-20260101-120000-1a2b3c4d
  fltk watch stream-20260101-120000-1a2b --runs /log
  fltk watch --once | head -5")]
pub struct WatchArgs {
    /// The folder of a run or a stream, or its name within `--runs`, or the name that a run was started with (`--id`); default: the newest that is running, or else
    /// the newest.
    #[arg(value_name = "RUN|STREAM")]
    pub named: Option<PathBuf>,
    /// Print one screen as text, and end. Without a terminal, the variables COLUMNS and LINES say its size.
    #[arg(long)]
    pub once: bool,
    #[command(flatten)]
    pub runs: RunsArgs,
}

#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  fltk runs list --experiment quickstart --status finished --sort accuracy")]
pub struct ListArgs {
    /// List only runs of this experiment.
    #[arg(long, value_name = "NAME")]
    pub experiment: Option<String>,
    /// List only runs of this task.
    #[arg(long, value_name = "NAME")]
    pub task: Option<String>,
    /// List only runs with this status.
    #[arg(long, value_enum)]
    pub status: Option<RunStatus>,
    /// The order.
    #[arg(long, value_enum, default_value_t = RunOrder::Newest)]
    pub sort: RunOrder,
    #[command(flatten)]
    pub runs: RunsArgs,
}

/// The status of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RunStatus {
    /// A process is writing the run.
    Running,
    /// The run finished.
    Finished,
    /// The run failed.
    Failed,
    /// The run was stopped or killed, and can be resumed.
    Interrupted,
}

/// An order of `runs list`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RunOrder {
    /// The most recently started run first.
    Newest,
    /// Sorted by experiment, task and start time.
    Name,
    /// The highest last test accuracy first.
    Accuracy,
    /// The longest training time first.
    TrainSeconds,
}

/// A format of `runs export`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// Comma-separated values with a header.
    Csv,
    /// A JSON array of objects.
    Json,
}

/// A format of `runs jobs`; `--output json` prints JSON instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum JobsFormat {
    /// A table for people.
    Table,
    /// Comma-separated values with a header; times are in seconds since the job's replication began.
    Csv,
}

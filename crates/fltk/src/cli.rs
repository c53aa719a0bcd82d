//! The command line: arguments, help and examples. The commands themselves are in `cmd`.

#[cfg(feature = "web")]
mod records;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use fltk_data::partition::CLIENTS_MAX;

#[cfg(feature = "web")]
pub use self::records::{ExtractArgs, ServeArgs, ThroughArgs};
#[cfg(feature = "cluster")]
use crate::chart_values::Chart;

/// Streams of distributed and federated training jobs, with records that can be trusted.
#[derive(Parser, Debug)]
#[command(name = "fltk", version, propagate_version = true, after_help = EXIT_CODES)]
pub struct Cli {
    /// Less talk: only warnings and errors.
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// More talk: every client of every round.
    #[arg(short, long, global = true, conflicts_with = "quiet")]
    pub verbose: bool,
    /// What standard output holds.
    #[arg(long, global = true, value_enum, default_value_t = Output::Text)]
    pub output: Output,
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_CODES: &str = "\
Exit codes:
  0  all went well
  1  an error that is none of the below
  2  the command line is wrong
  3  an experiment file is wrong
  4  data is missing, damaged or can't be fetched
  5  a run, or a job of a stream, failed
  6  a run's folder is missing, damaged or in use, or can't be got from where it is
  7  another rank of a distributed run was lost, or never came
  8  the cluster doesn't answer, or lacks what a stream needs
  130  interrupted (Ctrl-C); `fltk run --resume RUN` goes on
  141  standard output was closed early, as by `| head`";

/// The format of standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    Text,
    /// One JSON document.
    Json,
}

#[derive(Subcommand, Debug)]
pub enum Command {
    /// Run an experiment on this machine: every task once per seed, or its stream of jobs.
    Run(RunArgs),
    /// Train as one rank of a distributed task, as the environment says (`RANK`, `WORLD_SIZE`, ...), or a federated task with all of its clients.
    Client(ClientArgs),
    /// Check experiment files: ours, or KFLTK's cluster and arrival JSON.
    Validate(ValidateArgs),
    /// Run the stream of jobs that an experiment becomes on Kubernetes.
    #[cfg(feature = "cluster")]
    Cluster(ClusterArgs),
    /// Say why a job of a stream waits, or how it ended.
    Explain(ExplainArgs),
    /// Show the stream of jobs that an experiment becomes: when they arrive, what they ask for. Nothing is run.
    Plan(PlanArgs),
    /// Write KFLTK's files as one experiment file of ours.
    Convert(ConvertArgs),
    /// Print the JSON Schema of experiment files.
    Schema(SchemaArgs),
    /// Download the data sets that a configuration needs.
    Extractor(ExtractorArgs),
    /// List, fetch, verify and look at data sets and their partitions.
    #[command(subcommand)]
    Data(DataCommand),
    /// The catalog of nets.
    #[command(subcommand)]
    Nets(NetsCommand),
    /// Train a few steps on given weights and batches, to compare with PyTorch.
    Parity(ParityArgs),
    /// Look at the records of runs.
    #[command(subcommand)]
    Runs(RunsCommand),
    /// Serve the records of runs and streams over HTTP, read-only.
    #[cfg(feature = "web")]
    Serve(ServeArgs),
    /// Get whole folders of runs and streams from a server, or from a volume of a cluster.
    #[cfg(feature = "web")]
    Extract(ExtractArgs),
    /// Print a completion script for a shell.
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
}

/// Where experiment files are, and what overrides them.
#[derive(Args, Debug)]
pub struct ExperimentArgs {
    /// The experiment file (YAML or JSON); or KFLTK's cluster JSON and arrival JSON, in any order.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Replace a value of the file: `--set tasks.0.train.batch_size=64`. May be repeated.
    #[arg(long = "set", value_name = "PATH=VALUE")]
    pub overrides: Vec<String>,
    /// Use this seed in place of the file's.
    #[arg(long)]
    pub seed: Option<u64>,
}

#[derive(Args, Debug)]
#[command(after_help = "\
An experiment with a `stream` is run as that stream: its jobs arrive, wait, run beside each other and push each other out as they would on a cluster
(docs/streams.md). Any other: every task once per seed, one after another.

Examples:
  fltk run examples/quickstart.yaml
  fltk run examples/quickstart.yaml --seed 7 --set tasks.0.federated.rounds=5
  fltk run examples/fashion-central.yaml --output json > result.json
  fltk run --resume runs/quickstart-20260101-120000-1a2b3c4d
  fltk run examples/stream.yaml
  fltk run --resume runs/stream-20260101-120000-1a2b")]
pub struct RunArgs {
    /// The experiment file (YAML or JSON); or KFLTK's cluster JSON and arrival JSON, in any order.
    #[arg(required_unless_present = "resume", conflicts_with_all = ["resume"], value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Replace a value of the file: `--set tasks.0.train.batch_size=64`. May be repeated.
    #[arg(long = "set", value_name = "PATH=VALUE", conflicts_with = "resume")]
    pub overrides: Vec<String>,
    /// Use this seed in place of the file's.
    #[arg(long, conflicts_with = "resume")]
    pub seed: Option<u64>,
    /// Names what is run: begun again with the same name and the same file, it goes on where it was.
    #[arg(long, value_name = "NAME", conflicts_with = "resume", group = "begun_before")]
    pub id: Option<String>,
    /// Go on with an interrupted run, from its last checkpoint, and with the rest of its group; or with a stream.
    #[arg(long, value_name = "RUN", group = "begun_before")]
    pub resume: Option<PathBuf>,
    /// With `--resume` or `--id`: try again from their last checkpoints the runs that have failed for good, such as one that diverged; of a stream, all
    /// jobs that failed.
    #[arg(long, alias = "failed", requires = "begun_before")]
    pub retry_failed: bool,
    /// End with the first run that fails; without it the others are run first. A stream has no such end.
    #[arg(long)]
    pub fail_fast: bool,
    /// Take a TorchScript module that lies within a folder of records, as one that was got from elsewhere. A module is a program.
    #[arg(long)]
    pub trust_module: bool,
    /// The folder that runs' folders are made in.
    #[arg(long, value_name = "DIR", env = "FLTK_RUNS", default_value = "runs")]
    pub runs: PathBuf,
    /// Cache folder of data sets (default: `fltk/data` in the user's cache folder).
    #[arg(long, value_name = "DIR", env = "FLTK_DATA")]
    pub data: Option<PathBuf>,
    /// Clients trained at once in a federated task (default: one per core). It changes the time taken, not the results.
    #[arg(long, value_name = "N")]
    pub workers: Option<std::num::NonZeroUsize>,
}

#[derive(Args, Debug)]
#[command(after_help = "\
Environment, as Kubeflow's training operator and torchrun set it:
  RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT
or, where these are missing, as Kubeflow Trainer v2 sets it:
  PET_NODE_RANK, PET_NNODES, PET_NPROC_PER_NODE, PET_MASTER_ADDR, PET_MASTER_PORT
Without any of them the task is trained alone, as a federated one always is. GLOO_SOCKET_IFNAME chooses a network interface.
FLTK_TERMINATION_LOG=FILE has how it ended written to FILE as JSON: in Kubernetes /dev/termination-log.

Examples:
  RANK=0 WORLD_SIZE=4 MASTER_ADDR=127.0.0.1 MASTER_PORT=29500 fltk client examples/fashion-ddp.yaml
  fltk client experiment.yaml 1 --id trainjob-1a2b3c4d --runs /logs")]
pub struct ClientArgs {
    /// The experiment file (YAML or JSON), or KFLTK's arrival JSON.
    #[arg(required_unless_present = "run", value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// The task, by its name or its position from 0; may be left out where there is one.
    #[arg(value_name = "TASK")]
    pub task: Option<String>,
    /// Replace a value of the file: `--set tasks.0.train.batch_size=64`. May be repeated.
    #[arg(long = "set", value_name = "PATH=VALUE")]
    pub overrides: Vec<String>,
    /// Use this seed in place of the file's first.
    #[arg(long)]
    pub seed: Option<u64>,
    /// Names the job: processes that are started again with the same name go on with the run that they began.
    #[arg(long, value_name = "NAME")]
    pub id: Option<String>,
    /// Take up this run's folder, in place of a file.
    #[arg(long, value_name = "RUN", hide = true, conflicts_with_all = ["file", "overrides", "seed", "id"])]
    pub run: Option<PathBuf>,
    /// The folder that rank 0 makes the run's folder in.
    #[arg(long, value_name = "DIR", env = "FLTK_RUNS", default_value = "runs")]
    pub runs: PathBuf,
    /// Cache folder of data sets (default: `fltk/data` in the user's cache folder).
    #[arg(long, value_name = "DIR", env = "FLTK_DATA")]
    pub data: Option<PathBuf>,
    /// Clients trained at once in a federated task, and threads of an evaluation (default: one per core). It changes the time taken, not the results.
    #[arg(long, value_name = "N")]
    pub workers: Option<std::num::NonZeroUsize>,
}

#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  fltk validate examples/*.yaml
  fltk validate configs/example_cloud_experiment.json configs/federated_tasks/example_arrival_config.json
  fltk validate examples/quickstart.yaml --set tasks.0.federated.rounds=50")]
pub struct ValidateArgs {
    /// Files, each checked by itself; a KFLTK cluster file is also checked together with each arrival file.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Replace a value of each experiment, as the other commands do: `--set tasks.0.train.batch_size=64`. May be repeated.
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
    /// Write the Kubernetes objects of every job into this folder, one file a job. What pods get is in a file with a `kubernetes` block, given beside
    /// the experiment.
    #[cfg(feature = "cluster")]
    #[arg(long, value_name = "DIR")]
    pub manifests: Option<PathBuf>,
    /// Jobs that are listed of each replication (JSON has all).
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub rows: usize,
}

/// Where the API server is, and which namespace and image are meant.
#[cfg(feature = "cluster")]
#[derive(Args, Debug, Clone)]
pub struct TargetArgs {
    /// The kubeconfig (default: KUBECONFIG, `~/.kube/config`, or the pod's own service account).
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// A context of it.
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
    /// Namespace of the jobs, in place of the files'.
    #[arg(long, value_name = "NAME")]
    pub namespace: Option<String>,
}

#[cfg(feature = "cluster")]
#[derive(Args, Debug)]
#[command(after_help = "\
The files are, in any order: an experiment of ours or KFLTK's cluster and arrival JSON; and, where pods should get something else than the defaults, a \
file with a `kubernetes` block (`fltk schema --kubernetes`).

A stream that was interrupted or killed goes on with `--resume`, or when it's begun again with the same `--id`: nothing is done twice.

Examples:
  fltk cluster examples/kubernetes.yaml examples/stream.yaml
  fltk cluster configs/example_cloud_experiment.json configs/tasks/example_arrival_config.json --image registry.example/fltk:1
  fltk cluster experiment.yaml --dry-run
  fltk cluster kubernetes.yaml experiment.yaml --id nightly --runs /runs --listen 0.0.0.0:9090 --linger
  fltk cluster --resume runs/stream-20260101-120000-1a2b
  fltk cluster --down stream-20260101-120000-1a2b")]
pub struct ClusterArgs {
    /// Experiment, and what pods get; see below.
    #[arg(required_unless_present_any = ["resume", "down"], conflicts_with_all = ["resume", "down"], value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Replace a value of the experiment: `--set stream.duration=10min`. May be repeated.
    #[arg(long = "set", value_name = "PATH=VALUE", conflicts_with_all = ["resume", "down"])]
    pub overrides: Vec<String>,
    /// Use this seed in place of the file's.
    #[arg(long, conflicts_with_all = ["resume", "down"])]
    pub seed: Option<u64>,
    /// Names the stream; one of that name that was begun before goes on.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["resume", "down"])]
    pub id: Option<String>,
    /// Go on with this stream: its folder, or its name within `--runs`.
    #[arg(long, value_name = "STREAM", conflicts_with = "down")]
    pub resume: Option<PathBuf>,
    /// With `--resume` or `--id`: remove the objects of jobs that failed, and try them again from their last checkpoints.
    #[arg(long, alias = "failed", conflicts_with_all = ["down", "dry_run"])]
    pub retry_failed: bool,
    /// Remove from the cluster everything that this stream made there: its folder, or its name.
    #[arg(long, value_name = "STREAM")]
    pub down: Option<PathBuf>,
    /// Check everything against the API server, and make nothing.
    #[arg(long, conflicts_with_all = ["resume", "down"])]
    pub dry_run: bool,
    /// Container image of the jobs, in place of the files'.
    #[arg(long, conflicts_with_all = ["resume", "down"])]
    pub image: Option<String>,
    /// Serve `/metrics`, `/healthz` and `/readyz` here.
    #[arg(long, value_name = "ADDRESS", value_parser = clap::value_parser!(std::net::SocketAddr))]
    pub listen: Option<std::net::SocketAddr>,
    /// When every job is over, go on serving `--listen` until asked to stop: for a Deployment, which would start the stream again and again.
    #[arg(long, requires = "listen", conflicts_with_all = ["down", "dry_run"])]
    pub linger: bool,
    /// Where another orchestrator works on the stream, wait so long until it has ended, such as `2min`: for pods that take over from each other.
    #[arg(long, value_name = "DURATION", conflicts_with_all = ["down", "dry_run"])]
    pub wait: Option<fltk_core::experiment::Duration>,
    /// The folder that streams' folders are made in.
    #[arg(long, value_name = "DIR", env = "FLTK_RUNS", default_value = "runs")]
    pub runs: PathBuf,
    #[command(flatten)]
    pub target: TargetArgs,
}

#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  fltk explain 1a2b3c4d5e6f7a8b
  fltk explain 1a2b --stream runs/stream-20260101-120000-1a2b")]
pub struct ExplainArgs {
    /// The job, or the beginning of its name.
    pub job: String,
    /// The stream's folder, or its name (default: whichever has the job).
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
    /// That of files with a `kubernetes` block.
    #[cfg(feature = "cluster")]
    #[arg(long)]
    pub kubernetes: bool,
    /// That of the values of a Helm chart of ours.
    #[cfg(feature = "cluster")]
    #[arg(long, value_name = "CHART", conflicts_with = "kubernetes")]
    pub values: Option<Chart>,
}

#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  fltk convert configs/example_cloud_experiment.json configs/federated_tasks/example_arrival_config.json > experiment.yaml")]
pub struct ConvertArgs {
    #[command(flatten)]
    pub experiment: ExperimentArgs,
}

#[derive(Args, Debug)]
pub struct ExtractorArgs {
    /// KFLTK's cluster JSON (all four of its data sets), or an experiment file (those that it uses).
    pub config: PathBuf,
    #[command(flatten)]
    pub locations: LocationArgs,
}

/// Where data sets are.
#[derive(Args, Debug, Clone)]
pub struct LocationArgs {
    /// Cache folder of data sets (default: `fltk/data` in the user's cache folder).
    #[arg(long, value_name = "DIR", env = "FLTK_DATA")]
    pub data: Option<PathBuf>,
}

#[derive(Subcommand, Debug)]
pub enum DataCommand {
    /// What there is, and what is on this machine.
    List {
        #[command(flatten)]
        locations: LocationArgs,
    },
    /// Download data sets into the cache: resumable, verified.
    Fetch {
        /// Names as in `fltk data list`.
        #[arg(required = true)]
        names: Vec<String>,
        #[command(flatten)]
        locations: LocationArgs,
    },
    /// Check what is on this machine against the published digests.
    Verify {
        /// Names; all when none is given.
        names: Vec<String>,
        #[command(flatten)]
        locations: LocationArgs,
    },
    /// Sizes and class counts; with `--partition` how heterogeneous a split over clients is.
    #[command(after_help = "\
Examples:
  fltk data show fashion-mnist-mini
  fltk data show fashion-mnist-mini --partition '{type: dirichlet, alpha: 0.1}' --clients 10 --svg split.svg")]
    Show(DataShowArgs),
    /// Print which samples of the training set each client of each federated task gets.
    Split {
        #[command(flatten)]
        experiment: ExperimentArgs,
        #[command(flatten)]
        locations: LocationArgs,
    },
}

#[derive(Args, Debug)]
pub struct DataShowArgs {
    /// A name as in `fltk data list`.
    pub name: String,
    /// Read this folder or archive instead.
    #[arg(long, value_name = "PATH")]
    pub path: Option<String>,
    /// A partition as in an experiment file, YAML or JSON.
    #[arg(long, value_name = "PARTITION")]
    pub partition: Option<String>,
    /// Clients of the partition.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=i64::from(CLIENTS_MAX)))]
    pub clients: u32,
    /// Seed of the partition.
    #[arg(long, default_value_t = 42)]
    pub seed: u64,
    /// Also write a picture.
    #[arg(long, value_name = "FILE", requires = "partition")]
    pub svg: Option<PathBuf>,
    #[command(flatten)]
    pub locations: LocationArgs,
}

#[derive(Subcommand, Debug)]
pub enum NetsCommand {
    /// All nets with input shape, classes and trainable parameters.
    List,
    /// Every parameter and buffer of a net: name, shape, count.
    Show {
        /// A name as in `fltk nets list`.
        name: String,
    },
    /// Write a net's initial weights as safetensors.
    Init {
        /// A name as in `fltk nets list`.
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
    /// A name as in `fltk nets list`.
    pub net: String,
    /// Initial weights: safetensors with PyTorch's names.
    #[arg(long, value_name = "FILE")]
    pub weights: PathBuf,
    /// Safetensors with `x` (f32 `[B,C,H,W]`, or `[n,B,C,H,W]`: n batches taken in turn; token nets: i64 `[B,T]` or `[n,B,T]`) and `y` (i64 class indices).
    #[arg(long, value_name = "FILE")]
    pub batch: PathBuf,
    /// Optimizer steps.
    #[arg(long, default_value_t = 5)]
    pub steps: u32,
    /// An optimizer as in an experiment file, JSON or YAML.
    #[arg(long, value_name = "OPTIMIZER")]
    pub optimizer: String,
    /// `contiguous` computes with the kernels that a plain PyTorch script gets; `channels-last` with those of `fltk run`, which round
    /// differently.
    #[arg(long, value_enum, default_value_t = MemoryFormatArg::Contiguous)]
    pub memory_format: MemoryFormatArg,
    /// Write the weights after the last step here.
    #[arg(long, value_name = "FILE")]
    pub save: Option<PathBuf>,
}

/// Order of images and convolution weights in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum MemoryFormatArg {
    /// N, C, H, W.
    Contiguous,
    /// N, H, W, C.
    ChannelsLast,
}

/// Which folder holds the runs.
#[derive(Args, Debug, Clone)]
pub struct RunsArgs {
    /// The folder that holds runs' folders.
    #[arg(long, value_name = "DIR", env = "FLTK_RUNS", default_value = "runs")]
    pub runs: PathBuf,
}

#[derive(Subcommand, Debug)]
pub enum RunsCommand {
    /// The runs there are.
    List(ListArgs),
    /// One run: settings, rounds or epochs, per-class results.
    Show {
        /// A run's folder, or its name within the runs folder.
        run: PathBuf,
        #[command(flatten)]
        runs: RunsArgs,
    },
    /// Several runs side by side, and mean and deviation over seeds of the same task.
    Compare {
        /// Runs' folders or names.
        #[arg(required = true, num_args = 2..)]
        run: Vec<PathBuf>,
        #[command(flatten)]
        runs: RunsArgs,
    },
    /// The jobs of a stream: when they arrived, waited, ran and ended, and why.
    #[command(after_help = "\
Examples:
  fltk runs jobs
  fltk runs jobs stream-20260101-120000-1a2b --format csv > jobs.csv")]
    Jobs {
        /// The stream's folder, or its name; the streams there are when left out.
        stream: Option<PathBuf>,
        /// The format.
        #[arg(long, value_enum, default_value_t = JobsFormat::Table)]
        format: JobsFormat,
        #[command(flatten)]
        runs: RunsArgs,
    },
    /// Every round or epoch of runs as one table, for a notebook.
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
        /// Runs' folders or names; all when none is given.
        run: Vec<PathBuf>,
        /// The format.
        #[arg(long, value_enum, default_value_t = ExportFormat::Csv)]
        format: ExportFormat,
        #[command(flatten)]
        runs: RunsArgs,
        /// Not the runs of a folder here, but those that are there: at the address of a `fltk serve`, or on a claim of a Kubernetes cluster.
        #[cfg(feature = "web")]
        #[arg(long, value_name = records::FROM)]
        from: Option<String>,
        #[cfg(feature = "web")]
        #[command(flatten)]
        through: Box<ThroughArgs>,
    },
}

#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  fltk runs list --experiment quickstart --status finished --sort accuracy")]
pub struct ListArgs {
    /// Only runs of this experiment.
    #[arg(long, value_name = "NAME")]
    pub experiment: Option<String>,
    /// Only runs of this task.
    #[arg(long, value_name = "NAME")]
    pub task: Option<String>,
    /// Only runs that stand so.
    #[arg(long, value_enum)]
    pub status: Option<RunStatus>,
    /// In which order.
    #[arg(long, value_enum, default_value_t = RunOrder::Newest)]
    pub sort: RunOrder,
    #[command(flatten)]
    pub runs: RunsArgs,
}

/// The status of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RunStatus {
    /// A process is writing it.
    Running,
    /// It went through.
    Finished,
    /// It gave up.
    Failed,
    /// It was stopped or killed, and can be resumed.
    Interrupted,
}

/// An order of `runs list`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RunOrder {
    /// The last started first.
    Newest,
    /// By experiment, task and start.
    Name,
    /// The highest last test accuracy first.
    Accuracy,
    /// The longest training first.
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

/// A format of `runs jobs`; JSON is `--output json`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum JobsFormat {
    /// For people.
    Table,
    /// Comma-separated values with a header, times in seconds since a job's replication began.
    Csv,
}

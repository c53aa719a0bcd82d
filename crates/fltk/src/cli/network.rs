//! The commands of federated runs over several machines.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, Subcommand};

use super::{LogArgs, RunArgs};

/// The environment variable with the address at which a federator serves metrics.
pub const METRICS: &str = "FLTK_METRICS";

#[derive(Args, Debug)]
#[command(after_help = "\
The federator trains nothing itself. It prints a line for each node that it invites; whoever types that line on another machine takes part, for as long as the run lasts. Nodes
may come late, leave and come back: the result is the same. A federator that was killed goes on where it was, and its nodes come back to it.

Examples:
  fltk federate examples/quickstart.yaml
  fltk federate examples/quickstart.yaml --listen 0.0.0.0:7400 --host example.org --invite 3 --id first
  fltk federate --resume runs/quickstart-20260101-120000-1a2b3c4d
  fltk federate examples/quickstart.yaml --listen 127.0.0.1:7400 --insecure --metrics 127.0.0.1:9400")]
pub struct FederateArgs {
    /// The experiment file (YAML or JSON): one federated task with one seed.
    #[arg(required_unless_present = "resume", conflicts_with = "resume", value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Replace a value in the file, as in `--set tasks.0.train.batch_size=64`. May be repeated.
    #[arg(long = "set", value_name = "PATH=VALUE", conflicts_with = "resume")]
    pub overrides: Vec<String>,
    /// Use this seed instead of the one in the file.
    #[arg(long, conflicts_with = "resume")]
    pub seed: Option<u64>,
    /// A name for the run: if it is started again with the same name and the same file, it resumes where it stopped.
    #[arg(long, value_name = "NAME", conflicts_with = "resume", group = "begun_before")]
    pub id: Option<String>,
    /// Resume an interrupted run from its last checkpoint.
    #[arg(long, value_name = "RUN", group = "begun_before")]
    pub resume: Option<PathBuf>,
    /// With `--resume` or `--id`: also retry a run that has failed permanently, for example by diverging, from its last checkpoint.
    #[arg(long, requires = "begun_before")]
    pub retry_failed: bool,
    /// Load a TorchScript module even if it is in a folder of records, which may have been copied from another machine. A module is a program.
    #[arg(long)]
    pub trust_module: bool,
    /// The folder in which the run's folder is created.
    #[arg(long, value_name = "DIR", env = "FLTK_RUNS", default_value = "runs")]
    pub runs: PathBuf,
    /// The cache folder of data sets (default: `fltk/data` in the user's cache folder).
    #[arg(long, value_name = "DIR", env = "FLTK_DATA")]
    pub data: Option<PathBuf>,
    /// The number of threads that evaluate (default: one per core). It affects the time taken, not the results.
    #[arg(long, value_name = "N")]
    pub workers: Option<std::num::NonZeroUsize>,
    /// The address and port at which nodes call.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "0.0.0.0:7400")]
    pub listen: SocketAddr,
    /// The host that nodes call, for the lines that are printed (default: this machine's name).
    #[arg(long, value_name = "HOST")]
    pub host: Option<String>,
    /// The number of nodes to invite (default: 1, or one for each client with data of its own; none if the run was begun before: its nodes come back). `fltk pki invite` invites more while the run goes on.
    #[arg(long, value_name = "N")]
    pub invite: Option<u32>,
    /// The folder of the authority (`fltk pki init`), instead of one that is made for this run.
    #[arg(long, value_name = "DIR")]
    pub pki: Option<PathBuf>,
    /// Speak without encryption and certificates. Only at an address of this machine itself, such as 127.0.0.1.
    #[arg(long, conflicts_with_all = ["pki", "invite", "host"])]
    pub insecure: bool,
    /// The time of silence after which a node is lost, and others do its work. Nodes say ten times in it that they are alive.
    #[arg(long, value_name = "DURATION", default_value = "20s")]
    pub silence: fltk_core::experiment::Duration,
    /// Serve `/metrics` for Prometheus at this address, as long as the run lasts.
    #[arg(long, value_name = "ADDRESS:PORT", env = METRICS)]
    pub metrics: Option<SocketAddr>,
    #[command(flatten)]
    pub log: LogArgs,
}

impl FederateArgs {
    /// Returns the arguments of `fltk run` that have the same meaning.
    #[must_use]
    pub fn run(&self) -> RunArgs {
        RunArgs {
            files: self.files.clone(),
            overrides: self.overrides.clone(),
            seed: self.seed,
            id: self.id.clone(),
            resume: self.resume.clone(),
            retry_failed: self.retry_failed,
            fail_fast: false,
            trust_module: self.trust_module,
            runs: self.runs.clone(),
            data: self.data.clone(),
            workers: self.workers,
            metrics: self.metrics,
        }
    }
}

#[derive(Args, Debug)]
#[command(after_help = "\
A node calls its federator, and never the other way: it may be behind NAT, and calls through the proxy that HTTPS_PROXY or ALL_PROXY names, unless NO_PROXY has the host. It gets the
experiment from the federator, and loads the data set from this machine. If the connection breaks it calls again, and goes on where it was.

Examples:
  fltk node --join https://example.org:7400 --invitation 7j2k...
  fltk node --join https://example.org:7400 --credentials lab-1.pem --workers 4
  fltk node --join http://127.0.0.1:7400")]
pub struct NodeArgs {
    /// The address of the federator, as it prints it: `https:` with its host and port; on this machine also `http:`, or `unix:PATH`.
    #[arg(long, value_name = "ADDRESS")]
    pub join: String,
    /// The invitation, as the federator prints it. It brings credentials, which are kept in the cache folder: the same line may be typed again on this machine.
    #[arg(long, value_name = "INVITATION", env = "FLTK_INVITATION", hide_env_values = true, conflicts_with = "credentials")]
    pub invitation: Option<String>,
    /// The file of credentials that `fltk pki issue` made, instead of an invitation.
    #[arg(long, value_name = "FILE")]
    pub credentials: Option<PathBuf>,
    /// Only enroll with the invitation, and print the file with the credentials that it brought, for a node in Python.
    #[arg(long, requires = "invitation")]
    pub enroll: bool,
    /// The HTTP proxy through which the node calls, instead of the one of the environment.
    #[arg(long, value_name = "URL")]
    pub proxy: Option<String>,
    /// The name of the node in the federator's messages and records (default: that of the machine, and the process).
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// The time for which the node calls a federator that doesn't answer.
    #[arg(long, value_name = "DURATION", default_value = "10min")]
    pub wait: String,
    /// The cache folder of data sets (default: `fltk/data` in the user's cache folder); with `--client`, the folder of the client's data set.
    #[arg(long, value_name = "DIR", env = "FLTK_DATA")]
    pub data: Option<PathBuf>,
    /// The client whose data the node has, if the clients of the run have data of their own (`data: here`). No sample leaves the node.
    #[arg(long, value_name = "NAME", requires = "data", conflicts_with = "name")]
    pub client: Option<String>,
    /// The folder in which the node keeps what its client keeps between rounds (default: one in the user's cache folder).
    #[arg(long, value_name = "DIR", requires = "client")]
    pub state: Option<PathBuf>,
    /// The number of clients trained concurrently (default: one per core). It affects the time taken, not the results.
    #[arg(long, value_name = "N")]
    pub workers: Option<std::num::NonZeroUsize>,
    #[command(flatten)]
    pub log: LogArgs,
}

#[derive(Subcommand, Debug)]
pub enum PkiCommand {
    /// Make a folder with a new authority.
    Init {
        /// The folder.
        folder: PathBuf,
    },
    /// Issue a certificate to a node, or to a federator, as one file of credentials with its key.
    Issue {
        /// The folder of the authority.
        folder: PathBuf,
        /// The name of the node.
        name: String,
        /// Issue it to a federator, which `fltk client --credentials` starts.
        #[arg(long)]
        federator: bool,
        /// The file to write (default: NAME.pem in this folder).
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Make an invitation, which admits one node.
    Invite {
        /// The folder of the authority; that of a run is in its `fltk federate` messages.
        folder: PathBuf,
        /// The client for which it is, if clients have data of their own (default: any).
        #[arg(long, value_name = "NAME")]
        client: Option<String>,
    },
    /// List the certificates of an authority, and the invitations that are open.
    Show {
        /// The folder of the authority.
        folder: PathBuf,
    },
    /// Revoke a certificate: a federator refuses it from then on, also one that runs, with the node's next connection.
    Revoke {
        /// The folder of the authority.
        folder: PathBuf,
        /// The name in the certificate.
        name: String,
    },
}

//! The arguments of the commands that serve records, and that fetch them from elsewhere.

use std::{net::SocketAddr, path::PathBuf};

use clap::Args;

use super::RunsArgs;
#[cfg(feature = "cluster")]
use super::TargetArgs;

#[derive(Args, Debug)]
#[command(after_help = "\
What is served, all read-only: /api/v1/runs, /api/v1/runs/RUN, /api/v1/export, /api/v1/streams, /api/v1/streams/STREAM/jobs, whole folders as
.../archive; /healthz and /readyz for probes (docs/records.md). It speaks plain HTTP: TLS is a proxy's work. Without a token, where it listens to this
machine alone, it's asked by an address, as `localhost` or by a `--host` only; elsewhere too once there is a `--host`.

Examples:
  fltk serve
  fltk serve --runs runs --listen 0.0.0.0:8080 --token-file token
  fltk serve --runs /log --streams /server
  fltk serve --listen 0.0.0.0:8080 --host runs.example.org
  curl localhost:8080/api/v1/export > results.csv
  fltk extract --from http://localhost:8080 --into copies")]
pub struct ServeArgs {
    /// Where to listen: this machine alone, unless another address is given.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// A file whose content clients must show as `Authorization: Bearer TOKEN`; FLTK_TOKEN has the same effect.
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// A name that it may be asked by, beside addresses and `localhost`: by others it then isn't, so that no page of another site reaches it through a
    /// browser. May be repeated.
    #[arg(long = "host", value_name = "NAME")]
    pub hosts: Vec<fltk_web::server::HostName>,
    #[command(flatten)]
    pub runs: RunsArgs,
    /// The folder that holds streams' folders, where it's another than that of the runs.
    #[arg(long, value_name = "DIR")]
    pub streams: Option<PathBuf>,
    /// What all paths begin with, but for those of probes, which it can't be itself: where a proxy has others beside it.
    #[arg(long, value_name = "PATH", default_value = "/")]
    pub path_prefix: fltk_web::server::Prefix,
}

#[derive(Args, Debug)]
#[command(after_help = "\
What is there already and the same is skipped, an older copy is replaced (what only that has is kept), and anything else is left alone: so after an
interruption the same command goes on.

Examples:
  fltk extract --from http://example.com:8080 --into copies
  fltk extract --from https://example.com/fltk stream-20260101-120000-1a2b --into copies
  fltk extract --from pvc/fl-log-claim --namespace training --into copies")]
pub struct ExtractArgs {
    /// Names of runs and streams; all when none is given.
    pub named: Vec<String>,
    /// The folder that their folders are put in.
    #[arg(long, value_name = "DIR")]
    pub into: PathBuf,
    /// Where they are: the address of a `fltk serve`, or a claim of a Kubernetes cluster (which a temporary pod reads), perhaps with a folder on it.
    #[arg(long, value_name = FROM)]
    pub from: String,
    #[command(flatten)]
    pub through: ThroughArgs,
}

#[cfg(feature = "cluster")]
pub const FROM: &str = "URL|pvc/CLAIM[/DIR]";
#[cfg(not(feature = "cluster"))]
pub const FROM: &str = "URL";

/// The way to records that are elsewhere.
#[derive(Args, Debug)]
#[command(next_help_heading = "Records from elsewhere")]
pub struct ThroughArgs {
    /// A file with the token that the server wants; or the token is in FLTK_TOKEN. Not together with `user:password@` in an address.
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Of the pod that reads a claim: an image of fltk (default: that of the newest job of ours in the namespace).
    #[cfg(feature = "cluster")]
    #[arg(long)]
    pub image: Option<String>,
    /// A file with a `kubernetes` block, which says where and as whom that pod may run, and with which image.
    #[cfg(feature = "cluster")]
    #[arg(long, value_name = "FILE")]
    pub kubernetes: Option<PathBuf>,
    #[cfg(feature = "cluster")]
    #[command(flatten)]
    pub target: TargetArgs,
}

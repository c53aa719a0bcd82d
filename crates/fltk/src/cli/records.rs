//! The arguments of the commands that serve records, and that fetch them from elsewhere.

use std::{net::SocketAddr, path::PathBuf};

use clap::Args;

#[cfg(feature = "cluster")]
use super::TargetArgs;
use super::{LogArgs, RunsArgs};

#[derive(Args, Debug)]
#[command(after_help = "\
The address that it prints is a page: runs and streams as tables, curves that grow while runs train, comparisons (docs/page.md).
The server is read-only. It also serves /api/v1/runs, /api/v1/runs/RUN, /api/v1/export, /api/v1/streams, /api/v1/streams/STREAM/jobs, whole folders as
.../archive, and /healthz and /readyz for probes (docs/records.md). It speaks plain HTTP: use a proxy for TLS. If it listens on this machine only, without
a token, it answers only requests whose host is an address, `localhost` or a `--host`; with a `--host`, it does so in any case.

Examples:
  fltk serve
  fltk serve --runs runs --listen 0.0.0.0:8080 --token-file token
  fltk serve --runs /log --streams /server
  fltk serve --listen 0.0.0.0:8080 --host runs.example.org
  curl localhost:8080/api/v1/export > results.csv
  fltk extract --from http://localhost:8080 --into copies")]
pub struct ServeArgs {
    /// The address to listen on; by default, only this machine can connect.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// A file with the token that clients must present as `Authorization: Bearer TOKEN`; the token may be in FLTK_TOKEN instead.
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// A host name that requests may use, in addition to addresses and `localhost`. Requests with any other are then refused, so that no page of another
    /// site can reach the server through a browser. May be repeated.
    #[arg(long = "host", value_name = "NAME")]
    pub hosts: Vec<fltk_web::server::HostName>,
    #[command(flatten)]
    pub runs: RunsArgs,
    /// The folder that contains the streams' folders, if it isn't the one of the runs.
    #[arg(long, value_name = "DIR")]
    pub streams: Option<PathBuf>,
    /// The prefix of all paths except those of probes, for a proxy that also serves other paths. It can't be the path of a probe.
    #[arg(long, value_name = "PATH", default_value = "/")]
    pub path_prefix: fltk_web::server::Prefix,
    #[command(flatten)]
    pub log: LogArgs,
}

#[derive(Args, Debug)]
#[command(after_help = "\
A folder that is already there and up to date is skipped, an older copy is replaced (files that only it has are kept), and any other folder is left alone,
which is an error. So the same command continues after an interruption.

Examples:
  fltk extract --from http://example.com:8080 --into copies
  fltk extract --from https://example.com/fltk stream-20260101-120000-1a2b --into copies
  fltk extract --from pvc/fl-log-claim --namespace training --into copies")]
pub struct ExtractArgs {
    /// The names of runs and streams (default: all).
    pub named: Vec<String>,
    /// The folder in which their folders are put.
    #[arg(long, value_name = "DIR")]
    pub into: PathBuf,
    /// The source: the address of a running `fltk serve`, or a persistent volume claim in a Kubernetes cluster (which a temporary pod reads), optionally
    /// with a folder on it.
    #[arg(long, value_name = FROM)]
    pub from: String,
    #[command(flatten)]
    pub through: ThroughArgs,
}

#[cfg(feature = "cluster")]
pub const FROM: &str = "URL|pvc/CLAIM[/DIR]";
#[cfg(not(feature = "cluster"))]
pub const FROM: &str = "URL";

/// Access to records on a server or in a cluster.
#[derive(Args, Debug)]
#[command(next_help_heading = "Remote records")]
pub struct ThroughArgs {
    /// A file with the token that the server requires; the token may be in FLTK_TOKEN instead. It can't be combined with `user:password@` in an address.
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// The fltk image for the pod that reads a claim (default: the one in the `--kubernetes` file, or else that of the newest fltk job in the namespace).
    #[cfg(feature = "cluster")]
    #[arg(long)]
    pub image: Option<String>,
    /// A file with a `kubernetes` block, which gives that pod's settings, such as node selector, tolerations, service account and image.
    #[cfg(feature = "cluster")]
    #[arg(long, value_name = "FILE")]
    pub kubernetes: Option<PathBuf>,
    #[cfg(feature = "cluster")]
    #[command(flatten)]
    pub target: TargetArgs,
}

//! `fltk serve`: serves the records of a folder over HTTP.

use std::{net::SocketAddr, path::Path, sync::Arc};

use anyhow::Context as _;
use fltk_web::server::{JobsOf, Site, TimelineOf, serve};
use tokio::{
    net::TcpListener,
    runtime::Runtime,
    signal::unix::{SignalKind, signal},
};

use crate::{
    cli::ServeArgs,
    cmd::elsewhere::token_to_ask_for,
    exit::{Exit, failure},
    inputs, jobs,
};

/// Serves until the process is asked to stop, which counts as success.
///
/// # Errors
/// If a folder doesn't exist, the token's file can't be read, or the address can't be bound.
pub fn run(args: &ServeArgs) -> anyhow::Result<()> {
    let runs = folder(&args.runs.runs, "--runs", "runs")?;
    let streams = args.streams.as_deref().map_or(Ok(runs), |streams| folder(streams, "--streams", "streams"))?;
    let token = token_to_ask_for(args.token_file.as_deref())?;
    let runtime = Runtime::new().context("can't start the runtime")?;
    let served = runtime.block_on(async {
        // Installed before anybody can connect: for process 1 of a container, a signal without a handler would be ignored.
        let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let stop = async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        };
        let listener = TcpListener::bind(args.listen).await.with_context(|| format!("can't listen at {}", args.listen))?;
        let (runs, streams, prefix) = (runs.to_owned(), streams.to_owned(), args.path_prefix.clone());
        let (jobs, timeline, hosts) = (jobs_of(), timeline_of(), args.hosts.clone());
        let site = Site { runs, streams, indexes: inputs::indexes(), prefix, jobs, timeline, token, hosts };
        greet(&site, listener.local_addr()?);
        serve(listener, site, stop).await.context("the server failed")
    });
    // Threads that still read for closed connections aren't waited for.
    runtime.shutdown_background();
    served
}

fn jobs_of() -> JobsOf {
    Arc::new(|folder| jobs::read(folder).map_err(|error| format!("{error:#}")))
}

fn timeline_of() -> TimelineOf {
    Arc::new(|folder| jobs::timeline(folder).map_err(|error| format!("{error:#}")))
}

fn folder<'a>(path: &'a Path, flag: &str, what: &str) -> anyhow::Result<&'a Path> {
    if path.is_dir() {
        return Ok(path);
    }
    Err(failure(Exit::Records, format!("there is no folder `{}`\nhint: `{flag} DIR` sets the folder of the {what}", path.display())))
}

fn greet(site: &Site, address: SocketAddr) {
    let Site { runs, streams, prefix, token, .. } = site;
    let beside = if streams == runs { String::new() } else { format!(" and `{}`", streams.display()) };
    tracing::info!("serving `{}`{beside} at http://{address}{prefix}/", runs.display());
    if token.is_none() && !address.ip().is_loopback() {
        tracing::warn!("anybody who reaches this address can read all records\nhint: `--token-file FILE` requires a token");
    }
}

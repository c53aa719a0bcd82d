//! `fltk serve`: the records of a folder over HTTP.

use std::{path::Path, sync::Arc};

use anyhow::Context as _;
use fltk_web::{
    Token,
    server::{JobsOf, Site, serve},
};
use tokio::{
    net::TcpListener,
    runtime::Runtime,
    signal::unix::{SignalKind, signal},
};

use crate::{
    cli::{Cli, ServeArgs},
    cmd::elsewhere::token,
    exit::{Exit, failure},
    jobs,
};

/// Serves until the process is asked to stop, which is a good end.
///
/// # Errors
/// If the folder isn't there, the token's file can't be read, or nothing can listen at the address.
pub fn run(cli: &Cli, args: &ServeArgs) -> anyhow::Result<()> {
    let root = &args.runs.runs;
    if !root.is_dir() {
        let message = format!("there is no folder `{}`\nhint: `--runs DIR` says where the runs are", root.display());
        return Err(failure(Exit::Records, message));
    }
    let token = token(args.token_file.as_deref())?;
    let runtime = Runtime::new().context("can't start the runtime")?;
    let served = runtime.block_on(async {
        // Before anybody can connect: as process 1 of a container, what isn't waited for would be ignored.
        let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let stop = async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        };
        let listener = TcpListener::bind(args.listen).await.with_context(|| format!("can't listen at {}", args.listen))?;
        if !cli.quiet {
            greet(root, listener.local_addr()?, token.as_ref());
        }
        let site = Site { root: root.clone(), jobs: jobs_of(), token };
        serve(listener, site, stop).await.context("the server failed")
    });
    // What a thread still reads for nobody isn't waited for.
    runtime.shutdown_background();
    served
}

fn jobs_of() -> JobsOf {
    Arc::new(|folder| jobs::read(folder).map_err(|error| format!("{error:#}")))
}

fn greet(root: &Path, address: std::net::SocketAddr, token: Option<&Token>) {
    anstream::eprintln!("serving `{}` at http://{address}/api/v1/runs", root.display());
    if token.is_none() && !address.ip().is_loopback() {
        anstream::eprintln!("warning: whoever reaches this address can read it all\nhint: `--token-file FILE` asks for a token");
    }
}

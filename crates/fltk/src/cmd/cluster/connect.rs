//! The connection to the API server that the command line names, and the signals that end the work.

use fltk_kubernetes::connect::{self, Address, Target};
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    cli::TargetArgs,
    exit::{Exit, OrExit as _},
    work::Work,
};

/// Returns a client for the API server, and the default namespace.
///
/// # Errors
/// If no API server is configured.
pub async fn connect(args: &TargetArgs) -> anyhow::Result<Target> {
    let _work = Work::wait("connecting to the cluster");
    let address = Address { kubeconfig: args.kubeconfig.clone(), context: args.context.clone() };
    connect::connect(&address).await.or_exit(Exit::Cluster)
}

/// Returns a future that completes when the process is asked to stop.
///
/// # Errors
/// If signals can't be received.
pub fn stopped() -> anyhow::Result<impl Future<Output = ()>> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

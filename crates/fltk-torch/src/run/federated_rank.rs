//! The ranks of a federated job over several processes, such as the pods of a job on a cluster: rank 0 is the federator, every other rank a node.
//!
//! A process learns of its rank, and of rank 0's host, from the same environment as ranks of distributed jobs do ([`Place`]). Unlike those, these ranks
//! prove who they are: each has credentials of one authority.

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
    thread,
    time::{Duration, Instant},
};

use fltk::exit::{Exit, OrExit as _, code, failure};
use fltk_core::experiment::Training;
use fltk_network::{
    federator::{COMPLETE, Limits},
    node::{Access, Address, Proxy},
    pki::Credentials,
};

use super::{
    Context, Stopped,
    federated::{Listen, Security},
    node::{NodeOptions, node},
    place::Place,
};

/// The time for which a node calls before it looks whether the run is complete.
const TRY: Duration = Duration::from_secs(30);

/// The number of tries in a row without an answer after which a node gives up: ten minutes, in which a cluster gets an image and starts a pod.
const TRIES_MAX: u32 = 20;

/// The pause before a node calls a federator again that has ended: whoever restarts it takes a moment.
const PAUSE: Duration = Duration::from_secs(1);

/// The interval at which the stop flag is checked in that pause.
const STOP_EVERY: Duration = Duration::from_millis(50);

/// Listens for nodes at rank 0's port, at all addresses: whoever has no certificate of the authority is refused.
///
/// # Errors
/// If there are no credentials, or the port can't be listened at.
pub fn listen(place: &Place, credentials: Option<&Path>) -> anyhow::Result<Listen> {
    let credentials = read(place, credentials)?;
    let at = |address: SocketAddr| TcpListener::bind(address);
    // Where there is IPv6, this address takes both.
    let listener = at((Ipv6Addr::UNSPECIFIED, place.port).into()).or_else(|_| at((Ipv4Addr::UNSPECIFIED, place.port).into()));
    let refused = |error| failure(Exit::Ranks, format!("the federator can't listen at port {}: {error}", place.port));
    let silence = Limits::default().silence;
    let (security, command) = (Security::Issued(Box::new(credentials)), "client".to_owned());
    Ok(Listen { listener: Arc::new(listener.map_err(refused)?), security, silence, command })
}

/// Trains clients for rank 0 until `is_complete`, which looks at the records of the run, or rank 0 says so. If rank 0 ends before, as when it is restarted, this rank calls it again.
///
/// # Errors
/// If there are no credentials, rank 0 doesn't answer for ten minutes or refuses this rank, data is missing, or the process was asked to stop ([`Stopped`]).
pub fn take_part(
    context: &Context<'_>,
    task: &Training,
    place: &Place,
    credentials: Option<&Path>,
    is_complete: &mut dyn FnMut() -> bool,
) -> anyhow::Result<()> {
    let options = NodeOptions {
        address: Address::Tls(format!("https://{}:{}", place.host, place.port)),
        access: Access::Credentials(read(place, credentials)?),
        keep: None,
        name: fltk::host::process(),
        patience: TRY,
        // Ranks reach each other directly.
        proxy: Proxy::None,
        own: None,
        dataset_path: task.dataset.path.clone(),
    };
    let mut num_tries = 0;
    loop {
        if is_complete() {
            return Ok(());
        }
        let began = Instant::now();
        match node(context, options.clone()) {
            Ok(text) if text == COMPLETE => {
                tracing::info!("{text}");
                return Ok(());
            }
            Ok(text) => {
                num_tries = 0;
                tracing::info!("the federator says: {text}; this node calls it again");
            }
            Err(error) if code(&error) == Exit::Ranks => {
                // A try that took longer had an answer before.
                num_tries = if began.elapsed() > 2 * TRY { 1 } else { num_tries + 1 };
                if num_tries >= TRIES_MAX && !is_complete() {
                    return Err(error);
                }
                tracing::debug!("{error:#}");
                continue;
            }
            Err(error) => return Err(error),
        }
        pause(context)?;
    }
}

fn pause(context: &Context<'_>) -> anyhow::Result<()> {
    let until = Instant::now() + PAUSE;
    while Instant::now() < until {
        if context.stop.load(Ordering::Relaxed) {
            return Err(Stopped.into());
        }
        thread::sleep(STOP_EVERY);
    }
    Ok(())
}

fn read(place: &Place, credentials: Option<&Path>) -> anyhow::Result<Credentials> {
    let Some(path) = credentials.map(PathBuf::from) else {
        let message = format!(
            "the task is federated, and the environment has {} processes, a federator and {} nodes: these prove who they are\nhint: `--credentials FILE` names what \
             `fltk pki issue` issued, for rank 0 with `--federator`; or start one process, which trains all clients",
            place.size,
            place.size.saturating_sub(1)
        );
        return Err(failure(Exit::CommandLine, message));
    };
    Credentials::read(&path).or_exit(Exit::CommandLine)
}

//! `fltk node`: trains clients for a federator.

use std::{
    env, fs,
    io::Write as _,
    num::NonZeroUsize,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
    thread::available_parallelism,
};

use anyhow::Context as _;
use fltk::{
    child::{self, LAUNCHER},
    cli::{Cli, LocationArgs, NodeArgs},
    exit::{Exit, OrExit as _, failure},
    inputs, output, stop,
    termination::Termination,
};
use fltk_core::experiment::Duration;
use fltk_network::{
    node::{Access, Address, Call, Introduction, Proxy},
    pki::{Credentials, Invitation},
};
use fltk_train::Device;
use sha2::{Digest as _, Sha256};

use crate::run::{self, Context, Failures, NodeOptions, OwnData};

/// Takes part until the run is over.
///
/// # Errors
/// If the federator can't be reached or refuses the node, data is missing, or the process was asked to stop.
pub fn run(_cli: &Cli, args: &NodeArgs, termination: &Termination) -> anyhow::Result<()> {
    if let Ok(launcher) = env::var(LAUNCHER) {
        child::end_with(&launcher)?;
    }
    let address: Address = args.join.parse().or_exit(Exit::CommandLine)?;
    check_plain(&address)?;
    let patience: Duration = args.wait.parse().map_err(|error| failure(Exit::CommandLine, format!("`--wait`: {error}")))?;
    let own = match (&args.client, &args.data) {
        (Some(client), Some(data)) => Some(OwnData { client: client.clone(), data: data.clone(), state: args.state.clone() }),
        _ => None,
    };
    let name = args.client.clone().or_else(|| args.name.clone()).unwrap_or_else(fltk::host::process);
    let (access, keep) = access(args, &address)?;
    if args.enroll {
        return enroll(args, address, access, keep, name, patience);
    }
    let context = Context {
        base: Path::new(""),
        locations: &inputs::locations(&LocationArgs { data: args.data.clone() }),
        workers: args.workers.or_else(|| available_parallelism().ok()).unwrap_or(NonZeroUsize::MIN),
        device: Device::Cpu,
        stop: stop::on_signal()?,
        failures: Failures::default(),
        trust_module: true,
        listen: None,
        metrics: Arc::default(),
        termination,
    };
    let proxy = args.proxy.clone().map_or(Proxy::Environment, Proxy::At);
    let patience = std::time::Duration::from_millis(patience.as_millis());
    let options = NodeOptions { address, access, keep, name, own, patience, proxy, dataset_path: None };
    let text = run::node(&context, options)?;
    tracing::info!("{text}");
    Ok(())
}

/// Enrolls with an invitation, unless that was done before, and prints the path of the credentials.
fn enroll(
    args: &NodeArgs,
    address: Address,
    access: Access,
    keep_at: Option<PathBuf>,
    name: String,
    patience: Duration,
) -> anyhow::Result<()> {
    let stop = stop::on_signal()?;
    let path = match (access, keep_at) {
        (Access::Invitation(invitation), Some(path)) => {
            let introduction = Introduction {
                name,
                client: None,
                program: env!("CARGO_PKG_VERSION").to_owned(),
                processor: String::new(),
                patience: std::time::Duration::from_millis(patience.as_millis()),
                proxy: args.proxy.clone().map_or(Proxy::Environment, Proxy::At),
            };
            let text = Call::enroll(&address, &introduction, &invitation, &|| stop.load(Ordering::Relaxed)).map_err(run::explained)?;
            keep(&path, &text)?;
            path
        }
        // What an invitation brought before is there.
        _ => kept(args).context("there is no folder of the user's for credentials\nhint: HOME or XDG_CACHE_HOME names one")?,
    };
    output::text(&format!("{}\n", path.display()))
}

/// Refuses to call another machine without encryption.
fn check_plain(address: &Address) -> anyhow::Result<()> {
    let Address::Plain(uri) = address else { return Ok(()) };
    let host = uri.trim_start_matches("http://").rsplit_once(':').map_or("", |(host, _)| host).trim_matches(['[', ']']);
    if host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback()) {
        return Ok(());
    }
    Err(failure(
        Exit::CommandLine,
        format!(
            "`{uri}` is another machine, and `http` has no encryption\nhint: use `https`, with the invitation that the federator prints"
        ),
    ))
}

/// Returns the proof that the node may take part, and the file in which credentials are kept that an invitation brings.
fn access(args: &NodeArgs, address: &Address) -> anyhow::Result<(Access, Option<PathBuf>)> {
    if let Some(path) = &args.credentials {
        return Ok((Access::Credentials(Credentials::read(path).or_exit(Exit::CommandLine)?), None));
    }
    let Some(text) = &args.invitation else {
        if let Address::Tls(_) = address {
            let message = "a federator on another machine wants to know who calls\nhint: add the `--invitation` that it prints, or `--credentials FILE`";
            return Err(failure(Exit::CommandLine, message));
        }
        return Ok((Access::Open, None));
    };
    let invitation: Invitation = text.parse().or_exit(Exit::CommandLine)?;
    let keep = kept(args);
    match &keep {
        Some(path) if path.exists() => Ok((Access::Credentials(Credentials::read(path).or_exit(Exit::General)?), None)),
        _ => Ok((Access::Invitation(invitation), keep)),
    }
}

/// Returns the file in which the credentials are kept that the invitation brings.
fn kept(args: &NodeArgs) -> Option<PathBuf> {
    let invitation: Invitation = args.invitation.as_ref()?.parse().ok()?;
    let file = format!("{}.pem", hex::encode(&Sha256::digest(invitation.to_string())[..16]));
    inputs::secrets("nodes").map(|folder| folder.join(file))
}

/// Keeps the credentials of a node for its owner alone, so that it can come again.
pub fn keep(path: &Path, text: &str) -> anyhow::Result<()> {
    if let Some(folder) = path.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).with_context(|| format!("can't make `{}`", folder.display()))?;
    }
    let write = || {
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    };
    write().with_context(|| format!("can't write `{}`", path.display()))
}

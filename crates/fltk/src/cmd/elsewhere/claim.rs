//! Records on the volume of a claim, served by a temporary pod.

use std::{
    fs::File,
    io::Read as _,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, anyhow};
use fltk_kubernetes::{
    api::words,
    claim::{self, ClaimError, Opened, Reader},
    config::KubernetesConfig,
    connect::Target,
};
use fltk_web::{Environment, Token, client::Client};
use tokio::{runtime::Runtime, time::sleep};

use crate::{
    cli::ThroughArgs,
    cmd::cluster,
    exit::{Exit, failure},
    inputs, stop,
    stream::kubernetes::parse_config,
    work::Work,
};

/// How often the flag that a signal raises is checked.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// The length of a token, in bytes before hex encoding.
const SECRET_BYTES: usize = 32;

/// Calls `work` with a client for the records on the claim `named`, which is `CLAIM` or `CLAIM/DIR`. The pod is removed whatever the outcome.
///
/// # Errors
/// If the claim can't be read, or `work` fails.
pub fn through<T>(
    named: &str,
    args: &ThroughArgs,
    work: impl FnOnce(&Arc<Client>, &Arc<AtomicBool>) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let (claim, folder) = parse(named)?;
    let config = match &args.kubernetes {
        Some(path) => parse_config(&inputs::read_source(path)?, Exit::Experiment)?,
        None => KubernetesConfig::of_stream(None),
    };
    // A signal ends the work; then the pod is removed, and the program ends. A second signal doesn't leave the pod behind.
    let stop = stop::on_every_signal()?;
    let secret = secret()?;
    let runtime = Runtime::new().context("can't start the runtime")?;
    let opened = runtime.block_on(async {
        let (Target { client, namespace }, image) = tokio::select! {
            found = find(&config, args) => found?,
            () = raised(&stop) => return Err(failure(Exit::Interrupted, "interrupted")),
        };
        tracing::info!("a pod with image {image} reads claim {claim} in namespace `{namespace}`");
        let reader = Reader { claim, folder, image, token: secret.clone(), config };
        let mut tell = |text: &str| tracing::info!("{text}");
        let _work = Work::wait("waiting for the pod");
        let opened = claim::open(&client, &namespace, &reader, &mut tell, raised(&stop)).await;
        opened.map_err(|error| match error {
            ClaimError::Stopped { .. } => failure(Exit::Interrupted, error),
            error => failure(Exit::Cluster, error),
        })
    })?;
    let address = format!("http://{}", opened.address());
    let open = Open { runtime, opened: Some(opened) };
    let client = Client::new(&address, Some(Token::parse(&secret)?), Environment::Ignored)?;
    let done = work(&Arc::new(client), &stop);
    match open.opened.as_ref().and_then(Opened::problem) {
        Some(problem) if !stop.load(Ordering::Relaxed) => done.with_context(|| format!("the connection to the pod broke: {problem}")),
        _ => done,
    }
}

/// Returns the cluster with the namespace, and the image of the pod.
async fn find(config: &KubernetesConfig, args: &ThroughArgs) -> anyhow::Result<(Target, String)> {
    let Target { client, namespace } = cluster::connect(&args.target).await?;
    let namespace = args.target.namespace.clone().or_else(|| config.namespace.clone()).unwrap_or(namespace);
    let image = match args.image.clone().or_else(|| config.image.clone()) {
        Some(image) => image,
        None => {
            let newest = claim::image_of_jobs(&client, &namespace).await;
            let unknown = |error| failure(Exit::Cluster, format!("the cluster can't be queried for the image of a job: {}", words(&error)));
            newest.map_err(unknown)?.ok_or_else(|| no_image(&namespace))?
        }
    };
    Ok((Target { client, namespace }, image))
}

/// An open connection to the pod; dropping it removes the pod.
struct Open {
    runtime: Runtime,
    opened: Option<Opened>,
}

impl Drop for Open {
    fn drop(&mut self) {
        if let Some(opened) = self.opened.take()
            && let Err(problem) = self.runtime.block_on(opened.close())
        {
            tracing::warn!("{problem}");
        }
    }
}

async fn raised(stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        sleep(LOOK_EVERY).await;
    }
}

fn no_image(namespace: &str) -> anyhow::Error {
    let message = format!(
        "no image is known for the pod that reads the claim: there is no job of fltk in namespace `{namespace}`, or it can't be read\nhint: set an image of fltk with `--image`"
    );
    failure(Exit::Cluster, message)
}

/// Returns the claim and the folder on it.
fn parse(named: &str) -> anyhow::Result<(String, String)> {
    let (claim, folder) = named.split_once('/').unwrap_or((named, ""));
    let folder = folder.trim_matches('/');
    // The characters of a Kubernetes object's name.
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c);
    let is_name = (1..=253).contains(&claim.len()) && claim.chars().all(fits);
    let is_within = folder.is_empty() || folder.split('/').all(|step| !matches!(step, "" | "." | "..") && !step.contains('$'));
    if is_name && is_within {
        return Ok((claim.to_owned(), folder.to_owned()));
    }
    Err(anyhow!("`pvc/{}` names no claim, or a folder outside of it\nhint: `pvc/CLAIM` or `pvc/CLAIM/DIR`", named.escape_debug()))
}

/// Returns a random token that nobody can guess.
fn secret() -> anyhow::Result<String> {
    let mut bytes = [0; SECRET_BYTES];
    File::open("/dev/urandom").and_then(|mut source| source.read_exact(&mut bytes)).context("the system provides no random numbers")?;
    Ok(hex::encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_with_folders_are_parsed() {
        let check = |named: &str, claim: &str, folder: &str| assert_eq!(parse(named).unwrap(), (claim.to_owned(), folder.to_owned()));
        check("fl-log-claim", "fl-log-claim", "");
        check("a/", "a", "");
        check("a/b/c/", "a", "b/c");
        for wrong in ["", "/", "A", "a b", "a/..", "a/b/../c", "a/./b", "a/b//c", "a/$(HOME)"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}

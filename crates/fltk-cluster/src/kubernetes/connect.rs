//! How the API server is reached: by a kubeconfig, or from within a pod by its service account.

use std::{path::PathBuf, time::Duration};

use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use thiserror::Error;

use super::api::with_causes;

/// How long an answer, or the next line of a watch, may take: the server sends one at least every minute.
const READ_TIMEOUT: Duration = Duration::from_secs(90);

/// Which API server is meant.
#[derive(Clone, Debug, Default)]
pub struct Address {
    /// The kubeconfig; `KUBECONFIG`, `~/.kube/config` or the pod's own service account when `None`.
    pub kubeconfig: Option<PathBuf>,
    /// A context of it; the current one when `None`.
    pub context: Option<String>,
}

/// No API server is known.
#[derive(Debug, Error)]
#[error("no cluster is known: {0}\nhint: `--kubeconfig FILE`, the variable KUBECONFIG, or run it in a pod with a service account")]
pub struct ConnectError(String);

/// A way to an API server, and the namespace that it stands for.
#[derive(Clone)]
pub struct Target {
    /// Talks to it.
    pub client: Client,
    /// The context's, or the pod's.
    pub namespace: String,
}

/// Finds the API server. Nothing is sent yet.
///
/// # Errors
/// If none is known, or what says so is wrong.
pub async fn connect(address: &Address) -> Result<Target, ConnectError> {
    let unknown = |error: &dyn std::error::Error| ConnectError(with_causes(error));
    let options = KubeConfigOptions { context: address.context.clone(), ..KubeConfigOptions::default() };
    let mut config = match &address.kubeconfig {
        Some(path) => {
            let file = Kubeconfig::read_from(path).map_err(|error| unknown(&error))?;
            Config::from_custom_kubeconfig(file, &options).await.map_err(|error| unknown(&error))?
        }
        None if address.context.is_some() => Config::from_kubeconfig(&options).await.map_err(|error| unknown(&error))?,
        None => Config::infer().await.map_err(|error| unknown(&error))?,
    };
    config.read_timeout = Some(READ_TIMEOUT);
    // Ours know what passes, and count.
    config.default_retry = false;
    let namespace = config.default_namespace.clone();
    let client = Client::try_from(config).map_err(|error| unknown(&error))?;
    Ok(Target { client, namespace })
}

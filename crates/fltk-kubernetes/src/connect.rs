//! The connection to the API server: through a kubeconfig, or from within a pod through its service account.

use std::{path::PathBuf, time::Duration};

use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use thiserror::Error;

use crate::api::with_causes;

/// The time limit for an answer, or for the next line of a watch: the server sends one at least every minute.
const READ_TIMEOUT: Duration = Duration::from_secs(90);

/// The choice of an API server.
#[derive(Clone, Debug, Default)]
pub struct Address {
    /// The kubeconfig; `KUBECONFIG`, `~/.kube/config` or the pod's own service account when `None`.
    pub kubeconfig: Option<PathBuf>,
    /// A context of the kubeconfig; the current one when `None`.
    pub context: Option<String>,
}

/// The error when no API server is configured.
#[derive(Debug, Error)]
#[error(
    "no cluster is configured: {0}\nhint: use `--kubeconfig FILE` or the variable KUBECONFIG, or run it in a pod with a service account"
)]
pub struct ConnectError(String);

/// A client of an API server, with its namespace.
#[derive(Clone)]
pub struct Target {
    /// The client.
    pub client: Client,
    /// The namespace of the context, or of the pod.
    pub namespace: String,
}

/// Finds the API server, without sending anything yet.
///
/// # Errors
/// If none is configured, or the configuration is invalid.
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
    // Our own retries know which errors are transient, and are counted.
    config.default_retry = false;
    let namespace = config.default_namespace.clone();
    let client = Client::try_from(config).map_err(|error| unknown(&error))?;
    Ok(Target { client, namespace })
}

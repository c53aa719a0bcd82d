//! The metrics that commands with federated runs serve.

use std::{
    net::{SocketAddr, TcpListener},
    sync::Arc,
};

use fltk::exit::{Exit, failure};
use fltk_network::metrics::{Metrics, Server};

/// Creates the metrics of this process, and serves them at `address`, if there is one, until the server is dropped.
///
/// # Errors
/// If the port is taken.
pub fn serve(address: Option<SocketAddr>) -> anyhow::Result<(Arc<Metrics>, Option<Server>)> {
    let metrics = Arc::new(Metrics::new());
    let Some(address) = address else { return Ok((metrics, None)) };
    let server = TcpListener::bind(address).and_then(|listener| Server::start(listener, Arc::clone(&metrics)));
    let server = server.map_err(|error| {
        failure(Exit::General, format!("can't serve metrics at {address}: {error}\nhint: choose another port with `--metrics`"))
    })?;
    tracing::info!("metrics at http://{}/metrics", server.address());
    Ok((metrics, Some(server)))
}

//! Connections to a federator: over a socket of this machine, over TCP, or with TLS over it, directly or through a proxy.

use std::{io, sync::Arc, time::Duration};

use hyper_util::{
    client::{
        legacy::connect::{HttpConnector, proxy::Tunnel},
        proxy::matcher::Matcher,
    },
    rt::TokioIo,
};
use rustls::ClientConfig;
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint, Uri};
use tower::Service as _;

use super::{Address, Proxy};
use crate::tls;

/// The windows of the connection, as the federator's.
const STREAM_WINDOW: u32 = 4 << 20;
const CONNECTION_WINDOW: u32 = 16 << 20;

/// The time in which a federator answers a call.
pub(super) const CONNECT: Duration = Duration::from_secs(10);

/// Calls the federator at `address`. `tls` is what the node shows, and whom it trusts, at addresses with TLS.
///
/// # Errors
/// If nobody answers, or the peers don't trust each other.
pub(super) async fn connect(address: &Address, proxy: &Proxy, tls: Option<&Arc<ClientConfig>>) -> Result<Channel, tonic::transport::Error> {
    // What is inside of the connection is plain HTTP/2; a socket has no host, and HTTP needs one.
    let inside = match address {
        Address::Unix(_) => "http://federator.invalid".to_owned(),
        Address::Plain(uri) => uri.clone(),
        Address::Tls(uri) => uri.replacen("https", "http", 1),
    };
    let endpoint = Endpoint::from_shared(inside)?
        .connect_timeout(CONNECT)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .http2_keep_alive_interval(Duration::from_secs(10))
        .keep_alive_timeout(Duration::from_secs(20))
        .keep_alive_while_idle(true);
    match address.clone() {
        Address::Unix(path) => {
            let connect = move |_: Uri| {
                let path = path.clone();
                async move { UnixStream::connect(path).await.map(TokioIo::new) }
            };
            endpoint.connect_with_connector(tower::service_fn(connect)).await
        }
        Address::Plain(uri) => {
            let proxy = proxy.clone();
            let connect = move |_: Uri| {
                let (uri, proxy) = (uri.clone(), proxy.clone());
                async move { tcp(&uri, &proxy).await.map(TokioIo::new) }
            };
            endpoint.connect_with_connector(tower::service_fn(connect)).await
        }
        Address::Tls(uri) => {
            let (proxy, tls) = (proxy.clone(), tls.cloned());
            let connect = move |_: Uri| {
                let (uri, proxy, tls) = (uri.clone(), proxy.clone(), tls.clone());
                async move {
                    let tls = tls.ok_or_else(|| io::Error::other("this node has neither credentials nor an invitation"))?;
                    let stream = tcp(&uri, &proxy).await?;
                    TlsConnector::from(tls).connect(tls::server_name(), stream).await.map(TokioIo::new)
                }
            };
            endpoint.connect_with_connector(tower::service_fn(connect)).await
        }
    }
}

/// Opens a TCP connection to the host and port of `uri`, through a proxy (CONNECT) if there is one for it.
async fn tcp(uri: &str, proxy: &Proxy) -> io::Result<TcpStream> {
    let uri: Uri = uri.parse().map_err(io::Error::other)?;
    let mut connector = HttpConnector::new();
    // The proxy, or the federator, speaks something else than plain HTTP at the end of it.
    connector.enforce_http(false);
    connector.set_nodelay(true);
    let matcher = match proxy {
        Proxy::None => None,
        Proxy::Environment => Some(Matcher::from_env()),
        Proxy::At(proxy) => Some(Matcher::builder().all(proxy.as_str()).build()),
    };
    let intercepted = matcher.filter(|_| !is_loopback(&uri)).and_then(|matcher| matcher.intercept(&uri));
    let stream = match intercepted {
        Some(proxy) if proxy.uri().scheme_str() != Some("http") => {
            return Err(io::Error::other(format!("the proxy `{}` isn't an HTTP proxy", proxy.uri())));
        }
        Some(proxy) => {
            let mut tunnel = Tunnel::new(proxy.uri().clone(), connector);
            if let Some(user) = proxy.basic_auth() {
                tunnel = tunnel.with_auth(user.clone());
            }
            let through = |error: &dyn std::fmt::Display| io::Error::other(format!("the proxy `{}`: {error}", proxy.uri()));
            tunnel.call(uri).await.map_err(|error| through(&error))?
        }
        None => connector.call(uri).await.map_err(|error| io::Error::other(error.to_string()))?,
    };
    Ok(stream.into_inner())
}

/// True if the host is this machine, which no proxy knows by that name.
fn is_loopback(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

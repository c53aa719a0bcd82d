//! The sockets on which nodes call.

use std::{io, net::TcpListener, os::unix::net::UnixListener};

use tokio::{sync::watch, task::JoinHandle};
use tokio_stream::wrappers::{TcpListenerStream, UnixListenerStream};
use tonic::transport::{Server, server::Router};

use super::service::Service;
use crate::wire::v1::federation_server::FederationServer;

/// The largest message: a chunk and its envelope. Orders are small: numbers travel as objects.
const MESSAGE_BYTES_MAX: usize = 4 << 20;

/// The window of a stream and of a connection: a few chunks, so that a transfer never waits for its own acknowledgements.
const STREAM_WINDOW: u32 = 4 << 20;
const CONNECTION_WINDOW: u32 = 16 << 20;

/// The largest HTTP/2 frame: larger ones than the default cost less for each byte.
const FRAME_BYTES: u32 = 1 << 20;

/// The most requests of one connection at a time: a session, and a few transfers.
const STREAMS_MAX: u32 = 32;

/// A socket that listens already, so that nodes may call before the federator is ready for them.
#[derive(Debug)]
pub enum Listener {
    /// A socket of this machine, in a folder that only its user may read.
    Unix(UnixListener),
    /// A socket of the network without encryption.
    Tcp(TcpListener),
}

/// A server in the background.
pub(super) struct Serving {
    end: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Listener {
    pub(super) fn serve(self, runtime: &tokio::runtime::Runtime, service: Service) -> io::Result<Serving> {
        let _inside = runtime.enter();
        let federation = FederationServer::new(service).max_decoding_message_size(MESSAGE_BYTES_MAX);
        let router = Server::builder()
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_frame_size(FRAME_BYTES)
            .max_concurrent_streams(STREAMS_MAX)
            .tcp_nodelay(true)
            .add_service(federation);
        let (end, ended) = watch::channel(false);
        let task = match self {
            Self::Unix(listener) => {
                listener.set_nonblocking(true)?;
                let incoming = UnixListenerStream::new(tokio::net::UnixListener::from_std(listener)?);
                runtime.spawn(serve(router, incoming, ended))
            }
            Self::Tcp(listener) => {
                listener.set_nonblocking(true)?;
                let incoming = TcpListenerStream::new(tokio::net::TcpListener::from_std(listener)?);
                runtime.spawn(serve(router, incoming, ended))
            }
        };
        Ok(Serving { end, task })
    }
}

async fn serve<I, S>(router: Router, incoming: I, mut ended: watch::Receiver<bool>)
where
    I: tokio_stream::Stream<Item = io::Result<S>>,
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + tonic::transport::server::Connected + Unpin + Send + 'static,
{
    let end = async move {
        let _ = ended.wait_for(|ended| *ended).await;
    };
    // Errors of single connections aren't errors of the server.
    if let Err(error) = router.serve_with_incoming_shutdown(incoming, end).await {
        tracing::warn!("nodes can't call any more: {error}");
    }
}

impl Serving {
    /// Accepts nobody any more, and waits for a moment until everybody has heard that the run is over.
    pub(super) async fn end(self) {
        /// Longer than messages are on their way.
        const MOMENT: std::time::Duration = std::time::Duration::from_secs(2);
        let _ = self.end.send(true);
        let _ = tokio::time::timeout(MOMENT, self.task).await;
    }
}

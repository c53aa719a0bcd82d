//! The sockets on which nodes call.

use std::{
    io,
    net::TcpListener,
    os::unix::net::UnixListener,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use rustls::ServerConfig;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf},
    net::TcpStream,
    sync::{Semaphore, mpsc, watch},
    task::JoinHandle,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_stream::{
    StreamExt as _,
    wrappers::{ReceiverStream, TcpListenerStream, UnixListenerStream},
};
use tonic::transport::{
    Server,
    server::{Connected, Router},
};

use super::service::Service;
use crate::{tls::Peer, wire::v1::federation_server::FederationServer};

/// The largest message: a chunk and its envelope. Orders are small: numbers travel as objects.
const MESSAGE_BYTES_MAX: usize = 4 << 20;

/// The window of a stream and of a connection: a few chunks, so that a transfer never waits for its own acknowledgements.
const STREAM_WINDOW: u32 = 4 << 20;
const CONNECTION_WINDOW: u32 = 16 << 20;

/// The largest HTTP/2 frame: larger ones than the default cost less for each byte.
const FRAME_BYTES: u32 = 1 << 20;

/// The most requests of one connection at a time: a session, and a few transfers.
const STREAMS_MAX: u32 = 32;

/// The most handshakes at a time, and the time for each: strangers cost no more than that.
const HANDSHAKES_MAX: usize = 64;
const HANDSHAKE: Duration = Duration::from_secs(10);

/// A socket that listens already, so that nodes may call before the federator is ready for them.
pub enum Listener {
    /// A socket of this machine, in a folder that only its user may read.
    Unix(UnixListener),
    /// A socket of this machine's loopback interface, without encryption: every user of the machine may call.
    Plain(TcpListener),
    /// A socket of the network, with TLS ([`crate::tls::federator`]).
    Tls(TcpListener, Arc<ServerConfig>),
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
            .http2_keepalive_interval(Some(Duration::from_secs(20)))
            .tcp_nodelay(true)
            .add_service(federation);
        let (end, ended) = watch::channel(false);
        let here = |stream| Connection { stream, peer: Peer::Here };
        let task = match self {
            Self::Unix(listener) => {
                listener.set_nonblocking(true)?;
                let incoming = UnixListenerStream::new(tokio::net::UnixListener::from_std(listener)?).map(move |stream| stream.map(here));
                runtime.spawn(serve(router, incoming, ended))
            }
            Self::Plain(listener) => {
                listener.set_nonblocking(true)?;
                let incoming = TcpListenerStream::new(tokio::net::TcpListener::from_std(listener)?);
                let incoming = incoming.map(move |stream| stream.map(|stream| Connection { stream: quick(stream), peer: Peer::Here }));
                runtime.spawn(serve(router, incoming, ended))
            }
            Self::Tls(listener, config) => {
                listener.set_nonblocking(true)?;
                let listener = tokio::net::TcpListener::from_std(listener)?;
                let (to, connections) = mpsc::channel(HANDSHAKES_MAX);
                runtime.spawn(accept(listener, TlsAcceptor::from(config), to, ended.clone()));
                runtime.spawn(serve(router, ReceiverStream::new(connections).map(Ok), ended))
            }
        };
        Ok(Serving { end, task })
    }
}

/// Has small messages sent at once.
fn quick(stream: TcpStream) -> TcpStream {
    // If that fails, it is only slower.
    let _ = stream.set_nodelay(true);
    stream
}

/// Accepts connections, and passes on those whose peer has proved who it is.
async fn accept(
    listener: tokio::net::TcpListener,
    acceptor: TlsAcceptor,
    to: mpsc::Sender<Connection<TlsStream<TcpStream>>>,
    mut ended: watch::Receiver<bool>,
) {
    /// The pause after a connection couldn't be accepted, as when there are too many open files.
    const PAUSE: Duration = Duration::from_millis(100);
    let seats = Arc::new(Semaphore::new(HANDSHAKES_MAX));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = ended.wait_for(|ended| *ended) => return,
        };
        let Ok((stream, address)) = accepted else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let Ok(seat) = Arc::clone(&seats).acquire_owned().await else { return };
        let (acceptor, to) = (acceptor.clone(), to.clone());
        tokio::spawn(async move {
            let shaken = tokio::time::timeout(HANDSHAKE, acceptor.accept(quick(stream)).into_fallible()).await;
            drop(seat);
            let stream = match shaken {
                Ok(Ok(stream)) => stream,
                Ok(Err((error, stream))) => {
                    tracing::info!("a connection from {address} was refused: {error}");
                    linger(stream).await;
                    return;
                }
                Err(_) => return,
            };
            let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
            if let Some(peer) = certificate.and_then(Peer::of) {
                // If it fails, nobody serves any more.
                let _ = to.send(Connection { stream, peer }).await;
            }
        });
    }
}

/// Reads what a peer still sends that was refused, for a moment: closing earlier would take the reason from it that was just sent.
async fn linger(mut stream: TcpStream) {
    const MOMENT: Duration = Duration::from_secs(1);
    const BYTES_MAX: u64 = 64 << 10;
    let drain = async {
        stream.shutdown().await?;
        tokio::io::copy(&mut (&mut stream).take(BYTES_MAX), &mut tokio::io::sink()).await
    };
    // Whatever happens, the connection ends.
    let _ = tokio::time::timeout(MOMENT, drain).await;
}

async fn serve<I, S>(router: Router, incoming: I, mut ended: watch::Receiver<bool>)
where
    I: tokio_stream::Stream<Item = io::Result<S>>,
    S: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
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
        const MOMENT: Duration = Duration::from_secs(2);
        let _ = self.end.send(true);
        let _ = tokio::time::timeout(MOMENT, self.task).await;
    }
}

/// A connection whose peer is known.
struct Connection<S> {
    stream: S,
    peer: Peer,
}

impl<S> Connected for Connection<S> {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Connection<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Connection<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

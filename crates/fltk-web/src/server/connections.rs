//! Connections: how many there are, how long they may be silent, and how they end.

use std::{
    io,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{Sleep, sleep, timeout},
};

/// Connections at once; others wait until one ends. Many times those that read files: most of them are idle, or of probes.
const CONNECTIONS_MAX: usize = 256;
/// After an error of the socket, such as that no file can be opened any more.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// How long a connection may keep us waiting.
#[derive(Clone, Copy)]
pub struct Limits {
    /// For the head of a request, also for the next one to begin.
    pub head: Duration,
    /// Without a byte of an answer being taken.
    pub stall: Duration,
    /// For what is being sent when the server was asked to stop.
    pub stop: Duration,
}

/// Serves `router` on `listener` until `stop` is done: then what is being sent goes on for a while, and nothing new is taken.
pub async fn serve(listener: TcpListener, router: Router, limits: Limits, stop: impl Future<Output = ()>) {
    let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let graceful = GracefulShutdown::new();
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(limits.head);
    let mut stop = pin!(stop);
    loop {
        let next = async {
            let permit = Arc::clone(&permits).acquire_owned().await;
            (permit, accept(&listener).await)
        };
        let (permit, stream) = tokio::select! {
            next = next => next,
            () = &mut stop => break,
        };
        let stream = TokioIo::new(Patient { stream, limit: limits.stall, stalled: None });
        let connection = graceful.watch(http.serve_connection(stream, TowerToHyperService::new(router.clone())));
        tokio::spawn(async move {
            let _permit = permit;
            // Whoever breaks it knows.
            let _ = connection.await;
        });
    }
    drop(listener);
    let _ = timeout(limits.stop, graceful.shutdown()).await;
}

async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            // Of one who left before.
            Err(error) if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) => {}
            Err(_) => sleep(ACCEPT_PAUSE).await,
        }
    }
}

/// A socket that breaks when its other side takes nothing for too long.
struct Patient {
    stream: TcpStream,
    limit: Duration,
    /// Since it takes nothing.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl Patient {
    fn write(
        &mut self,
        context: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut TcpStream>, &mut Context<'_>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if let Poll::Ready(written) = write(Pin::new(&mut self.stream), context) {
            self.stalled = None;
            return Poll::Ready(written);
        }
        let limit = self.limit;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(limit)));
        ready!(stalled.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Patient {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Patient {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.write(context, |stream, context| stream.poll_write(context, bytes))
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, context: &mut Context<'_>, all: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.write(context, |stream, context| stream.poll_write_vectored(context, all))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        sync::oneshot,
        task::JoinHandle,
        time::Instant,
    };

    use super::*;

    /// Short enough for a test, and long enough for what is sent at once.
    const SHORT: Duration = Duration::from_millis(300);
    /// For what has to end.
    const LIMIT: Duration = Duration::from_secs(30);
    /// More than sockets hold.
    const LARGE: usize = 64 << 20;

    /// A server of `/` and `/large`, and a connection to it.
    async fn connected() -> (TcpStream, oneshot::Sender<()>, JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/", get(|| async { "hello" })).route("/large", get(|| async { vec![0_u8; LARGE] }));
        let (stop, stopped) = oneshot::channel();
        let limits = Limits { head: SHORT, stall: SHORT, stop: LIMIT };
        let server = tokio::spawn(serve(listener, router, limits, async {
            let _ = stopped.await;
        }));
        (TcpStream::connect(address).await.unwrap(), stop, server)
    }

    /// What comes until the other side hangs up.
    async fn rest(stream: &mut TcpStream) -> Vec<u8> {
        let mut rest = Vec::new();
        // A reset is an end too.
        let _ = timeout(LIMIT, stream.read_to_end(&mut rest)).await.expect("it hangs up");
        rest
    }

    #[tokio::test]
    async fn who_says_nothing_or_only_half_is_hung_up_on() {
        for said in [&b""[..], b"GET / HTTP/1.1\r\nHost: localhost\r\n"] {
            let (mut stream, _stop, _) = connected().await;
            stream.write_all(said).await.unwrap();
            rest(&mut stream).await;
        }
        // And who asks no second time.
        let (mut stream, _stop, _) = connected().await;
        stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        assert!(rest(&mut stream).await.ends_with(b"hello"));
    }

    #[tokio::test]
    async fn who_takes_nothing_of_an_answer_is_hung_up_on() {
        let (mut stream, stop, server) = connected().await;
        stream.write_all(b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        stream.read_exact(&mut [0; 64]).await.unwrap();
        sleep(SHORT).await;
        // The server ends although nobody reads, before it would give up on those that are left.
        stop.send(()).unwrap();
        let began = Instant::now();
        timeout(LIMIT, server).await.unwrap().unwrap();
        assert!(began.elapsed() < LIMIT / 2);
        assert!(rest(&mut stream).await.len() < LARGE);
    }
}

//! Serves HTTP to clients that may be hostile: which connections are admitted, how long they may be silent, and how they end.
//!
//! The server of records (`fltk serve`) and that of [metrics](serve_metrics), of an orchestrator or a federator, are two routers on it.

mod accept;
mod metrics;
mod seats;

use std::{
    convert::Infallible,
    io,
    net::IpAddr,
    pin::{Pin, pin},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::{Body, Bytes, HttpBody},
    http::{Request, Response, StatusCode, header},
    response::IntoResponse as _,
};
use hyper::{
    body::{Frame, Incoming, SizeHint},
    server::conn::http1,
    service::{Service as _, service_fn},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::Notify,
    time::{Sleep, sleep, timeout},
};

use serde_json::json;

use self::seats::{Admission, SeatId, Seats, State};

pub use accept::accept;
pub use metrics::{Pages, serve_metrics};
pub use seats::SEATS_PER_PEER_MAX;

/// The paths of probes, as of a kubelet. They are answered even if all other seats are taken.
pub const PROBES: [&str; 2] = ["/healthz", "/readyz"];
/// The interval at which a connection that found all seats taken tries again: another one may have stalled by then.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The time limits of a connection, and the limit on connections per address.
#[derive(Clone, Copy)]
pub struct Limits {
    /// For the head of a request, and for the next request to begin.
    pub head: Duration,
    /// Without a byte of a response being read.
    pub stall: Duration,
    /// For ongoing responses after the server was asked to stop.
    pub stop: Duration,
    /// The limit on connections from one address; `None` behind a proxy, from which all connections come.
    pub per_peer: Option<usize>,
}

/// Serves `router` on `listener` until `stop` is done: then ongoing responses may continue for a while, and no new requests are accepted.
pub async fn serve(listener: TcpListener, router: Router, limits: Limits, stop: impl Future<Output = ()>) {
    let room = Arc::new(Room { seats: Mutex::new(Seats::new(limits.per_peer)), calls: Mutex::default() });
    let graceful = GracefulShutdown::new();
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(limits.head);
    let mut stop = pin!(stop);
    loop {
        let next = async {
            let (stream, peer) = accept(&listener).await;
            (stream, Chair::wait_for(&room, peer.ip().to_canonical()).await)
        };
        let (stream, chair) = tokio::select! {
            next = next => next,
            () = &mut stop => break,
        };
        let Some(chair) = chair else { continue };
        let (chair, leave) = (Arc::new(chair.0), chair.1);
        let stream = TokioIo::new(Patient { stream, limit: limits.stall, stalled: None, chair: Arc::clone(&chair) });
        let router = TowerToHyperService::new(router.clone());
        let answer = service_fn(move |request: Request<Incoming>| {
            let busy = Busy::new(&chair);
            let may_ask = !chair.is_spare || PROBES.contains(&request.uri().path());
            let answer = may_ask.then(|| router.call(request));
            async move {
                let response = match answer {
                    Some(answer) => answer.await?,
                    None => too_many(),
                };
                Ok::<_, Infallible>(response.map(|body| Watched { body, _busy: busy }))
            }
        });
        let connection = graceful.watch(http.serve_connection(stream, answer));
        tokio::spawn(async move {
            tokio::select! {
                // The side that breaks the connection knows the cause.
                _ = connection => {}
                () = leave.notified() => {}
            }
        });
    }
    drop(listener);
    let _ = timeout(limits.stop, graceful.shutdown()).await;
}

fn too_many() -> Response<Body> {
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CONNECTION, "close")];
    let error = format!("{:#}\n", json!({ "error": "too many connections: try again later" }));
    (StatusCode::SERVICE_UNAVAILABLE, headers, error).into_response()
}

/// The seats, and how connections that hold one are told to leave.
struct Room {
    seats: Mutex<Seats>,
    calls: Mutex<Vec<(SeatId, Arc<Notify>)>>,
}

impl Room {
    fn seats(&self) -> MutexGuard<'_, Seats> {
        // Nothing panics while the lock is held.
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn calls(&self) -> MutexGuard<'_, Vec<(SeatId, Arc<Notify>)>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A seat that is taken; dropping it frees the seat.
struct Chair {
    room: Arc<Room>,
    id: SeatId,
    is_spare: bool,
}

impl Chair {
    /// Waits for a seat for a connection from `peer`. Returns the seat, and the notification that tells it to leave; `None` if it may have
    /// no seat.
    async fn wait_for(room: &Arc<Room>, peer: IpAddr) -> Option<(Self, Arc<Notify>)> {
        loop {
            let (admission, left) = room.seats().admit(peer, Instant::now());
            if let Some(left) = left {
                room.calls().iter().filter(|(id, _)| *id == left).for_each(|(_, call)| call.notify_one());
            }
            let (id, is_spare) = match admission {
                Admission::Seat(id) => (id, false),
                Admission::Spare(id) => (id, true),
                Admission::Refused => return None,
                Admission::Full => {
                    sleep(LOOK_EVERY).await;
                    continue;
                }
            };
            let call = Arc::new(Notify::new());
            room.calls().push((id, Arc::clone(&call)));
            return Some((Self { room: Arc::clone(room), id, is_spare }, call));
        }
    }
}

impl Drop for Chair {
    fn drop(&mut self) {
        self.room.seats().leave(self.id);
        self.room.calls().retain(|(id, _)| *id != self.id);
    }
}

/// Marks that a request is being answered, for as long as this exists.
struct Busy(Arc<Chair>);

impl Busy {
    fn new(chair: &Arc<Chair>) -> Self {
        chair.room.seats().set(chair.id, State::Answered);
        Self(Arc::clone(chair))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.room.seats().set(self.0.id, State::Asking(Instant::now()));
    }
}

/// The body of a response.
struct Watched {
    body: Body,
    /// Dropped with the body, when all of it was read.
    _busy: Busy,
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A socket that fails when the other side reads nothing for too long.
struct Patient {
    stream: TcpStream,
    limit: Duration,
    /// The timer that started when the other side stopped reading.
    stalled: Option<Pin<Box<Sleep>>>,
    chair: Arc<Chair>,
}

impl Patient {
    fn write(
        &mut self,
        context: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut TcpStream>, &mut Context<'_>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if let Poll::Ready(written) = write(Pin::new(&mut self.stream), context) {
            if self.stalled.take().is_some() {
                self.takes(true);
            }
            return Poll::Ready(written);
        }
        if self.stalled.is_none() {
            self.takes(false);
        }
        let limit = self.limit;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(limit)));
        ready!(stalled.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    fn takes(&self, takes: bool) {
        self.chair.room.seats().takes(self.chair.id, takes, Instant::now());
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
    use std::net::SocketAddr;

    use axum::routing::get;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        sync::oneshot,
        task::JoinHandle,
        time::Instant,
    };

    use super::{
        seats::{SEATS_MAX, SPARE_MAX},
        *,
    };

    /// Short enough for a test, and long enough for anything that is sent at once.
    const SHORT: Duration = Duration::from_millis(300);
    /// The time limit for anything that has to end.
    const LIMIT: Duration = Duration::from_secs(30);
    /// More than socket buffers hold.
    const LARGE: usize = 64 << 20;

    /// Starts a server of `/` and `/large`, and connects to it.
    async fn connected() -> (TcpStream, oneshot::Sender<()>, JoinHandle<()>) {
        let (address, stop, server) = served(SHORT).await;
        (TcpStream::connect(address).await.unwrap(), stop, server)
    }

    /// Starts a server that waits for `head`.
    async fn served(head: Duration) -> (SocketAddr, oneshot::Sender<()>, JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let large = Bytes::from(vec![0_u8; LARGE]);
        let router = Router::new().route("/", get(|| async { "hello" })).route("/large", get(move || async move { large }));
        let (stop, stopped) = oneshot::channel();
        let limits = Limits { head, stall: head, stop: LIMIT, per_peer: None };
        let server = tokio::spawn(serve(listener, router, limits, async {
            let _ = stopped.await;
        }));
        (address, stop, server)
    }

    /// Reads until the other side closes the connection.
    async fn rest(stream: &mut TcpStream) -> Vec<u8> {
        let mut rest = Vec::new();
        // A reset also ends it.
        let _ = timeout(LIMIT, stream.read_to_end(&mut rest)).await.expect("it hangs up");
        rest
    }

    #[tokio::test]
    async fn silent_and_partial_requests_are_disconnected() {
        for said in [&b""[..], b"GET / HTTP/1.1\r\nHost: localhost\r\n"] {
            let (mut stream, _stop, _) = connected().await;
            stream.write_all(said).await.unwrap();
            rest(&mut stream).await;
        }
        // The same holds for a client that sends no second request.
        let (mut stream, _stop, _) = connected().await;
        stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        assert!(rest(&mut stream).await.ends_with(b"hello"));
    }

    #[tokio::test]
    async fn clients_that_read_nothing_are_disconnected() {
        let (mut stream, stop, server) = connected().await;
        stream.write_all(b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        stream.read_exact(&mut [0; 64]).await.unwrap();
        sleep(SHORT).await;
        // The server ends although nobody reads, before it would give up on the remaining connections.
        stop.send(()).unwrap();
        let began = Instant::now();
        timeout(LIMIT, server).await.unwrap().unwrap();
        assert!(began.elapsed() < LIMIT / 2);
        assert!(rest(&mut stream).await.len() < LARGE);
    }

    /// Returns the response to `GET /`.
    async fn answered(address: SocketAddr) -> Vec<u8> {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await.unwrap();
        rest(&mut stream).await
    }

    /// Opens as many connections as there are seats of all kinds, each of which sends `says`.
    async fn crowd(address: SocketAddr, says: &[u8]) -> Vec<TcpStream> {
        let mut crowd = Vec::new();
        for _ in 0..SEATS_MAX + SPARE_MAX {
            let mut stream = TcpStream::connect(address).await.unwrap();
            // The connection may have been closed to admit another.
            let _ = stream.write_all(says).await;
            crowd.push(stream);
        }
        crowd
    }

    #[tokio::test]
    async fn idle_connections_do_not_block_others() {
        for says in [&b""[..], b"GET / HTTP/1.1\r\n", b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n"] {
            // No connection is closed for being silent.
            let (address, _stop, _) = served(10 * LIMIT).await;
            let _crowd = crowd(address, says).await;
            let began = Instant::now();
            while !answered(address).await.ends_with(b"hello") {
                assert!(began.elapsed() < LIMIT, "{says:?}");
            }
        }
    }
}

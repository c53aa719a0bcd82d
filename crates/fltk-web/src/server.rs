//! The server: routes, authorization, and shutdown.

mod answer;
mod archive;
mod compare;
mod export;
mod host;
mod kept;
mod live;
mod page;
mod pipe;
mod prefix;
mod runs;
mod streams;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderValue, Method, StatusCode, header},
    middleware::{Next, from_fn, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::get,
};
use fltk_records::{
    Record, RecordKind, StreamFolder,
    stream_folder::{derived::JobRow, timeline::Timeline},
};
use fltk_server::{Limits, PROBES, SEATS_PER_PEER_MAX};
use tokio::{
    net::TcpListener,
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::spawn_blocking,
    time::timeout,
};

use self::{answer::ApiError, kept::Kept, live::Watches};
pub use self::{
    host::{HostName, HostNameError},
    prefix::{Prefix, PrefixError},
};
use crate::Token;

/// The limit on requests that read files at the same time: each has a thread, and holds in memory at most one run's history (or a list of
/// all records, of which up to four are read at a time). Requests that wait for a slow client aren't counted: each of those holds the same, plus half a megabyte that waits to be
/// sent.
const READERS_MAX: usize = 16;
/// The time that a request waits for a permit to read files.
const READER_WAIT: Duration = Duration::from_secs(20);
/// The time limit for listing the folders for a probe: the probe gives up after five seconds.
const READY_LIMIT: Duration = Duration::from_secs(4);
/// The time after which a client that reads nothing of its response is considered gone.
const STALL_LIMIT: Duration = Duration::from_secs(60);
/// The time limit for the head of a request, and for the next request to begin.
const HEAD_LIMIT: Duration = Duration::from_secs(30);
/// The time that ongoing responses may still take after the server was asked to stop. Kubernetes kills it after half a minute.
const STOP_GRACE: Duration = Duration::from_secs(10);

/// Reads the jobs of a stream, or returns an error message for a person. The caller supplies it, since only the program knows what a
/// stream's jobs are.
pub type JobsOf = Arc<dyn Fn(StreamFolder) -> Result<Vec<JobRow>, String> + Send + Sync>;

/// Folds the course of a stream, or returns an error message for a person; supplied by the caller for the same reason.
pub type TimelineOf = Arc<dyn Fn(StreamFolder) -> Result<Timeline, String> + Send + Sync>;

/// The folders that are served, and how.
pub struct Site {
    /// The folder of runs.
    pub runs: PathBuf,
    /// The folder of streams: another one, or the same.
    pub streams: PathBuf,
    /// The folder in which an index of the runs may be kept; without one every request for all runs reads all journals.
    pub indexes: Option<PathBuf>,
    /// The prefix of all paths except those of probes.
    pub prefix: Prefix,
    /// Reads the jobs of a stream.
    pub jobs: JobsOf,
    /// Folds the course of a stream.
    pub timeline: TimelineOf,
    /// The token that clients must present; anybody may read if there is none.
    pub token: Option<Token>,
    /// The only host names that requests may use, in addition to addresses and `localhost`. If there are none, [`serve`] describes when
    /// host names are checked.
    pub hosts: Vec<HostName>,
}

/// The state that the handlers share.
#[derive(Clone)]
struct Shared {
    site: Arc<Site>,
    /// Permits to read files.
    readers: Arc<Semaphore>,
    /// The permit to answer a probe: probes don't wait for readers, and block no more than one thread if a volume doesn't respond.
    probe: Arc<Semaphore>,
    /// Permits to compare runs.
    comparisons: Arc<Semaphore>,
    /// Permits to follow something.
    live: Arc<Semaphore>,
    /// The folders that are followed.
    watches: Arc<Watches>,
    /// The answers that take long.
    kept: Arc<Kept>,
    /// True once the server was asked to stop: nobody follows anything any more.
    stopping: watch::Receiver<bool>,
    /// True if pages of other sites must be kept out. A browser reveals them: they reach the server under their own host names.
    knows_its_names: bool,
}

/// Serves `site` on `listener` until `stop` is done: then ongoing responses have a few more seconds, and no new requests are accepted. If
/// there are `hosts`, or if there is no token and `listener` is on a loopback address, a request is answered only if its host name is one
/// of `hosts`, an address, or `localhost`.
///
/// # Errors
/// If the socket fails.
pub async fn serve(listener: TcpListener, site: Site, stop: impl Future<Output = ()> + Send + 'static) -> std::io::Result<()> {
    let is_private = site.token.is_none() && listener.local_addr()?.ip().is_loopback();
    let knows_its_names = is_private || !site.hosts.is_empty();
    let is_behind_a_proxy = !site.prefix.is_root() || !site.hosts.is_empty();
    let per_peer = (!is_behind_a_proxy).then_some(SEATS_PER_PEER_MAX);
    let limits = Limits { head: HEAD_LIMIT, stall: STALL_LIMIT, stop: STOP_GRACE, per_peer };
    let (stopped, stopping) = watch::channel(false);
    let stop = async {
        stop.await;
        stopped.send_replace(true);
    };
    fltk_server::serve(listener, router(site, knows_its_names, stopping), limits, stop).await;
    Ok(())
}

fn router(site: Site, knows_its_names: bool, stopping: watch::Receiver<bool>) -> Router {
    let permits = |number| Arc::new(Semaphore::new(number));
    let shared = Shared {
        site: Arc::new(site),
        readers: permits(READERS_MAX),
        probe: permits(1),
        comparisons: permits(compare::COMPARISONS_MAX),
        live: permits(live::LIVE_MAX),
        watches: Arc::default(),
        kept: Arc::default(),
        stopping,
        knows_its_names,
    };
    let prefix = shared.site.prefix.clone();
    let at = |path: &str| format!("{prefix}{path}");
    let api = Router::new()
        .route(&at("/api/v1"), get(contents))
        .route(&at("/api/v1/records"), get(archive::records))
        .route(&at("/api/v1/runs"), get(runs::list))
        .route(&at("/api/v1/table"), get(runs::table))
        .route(&at("/api/v1/runs/{name}"), get(runs::show))
        .route(&at("/api/v1/runs/{name}/clients"), get(runs::clients))
        .route(&at("/api/v1/runs/{name}/live"), get(live::run))
        .route(&at("/api/v1/runs/{name}/archive"), get(archive::run))
        .route(&at("/api/v1/runs/{name}/files"), get(archive::run_files))
        .route(&at("/api/v1/export"), get(export::export))
        .route(&at("/api/v1/compare"), get(compare::show))
        .route(&at("/api/v1/live"), get(live::all))
        .route(&at("/api/v1/streams"), get(streams::list))
        .route(&at("/api/v1/streams/{name}/jobs"), get(streams::jobs))
        .route(&at("/api/v1/streams/{name}/timeline"), get(streams::timeline))
        .route(&at("/api/v1/streams/{name}/live"), get(live::stream))
        .route(&at("/api/v1/streams/{name}/archive"), get(archive::stream))
        .route(&at("/api/v1/streams/{name}/files"), get(archive::stream_files));
    let api = api
        .fallback(|| async { ApiError::new(StatusCode::NOT_FOUND, "there is nothing at this path") })
        .method_not_allowed_fallback(|| async { ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "only GET is supported") })
        // Only authorized clients learn about a path, or that there is none.
        .layer(from_fn_with_state(shared.clone(), authorize));
    let mut page = Router::new().route(&at("/"), get(page::index)).route(&at("/assets/{name}"), get(page::asset));
    if !prefix.is_root() {
        page = page.route(&at(""), get(page::redirect));
    }
    // Pages of other sites learn nothing, not even that this page is here.
    let named = page.merge(api).layer(from_fn_with_state(shared.clone(), recognize));
    let [healthy, is_ready] = PROBES;
    Router::new().route(healthy, get(|| async { "ok" })).route(is_ready, get(ready)).merge(named).layer(from_fn(harden)).with_state(shared)
}

/// Lists the paths of the API.
async fn contents(State(shared): State<Shared>) -> Response {
    let prefix = &shared.site.prefix;
    let paths = ["records", "runs", "table", "export", "streams"].map(|name| (name, format!("{prefix}/api/v1/{name}")));
    answer::pretty(&BTreeMap::from(paths))
}

async fn ready(State(shared): State<Shared>) -> Response {
    let unavailable = |problem: String| ApiError::new(StatusCode::SERVICE_UNAVAILABLE, problem);
    let list = move |site: &Site| {
        for folder in [&site.runs, &site.streams] {
            std::fs::read_dir(folder).map_err(|error| unavailable(format!("`{}` can't be listed: {error}", folder.display())))?;
        }
        Ok("ok".into_response())
    };
    let listed = async {
        let permit = Arc::clone(&shared.probe).acquire_owned().await;
        shared.on_thread(permit, list).await
    };
    let too_long = |_| Err(unavailable(format!("a folder can't be listed within {} s", READY_LIMIT.as_secs())));
    timeout(READY_LIMIT, listed).await.unwrap_or_else(too_long).into_response()
}

/// Refuses requests under a host name that isn't this server's.
async fn recognize(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    if shared.knows_its_names && !host::is_known(&request, &shared.site.hosts) {
        let problem = "this server answers to an address, to `localhost` or to a name that it was given, not to this one\nhint: `--host NAME` (of the chart: `extractor.serve.hosts`); or `--token-file FILE` in place of names";
        return ApiError::new(StatusCode::MISDIRECTED_REQUEST, problem).into_response();
    }
    next.run(request).await
}

/// Refuses requests without the token, if there is one.
async fn authorize(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    if let Some(token) = &shared.site.token {
        let shown = request.headers().get(header::AUTHORIZATION);
        if !shown.is_some_and(|value| token.is_shown(value.as_bytes())) {
            let error = ApiError::new(StatusCode::UNAUTHORIZED, "a token is needed: `Authorization: Bearer TOKEN`");
            return ([(header::WWW_AUTHENTICATE, "Bearer")], error).into_response();
        }
    }
    next.run(request).await
}

/// Sets headers that tell browsers to accept the declared content type, and to keep nothing that isn't meant to be kept. Every response passes here, so it is logged here too.
async fn harden(request: Request, next: Next) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let mut response = next.run(request).await;
    tell(&method, &path, response.status());
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Emits a diagnostic about a response: only an error of the server itself is for everybody to see, and probes are for nobody.
fn tell(method: &Method, path: &str, status: StatusCode) {
    let code = status.as_u16();
    if status == StatusCode::INTERNAL_SERVER_ERROR {
        tracing::warn!(%method, path, status = code, "{method} {path}: {status}");
    } else if PROBES.contains(&path) {
        tracing::trace!(%method, path, status = code, "{method} {path}: {status}");
    } else {
        tracing::debug!(%method, path, status = code, "{method} {path}: {status}");
    }
}

impl Shared {
    /// Runs `work` on the site, on a thread that may block on files.
    async fn read<T: Send + 'static>(&self, work: impl FnOnce(&Site) -> Result<T, ApiError> + Send + 'static) -> Result<T, ApiError> {
        let permit = self.permit().await?;
        self.on_thread(permit, work).await
    }

    /// Like [`read`](Self::read), but holds the given permit until `work` is done.
    async fn on_thread<T: Send + 'static>(
        &self,
        permit: impl Send + 'static,
        work: impl FnOnce(&Site) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let site = Arc::clone(&self.site);
        let done = spawn_blocking(move || {
            let _permit = permit;
            work(&site)
        });
        done.await.unwrap_or_else(|_| Err(ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "a bug: the request's thread panicked")))
    }

    async fn permit(&self) -> Result<OwnedSemaphorePermit, ApiError> {
        match timeout(READER_WAIT, Arc::clone(&self.readers).acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "too many requests: try again later")),
        }
    }
}

impl Site {
    /// Returns the folder that contains the folders of this kind.
    fn root(&self, kind: RecordKind) -> &Path {
        match kind {
            RecordKind::Run => &self.runs,
            RecordKind::Stream => &self.streams,
        }
    }

    /// Lists the records of this kind.
    fn records(&self, kind: RecordKind) -> Result<Vec<Record>, ApiError> {
        Ok(Record::list(self.root(kind), kind)?)
    }

    /// Returns the paths of all folders of this kind.
    fn folders(&self, kind: RecordKind) -> Result<Vec<PathBuf>, ApiError> {
        Ok(self.records(kind)?.into_iter().map(|record| self.root(kind).join(record.name)).collect())
    }

    /// Returns the folder of a run or a stream, given a name from a request.
    fn find(&self, kind: RecordKind, name: &str) -> Result<PathBuf, ApiError> {
        Ok(Record::find(self.root(kind), kind, name)?)
    }
}

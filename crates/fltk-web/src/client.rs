//! The client: sends requests to a server of records, and trusts nothing in its responses.

use std::{io::Read, sync::LazyLock, time::Duration};

use fltk_http::{Environment, TrustError};
use fltk_records::{Record, RecordKind, archive::FileDigest, export::Format};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, de::DeserializeOwned};
use ureq::{
    Agent, Body, ResponseExt as _,
    config::RedirectAuthHeaders,
    http::{Response, Uri, header},
};

use crate::{SKIPPED_COUNT, SKIPPED_NAMES, Token};

/// The time limit for resolving a name, and again for connecting.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// The time limit for a response to begin: the server may have to read every journal first.
const ANSWER_LIMIT: Duration = Duration::from_secs(600);
/// The time limit between two bytes of a response.
const STALL_LIMIT: Duration = Duration::from_secs(60);
/// The limit on redirects: proxies redirect once or twice. Neither tokens nor passwords are sent to the new address, and `https://` is
/// never redirected to `http://`.
const REDIRECTS_MAX: u32 = 3;
/// The largest JSON that is read, in bytes: a million names, or digests of a million files.
const JSON_BYTES_MAX: u64 = 256 << 20;
/// The longest error message of a server that is read, in bytes.
const ERROR_BYTES_MAX: u64 = 64 << 10;

/// The characters that aren't percent-encoded in a path or a query, in addition to letters and digits.
static PLAIN: LazyLock<AsciiSet> = LazyLock::new(|| NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.'));

/// A server of records.
pub struct Client {
    agent: Agent,
    /// The address without a trailing slash; it may contain a user and a password, which are never displayed.
    base: String,
    shown: String,
    /// The scheme, host and port, to detect that another server has responded.
    origin: String,
    token: Option<Token>,
}

/// A request to a server fails, or the server refuses it.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The address isn't that of a server.
    #[error("`{address}` isn't the address of a server: {problem}\nhint: such as `http://localhost:8080`, where `fltk serve` listens")]
    Address {
        /// The address that was given, without secrets.
        address: String,
        /// The problem with it.
        problem: &'static str,
    },
    /// No certificates are available to trust.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The server doesn't respond.
    #[error("`{url}` can't be read: {problem}")]
    Network {
        /// The URL of the request.
        url: String,
        /// The cause.
        problem: String,
    },
    /// The server refuses the request.
    #[error("`{url}` answers {status}: {message}{hint}")]
    Refused {
        /// The URL of the request.
        url: String,
        /// The HTTP status.
        status: u16,
        /// The message, in the server's words.
        message: String,
        /// A hint for the user.
        hint: String,
    },
    /// The response isn't one of a server of records.
    #[error("`{url}` answers with something other than records: {problem}\nhint: is it `fltk serve`?")]
    Answer {
        /// The URL of the request.
        url: String,
        /// The problem with it.
        problem: String,
    },
}

/// An export that is being received.
pub struct Export {
    /// The number of runs that the server left out because they are damaged.
    pub num_skipped: u64,
    /// The names of these runs; only some of them if there are many.
    pub skipped: Vec<String>,
    /// The table.
    pub body: Box<dyn Read + Send>,
}

impl Client {
    /// Creates a client of the server at `address`: `http://` or `https://`, a host, and optionally user and password, a port and a path.
    ///
    /// # Errors
    /// If the address isn't valid, or has a user although there is also a token, since a request can carry only one of them; or if the
    /// environment applies but provides no certificates to trust ([`fltk_http::config`]), even for `http://`, which may redirect to
    /// `https://`.
    pub fn new(address: &str, token: Option<Token>, environment: Environment) -> Result<Self, ClientError> {
        let base = address.trim_end_matches('/');
        let (scheme, rest) = base.split_once("://").unwrap_or(("", base));
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let secret = authority.rfind('@').map_or(0, |at| at + 1);
        let shown = printable(&if scheme.is_empty() { rest[secret..].to_owned() } else { format!("{scheme}://{}", &rest[secret..]) });
        let wrong = |problem| ClientError::Address { address: shown.clone(), problem };
        let uri: Uri = base.parse().map_err(|_| wrong("it can't be read as a URL"))?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) {
            return Err(wrong("it begins with neither `http://` nor `https://`"));
        }
        if uri.host().is_none_or(str::is_empty) {
            return Err(wrong("it names no host"));
        }
        if base.contains(['?', '#']) {
            return Err(wrong("it has a `?` or `#`"));
        }
        if secret > 0 && token.is_some() {
            return Err(wrong("it has a user, and there is a token too (`--token-file`, or FLTK_TOKEN): a request shows only one of both"));
        }
        let origin = origin(&uri);
        let config = fltk_http::config(environment)?
            .max_redirects(REDIRECTS_MAX)
            .redirect_auth_headers(RedirectAuthHeaders::Never)
            .https_only(uri.scheme_str() == Some("https"))
            .timeout_resolve(Some(CONNECT_LIMIT))
            .timeout_connect(Some(CONNECT_LIMIT))
            .timeout_recv_response(Some(ANSWER_LIMIT))
            .timeout_per_read(Some(STALL_LIMIT))
            .timeout_per_write(Some(STALL_LIMIT));
        Ok(Self { agent: config.build().new_agent(), base: base.to_owned(), shown, origin, token })
    }

    /// Lists every run and stream by name.
    ///
    /// # Errors
    /// If the request fails, or the server refuses it.
    pub fn records(&self) -> Result<Vec<Record>, ClientError> {
        let path = "/api/v1/records";
        let records: Vec<Record> = self.json(path)?;
        match records.iter().find(|record| !record.is_sound()) {
            Some(Record { name, .. }) => {
                Err(ClientError::Answer { url: self.url(path), problem: format!("`{}` is no folder's name", printable(name)) })
            }
            None => Ok(records),
        }
    }

    /// Lists the files in the folder of `record`.
    ///
    /// # Errors
    /// If the request fails, or the server refuses it.
    pub fn files(&self, record: &Record) -> Result<Vec<FileDigest>, ClientError> {
        self.json(&path(record, "files"))
    }

    /// Fetches the folder of `record` as a tar archive, for [`unpack`](fltk_records::archive::unpack).
    ///
    /// # Errors
    /// If the request fails, or the server refuses it.
    pub fn archive(&self, record: &Record) -> Result<impl Read + Send + use<>, ClientError> {
        Ok(self.get(&path(record, "archive"))?.into_body().into_reader())
    }

    /// Fetches the table of the named runs; of all runs if no names are given.
    ///
    /// # Errors
    /// If the request fails, or the server refuses it.
    pub fn export(&self, format: Format, runs: &[String]) -> Result<Export, ClientError> {
        let format = match format {
            Format::Csv => "csv",
            Format::Json => "json",
        };
        let runs: String = runs.iter().map(|run| format!("&run={}", encoded(run))).collect();
        let response = self.get(&format!("/api/v1/export?format={format}{runs}"))?;
        let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let num_skipped = header(SKIPPED_COUNT).parse().unwrap_or(0);
        let skipped = header(SKIPPED_NAMES).split(',').filter(|name| !name.is_empty()).map(printable).collect();
        Ok(Export { num_skipped, skipped, body: Box::new(response.into_body().into_reader()) })
    }

    fn json<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        let mut body = self.get(path)?.into_body().into_reader().take(JSON_BYTES_MAX);
        let mut bytes = Vec::new();
        body.read_to_end(&mut bytes)
            .map_err(|error| ClientError::Network { url: self.url(path), problem: printable(&error.to_string()) })?;
        serde_json::from_slice(&bytes).map_err(|error| ClientError::Answer { url: self.url(path), problem: printable(&error.to_string()) })
    }

    fn get(&self, path: &str) -> Result<Response<Body>, ClientError> {
        let mut request = self.agent.get(format!("{}{path}", self.base));
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, token.header());
        }
        match request.call() {
            Ok(response) if response.status().is_success() => Ok(response),
            Ok(response) => Err(self.refused(path, response)),
            Err(error) => Err(ClientError::Network { url: self.url(path), problem: printable(&fltk_http::problem(&error)) }),
        }
    }

    fn refused(&self, path: &str, response: Response<Body>) -> ClientError {
        #[derive(Deserialize)]
        struct Words {
            error: String,
        }
        let status = response.status();
        let answered = origin(response.get_uri());
        let mut body = Vec::new();
        // The message is optional: errors while reading it are ignored.
        let _ = response.into_body().into_reader().take(ERROR_BYTES_MAX).read_to_end(&mut body);
        let said = serde_json::from_slice(&body).ok().map(|Words { error }| error);
        let message = said.unwrap_or_else(|| status.canonical_reason().unwrap_or("no reason").to_owned());
        let hint = match (status.as_u16(), &self.token) {
            (401, _) if answered != self.origin => {
                format!("\nhint: it redirects to `{}`, which gets no token or password; is that the right address?", printable(&answered))
            }
            (401, None) => "\nhint: `--token-file FILE`, or the variable FLTK_TOKEN".to_owned(),
            (401, Some(_)) => "\nhint: the token isn't the server's".to_owned(),
            _ => String::new(),
        };
        ClientError::Refused { url: self.url(path), status: status.as_u16(), message: printable(&message), hint }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{}", self.shown, path.split('?').next().unwrap_or_default())
    }
}

fn path(record: &Record, what: &str) -> String {
    let kind = match record.kind {
        RecordKind::Run => "runs",
        RecordKind::Stream => "streams",
    };
    format!("/api/v1/{kind}/{}/{what}", encoded(&record.name))
}

/// Returns scheme, host and port.
fn origin(uri: &Uri) -> String {
    let (scheme, host) = (uri.scheme_str().unwrap_or_default(), uri.host().unwrap_or_default());
    let usual = if scheme == "https" { 443 } else { 80 };
    let port = uri.port_u16().filter(|port| *port != usual).map(|port| format!(":{port}")).unwrap_or_default();
    format!("{scheme}://{host}{port}")
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, &PLAIN).to_string()
}

/// Makes a server's text safe for a terminal: no control characters except line breaks before a hint, and limited in length.
fn printable(text: &str) -> String {
    /// The limit in characters: two lines on a wide terminal, and a hint.
    const CHARS_MAX: usize = 1000;
    let plain = |c: char| if c.is_control() && c != '\n' { ' ' } else { c };
    text.chars().take(CHARS_MAX).map(plain).collect()
}

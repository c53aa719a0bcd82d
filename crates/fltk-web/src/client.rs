//! The client: asks a server of records, and trusts nothing that it says.

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

/// For a name to be resolved, and again for a connection to be made.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// Until an answer begins: the server may have to read every journal first.
const ANSWER_LIMIT: Duration = Duration::from_secs(600);
/// Without a byte within an answer.
const STALL_LIMIT: Duration = Duration::from_secs(60);
/// Proxies redirect, once or twice. Neither tokens nor passwords are sent along, and nothing goes from `https://` to `http://`.
const REDIRECTS_MAX: u32 = 3;
/// Largest JSON that is read, in bytes: a million names, or digests of a million files.
const JSON_BYTES_MAX: u64 = 256 << 20;
/// Longest error of a server that is shown, in bytes.
const ERROR_BYTES_MAX: u64 = 64 << 10;

/// What stays as it is in a path or a query.
static PLAIN: LazyLock<AsciiSet> = LazyLock::new(|| NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.'));

/// A server of records.
pub struct Client {
    agent: Agent,
    /// Without a slash at its end; perhaps with a user and a password, which are never shown.
    base: String,
    shown: String,
    /// Its scheme, host and port, for telling whether another has answered.
    origin: String,
    token: Option<Token>,
}

/// A server can't be asked, or says no.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Not the address of a server.
    #[error("`{address}` is no address of a server: {problem}\nhint: such as `http://localhost:8080`, where `fltk serve` listens")]
    Address {
        /// What was given, without secrets.
        address: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// No certificates to trust.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// No answer.
    #[error("`{url}` can't be read: {problem}")]
    Network {
        /// What was asked for.
        url: String,
        /// Why not.
        problem: String,
    },
    /// The server refuses.
    #[error("`{url}` answers {status}: {message}{hint}")]
    Refused {
        /// What was asked for.
        url: String,
        /// HTTP's.
        status: u16,
        /// In the server's words.
        message: String,
        /// What to do about it.
        hint: String,
    },
    /// An answer that no server of records gives.
    #[error("`{url}` answers with something else than records: {problem}\nhint: is it `fltk serve`?")]
    Answer {
        /// What was asked for.
        url: String,
        /// What it is.
        problem: String,
    },
}

/// An export as it comes.
pub struct Export {
    /// Runs that the server left out because they are damaged.
    pub num_skipped: u64,
    /// Names of them; not of all if there are many.
    pub skipped: Vec<String>,
    /// The table.
    pub body: Box<dyn Read + Send>,
}

impl Client {
    /// Of the server at `address`: `http://` or `https://`, a host, perhaps user and password, a port and a path.
    ///
    /// # Errors
    /// If it's no such address, or it has a user and there is a token too: a request shows one of both; or if the environment applies and leads to nobody to
    /// trust ([`fltk_http::config`]), also for `http://`, which may send on to `https://`.
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

    /// Every run and stream by name.
    ///
    /// # Errors
    /// If the server can't be asked, or says no.
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

    /// What is in the folder of `record`.
    ///
    /// # Errors
    /// If the server can't be asked, or says no.
    pub fn files(&self, record: &Record) -> Result<Vec<FileDigest>, ClientError> {
        self.json(&path(record, "files"))
    }

    /// The folder of `record` as a tar archive, for [`unpack`](fltk_records::archive::unpack).
    ///
    /// # Errors
    /// If the server can't be asked, or says no.
    pub fn archive(&self, record: &Record) -> Result<impl Read + Send + use<>, ClientError> {
        Ok(self.get(&path(record, "archive"))?.into_body().into_reader())
    }

    /// The table of the runs of these names; of all where there are none.
    ///
    /// # Errors
    /// If the server can't be asked, or says no.
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
        // Words are better than none, if they come.
        let _ = response.into_body().into_reader().take(ERROR_BYTES_MAX).read_to_end(&mut body);
        let said = serde_json::from_slice(&body).ok().map(|Words { error }| error);
        let message = said.unwrap_or_else(|| status.canonical_reason().unwrap_or("no reason").to_owned());
        let hint = match (status.as_u16(), &self.token) {
            (401, _) if answered != self.origin => {
                format!("\nhint: it sends one on to `{}`, which is shown no token or password; is that the address?", printable(&answered))
            }
            (401, None) => "\nhint: `--token-file FILE`, or the variable FLTK_TOKEN".to_owned(),
            (401, Some(_)) => "\nhint: the token that was sent is not the server's".to_owned(),
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

/// Scheme, host and port.
fn origin(uri: &Uri) -> String {
    let (scheme, host) = (uri.scheme_str().unwrap_or_default(), uri.host().unwrap_or_default());
    let usual = if scheme == "https" { 443 } else { 80 };
    let port = uri.port_u16().filter(|port| *port != usual).map(|port| format!(":{port}")).unwrap_or_default();
    format!("{scheme}://{host}{port}")
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, &PLAIN).to_string()
}

/// Text of a server for a terminal: no control characters but line breaks before a hint, not too long.
fn printable(text: &str) -> String {
    /// Two lines on a wide terminal, and a hint.
    const CHARS_MAX: usize = 1000;
    let plain = |c: char| if c.is_control() && c != '\n' { ' ' } else { c };
    text.chars().take(CHARS_MAX).map(plain).collect()
}

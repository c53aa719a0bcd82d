//! A node: calls a federator, takes its orders, and trains.
//!
//! ```text
//!   federator <---- session ----> this thread ---- orders ----> threads that train
//!             <---- objects ---->             <--- answers ----
//! ```
//!
//! [`Call::join`] learns of the job; the program loads what the job needs; [`Call::work`] works until the run is over. A node whose connection breaks calls again, and goes
//! on where it was: what it trains meanwhile isn't lost.

mod call;
mod carried;
mod connect;
mod enroll;
mod links;
mod objects;
pub(crate) mod tasks;
mod trainers;
mod work;

use std::{path::PathBuf, str::FromStr, time::Duration};

use crate::pki::{Credentials, Invitation};

pub use call::Call;
pub use carried::Carried;
pub use links::{ImposeLinks, Transfers};
pub use trainers::{Evaluate, Trainers};
pub use work::Prepared;

/// An address at which a federator is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A socket of this machine.
    Unix(PathBuf),
    /// A host and port of this machine, without encryption.
    Plain(String),
    /// A host and port of the network, with TLS.
    Tls(String),
}

/// The proof that a node may take part.
#[derive(Clone, Debug)]
pub enum Access {
    /// None, at a socket of this machine.
    Open,
    /// A certificate.
    Credentials(Credentials),
    /// An invitation, which brings a certificate.
    Invitation(Invitation),
}

/// The HTTP proxy through which a node calls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Proxy {
    /// None.
    #[default]
    None,
    /// The one of `HTTPS_PROXY` or `ALL_PROXY`, unless `NO_PROXY` has the federator's host.
    Environment,
    /// The one at this address.
    At(String),
}

/// The error for a text that is no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no address of a federator; hint: it looks like `https://example.org:7400`, or on this machine `http://localhost:7400` or `unix:/path/of/socket`"
)]
pub struct NoAddress(String);

impl FromStr for Address {
    type Err = NoAddress;

    fn from_str(text: &str) -> Result<Self, NoAddress> {
        let is_host = |rest: &str| {
            let uri: Option<tonic::transport::Uri> = format!("http://{rest}").parse().ok();
            uri.is_some_and(|uri| uri.port().is_some() && uri.path().trim_matches('/').is_empty() && uri.query().is_none())
        };
        match text.split_once(':') {
            Some(("unix", path)) if !path.is_empty() => Ok(Self::Unix(path.into())),
            Some(("http", rest)) if rest.strip_prefix("//").is_some_and(is_host) => Ok(Self::Plain(text.trim_end_matches('/').to_owned())),
            Some(("https", rest)) if rest.strip_prefix("//").is_some_and(is_host) => Ok(Self::Tls(text.trim_end_matches('/').to_owned())),
            _ => Err(NoAddress(text.to_owned())),
        }
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Plain(text) | Self::Tls(text) => f.write_str(text),
        }
    }
}

/// The introduction of a node to a federator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Introduction {
    /// The name, for people.
    pub name: String,
    /// The client whose data it has; `None` if every node has all data.
    pub client: Option<String>,
    /// The version of the program.
    pub program: String,
    /// The kind of processor.
    pub processor: String,
    /// The time for which it calls a federator that doesn't answer, before it gives up.
    pub patience: Duration,
    /// The proxy through which it calls.
    pub proxy: Proxy,
}

/// The job as a node gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// The name of the run.
    pub run: String,
    /// The experiment as YAML, with one task and one seed.
    pub experiment: String,
    /// The contents of the files that it names, by their paths in it.
    pub files: Vec<(String, Vec<u8>)>,
    /// True if its net is a module in Python, which this program doesn't train.
    pub is_python: bool,
}

/// The reason why a node ends before the run is over.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NodeError {
    /// Nobody answers.
    #[error("no federator answers at `{address}`: {reason}")]
    NoAnswer {
        /// The address.
        address: String,
        /// The last error.
        reason: String,
    },
    /// The federator turned the node away.
    #[error("the federator refused this node: {0}")]
    Refused(String),
    /// The federator sent what no federator sends.
    #[error("the federator sent a message that can't be: {0}")]
    Malformed(String),
    /// The federator has another run now.
    #[error("the federator works on another run now, `{0}`")]
    OtherRun(String),
    /// A worker could not be started.
    #[error("worker {worker} could not start: {reason}")]
    Worker {
        /// The index of the worker, from 0.
        worker: usize,
        /// The reason.
        reason: String,
    },
    /// Something of this machine failed.
    #[error("{0}")]
    Here(String),
    /// The process was asked to stop.
    #[error("stopped")]
    Stopped,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_those_of_sockets_and_hosts() {
        for text in ["unix:/tmp/a b", "http://localhost:7400", "http://127.0.0.1:7400", "https://example.org:1"] {
            assert_eq!(text.parse::<Address>().expect("it is one").to_string(), text);
        }
        assert_eq!("http://localhost:1/".parse::<Address>().expect("it is one").to_string(), "http://localhost:1");
        assert_eq!("unix:relative".parse::<Address>(), Ok(Address::Unix("relative".into())));
        for text in [
            "",
            "unix:",
            "http://",
            "http://localhost",
            "ftp://localhost:1",
            "localhost:7400",
            "http://localhost:99999",
            "http://localhost:1/path",
            "http://localhost:1?a",
        ] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }
}

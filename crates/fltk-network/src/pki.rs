//! Certificates of federators and nodes: an authority for each run, which issues and revokes them, and invitations, with which a node gets its own.
//!
//! A certificate has a role and a name, and no host: nodes are behind NAT and federators move. Both sides trust the authority of the run and nobody else.

mod authority;
mod credentials;
mod folder;
mod invitation;

pub use authority::{Authority, Role};
pub use credentials::Credentials;
pub use folder::{Folder, Issued};
pub(crate) use invitation::public_key;
pub use invitation::{Invitation, NoInvitation};

/// The name in the certificate of each federator, which nodes expect whatever host they call.
pub(crate) const FEDERATOR: &str = "federator.fltk.internal";

/// The beginning of the URI in a node's certificate; its name follows.
const NODE_URI: &str = "fltk://node/";

/// The longest name of a node in a certificate.
const NAME_BYTES_MAX: usize = 100;

/// The reason why certificates can't be made or used.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// A file can't be read or written.
    #[error("`{path}` can't be read or written")]
    File {
        /// The path.
        path: String,
        /// The reason.
        source: std::io::Error,
    },
    /// A file isn't what it should be.
    #[error("`{path}` can't be used: {problem}")]
    Content {
        /// The path.
        path: String,
        /// The problem.
        problem: String,
    },
    /// A folder has no authority.
    #[error("there is no authority in `{0}`; hint: `fltk pki init` makes one")]
    NoAuthority(String),
    /// A folder has an authority already.
    #[error("there is an authority in `{0}` already; hint: choose another folder")]
    IsThere(String),
    /// A name can't be one of a node.
    #[error("`{0}` can't be the name of a certificate; hint: 1 to {NAME_BYTES_MAX} letters, digits, `-`, `_` and `.`")]
    Name(String),
    /// There is a certificate of this name.
    #[error(
        "there is a certificate `{0}` already; hint: choose another name, or revoke it with `fltk pki revoke`, which keeps the name taken"
    )]
    Taken(String),
    /// A client has a certificate, and may have no other one.
    #[error(
        "client `{0}` has a certificate already, at another node or from an earlier try; hint: `fltk pki revoke` with the federator's folder lets another invitation take its place"
    )]
    ClientTaken(String),
    /// The invitation is for another client.
    #[error("the invitation is for client `{0}`; hint: type the line as the federator printed it")]
    OtherClient(String),
    /// There is no certificate of this name.
    #[error("there is no certificate `{0}`; hint: `fltk pki show` lists them")]
    Unknown(String),
    /// The invitation was used, or never made here.
    #[error(
        "the invitation was used already, or isn't one of this federator; hint: each invitation admits one node: `fltk pki invite` makes another"
    )]
    NotInvited,
    /// A certificate or key can't be made.
    #[error("a certificate can't be made: {0}")]
    Make(String),
}

impl PkiError {
    fn file(path: &std::path::Path, source: std::io::Error) -> Self {
        Self::File { path: path.display().to_string(), source }
    }
}

/// Checks a name that becomes part of a certificate and of a file's name.
fn check_name(name: &str) -> Result<(), PkiError> {
    let is_possible = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let is_name = !name.is_empty() && name.len() <= NAME_BYTES_MAX && name.bytes().all(is_possible) && !name.starts_with('.');
    if is_name { Ok(()) } else { Err(PkiError::Name(name.to_owned())) }
}

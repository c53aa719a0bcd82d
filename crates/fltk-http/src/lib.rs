//! How `fltk` asks servers over HTTP, whatever it asks for: whose certificates it trusts, and through which proxy it goes.

mod trust;

use ureq::{Agent, config::ConfigBuilder, tls::TlsConfig, typestate::AgentScope};

pub use trust::TrustError;

/// Whether the environment says through which proxy requests go, and whose certificates are trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Environment {
    /// `ALL_PROXY`, `HTTPS_PROXY` and `HTTP_PROXY`, the first of them for all addresses but those of `NO_PROXY`; `SSL_CERT_FILE` and `SSL_CERT_DIR`.
    Applies,
    /// No proxy, and no other certificates than those of Mozilla's list: for servers of this machine.
    Ignored,
}

/// What all clients have in common; limits of time are theirs. A status is no error: what it means, they know.
///
/// Trusted is whoever this machine's store of certificates trusts. `SSL_CERT_FILE` and `SSL_CERT_DIR` name others in place of all of it. Without a store,
/// as in a bare container, it is Mozilla's list, which is in the program.
///
/// # Errors
/// If these variables lead to no certificate, or the store can't be read.
pub fn config(environment: Environment) -> Result<ConfigBuilder<AgentScope>, TrustError> {
    let config = Agent::config_builder().http_status_as_error(false).user_agent(concat!("fltk/", env!("CARGO_PKG_VERSION")));
    Ok(match environment {
        Environment::Applies => config.tls_config(TlsConfig::builder().root_certs(trust::from_environment()?).build()),
        Environment::Ignored => config.proxy(None),
    })
}

/// Why a request got no answer, with what can be done about it.
#[must_use]
pub fn problem(error: &ureq::Error) -> String {
    let problem = error.to_string();
    // rustls names it so; ureq passes on its words alone.
    let hint = if problem.contains("UnknownIssuer") {
        "; no authority that is trusted has signed the server's certificate (trusted are this machine's, or those that SSL_CERT_FILE or SSL_CERT_DIR name)"
    } else {
        ""
    };
    problem + hint
}

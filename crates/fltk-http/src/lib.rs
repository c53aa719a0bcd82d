//! The HTTP configuration of all clients in `fltk`: the certificates that they trust, and the proxy that they use.

mod trust;

use ureq::{Agent, config::ConfigBuilder, tls::TlsConfig, typestate::AgentScope};

pub use trust::TrustError;

/// Determines whether environment variables choose the proxy and the trusted certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Environment {
    /// The environment applies: `ALL_PROXY`, `HTTPS_PROXY` and `HTTP_PROXY`, of which the first one that is set is used for all addresses
    /// except those of `NO_PROXY`; `SSL_CERT_FILE` and `SSL_CERT_DIR`.
    Applies,
    /// The environment is ignored: no proxy, and only the certificates of Mozilla's list; for servers on this machine.
    Ignored,
}

/// Returns the configuration that all clients share; each client adds its own time limits. An HTTP status is not an error: clients
/// interpret it themselves.
///
/// The trusted certificates are those in this machine's certificate store. `SSL_CERT_FILE` and `SSL_CERT_DIR` replace all of them. Without
/// a store, as in a bare container, Mozilla's list is used, which is built into the program.
///
/// # Errors
/// If these variables provide no certificate, or the store can't be read.
pub fn config(environment: Environment) -> Result<ConfigBuilder<AgentScope>, TrustError> {
    let config = Agent::config_builder().http_status_as_error(false).user_agent(concat!("fltk/", env!("CARGO_PKG_VERSION")));
    Ok(match environment {
        Environment::Applies => config.tls_config(TlsConfig::builder().root_certs(trust::from_environment()?).build()),
        Environment::Ignored => config.proxy(None),
    })
}

/// Describes why a request got no response, with what can be done about it.
#[must_use]
pub fn problem(error: &ureq::Error) -> String {
    let problem = error.to_string();
    // This is rustls's name for the error; ureq passes on only its text.
    let hint = if problem.contains("UnknownIssuer") {
        "; the server's certificate isn't signed by a trusted authority (trusted are those of this machine, or of SSL_CERT_FILE or SSL_CERT_DIR)"
    } else {
        ""
    };
    problem + hint
}

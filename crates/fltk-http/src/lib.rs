//! How `fltk` asks servers over HTTP, whatever it asks for: whose certificates it trusts, and through which proxy it goes.

mod trust;

use ureq::{Agent, config::ConfigBuilder, tls::TlsConfig, typestate::AgentScope};

pub use trust::TrustError;

/// Whether variables such as `HTTPS_PROXY` and `NO_PROXY` apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proxy {
    /// As the environment says.
    Environment,
    /// Never, such as for a server on this machine.
    None,
}

/// What all clients have in common; limits of time are theirs. A status is no error: what it means, they know.
///
/// Trusted is whoever this machine's store of certificates trusts. `SSL_CERT_FILE` and `SSL_CERT_DIR` name others in its place, as for OpenSSL. Without
/// a store, as in a bare container, it is Mozilla's list, which is in the program.
///
/// # Errors
/// If these variables lead to no certificate.
pub fn config(proxy: Proxy) -> Result<ConfigBuilder<AgentScope>, TrustError> {
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .user_agent(concat!("fltk/", env!("CARGO_PKG_VERSION")))
        .tls_config(TlsConfig::builder().root_certs(trust::from_environment()?).build());
    Ok(if proxy == Proxy::None { config.proxy(None) } else { config })
}

/// Why a request got no answer, with what can be done about it.
#[must_use]
pub fn problem(error: &ureq::Error) -> String {
    let problem = error.to_string();
    // rustls names it so; ureq passes on its words alone.
    let hint = if problem.contains("UnknownIssuer") {
        "; nobody whom this machine trusts has signed the server's certificate (SSL_CERT_FILE can name a file of certificates to trust)"
    } else {
        ""
    };
    problem + hint
}

//! By which name a server is asked.
//!
//! A page of another site can make a browser ask a server on its own machine, if the site's name leads there; the page may read the answer then. But the
//! request says that name.

use std::net::IpAddr;

use axum::{extract::Request, http::header};

/// Whether it's asked by an address, or as `localhost`; or by one who says nothing of it, which no browser does.
pub fn is_local(request: &Request) -> bool {
    let said = request.headers().get_all(header::HOST).iter().map(|value| value.to_str().unwrap_or_default());
    said.chain(request.uri().authority().map(|authority| authority.as_str())).all(is_local_host)
}

/// The same of what a head says, perhaps with a port.
fn is_local_host(host: &str) -> bool {
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost") || name.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_localhost() {
        for local in [
            "localhost",
            "localhost:8080",
            "LOCALHOST.",
            "a.localhost:1",
            "127.0.0.1",
            "127.0.0.1:8080",
            "10.0.0.1:80",
            "[::1]",
            "[::1]:8080",
        ] {
            assert!(is_local_host(local), "{local}");
        }
        for other in [
            "",
            "example.com",
            "example.com:8080",
            "localhost.example.com",
            "127.0.0.1.example.com",
            "user@127.0.0.1",
            "xlocalhost",
            "[a]:1",
            "a:b:c",
        ] {
            assert!(!is_local_host(other), "{other}");
        }
    }
}

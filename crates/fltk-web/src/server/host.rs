//! Checks the host name that a request uses.
//!
//! A page of another site can make a browser send requests to a server on the browser's own machine, if the site's name resolves to it (DNS
//! rebinding); the page may then read the response. But the request contains that name.

use std::{net::IpAddr, str::FromStr};

use axum::{extract::Request, http::header};

/// The longest name in DNS, in bytes.
const NAME_BYTES_MAX: usize = 253;

/// A host name that requests may use: in lower case, without a port and without a trailing dot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostName(String);

/// A text can't be the name of a host.
#[derive(Debug, thiserror::Error)]
#[error("the name of a host is letters, digits and `-._`, such as `runs.example.org`, without a port")]
pub struct HostNameError;

impl FromStr for HostName {
    type Err = HostNameError;

    fn from_str(text: &str) -> Result<Self, HostNameError> {
        let name = normal(text);
        let fits = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
        let is_name = name.len() <= NAME_BYTES_MAX && name.split('.').all(|part| !part.is_empty() && part.chars().all(fits));
        if is_name { Ok(Self(name)) } else { Err(HostNameError) }
    }
}

/// Returns true if the request uses an address, `localhost`, or one of `names`; or no host at all, which no browser does.
pub fn is_known(request: &Request, names: &[HostName]) -> bool {
    let said = request.headers().get_all(header::HOST).iter().map(|value| value.to_str().unwrap_or_default());
    said.chain(request.uri().authority().map(|authority| authority.as_str())).all(|host| is_one_of(host, names))
}

/// Like [`is_known`], for the value of a header, which may have a port. An address can't be made to resolve elsewhere, unlike a name.
fn is_one_of(host: &str, names: &[HostName]) -> bool {
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    let name = normal(name);
    let is_local = name == "localhost" || name.ends_with(".localhost") || name.parse::<IpAddr>().is_ok();
    is_local || names.iter().any(|known| known.0 == name)
}

fn normal(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_localhost_are_recognized() {
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
            assert!(is_one_of(local, &[]), "{local}");
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
            assert!(!is_one_of(other, &[]), "{other}");
        }
    }
    #[test]
    fn given_host_names_are_recognized() {
        let names = ["Runs.example.org.", "extractor"].map(|name| name.parse().unwrap());
        for known in ["runs.example.org", "RUNS.example.org:80", "extractor:8080", "extractor.", "localhost", "10.0.0.1"] {
            assert!(is_one_of(known, &names), "{known}");
        }
        for other in ["example.org", "a.runs.example.org", "extractor.example.org", "extractor:8080:1"] {
            assert!(!is_one_of(other, &names), "{other}");
        }
        for wrong in ["", ".", "a..b", "a:80", "http://localhost", "*.example.org", "[::1]", "a b", &"a".repeat(254)] {
            assert!(wrong.parse::<HostName>().is_err(), "{wrong}");
        }
    }
}

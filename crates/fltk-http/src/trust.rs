//! Whose signatures on a server's certificate count.

use std::{env, ffi::OsStr};

use rustls_native_certs::CertificateResult;
use ureq::tls::{Certificate, RootCerts};

/// What names certificates in place of the machine's own, for OpenSSL and for what follows it.
const VARIABLES: [&str; 2] = ["SSL_CERT_FILE", "SSL_CERT_DIR"];

/// A variable leads to no certificate.
#[derive(Debug, thiserror::Error)]
#[error("{variables} leads to no certificate{problem}\nhint: name a file in PEM format, or unset it: then this machine's own are trusted")]
pub struct TrustError {
    variables: String,
    problem: String,
}

/// Of the environment, of this machine, or of the program, in this order.
pub fn from_environment() -> Result<RootCerts, TrustError> {
    let named: Vec<(&str, String)> = VARIABLES
        .into_iter()
        .filter_map(|name| Some((name, env::var_os(name).filter(|value| !value.is_empty())?)))
        .map(|(name, value)| (name, OsStr::new(&value).to_string_lossy().into_owned()))
        .collect();
    choose(rustls_native_certs::load_native_certs(), &named)
}

/// Chooses with what was found at the places that `named` names, or at the machine's if it names none.
fn choose(found: CertificateResult, named: &[(&str, String)]) -> Result<RootCerts, TrustError> {
    if !found.certs.is_empty() {
        // Of many, one that can't be read does no harm: whom it stands for isn't trusted.
        return Ok(found.certs.iter().map(|certificate| Certificate::from_der(certificate).to_owned()).into());
    }
    if named.is_empty() {
        return Ok(RootCerts::WebPki);
    }
    let variables: Vec<String> = named.iter().map(|(name, value)| format!("{name}=`{value}`")).collect();
    let problem = found.errors.first().map(|error| format!(": {error}")).unwrap_or_default();
    Err(TrustError { variables: variables.join(", "), problem })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(path: &str) -> [(&'static str, String); 1] {
        [("SSL_CERT_FILE", path.to_owned())]
    }

    fn at(path: &std::path::Path) -> CertificateResult {
        rustls_native_certs::load_certs_from_paths(Some(path), None)
    }

    #[test]
    fn what_is_named_is_trusted_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.pem");
        let key = rcgen::KeyPair::generate().unwrap();
        std::fs::write(&file, rcgen::CertificateParams::default().self_signed(&key).unwrap().pem()).unwrap();
        let RootCerts::Specific(trusted) = choose(at(&file), &named("ca.pem")).unwrap() else { panic!("others are trusted") };
        assert_eq!(trusted.len(), 1);
    }

    #[test]
    fn what_is_named_and_leads_to_nothing_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let (missing, empty) = (folder.path().join("missing.pem"), folder.path().join("empty.pem"));
        std::fs::write(&empty, "no certificate").unwrap();
        for path in [missing, empty] {
            let error = choose(at(&path), &named(path.to_str().unwrap())).unwrap_err().to_string();
            assert!(error.starts_with(&format!("SSL_CERT_FILE=`{}` leads to no certificate", path.display())), "{error}");
        }
    }

    #[test]
    fn a_machine_without_a_store_trusts_mozillas_list() {
        assert!(matches!(choose(CertificateResult::default(), &[]), Ok(RootCerts::WebPki)));
    }
}

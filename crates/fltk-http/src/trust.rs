//! The root certificates that are trusted to sign a server's certificate.

use std::{
    env,
    path::{Path, PathBuf},
};

use rustls_native_certs::{CertificateResult, load_certs_from_paths, load_native_certs};
use ureq::tls::{Certificate, RootCerts};

const FILE: &str = "SSL_CERT_FILE";
const FOLDERS: &str = "SSL_CERT_DIR";

/// No certificates are available to trust.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// A variable provides no certificate.
    #[error("{variable} is `{}`, which has no certificate{problem}\nhint: it names certificates in PEM format; unset it to trust the authorities of this machine", place.display())]
    Named {
        /// The variable.
        variable: &'static str,
        /// The path that it names.
        place: PathBuf,
        /// The problem found there, after `: `; or empty.
        problem: String,
    },
    /// This machine's certificate store exists, but none of it can be read.
    #[error("this machine's certificates can't be read: {problem}\nhint: {FILE} can name a file of certificates to trust")]
    Machine {
        /// The cause.
        problem: String,
    },
}

/// Returns the certificates of the environment, of this machine, or of the program, in this order.
pub fn from_environment() -> Result<RootCerts, TrustError> {
    let (file, folders) = (env::var_os(FILE), env::var_os(FOLDERS));
    if file.is_none() && folders.is_none() {
        return of_machine(&load_native_certs());
    }
    let folders: Option<Vec<PathBuf>> = folders.map(|folders| env::split_paths(&folders).collect());
    named(file.map(PathBuf::from).as_deref(), folders.as_deref())
}

fn of_machine(found: &CertificateResult) -> Result<RootCerts, TrustError> {
    match found.errors.first() {
        // One unreadable certificate among many does no harm: it just isn't trusted.
        _ if !found.certs.is_empty() => Ok(roots(&found.certs)),
        Some(error) => Err(TrustError::Machine { problem: error.to_string() }),
        None => Ok(RootCerts::WebPki),
    }
}

fn named(file: Option<&Path>, folders: Option<&[PathBuf]>) -> Result<RootCerts, TrustError> {
    let mut certificates = Vec::new();
    if let Some(file) = file {
        let found = load_certs_from_paths(Some(file), None);
        if found.certs.is_empty() {
            return Err(nothing_at(FILE, file, &found));
        }
        certificates.extend(found.certs);
    }
    for folder in folders.unwrap_or_default() {
        let found = load_certs_from_paths(None, Some(folder));
        // Next to a file it may be missing: some installations always set both variables.
        if found.certs.is_empty() && file.is_none() {
            return Err(nothing_at(FOLDERS, folder, &found));
        }
        certificates.extend(found.certs);
    }
    Ok(roots(&certificates))
}

fn nothing_at(variable: &'static str, place: &Path, found: &CertificateResult) -> TrustError {
    let problem = found.errors.first().map(|error| format!(": {error}")).unwrap_or_default();
    TrustError::Named { variable, place: place.to_path_buf(), problem }
}

fn roots<'a>(certificates: impl IntoIterator<Item = &'a (impl AsRef<[u8]> + 'a)>) -> RootCerts {
    certificates.into_iter().map(|certificate| Certificate::from_der(certificate.as_ref()).to_owned()).into()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn certificate(path: &Path) {
        let key = rcgen::KeyPair::generate().unwrap();
        fs::write(path, rcgen::CertificateParams::default().self_signed(&key).unwrap().pem()).unwrap();
    }

    fn count(trusted: &RootCerts) -> usize {
        let RootCerts::Specific(trusted) = trusted else { panic!("others are trusted") };
        trusted.len()
    }

    #[test]
    fn only_named_certificates_are_trusted() {
        let folder = tempfile::tempdir().unwrap();
        let (file, more, missing) = (folder.path().join("ca.pem"), folder.path().join("more"), folder.path().join("missing"));
        fs::create_dir(&more).unwrap();
        certificate(&file);
        certificate(&more.join("one.pem"));
        certificate(&more.join("two.pem"));
        assert_eq!(count(&named(Some(&file), None).unwrap()), 1);
        assert_eq!(count(&named(None, Some(std::slice::from_ref(&more))).unwrap()), 2);
        assert_eq!(count(&named(Some(&file), Some(&[more])).unwrap()), 3);
        assert_eq!(count(&named(Some(&file), Some(&[missing])).unwrap()), 1);
    }

    #[test]
    fn unreadable_certificate_files_are_errors() {
        let folder = tempfile::tempdir().unwrap();
        let (missing, empty, good) = (folder.path().join("missing.pem"), folder.path().join("empty.pem"), folder.path().join("good"));
        fs::write(&empty, "no certificate").unwrap();
        fs::create_dir(&good).unwrap();
        certificate(&good.join("one.pem"));
        // This includes a variable that is set to the empty string.
        for path in [missing.as_path(), &empty, Path::new("")] {
            let begins = format!("SSL_CERT_FILE is `{}`, which has no certificate", path.display());
            for folders in [None, Some(std::slice::from_ref(&good))] {
                let error = named(Some(path), folders).unwrap_err().to_string();
                assert!(error.starts_with(&begins), "{error}");
            }
        }
        let error = named(None, Some(&[missing])).unwrap_err().to_string();
        assert!(error.starts_with("SSL_CERT_DIR is `"), "{error}");
    }

    #[test]
    fn missing_store_falls_back_to_mozillas_list_and_unreadable_store_trusts_nobody() {
        assert!(matches!(of_machine(&CertificateResult::default()), Ok(RootCerts::WebPki)));
        let unreadable = load_certs_from_paths(Some(Path::new("missing.pem")), None);
        assert!(matches!(of_machine(&unreadable), Err(TrustError::Machine { .. })));
    }
}

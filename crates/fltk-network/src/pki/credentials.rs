//! Credentials, with which a federator or a node shows who it is, and whom it trusts: one PEM file with a certificate, its authority's, and its key.

use std::path::Path;

use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};

use super::PkiError;

/// The largest file of credentials: ours have 2 kB.
const BYTES_MAX: u64 = 1 << 20;

/// A certificate with its key, and the authority that both sides trust.
#[derive(Debug)]
pub struct Credentials {
    /// The certificate.
    pub certificate: CertificateDer<'static>,
    /// The certificate of the authority.
    pub authority: CertificateDer<'static>,
    /// The key.
    pub key: PrivateKeyDer<'static>,
}

impl Clone for Credentials {
    fn clone(&self) -> Self {
        Self { certificate: self.certificate.clone(), authority: self.authority.clone(), key: self.key.clone_key() }
    }
}

impl Credentials {
    /// Returns the text of the file.
    #[must_use]
    pub fn pem(certificate: &CertificateDer<'_>, authority: &CertificateDer<'_>, key_pem: &str) -> String {
        format!("{}{}{key_pem}", certificate_pem(certificate), certificate_pem(authority))
    }

    /// Reads the text of such a file, whose path is `path`.
    ///
    /// # Errors
    /// If it doesn't have two certificates and a key.
    pub fn parse(text: &str, path: &str) -> Result<Self, PkiError> {
        let wrong = |problem: String| PkiError::Content { path: path.to_owned(), problem };
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
        let certificates = certificates.map_err(|error| wrong(error.to_string()))?;
        let [certificate, authority] = <[CertificateDer<'static>; 2]>::try_from(certificates)
            .map_err(|found| wrong(format!("it has {} certificates, and needs 2: its own, and its authority's", found.len())))?;
        let key = PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|error| wrong(format!("no key: {error}")))?;
        Ok(Self { certificate, authority, key })
    }

    /// Reads the file.
    ///
    /// # Errors
    /// If it can't be read, or isn't one.
    pub fn read(path: &Path) -> Result<Self, PkiError> {
        Self::parse(&read_text(path)?, &path.display().to_string())
    }
}

/// Reads a small text file.
pub(super) fn read_text(path: &Path) -> Result<String, PkiError> {
    let read = || {
        use std::io::Read as _;
        let mut text = String::new();
        std::fs::File::open(path)?.take(BYTES_MAX).read_to_string(&mut text)?;
        Ok(text)
    };
    read().map_err(|source| PkiError::file(path, source))
}

pub(super) fn certificate_pem(certificate: &CertificateDer<'_>) -> String {
    pem::encode_config(&pem::Pem::new("CERTIFICATE", certificate.to_vec()), pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF))
}

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
    use std::fmt::Write as _;
    const LINE: usize = 64;
    let text = base64(certificate);
    let mut pem = "-----BEGIN CERTIFICATE-----\n".to_owned();
    for line in text.as_bytes().chunks(LINE) {
        // Writing to a string can't fail, and base64 is ASCII.
        let _ = writeln!(pem, "{}", String::from_utf8_lossy(line));
    }
    pem + "-----END CERTIFICATE-----\n"
}

/// Returns the standard base64 of `bytes`, with padding.
pub(super) fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().fold(0_u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let digit = (word >> (18 - 6 * place) & 63) as usize;
            text.push(if place <= chunk.len() { char::from(DIGITS[digit]) } else { '=' });
        }
    }
    text
}

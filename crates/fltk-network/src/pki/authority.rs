//! The authority of a run.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PublicKeyData, SanType, SignatureAlgorithm, string::Ia5String,
};
use rustls::pki_types::CertificateDer;

use super::{FEDERATOR, NODE_URI, PkiError, check_name};

/// The name of every authority in its certificate: its key tells one from another.
const NAME: &str = "fltk run authority";

/// The role of whoever a certificate is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A federator, which nodes call.
    Federator,
    /// A node, which calls.
    Node,
}

/// An authority with its key.
pub struct Authority {
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

fn failed(error: rcgen::Error) -> PkiError {
    PkiError::Make(error.to_string())
}

fn params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, NAME);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
}

impl Authority {
    /// Creates an authority with a new key.
    ///
    /// # Errors
    /// If no key can be made.
    pub fn create() -> Result<Self, PkiError> {
        let made = CertifiedIssuer::self_signed(params(), KeyPair::generate().map_err(failed)?).map_err(failed)?;
        let key = KeyPair::from_pem(&made.key().serialize_pem()).map_err(failed)?;
        Ok(Self { certificate: made.der().clone(), issuer: Issuer::new(params(), key) })
    }

    /// Reads an authority again from its certificate and its key in PEM.
    ///
    /// # Errors
    /// If the key can't be read.
    pub fn read(certificate: CertificateDer<'static>, key: &str) -> Result<Self, PkiError> {
        let key = KeyPair::from_pem(key).map_err(failed)?;
        Ok(Self { certificate, issuer: Issuer::new(params(), key) })
    }

    /// Returns its certificate.
    #[must_use]
    pub const fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// Returns its key in PEM.
    #[must_use]
    pub fn key_pem(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    /// Issues a certificate, for a new key, which is returned in PEM.
    ///
    /// # Errors
    /// If the name can't be one, or no key can be made.
    pub fn issue(&self, role: Role, name: &str) -> Result<(CertificateDer<'static>, String), PkiError> {
        let key = KeyPair::generate().map_err(failed)?;
        Ok((self.sign(role, name, &key)?, key.serialize_pem()))
    }

    /// Issues a certificate of a node for its own ECDSA P-256 key, of which it sent the public part (65 bytes, uncompressed).
    ///
    /// # Errors
    /// If the name can't be one, or the key isn't one.
    pub fn issue_for(&self, name: &str, public_key: Vec<u8>) -> Result<CertificateDer<'static>, PkiError> {
        if public_key.len() != 65 || public_key[0] != 4 {
            return Err(PkiError::Make("the public key isn't an uncompressed point of P-256".to_owned()));
        }
        self.sign(Role::Node, name, &PublicKey(public_key))
    }

    fn sign(&self, role: Role, name: &str, key: &impl PublicKeyData) -> Result<CertificateDer<'static>, PkiError> {
        check_name(name)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let text = |text: String| Ia5String::try_from(text).map_err(failed);
        let (usage, of) = match role {
            Role::Federator => (ExtendedKeyUsagePurpose::ServerAuth, SanType::DnsName(text(FEDERATOR.to_owned())?)),
            Role::Node => (ExtendedKeyUsagePurpose::ClientAuth, SanType::URI(text(format!("{NODE_URI}{name}"))?)),
        };
        params.extended_key_usages = vec![usage];
        params.subject_alt_names = vec![of];
        Ok(params.signed_by(key, &self.issuer).map_err(failed)?.der().clone())
    }
}

/// A public key that a node sent.
struct PublicKey(Vec<u8>);

impl PublicKeyData for PublicKey {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

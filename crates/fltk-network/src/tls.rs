//! TLS 1.3 both ways: whom a federator and a node trust.
//!
//! The handshake proves the certificates of both sides, before a byte of anything else is read. A node that has only an invitation shows the certificate that it made of it:
//! that opens a connection over which nothing but enrolling is possible.

use std::sync::Arc;

use rustls::{
    ClientConfig, DigitallySignedStruct, DistinguishedName, Error, OtherError, RootCertStore, ServerConfig, SignatureScheme,
    client::{
        Resumption, WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::{
        NoServerSessionStorage, WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
    version::TLS13,
};

use crate::pki::{Credentials, FEDERATOR, Folder, Invitation, PkiError, public_key};

/// The protocol that is spoken inside: gRPC is HTTP/2.
const ALPN: &[u8] = b"h2";

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn failed(error: impl std::fmt::Display) -> PkiError {
    PkiError::Make(error.to_string())
}

fn roots(authority: &CertificateDer<'static>) -> Result<Arc<RootCertStore>, PkiError> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.clone()).map_err(failed)?;
    Ok(Arc::new(roots))
}

/// The peer at the other end of a connection, as its certificate says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peer {
    /// A process of this machine, over a socket without encryption.
    Here,
    /// A node with a certificate of the authority.
    Node {
        /// The name in its certificate.
        name: String,
    },
    /// A node that has an invitation, and no certificate yet.
    Invited {
        /// The public key of its invitation.
        public_key: [u8; 32],
    },
}

impl Peer {
    /// Returns the peer that showed this certificate, which was verified.
    #[must_use]
    pub fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        let parsed = webpki::EndEntityCert::try_from(certificate).ok()?;
        let names: Vec<&str> = parsed.valid_uri_names().filter_map(|uri| uri.strip_prefix("fltk://node/")).collect();
        match names.first() {
            Some(name) => Some(Self::Node { name: (*name).to_owned() }),
            None => Some(Self::Invited { public_key: public_key(certificate)? }),
        }
    }
}

/// Returns the configuration of a federator that shows `own`. `folder` knows what was revoked, and who is invited; without one, every certificate of the
/// authority is good, and nobody is invited.
///
/// # Errors
/// If the credentials can't be used.
pub fn federator(own: &Credentials, folder: Option<Folder>) -> Result<Arc<ServerConfig>, PkiError> {
    let of_nodes = WebPkiClientVerifier::builder_with_provider(roots(&own.authority)?, provider()).build().map_err(failed)?;
    let config = ServerConfig::builder_with_provider(provider()).with_protocol_versions(&[&TLS13]).map_err(failed)?;
    let verifier = Arc::new(Nodes { of_nodes, folder });
    // The authority comes along: a node that has only an invitation knows it by its digest.
    let chain = vec![own.certificate.clone(), own.authority.clone()];
    let mut config = config.with_client_cert_verifier(verifier).with_single_cert(chain, own.key.clone_key()).map_err(failed)?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    // A session that is resumed isn't asked for its certificate again, which may be revoked by then.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

/// Returns the configuration of a node that shows `own`.
///
/// # Errors
/// If the credentials can't be used.
pub fn node(own: &Credentials) -> Result<Arc<ClientConfig>, PkiError> {
    let verifier = WebPkiServerVerifier::builder_with_provider(roots(&own.authority)?, provider()).build().map_err(failed)?;
    client(verifier, own.certificate.clone(), own.key.clone_key())
}

/// Returns the configuration of a node that has only an invitation.
///
/// # Errors
/// If the invitation can't be used.
pub fn invited(invitation: &Invitation) -> Result<Arc<ClientConfig>, PkiError> {
    let (certificate, key) = invitation.show()?;
    client(Arc::new(Inviting { invitation: invitation.clone() }), certificate, key)
}

fn client(
    verifier: Arc<dyn ServerCertVerifier>,
    certificate: CertificateDer<'static>,
    key: rustls::pki_types::PrivateKeyDer<'static>,
) -> Result<Arc<ClientConfig>, PkiError> {
    let config = ClientConfig::builder_with_provider(provider()).with_protocol_versions(&[&TLS13]).map_err(failed)?;
    let config = config.dangerous().with_custom_certificate_verifier(verifier);
    let mut config = config.with_client_auth_cert(vec![certificate], key).map_err(failed)?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// Returns the name that nodes expect in a federator's certificate, whatever host they call.
#[must_use]
pub fn server_name() -> ServerName<'static> {
    ServerName::try_from(FEDERATOR).expect("it is a host name")
}

/// Verifies nodes: by the authority, or by an open invitation.
#[derive(Debug)]
struct Nodes {
    of_nodes: Arc<dyn ClientCertVerifier>,
    folder: Option<Folder>,
}

impl ClientCertVerifier for Nodes {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        // A node has one certificate, and needs no hint.
        &[]
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let folder = self.folder.as_ref();
        if folder.zip(public_key(certificate)).is_some_and(|(folder, key)| folder.is_open(key)) {
            return Ok(ClientCertVerified::assertion());
        }
        let verified = self.of_nodes.verify_client_cert(certificate, intermediates, now)?;
        if folder.is_some_and(|folder| folder.is_revoked(certificate)) {
            return Err(rustls::CertificateError::Revoked.into());
        }
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("only TLS 1.3 is spoken".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &provider().signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}

/// Verifies the federator that an invitation is to.
#[derive(Debug)]
struct Inviting {
    invitation: Invitation,
}

/// The error for a federator that isn't the one that invites.
#[derive(Debug, thiserror::Error)]
#[error("it isn't the one that the invitation is from")]
struct OtherFederator;

impl ServerCertVerifier for Inviting {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let other = || Error::Other(OtherError(Arc::new(OtherFederator)));
        let authority = intermediates.iter().find(|authority| self.invitation.is_to(authority)).ok_or_else(other)?;
        let roots = roots(&authority.clone().into_owned()).map_err(|_| other())?;
        let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider()).build().map_err(|_| other())?;
        verifier.verify_server_cert(certificate, &[], server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("only TLS 1.3 is spoken".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &provider().signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}

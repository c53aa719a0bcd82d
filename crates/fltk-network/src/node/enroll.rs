//! The first call of a node that has an invitation: it gets a certificate.

use rcgen::{KeyPair, PublicKeyData as _};
use rustls::pki_types::CertificateDer;

use super::{Address, Introduction, NodeError, call::failed, connect::connect};
use crate::{
    pki::{Credentials, Invitation},
    tls,
    wire::v1::{self, federation_client::FederationClient},
};

/// Returns the text of the credentials of a node that was invited. Its key is made here, and stays here.
pub(super) async fn enroll(address: &Address, introduction: &Introduction, invitation: &Invitation) -> Result<String, NodeError> {
    let here = |error: &dyn std::fmt::Display| NodeError::Here(error.to_string());
    let config = tls::invited(invitation).map_err(|error| here(&error))?;
    let channel = connect(address, &introduction.proxy, Some(&config)).await;
    let channel = channel.map_err(|error| failed(address, &error))?;
    let key = KeyPair::generate().map_err(|error| here(&error))?;
    let name: String =
        introduction.name.chars().map(|char| if char.is_ascii_alphanumeric() || "-_.".contains(char) { char } else { '-' }).collect();
    let request = v1::EnrollRequest { name, public_key: key.der_bytes().to_vec() };
    let answer = FederationClient::new(channel).enroll(request).await;
    let v1::EnrollResponse { certificate, authority } = answer
        .map_err(|status| match status.code() {
            // The connection ended, for example because the invitation was used already.
            tonic::Code::Unavailable | tonic::Code::Unknown => failed(address, &status),
            _ => NodeError::Refused(status.message().to_owned()),
        })?
        .into_inner();
    let authority = CertificateDer::from(authority);
    if !invitation.is_to(&authority) {
        return Err(NodeError::Malformed("its authority isn't the one that the invitation names".to_owned()));
    }
    Ok(Credentials::pem(&CertificateDer::from(certificate), &authority, &key.serialize_pem()))
}

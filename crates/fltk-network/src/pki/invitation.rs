//! Invitations: a secret of one line, with which a node proves that it was invited, and knows that it calls the right federator.
//!
//! The secret is the seed of an Ed25519 key. The node makes a certificate of it that nobody signed, and shows that; the federator knows the public key of each invitation
//! that is open. So an invitation is checked by TLS itself, before anything else of a node is read.

use std::{fmt, str::FromStr};

use data_encoding::BASE32_NOPAD;
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use super::PkiError;

/// The number of random bytes, and of those of the authority's digest: nobody finds either by trying.
const SECRET_BYTES: usize = 16;
const AUTHORITY_BYTES: usize = 16;

/// The PKCS #8 form of an Ed25519 seed (RFC 8410), up to the seed itself.
const PKCS8: [u8; 16] = [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// An invitation to one run.
#[derive(Clone, PartialEq, Eq)]
pub struct Invitation {
    secret: [u8; SECRET_BYTES],
    authority: [u8; AUTHORITY_BYTES],
}

/// The error for a text that is no invitation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no invitation; hint: copy the whole of it, as the federator printed it")]
pub struct NoInvitation;

impl Invitation {
    /// Creates an invitation to the run of this authority.
    ///
    /// # Errors
    /// If there are no random numbers.
    pub fn create(authority: &CertificateDer<'_>) -> Result<Self, PkiError> {
        let mut secret = [0; SECRET_BYTES];
        getrandom::fill(&mut secret).map_err(|error| PkiError::Make(error.to_string()))?;
        Ok(Self { secret, authority: authority_digest(authority) })
    }

    /// Returns true if the invitation is to the run of this authority.
    #[must_use]
    pub fn is_to(&self, authority: &CertificateDer<'_>) -> bool {
        self.authority == authority_digest(authority)
    }

    /// Returns the certificate and key to show.
    ///
    /// # Errors
    /// If they can't be made.
    pub fn show(&self) -> Result<(CertificateDer<'static>, PrivateKeyDer<'static>), PkiError> {
        let failed = |error: rcgen::Error| PkiError::Make(error.to_string());
        let seed = blake3::derive_key("fltk invitation 1 key", &self.secret);
        let der = [&PKCS8[..], &seed].concat();
        let key = KeyPair::from_pkcs8_der_and_sign_algo(&PrivatePkcs8KeyDer::from(der.as_slice()), &rcgen::PKCS_ED25519).map_err(failed)?;
        let certificate = CertificateParams::default().self_signed(&key).map_err(failed)?;
        Ok((certificate.der().clone(), PrivatePkcs8KeyDer::from(der).into()))
    }

    /// Returns the public key by which the federator knows it.
    ///
    /// # Errors
    /// If it can't be made.
    pub fn public_key(&self) -> Result<[u8; 32], PkiError> {
        let (certificate, _) = self.show()?;
        public_key(&certificate).ok_or_else(|| PkiError::Make("its own certificate has no key".to_owned()))
    }
}

/// Returns the digest of the subject's public key in a certificate.
pub(crate) fn public_key(certificate: &CertificateDer<'_>) -> Option<[u8; 32]> {
    let certificate = webpki::EndEntityCert::try_from(certificate).ok()?;
    Some(*blake3::hash(&certificate.subject_public_key_info()).as_bytes())
}

fn authority_digest(authority: &CertificateDer<'_>) -> [u8; AUTHORITY_BYTES] {
    let mut digest = [0; AUTHORITY_BYTES];
    digest.copy_from_slice(&blake3::hash(authority).as_bytes()[..AUTHORITY_BYTES]);
    digest
}

impl fmt::Display for Invitation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [&self.secret[..], &self.authority].concat();
        // Two checking bytes: a digit that was lost is noticed before anybody is called.
        let check = blake3::hash(&bytes);
        let check = &check.as_bytes()[..2];
        // Lower case, since it is typed at a prompt.
        f.write_str(&BASE32_NOPAD.encode(&[&bytes[..], check].concat()).to_lowercase())
    }
}

impl fmt::Debug for Invitation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A secret isn't for messages.
        f.write_str("Invitation(..)")
    }
}

impl FromStr for Invitation {
    type Err = NoInvitation;

    fn from_str(text: &str) -> Result<Self, NoInvitation> {
        let bytes = BASE32_NOPAD.decode(text.trim().to_uppercase().as_bytes()).map_err(|_| NoInvitation)?;
        let whole = <[u8; SECRET_BYTES + AUTHORITY_BYTES + 2]>::try_from(bytes).map_err(|_| NoInvitation)?;
        let (content, check) = whole.split_at(SECRET_BYTES + AUTHORITY_BYTES);
        if check != &blake3::hash(content).as_bytes()[..2] {
            return Err(NoInvitation);
        }
        let (mut secret, mut authority) = ([0; SECRET_BYTES], [0; AUTHORITY_BYTES]);
        secret.copy_from_slice(&content[..SECRET_BYTES]);
        authority.copy_from_slice(&content[SECRET_BYTES..]);
        Ok(Self { secret, authority })
    }
}

#[cfg(test)]
mod tests {
    use super::{super::Authority, *};

    #[test]
    fn an_invitation_is_what_was_written_and_nothing_else() {
        let (authority, other) = (Authority::create().expect("keys"), Authority::create().expect("keys"));
        let invitation = Invitation::create(authority.certificate()).expect("random numbers");
        let text = invitation.to_string();
        assert_eq!(text.len(), 55);
        assert_eq!(text.parse(), Ok(invitation.clone()));
        assert_eq!(format!(" {}\n", text.to_uppercase()).parse(), Ok(invitation.clone()));
        assert!(invitation.is_to(authority.certificate()) && !invitation.is_to(other.certificate()));
        for wrong in [&text[1..], &text[..54], "", "aaaa", "0000", &format!("{text}0"), &text.replacen(&text[..1], "!", 1)] {
            assert_eq!(wrong.parse::<Invitation>(), Err(NoInvitation), "{wrong}");
        }
        let swapped = if text.starts_with('a') { text.replacen('a', "b", 1) } else { format!("a{}", &text[1..]) };
        assert_eq!(swapped.parse::<Invitation>(), Err(NoInvitation));
        assert_eq!(format!("{invitation:?}"), "Invitation(..)");
        // The same secret gives the same key, and another another one.
        assert_eq!(invitation.public_key().expect("a key"), invitation.clone().public_key().expect("a key"));
        let another = Invitation::create(authority.certificate()).expect("random numbers");
        assert_ne!(invitation.public_key().expect("a key"), another.public_key().expect("a key"));
    }
}

//! The folder of an authority: its key, what it issued and revoked, and the invitations that are open. Several processes may use it at once.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use rustls::pki_types::{CertificateDer, pem::PemObject as _};

use super::{
    Authority, Credentials, Invitation, PkiError, Role, check_name,
    credentials::{certificate_pem, read_text},
};

/// The files and folders in it.
const CERTIFICATE: &str = "authority.pem";
const KEY: &str = "authority.key";
const FEDERATOR: &str = "federator.pem";
const ISSUED: &str = "issued";
const REVOKED: &str = "revoked";
const INVITATIONS: &str = "invitations";

/// The folder of an authority.
#[derive(Clone, Debug)]
pub struct Folder(PathBuf);

/// A certificate that was issued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    /// Its name.
    pub name: String,
    /// True if it was revoked.
    pub is_revoked: bool,
}

impl Folder {
    /// Opens the folder, or makes it with a new authority if there is none.
    ///
    /// # Errors
    /// If it can't be made, or is another kind of folder.
    pub fn open_or_create(path: &Path) -> Result<Self, PkiError> {
        if path.join(KEY).exists() { Self::open(path) } else { Self::create(path) }
    }

    /// Opens a folder that has an authority.
    ///
    /// # Errors
    /// If it has none.
    pub fn open(path: &Path) -> Result<Self, PkiError> {
        if !path.join(KEY).exists() {
            return Err(PkiError::NoAuthority(path.display().to_string()));
        }
        let folder = Self(path.to_owned());
        folder.authority()?;
        Ok(folder)
    }

    /// Makes the folder, with a new authority. Nobody but its owner may read it.
    ///
    /// # Errors
    /// If it can't be made, or there is an authority already.
    pub fn create(path: &Path) -> Result<Self, PkiError> {
        if path.join(KEY).exists() {
            return Err(PkiError::IsThere(path.display().to_string()));
        }
        let folder = Self(path.to_owned());
        for part in ["", ISSUED, REVOKED, INVITATIONS] {
            let path = path.join(part);
            let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&path);
            made.map_err(|source| PkiError::file(&path, source))?;
        }
        let authority = Authority::create()?;
        // A process that was killed here left a certificate without its key, which is of no use.
        let _ = fs::remove_file(path.join(CERTIFICATE));
        write_new(&path.join(CERTIFICATE), &certificate_pem(authority.certificate()))?;
        // The key comes last: with it, the folder is complete.
        write_new(&path.join(KEY), &authority.key_pem())?;
        Ok(folder)
    }

    /// Returns the authority.
    ///
    /// # Errors
    /// If it can't be read.
    pub fn authority(&self) -> Result<Authority, PkiError> {
        let path = self.0.join(CERTIFICATE);
        let text = read_text(&path)?;
        let certificate = CertificateDer::from_pem_slice(text.as_bytes());
        let certificate =
            certificate.map_err(|error| PkiError::Content { path: path.display().to_string(), problem: error.to_string() })?;
        Authority::read(certificate, &read_text(&self.0.join(KEY))?)
    }

    /// Issues credentials, as the text of their file.
    ///
    /// # Errors
    /// If there are some of this name, or they can't be made.
    pub fn issue(&self, role: Role, name: &str) -> Result<String, PkiError> {
        let authority = self.authority()?;
        let (certificate, key) = authority.issue(role, name)?;
        self.note(name, &certificate)?;
        Ok(Credentials::pem(&certificate, authority.certificate(), &key))
    }

    /// Issues a certificate for whoever has this invitation, which is used up by it. Returns the certificate and that of the authority. If it is that of a client, nobody else may
    /// have one of its name that wasn't revoked, and the invitation has to be for that client, or for any.
    ///
    /// # Errors
    /// If the invitation isn't open, or the certificate can't be made: the invitation stays open then.
    pub fn admit(
        &self,
        invitation: [u8; 32],
        name: &str,
        public_key: Vec<u8>,
        is_client: bool,
    ) -> Result<(CertificateDer<'static>, CertificateDer<'static>), PkiError> {
        check_name(name)?;
        let invited = self.0.join(INVITATIONS).join(hex::encode(invitation));
        if !invited.exists() {
            return Err(PkiError::NotInvited);
        }
        if is_client {
            let client = read_text(&invited)?;
            if !client.is_empty() && client != name {
                return Err(PkiError::OtherClient(client));
            }
            if self.has_valid(name)? {
                return Err(PkiError::ClientTaken(name.to_owned()));
            }
        }
        let authority = self.authority()?;
        let certificate = authority.issue_for(name, public_key)?;
        // Of several of one name, each has a number.
        let mut number = 1;
        let noted = loop {
            let numbered = if number == 1 { name.to_owned() } else { format!("{name}.{number}") };
            match self.note(&numbered, &certificate) {
                Err(PkiError::Taken(_)) if number < 10_000 => number += 1,
                noted => break noted.map(|()| self.0.join(ISSUED).join(format!("{numbered}.pem")))?,
            }
        };
        // Whoever removes it has it: of two at a time, one.
        match fs::remove_file(&invited) {
            Ok(()) => Ok((certificate, authority.certificate().clone())),
            Err(error) => {
                let _ = fs::remove_file(noted);
                Err(if error.kind() == io::ErrorKind::NotFound { PkiError::NotInvited } else { PkiError::file(&invited, error) })
            }
        }
    }

    /// Returns true if somebody has a certificate of this name that wasn't revoked.
    fn has_valid(&self, name: &str) -> Result<bool, PkiError> {
        let is_of = |issued: &Issued| issued.name == name || issued.name.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'));
        Ok(self.issued()?.iter().any(|issued| is_of(issued) && !issued.is_revoked))
    }

    /// Returns the credentials of the federator, which are issued when they are first asked for.
    ///
    /// # Errors
    /// If they can't be read or made.
    pub fn federator(&self) -> Result<Credentials, PkiError> {
        let path = self.0.join(FEDERATOR);
        if !path.exists() {
            let authority = self.authority()?;
            let (certificate, key) = authority.issue(Role::Federator, "federator")?;
            match write_new(&path, &Credentials::pem(&certificate, authority.certificate(), &key)) {
                // Another process was faster.
                Err(PkiError::Taken(_)) | Ok(()) => {}
                Err(error) => return Err(error),
            }
        }
        Credentials::read(&path)
    }

    /// Makes an invitation: for the client of this name, if clients have data of their own; `None` for any.
    ///
    /// # Errors
    /// If it can't be kept.
    pub fn invite(&self, client: Option<&str>) -> Result<Invitation, PkiError> {
        client.map_or(Ok(()), check_name)?;
        let invitation = Invitation::create(self.authority()?.certificate())?;
        write_new(&self.0.join(INVITATIONS).join(hex::encode(invitation.public_key()?)), client.unwrap_or_default())?;
        Ok(invitation)
    }

    /// Returns true if the invitation with this public key is open.
    #[must_use]
    pub fn is_open(&self, public_key: [u8; 32]) -> bool {
        self.0.join(INVITATIONS).join(hex::encode(public_key)).exists()
    }

    /// Returns the number of invitations that are open.
    #[must_use]
    pub fn num_invitations(&self) -> usize {
        fs::read_dir(self.0.join(INVITATIONS)).map_or(0, |entries| entries.filter_map(Result::ok).count())
    }

    /// Returns what was issued, by name.
    ///
    /// # Errors
    /// If the folder can't be read.
    pub fn issued(&self) -> Result<Vec<Issued>, PkiError> {
        let path = self.0.join(ISSUED);
        let entries = fs::read_dir(&path).map_err(|source| PkiError::file(&path, source))?;
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let mut issued: Vec<Issued> = names
            .filter_map(|file| {
                let name = file.strip_suffix(".pem")?.to_owned();
                let is_revoked = self.certificate(&name).is_ok_and(|certificate| self.is_revoked(&certificate));
                Some(Issued { name, is_revoked })
            })
            .collect();
        issued.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(issued)
    }

    /// Revokes a certificate: whoever shows it is refused from now on, also by a federator that runs.
    ///
    /// # Errors
    /// If there is none of this name.
    pub fn revoke(&self, name: &str) -> Result<(), PkiError> {
        let certificate = self.certificate(name)?;
        match write_new(&self.0.join(REVOKED).join(fingerprint(&certificate)), name) {
            Err(PkiError::Taken(_)) => Ok(()),
            done => done,
        }
    }

    /// Returns true if the certificate was revoked.
    #[must_use]
    pub fn is_revoked(&self, certificate: &CertificateDer<'_>) -> bool {
        self.0.join(REVOKED).join(fingerprint(certificate)).exists()
    }

    fn certificate(&self, name: &str) -> Result<CertificateDer<'static>, PkiError> {
        check_name(name)?;
        let path = self.0.join(ISSUED).join(format!("{name}.pem"));
        if !path.exists() {
            return Err(PkiError::Unknown(name.to_owned()));
        }
        CertificateDer::from_pem_slice(read_text(&path)?.as_bytes())
            .map_err(|error| PkiError::Content { path: path.display().to_string(), problem: error.to_string() })
    }

    fn note(&self, name: &str, certificate: &CertificateDer<'_>) -> Result<(), PkiError> {
        check_name(name)?;
        match write_new(&self.0.join(ISSUED).join(format!("{name}.pem")), &certificate_pem(certificate)) {
            Err(PkiError::Taken(_)) => Err(PkiError::Taken(name.to_owned())),
            done => done,
        }
    }
}

fn fingerprint(certificate: &CertificateDer<'_>) -> String {
    hex::encode(blake3::hash(certificate).as_bytes())
}

/// Writes a file that isn't there yet, for its owner alone.
fn write_new(path: &Path, text: &str) -> Result<(), PkiError> {
    let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let mut file = match opened {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(PkiError::Taken(path.display().to_string())),
        opened => opened.map_err(|source| PkiError::file(path, source))?,
    };
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(|source| PkiError::file(path, source))
}

#[cfg(test)]
mod tests {
    use rcgen::{KeyPair, PublicKeyData as _};

    use super::*;

    #[test]
    fn a_folder_issues_revokes_and_admits_each_invitation_once() {
        let temporary = tempfile::tempdir().expect("there is room");
        let path = temporary.path().join("pki");
        let folder = Folder::open_or_create(&path).expect("it is made");
        assert_eq!(
            Folder::open_or_create(&path).expect("it is there").authority().expect("it can be read").certificate(),
            folder.authority().expect("it can be read").certificate()
        );
        assert!(matches!(Folder::create(&path), Err(PkiError::IsThere(_))));
        // Killed before it was complete.
        fs::remove_file(path.join(KEY)).expect("it is there");
        let folder = Folder::open_or_create(&path).expect("it is made anew");
        assert!(matches!(Folder::open(temporary.path()), Err(PkiError::NoAuthority(_))));
        let text = folder.issue(Role::Node, "lab-1").expect("it is issued");
        let credentials = Credentials::parse(&text, "lab-1.pem").expect("it is whole");
        assert_eq!(&credentials.authority, folder.authority().expect("it can be read").certificate());
        assert!(matches!(folder.issue(Role::Node, "lab-1"), Err(PkiError::Taken(_))));
        for wrong in ["", ".", "../x", "a/b", "a b", &"x".repeat(101)] {
            assert!(matches!(folder.issue(Role::Node, wrong), Err(PkiError::Name(_))), "{wrong}");
            assert!(folder.revoke(wrong).is_err(), "{wrong}");
        }
        assert!(!folder.is_revoked(&credentials.certificate));
        folder.revoke("lab-1").expect("it is there");
        folder.revoke("lab-1").expect("twice is once");
        assert!(folder.is_revoked(&credentials.certificate));
        assert!(matches!(folder.revoke("lab-2"), Err(PkiError::Unknown(_))));

        let invitation = folder.invite(None).expect("it is made");
        let key = KeyPair::generate().expect("a key").der_bytes().to_vec();
        let public = invitation.public_key().expect("it has one");
        assert!(folder.is_open(public) && folder.num_invitations() == 1);
        assert!(folder.admit(public, "lab-1", vec![1, 2], false).is_err() && folder.is_open(public), "a bad key uses nothing up");
        folder.admit(public, "lab-1", key.clone(), false).expect("it is open");
        assert!(matches!(folder.admit(public, "lab-1", key.clone(), false), Err(PkiError::NotInvited)));
        // Of a client there is one that isn't revoked, and an invitation may be for it alone.
        let another = folder.invite(Some("lab-2")).expect("there is room").public_key().expect("a key");
        assert!(matches!(folder.admit(another, "lab-1", key.clone(), true), Err(PkiError::OtherClient(_))) && folder.is_open(another));
        folder.admit(another, "lab-2", key.clone(), true).expect("nobody has one");
        let third = folder.invite(None).expect("there is room").public_key().expect("a key");
        assert!(matches!(folder.admit(third, "lab-2", key.clone(), true), Err(PkiError::ClientTaken(_))) && folder.is_open(third));
        folder.revoke("lab-2").expect("it is there");
        folder.admit(third, "lab-2", key, true).expect("the other one is of no use any more");
        let issued = folder.issued().expect("it can be read");
        let expected = [("lab-1", true), ("lab-1.2", false), ("lab-2", true), ("lab-2.2", false)]
            .map(|(name, is_revoked)| Issued { name: name.to_owned(), is_revoked });
        assert_eq!(issued, expected);
    }
}

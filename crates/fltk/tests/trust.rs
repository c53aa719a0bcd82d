//! Tests of servers with a certificate: which authorities are trusted, and that nothing is sent without encryption. They use TLS with a certificate
//! authority of their own.
#![cfg(feature = "web")]
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    path::Path,
    process::Output,
    sync::Arc,
    thread,
};

use common::fltk;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair};
use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    pki_types::{CertificateDer, PrivatePkcs8KeyDer},
};

const TABLE: &str = "run,round\na,1\n";

/// The authority's certificate, in PEM, and the TLS configuration of a server at `127.0.0.1` with a certificate that it signed.
struct Authority {
    certificate: String,
    server: Arc<ServerConfig>,
}

fn authority(name: &str) -> Authority {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
    let chain = vec![CertificateDer::from(leaf)];
    let key = PrivatePkcs8KeyDer::from(key.serialize_der());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let server = Arc::new(config.with_no_client_auth().with_single_cert(chain, key.into()).unwrap());
    Authority { certificate: authority.pem(), server }
}

/// Starts a TLS server that sends `answer` on every connection, and returns its port. A client that doesn't trust the server closes the connection.
fn serve(config: Arc<ServerConfig>, answer: String) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let _ = reply(stream.unwrap(), &config, &answer);
        }
    });
    port
}

fn reply(stream: TcpStream, config: &Arc<ServerConfig>, answer: &str) -> Result<(), Box<dyn std::error::Error>> {
    let mut stream = StreamOwned::new(ServerConnection::new(config.clone())?, stream);
    let mut line = String::new();
    let mut request = BufReader::new(&mut stream);
    while request.read_line(&mut line)? > 0 && !line.ends_with("\r\n\r\n") {}
    stream.write_all(answer.as_bytes())?;
    stream.conn.send_close_notify();
    Ok(stream.flush()?)
}

fn table() -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{TABLE}", TABLE.len())
}

fn export(folder: &Path, port: u16, trusted: Option<&Path>) -> Output {
    let mut command = fltk(folder);
    command.args(["runs", "export", "--from", &format!("https://127.0.0.1:{port}")]);
    if let Some(path) = trusted {
        command.env("SSL_CERT_FILE", path);
    }
    command.output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn server_with_a_trusted_certificate_is_accepted() {
    let folder = tempfile::tempdir().unwrap();
    let (ours, other) = (authority("ours"), authority("other"));
    let port = serve(ours.server, table());
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let trusted = export(folder.path(), port, Some(&file("ours.pem", &ours.certificate)));
    assert!(trusted.status.success(), "{}", said(&trusted));
    assert_eq!(String::from_utf8_lossy(&trusted.stdout), TABLE);

    for untrusted in [None, Some(file("other.pem", &other.certificate))] {
        let refused = export(folder.path(), port, untrusted.as_deref());
        assert!(!refused.status.success() && refused.stdout.is_empty());
        let said = said(&refused);
        assert!(said.contains("UnknownIssuer") && said.contains("isn't signed by a trusted authority"), "{said}");
    }

    // The same holds for a variable that is set to nothing: no other authority is trusted instead.
    for missing in ["missing.pem", ""] {
        let nothing = export(folder.path(), port, Some(Path::new(missing)));
        assert!(!nothing.status.success());
        assert!(said(&nothing).contains(&format!("SSL_CERT_FILE is `{missing}`, which has no certificate")), "{}", said(&nothing));
    }
}

#[test]
fn redirects_to_plain_http_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let ours = authority("ours");
    let plain = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = plain.local_addr().unwrap();
    let port = serve(ours.server, format!("HTTP/1.1 307 Go\r\nlocation: http://{to}/\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"));
    let file = folder.path().join("ours.pem");
    fs::write(&file, ours.certificate).unwrap();
    let refused = export(folder.path(), port, Some(&file));
    assert!(!refused.status.success() && refused.stdout.is_empty());
    assert!(said(&refused).contains("can't be read"), "{}", said(&refused));
    plain.set_nonblocking(true).unwrap();
    assert!(plain.accept().is_err(), "it was asked without encryption");
}

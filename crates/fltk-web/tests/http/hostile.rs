//! Tests of the client against servers that lie, break off, or send nonsense.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener},
    thread,
};

use fltk_records::{
    Record, RecordKind,
    archive::{ArchiveError, unpack},
    export::Format,
};
use fltk_web::{
    Environment, Token,
    client::{Client, ClientError},
};

use crate::site::{packed, run};

/// Starts a server that answers the first request with these bytes and closes the connection. The thread returns the head of the request.
fn once(answer: Vec<u8>) -> (SocketAddr, thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        // A client that has read enough closes the connection.
        let _ = stream.write_all(&answer);
        String::from_utf8(head).unwrap()
    });
    (address, server)
}

fn client(address: SocketAddr) -> Client {
    Client::new(&format!("http://{address}"), None, Environment::Ignored).unwrap()
}

fn answer(head: &str, body: &[u8]) -> Vec<u8> {
    [format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n").as_bytes(), body].concat()
}

fn chunked(body: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", body.len()).as_bytes(), body, b"\r\n"].concat()
}

#[test]
fn truncated_archives_are_detected_in_any_encoding() {
    let root = tempfile::tempdir().unwrap();
    let name = run(root.path(), 1);
    let whole = packed(root.path(), &name);
    let record = Record { kind: RecordKind::Run, name };
    let into = tempfile::tempdir().unwrap();
    for cut in [0, 100, 512, 2048, whole.len() - 1024, whole.len() - 1] {
        for sent in [
            answer("Connection: close", &whole[..cut]),
            answer(&format!("Content-Length: {}", whole.len()), &whole[..cut]),
            answer("Transfer-Encoding: chunked", &chunked(&whole[..cut.max(1)])),
        ] {
            let (address, _server) = once(sent);
            let error = unpack(client(address).archive(&record).unwrap(), into.path(), &record).unwrap_err();
            assert!(matches!(error, ArchiveError::Broken { .. }), "{cut}: {error}");
            assert!(fs::read_dir(into.path()).unwrap().next().is_none(), "{cut}: nothing is left");
        }
    }
    let (address, _server) = once(answer("Transfer-Encoding: chunked", &[chunked(&whole), b"0\r\n\r\n".to_vec()].concat()));
    unpack(client(address).archive(&record).unwrap(), into.path(), &record).unwrap();
}

#[test]
fn truncated_export_is_an_error() {
    let (address, _server) = once(answer("Transfer-Encoding: chunked", &chunked(b"run,experiment\r\n")));
    let mut export = client(address).export(Format::Csv, &[]).unwrap();
    assert!(export.body.read_to_end(&mut Vec::new()).is_err());
}

#[test]
fn invalid_answers_are_not_taken_for_records() {
    let whole = |body: &str| answer(&format!("Content-Length: {}", body.len()), body.as_bytes());
    for (sent, is_network) in [
        (whole("hello"), false),
        (whole("{}"), false),
        (whole("[{\"kind\":\"file\",\"name\":\"a\"}]"), false),
        (whole("[{\"kind\":\"run\",\"name\":\"../evil\"}]"), false),
        (whole("[{\"kind\":\"run\",\"name\":\"a\\u001b[2J\"}]"), false),
        (answer("Content-Length: 30", b"[]"), true),
        (b"220 mail.example.com ESMTP\r\n".to_vec(), true),
        (Vec::new(), true),
    ] {
        let (address, _server) = once(sent);
        let error = client(address).records().unwrap_err();
        assert_eq!(matches!(error, ClientError::Network { .. }), is_network, "{error}");
        assert!(!error.to_string().contains('\u{1b}'), "{error:?}");
    }
}

#[test]
fn control_characters_from_servers_are_escaped() {
    let body = "{\"error\":\"\\u001b[2Jgone\\u0007\"}";
    let (address, _server) = once(format!("HTTP/1.1 500 x\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes());
    let error = client(address).records().unwrap_err().to_string();
    assert!(error.contains("answers 500") && error.contains("[2Jgone") && !error.contains('\u{1b}'), "{error:?}");
    let (address, _server) = once(b"HTTP/1.1 503 x\r\nContent-Length: 3\r\n\r\n\xff\x1b!".to_vec());
    let error = client(address).records().unwrap_err().to_string();
    assert!(error.contains("503: Service Unavailable"), "{error:?}");
}

#[test]
fn user_and_password_are_sent_only_to_their_server() {
    let (other, other_server) = once(answer("Content-Length: 2", b"[]"));
    let (address, server) = once(format!("HTTP/1.1 302 x\r\nLocation: http://{other}/api\r\nContent-Length: 0\r\n\r\n").into_bytes());
    let secret = "joe:secret";
    let client = Client::new(&format!("http://{secret}@{address}"), None, Environment::Ignored).unwrap();
    assert!(client.records().unwrap().is_empty());
    // The Base64 of `joe:secret`.
    assert!(server.join().unwrap().to_lowercase().contains("authorization: basic am9lonnly3jlda=="));
    assert!(!other_server.join().unwrap().to_lowercase().contains("authorization"));
}

#[test]
fn token_is_not_forwarded_and_the_requesting_server_is_named() {
    let (other, other_server) = once(b"HTTP/1.1 401 x\r\nContent-Length: 0\r\n\r\n".to_vec());
    let (address, server) = once(format!("HTTP/1.1 302 x\r\nLocation: http://{other}/api\r\nContent-Length: 0\r\n\r\n").into_bytes());
    let token = Token::parse("0123456789abcdef").unwrap();
    let error = Client::new(&format!("http://{address}"), Some(token), Environment::Ignored).unwrap().records().unwrap_err().to_string();
    assert!(
        error.contains("answers 401") && error.contains(&format!("`http://{other}`")) && !error.contains("not the server's"),
        "{error}"
    );
    assert!(server.join().unwrap().to_lowercase().contains("authorization: bearer 0123456789abcdef"));
    assert!(!other_server.join().unwrap().to_lowercase().contains("authorization"));
}

//! Tests of the client against the server.

use std::{fs, io::Read as _};

use fltk_records::{
    Record, RecordKind,
    archive::{digests, unpack},
    export::Format,
};
use fltk_web::{
    Environment, Token,
    client::{Client, ClientError},
};

use crate::site::{Served, damage, run, stream};

fn client(served: &Served) -> Client {
    Client::new(&served.url(), None, Environment::Ignored).unwrap()
}

#[test]
fn contents_are_transferred_unchanged() {
    let served = Served::new(None);
    let (first, bad) = (run(&served.root, 1), run(&served.root, 2));
    damage(&served.root, &bad);
    stream(&served.root, "s-1", "job-1");
    let client = client(&served);
    let records = client.records().unwrap();
    assert_eq!(records.len(), 3, "damaged ones too");
    let into = tempfile::tempdir().unwrap();
    for record in &records {
        unpack(client.archive(record).unwrap(), into.path(), record).unwrap();
        assert_eq!(client.files(record).unwrap(), digests(into.path(), &record.name).unwrap());
    }
    assert!(into.path().join("s-1/stream.json").is_file());

    let mut export = client.export(Format::Csv, &[]).unwrap();
    assert_eq!((export.num_skipped, &export.skipped), (1, &vec![bad]));
    let mut table = String::new();
    export.body.read_to_string(&mut table).unwrap();
    assert_eq!(table.lines().count(), 4);
    let mut export = client.export(Format::Json, &[first]).unwrap();
    let mut table = String::new();
    export.body.read_to_string(&mut table).unwrap();
    assert_eq!(serde_json::from_str::<Vec<serde_json::Value>>(&table).unwrap().len(), 3);
}

#[test]
fn url_characters_in_names_are_escaped() {
    let served = Served::new(None);
    let name = "a b?c#d%2e&run=é";
    fs::rename(served.root.join(run(&served.root, 1)), served.root.join(name)).unwrap();
    let client = client(&served);
    let record = Record { kind: RecordKind::Run, name: name.to_owned() };
    assert_eq!(client.records().unwrap(), std::slice::from_ref(&record));
    let into = tempfile::tempdir().unwrap();
    unpack(client.archive(&record).unwrap(), into.path(), &record).unwrap();
    let mut table = String::new();
    client.export(Format::Csv, &[name.to_owned()]).unwrap().body.read_to_string(&mut table).unwrap();
    assert_eq!(table.lines().count(), 4);
}

#[test]
fn token_is_sent_and_required() {
    let served = Served::new(Some("0123456789abcdef"));
    let with =
        |token: Option<&str>| Client::new(&served.url(), token.map(|token| Token::parse(token).unwrap()), Environment::Ignored).unwrap();
    assert!(with(Some("0123456789abcdef")).records().unwrap().is_empty());
    for (token, hint) in [(None, "--token-file"), (Some("another one, well"), "isn't the server's")] {
        let token = token.map(|token| token.replace([' ', ','], "-"));
        let error = with(token.as_deref()).records().unwrap_err();
        assert!(matches!(error, ClientError::Refused { status: 401, .. }), "{error}");
        assert!(error.to_string().contains(hint), "{error}");
    }
}

#[test]
fn server_errors_are_reported() {
    let served = Served::new(None);
    let none = Record { kind: RecordKind::Run, name: "none".to_owned() };
    let error = client(&served).archive(&none).err().unwrap().to_string();
    assert!(error.contains("/api/v1/runs/none/archive` answers 404") && error.contains("is not a run's folder"), "{error}");
    let url = served.url();
    drop(served);
    let error = Client::new(&url, None, Environment::Ignored).unwrap().records().unwrap_err();
    assert!(matches!(error, ClientError::Network { .. }), "{error}");
}

#[test]
fn valid_addresses_are_accepted() {
    let client = |address: &str| Client::new(address, None, Environment::Ignored);
    for (scheme, good) in [("http", "a"), ("https", "a/"), ("http", "a:1/b/c/"), ("http", "user:secret@a:1"), ("http", "[::1]:8080")] {
        assert!(client(&format!("{scheme}://{good}")).is_ok(), "{good}");
    }
    for (scheme, wrong) in
        [("ftp", "a"), ("http", ""), ("http", "a?b"), ("http", "a#b"), ("file", "/etc/passwd"), ("http", "a b"), ("http", "us:secret@ a")]
    {
        let error = client(&format!("{scheme}://{wrong}")).err().unwrap_or_else(|| panic!("{wrong}")).to_string();
        assert!(error.contains("hint:") && !error.contains("secret"), "{error}");
    }
    for wrong in ["", "a", "a:8080", "user:secret@a"] {
        let error = client(wrong).err().unwrap_or_else(|| panic!("{wrong}")).to_string();
        assert!(!error.contains("secret"), "{error}");
    }
    // Only one of them can be sent.
    let token = || Some(Token::parse("0123456789abcdef").unwrap());
    assert!(Client::new("http://example.com", token(), Environment::Ignored).is_ok());
    let secret = "joe:secret";
    let error = Client::new(&format!("http://{secret}@example.com"), token(), Environment::Ignored).err().unwrap().to_string();
    assert!(error.contains("only one of both") && !error.contains("secret"), "{error}");
    let served = Served::new(None);
    let error = client(&format!("http://{secret}@{}/none", served.address)).unwrap().records().unwrap_err().to_string();
    assert!(error.contains("/none/api/v1/records` answers 404") && !error.contains("joe") && !error.contains("secret"), "{error}");
}

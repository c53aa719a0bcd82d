//! Fetches from a real HTTP server in this process that behaves well, stalls, truncates and lies.

mod server;

use std::{fs, path::Path, sync::LazyLock, thread, time::Duration};

use fltk_data::{
    Locations,
    digest::sha256_hex,
    fetch::{FetchError, FetchOptions, FileState, Progress, fetch_files, verify},
    sources::{SourceFile, fashion_mnist_mini, shakespeare},
};
use fltk_http::Environment;
use server::{Answer, Server};
use tempfile::TempDir;

/// Content that is long enough to span several reads and pieces.
fn content() -> Vec<u8> {
    (0..300_000u32).flat_map(|index| (index.wrapping_mul(2_654_435_761) >> 7).to_le_bytes()).collect()
}

fn file<'a>(urls: &'a [&'a str]) -> SourceFile<'a> {
    static SHA256: LazyLock<String> = LazyLock::new(|| sha256_hex(&content()));
    SourceFile { name: "data.gz", bytes: content().len() as u64, sha256: &SHA256, urls }
}

fn options() -> FetchOptions {
    FetchOptions {
        connect_timeout: Duration::from_secs(5),
        stall_timeout: Duration::from_millis(300),
        body_timeout: Duration::from_secs(20),
        attempts: 3,
        backoff: Duration::from_millis(1),
        backoff_max: Duration::from_millis(20),
        lock_timeout: Duration::from_secs(20),
        environment: Environment::Ignored,
    }
}

fn fetch(urls: &[&str], folder: &Path) -> Result<(), FetchError> {
    fetch_files(&[file(urls)], folder, &options(), &mut |_| {})
}

/// The names of all files in the folder, except the lock, which is empty and stays.
fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.retain(|name| name != ".lock");
    names.sort();
    names
}

/// Fetches from a server that gives `answers` in turn (then repeats the last one); the fetch must succeed. Returns the `Range` headers that
/// the server saw.
fn succeeds(answers: Vec<Answer>) -> Vec<Option<String>> {
    let (server, folder) = (Server::start(content(), answers), TempDir::new().expect("a folder"));
    fetch(&[&server.url()], folder.path()).expect("fetched in the end");
    assert_eq!(fs::read(folder.path().join("data.gz")).expect("the file"), content());
    assert_eq!(names(folder.path()), ["data.gz"]);
    server.ranges()
}

/// Fetches likewise; the fetch must fail, name `expected`, and leave nothing behind but `left`.
fn fails(answers: Vec<Answer>, expected: &str, left: &[&str]) -> usize {
    let (server, folder) = (Server::start(content(), answers), TempDir::new().expect("a folder"));
    let error = fetch(&[&server.url()], folder.path()).expect_err(expected).to_string();
    assert!(error.contains(expected) && error.contains("hint:"), "`{error}` should contain `{expected}`");
    assert_eq!(names(folder.path()), left);
    server.ranges().len()
}

#[test]
fn complete_download_needs_one_request() {
    assert_eq!(succeeds(vec![Answer::Whole]), [None]);
    assert_eq!(succeeds(vec![Answer::WithoutLength]), [None]);
}

#[test]
fn valid_files_are_not_fetched_again() {
    let (server, folder) = (Server::start(content(), vec![Answer::Whole]), TempDir::new().expect("a folder"));
    fetch(&[&server.url()], folder.path()).expect("fetched");
    let mut seen = Vec::new();
    fetch_files(&[file(&[&server.url()])], folder.path(), &options(), &mut |progress| seen.push(format!("{progress:?}"))).expect("there");
    assert_eq!(seen, ["AlreadyThere { file: \"data.gz\" }"]);
    // A file that has been changed since is replaced.
    fs::write(folder.path().join("data.gz"), b"damaged").expect("written");
    fetch(&[&server.url()], folder.path()).expect("fetched again");
    assert_eq!(fs::read(folder.path().join("data.gz")).expect("the file"), content());
    assert_eq!(server.ranges().len(), 2);
}

#[test]
fn interrupted_transfer_is_resumed() {
    let ranges = succeeds(vec![Answer::CutAfter(100_000), Answer::CutAfter(100_000), Answer::Whole]);
    assert_eq!(ranges, [None, Some("bytes=100000-".into()), Some("bytes=200000-".into())]);
    // Without a length, the end of the connection is the end of the body, but we know the right length.
    assert_eq!(succeeds(vec![Answer::CutWithoutLength(70_000), Answer::Whole]), [None, Some("bytes=70000-".into())]);
}

#[test]
fn stalled_transfer_is_abandoned_and_resumed() {
    let ranges = succeeds(vec![Answer::StallAfter(50_000), Answer::Whole]);
    assert_eq!(ranges, [None, Some("bytes=50000-".into())]);
    assert_eq!(succeeds(vec![Answer::StallBeforeHeaders, Answer::Whole]), [None, None]);
}

#[test]
fn server_without_ranges_restarts_the_download() {
    let ranges = succeeds(vec![Answer::CutAfter(100_000), Answer::WholeIgnoringRange]);
    assert_eq!(ranges, [None, Some("bytes=100000-".into())]);
}

#[test]
fn resumption_at_a_wrong_offset_is_rejected() {
    let ranges = succeeds(vec![Answer::CutAfter(100_000), Answer::WrongRange, Answer::Whole]);
    assert_eq!(ranges, [None, Some("bytes=100000-".into()), None]);
    // The server announces the right range and sends other bytes: only the checksum shows it, and the next attempt starts over.
    let ranges = succeeds(vec![Answer::CutAfter(100_000), Answer::Lie, Answer::Whole]);
    assert_eq!(ranges, [None, Some("bytes=100000-".into()), None]);
    let ranges = succeeds(vec![Answer::CutAfter(100_000), Answer::Status(416, None), Answer::Whole]);
    assert_eq!(ranges, [None, Some("bytes=100000-".into()), None]);
}

#[test]
fn unfinished_downloads_are_resumed() {
    let (server, folder) = (Server::start(content(), vec![Answer::Whole]), TempDir::new().expect("a folder"));
    fs::write(folder.path().join("data.gz.part"), &content()[..600_000]).expect("written");
    fetch(&[&server.url()], folder.path()).expect("fetched");
    assert_eq!(server.ranges(), [Some("bytes=600000-".into())]);
    assert_eq!(names(folder.path()), ["data.gz"]);
    // The part file of an earlier attempt is not trusted: garbage of the right length, or more than the whole file.
    for garbage in [vec![7; content().len()], vec![7; content().len() + 1], vec![7; 1000]] {
        let folder = TempDir::new().expect("a folder");
        fs::write(folder.path().join("data.gz.part"), garbage).expect("written");
        fetch(&[&server.url()], folder.path()).expect("fetched");
        assert_eq!(fs::read(folder.path().join("data.gz")).expect("the file"), content());
    }
}

#[test]
fn transient_errors_are_retried() {
    for status in [500, 503, 429] {
        assert_eq!(succeeds(vec![Answer::Status(status, None), Answer::Status(status, Some(3600)), Answer::Whole]).len(), 3);
    }
}

#[test]
fn permanent_errors_are_not_retried() {
    assert_eq!(fails(vec![Answer::Status(404, None)], "404 Not Found", &[]), 1);
    assert_eq!(fails(vec![Answer::Lie], "its SHA-256 is", &[]), 1);
    assert_eq!(fails(vec![Answer::Longer], "it offers 1200001 bytes where 1200000 are expected", &[]), 1);
    assert_eq!(fails(vec![Answer::LongerWithoutLength], "bytes where 1200000 are expected", &[]), 1);
    assert_eq!(fails(vec![Answer::Shorter], "it offers 1199999 bytes where 1200000 are expected", &[]), 1);
}

#[test]
fn attempts_are_bounded() {
    assert_eq!(fails(vec![Answer::Status(500, None)], "500 Internal Server Error", &[]), 3);
    assert_eq!(fails(vec![Answer::StallBeforeHeaders], "timeout", &[]), 3);
    // The bytes that arrived are kept for the next time, under a name that no reader takes for the file.
    assert_eq!(fails(vec![Answer::StallAfter(100)], "timeout", &["data.gz.part"]), 3);
    assert_eq!(fails(vec![Answer::CutWithoutLength(100)], "it ends after 300 of 1200000 bytes", &["data.gz.part"]), 3);
}

#[test]
fn next_mirror_continues_a_failed_download() {
    let dead = server::unused_url();
    let liar = Server::start(content(), vec![Answer::Lie]);
    let cutter = Server::start(content(), vec![Answer::CutAfter(500_000)]);
    let good = Server::start(content(), vec![Answer::Whole]);
    let folder = TempDir::new().expect("a folder");
    fetch(&[&dead, &liar.url(), &cutter.url(), &good.url()], folder.path()).expect("fetched from the last");
    assert_eq!(good.ranges(), [Some("bytes=500000-".into())]);
    assert_eq!(fs::read(folder.path().join("data.gz")).expect("the file"), content());
    let folder = TempDir::new().expect("a folder");
    let error = fetch(&[&dead, &liar.url()], folder.path()).expect_err("none is good").to_string();
    assert!(error.contains(&dead) && error.contains(&liar.url()), "every mirror and its trouble: {error}");
}

#[test]
fn redirects_are_followed_up_to_a_limit() {
    let good = Server::start(content(), vec![Answer::Whole]);
    let moved = Server::start(content(), vec![Answer::Redirect(good.url())]);
    let folder = TempDir::new().expect("a folder");
    fetch(&[&moved.url()], folder.path()).expect("fetched");
    assert_eq!(good.ranges().len(), 1);
    let circle = Server::start(content(), vec![Answer::RedirectToSelf]);
    fetch(&[&circle.url()], folder.path().join("other").as_path()).expect_err("a circle of redirects");
    assert!(circle.ranges().len() <= 3 * 6, "{} requests", circle.ranges().len());
}

#[test]
fn concurrent_fetches_download_once() {
    let (server, folder) = (Server::start(content(), vec![Answer::Whole]), TempDir::new().expect("a folder"));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| fetch(&[&server.url()], folder.path()).expect("fetched"));
        }
    });
    assert_eq!(server.ranges().len(), 1, "the others found it done");
    assert_eq!(fs::read(folder.path().join("data.gz")).expect("the file"), content());
}

#[test]
fn wait_for_a_held_lock_is_bounded() {
    let (server, folder) = (Server::start(content(), vec![Answer::Whole]), TempDir::new().expect("a folder"));
    let lock = fs::File::create(folder.path().join(".lock")).expect("created");
    lock.lock().expect("locked");
    let impatient = FetchOptions { lock_timeout: Duration::from_millis(20), ..options() };
    let error = fetch_files(&[file(&[&server.url()])], folder.path(), &impatient, &mut |_| {}).expect_err("locked");
    assert!(matches!(error, FetchError::Locked { .. }), "{error}");
    // The lock is released as soon as the other process is seen to wait.
    let mut lock = Some(lock);
    let mut release = |progress: Progress<'_>| {
        if progress == Progress::Waiting {
            drop(lock.take());
        }
    };
    fetch_files(&[file(&[&server.url()])], folder.path(), &options(), &mut release).expect("fetched");
    assert_eq!(server.ranges().len(), 1);
}

#[test]
fn progress_sums_to_the_file_size() {
    let (server, folder) = (Server::start(content(), vec![Answer::CutAfter(100_000), Answer::Whole]), TempDir::new().expect("a folder"));
    let (mut offsets, mut last, mut failures) = (Vec::new(), 0, 0);
    fetch_files(&[file(&[&server.url()])], folder.path(), &options(), &mut |progress| match progress {
        Progress::Started { offset, .. } => offsets.push(offset),
        Progress::Received { received, bytes, .. } => {
            assert!(received > last && received <= bytes);
            last = received;
        }
        Progress::Failed { .. } => failures += 1,
        _ => {}
    })
    .expect("fetched");
    assert_eq!((offsets.as_slice(), last, failures), ([0, 100_000].as_slice(), content().len() as u64, 1));
}

#[test]
fn cache_is_verified_against_the_table() {
    let folder = TempDir::new().expect("a folder");
    let locations = Locations { cache: Some(folder.path().to_path_buf()), local: Vec::new() };
    let states = || verify(&shakespeare::SOURCE, &locations).expect("readable");
    assert_eq!(states(), [("tinyshakespeare.txt".to_owned(), FileState::Missing)]);
    fs::create_dir(folder.path().join("shakespeare")).expect("made");
    fs::write(folder.path().join("shakespeare/tinyshakespeare.txt"), b"First Citizen:").expect("written");
    let wrong = FileState::Wrong { sha256: sha256_hex(b"First Citizen:"), bytes: 14 };
    assert_eq!(states(), [("tinyshakespeare.txt".to_owned(), wrong)]);
    // An embedded data set has nothing to fetch and nothing to verify.
    assert_eq!(verify(&fashion_mnist_mini::SOURCE, &locations).expect("nothing"), []);
    fltk_data::fetch::fetch(&fashion_mnist_mini::SOURCE, &locations, &mut |_| panic!("no transfer")).expect("nothing to do");
}

#[test]
fn uncreatable_folder_is_an_error() {
    let folder = TempDir::new().expect("a folder");
    let in_the_way = folder.path().join("file");
    fs::write(&in_the_way, b"").expect("written");
    let error = fetch(&["http://127.0.0.1:1/"], &in_the_way.join("cache")).expect_err("no folder");
    assert!(matches!(error, FetchError::Io { .. }), "{error}");
}

//! Tests of the server's responses.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    os::unix::fs::symlink,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use fltk_records::{
    RunFolder,
    archive::{FileDigest, digests},
    checkpoint::Files,
    export::{self, Format},
    history::Unit,
    index::{self, Filter, Sort},
    summary::RunReport,
};
use serde_json::Value as Json;
use tokio::time::timeout;

use crate::site::{LIMIT, Served, begin, damage, go_on, name, packed, run, stream};

pub fn json(text: &str) -> Json {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Decodes the body of a chunked response.
pub fn chunks(body: &str) -> String {
    let (mut text, mut rest) = (String::new(), body);
    loop {
        let (size, after) = rest.split_once("\r\n").unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            return text;
        }
        text.push_str(&after[..size]);
        rest = &after[size + 2..];
    }
}

#[test]
fn runs_and_streams_equal_the_output_of_the_commands() {
    let served = Served::new(None);
    let empty = |path: &str| assert_eq!(served.get(path).2, "[]\n", "{path}");
    ["/api/v1/runs", "/api/v1/streams", "/api/v1/records"].into_iter().for_each(empty);
    let (first, second) = (run(&served.root, 1), run(&served.root, 2));
    stream(&served.root, "s-1", "job-1");
    let pretty = |value: &dyn erased::Pretty| value.pretty();
    let listing = index::list(&served.root, None, &Filter::default(), Sort::Newest).unwrap();
    let (code, head, body) = served.get("/api/v1/runs");
    assert_eq!((code, body), (200, pretty(&listing.runs)));
    assert!(head.contains("content-type: application/json") && head.contains("x-content-type-options: nosniff"), "{head}");
    let report = RunReport::of(&RunFolder::open(served.root.join(&first)).unwrap().read().unwrap()).unwrap();
    assert_eq!(served.get(&format!("/api/v1/runs/{first}")).2, pretty(&report));

    let names: Vec<_> = json(&served.get("/api/v1/records").2).as_array().unwrap().iter().map(|record| record["name"].clone()).collect();
    assert_eq!(names, [first.as_str(), second.as_str(), "s-1"]);
    assert_eq!(json(&served.get("/api/v1/streams").2)[0]["stream"], "s-1");
    assert_eq!(json(&served.get("/api/v1/streams/s-1/jobs").2)[0]["job"], "job-1");
    let csv = served.get("/api/v1/streams/s-1/jobs?format=csv").2;
    assert!(csv.starts_with("job,class,") && csv.lines().nth(1).unwrap().starts_with("job-1,small,"), "{csv}");
}

#[test]
fn streams_may_have_a_separate_folder() {
    let served = Served::with_streams_in("streams");
    let beside = served.root.parent().unwrap().join("streams");
    let run = run(&served.root, 1);
    stream(&beside, "s-1", "job-1");
    // Each kind is found in its own folder only.
    stream(&served.root, "s-2", "job-2");
    self::run(&beside, 2);
    let names: Vec<_> = json(&served.get("/api/v1/records").2).as_array().unwrap().iter().map(|record| record["name"].clone()).collect();
    assert_eq!(names, [run.as_str(), "s-1"]);
    assert_eq!(json(&served.get("/api/v1/streams").2).as_array().unwrap().len(), 1);
    assert_eq!(json(&served.get("/api/v1/runs").2).as_array().unwrap().len(), 1);
    assert_eq!(json(&served.get("/api/v1/streams/s-1/jobs").2)[0]["job"], "job-1");
    assert_eq!(served.bytes("/api/v1/streams/s-1/archive"), packed(&beside, "s-1"));
    let code = |path: &str| served.get(path).0;
    assert_eq!((code("/api/v1/streams/s-2/jobs"), code(&format!("/api/v1/runs/{}", name(2)))), (404, 404));
    assert_eq!(code("/readyz"), 200);
    fs::rename(&beside, served.root.join("gone")).unwrap();
    assert_eq!(code("/readyz"), 503);
}

#[test]
fn paths_may_begin_with_a_prefix() {
    let served = Served::below("/a/runs/");
    let run = run(&served.root, 1);
    let code = |path: &str| served.get(path).0;
    assert_eq!(json(&served.get("/a/runs/api/v1/runs").2).as_array().unwrap().len(), 1);
    assert_eq!(served.bytes(&format!("/a/runs/api/v1/runs/{run}/archive")), packed(&served.root, &run));
    let paths = json(&served.get("/a/runs/api/v1").2);
    assert_eq!(paths["export"], "/a/runs/api/v1/export");
    paths.as_object().unwrap().values().for_each(|path| assert_eq!(code(path.as_str().unwrap()), 200, "{path}"));
    // The page's assets are beside it, so it is at the address with the final `/`.
    let (moved, head, _) = served.get("/a/runs");
    assert!(moved == 308 && head.to_ascii_lowercase().contains("location: /a/runs/"), "{head}");
    assert_eq!((code("/a/runs/"), code("/a/runs/assets/page.js")), (200, 200));
    // Probes don't come through the proxy.
    assert_eq!((code("/healthz"), code("/readyz")), (200, 200));
    assert_eq!((code("/"), code("/api/v1/runs"), code("/a"), code("/a/runsapi/v1/runs")), (404, 404, 404, 404));
    assert_eq!(json(&Served::new(None).get("/api/v1").2)["runs"], "/api/v1/runs");
}

#[test]
fn page_and_its_assets_are_there_without_the_token() {
    let served = Served::new(Some("0123456789abcdef"));
    let (code, head, page) = served.get("/");
    let head = head.to_ascii_lowercase();
    assert!(code == 200 && head.contains("text/html"), "{head}");
    assert!(head.contains("content-security-policy: default-src 'none'; script-src 'self'; ") && !head.contains("unsafe-eval"), "{head}");
    assert!(head.contains("cache-control: no-store") && head.contains("x-content-type-options: nosniff"), "{head}");
    let assets: Vec<&str> = page.split('"').filter(|text| text.starts_with("assets/")).collect();
    assert_eq!(assets.len(), 5, "{page}");
    for asset in assets {
        let (code, head, _) = served.ask("GET", &format!("/{asset}"), "");
        assert!(code == 200 && head.to_ascii_lowercase().contains("immutable"), "{asset}: {head}");
    }
    for none in ["/assets/", "/assets/none.js", "/assets/..%2f..%2fCargo.toml", "/assets/page.js/"] {
        assert!([401, 404].contains(&served.get(none).0), "{none}");
    }
}

/// Formats values like `--output json`.
mod erased {
    pub trait Pretty {
        fn pretty(&self) -> String;
    }
    impl<T: serde::Serialize> Pretty for T {
        fn pretty(&self) -> String {
            serde_json::to_string_pretty(self).unwrap() + "\n"
        }
    }
}

#[test]
fn export_equals_the_commands_output_and_names_skipped_runs() {
    let served = Served::new(None);
    let (first, second, bad) = (run(&served.root, 1), run(&served.root, 2), run(&served.root, 3));
    damage(&served.root, &bad);
    for (format, name) in [(Format::Csv, "csv"), (Format::Json, "json")] {
        let table = |names: &[&String]| {
            let mut text = Vec::new();
            let read = |name: &&String| Ok(RunFolder::open(served.root.join(name)).unwrap().read().unwrap());
            export::write(format, names.iter().map(read), &mut text).unwrap();
            String::from_utf8(text).unwrap()
        };
        let (code, head, body) = served.get(&format!("/api/v1/export?format={name}"));
        assert_eq!((code, chunks(&body)), (200, table(&[&first, &second])));
        assert!(head.contains("fltk-skipped: 1") && head.contains(&format!("fltk-skipped-runs: {bad}")), "{head}");
        // In the order in which they are named.
        let (_, head, body) = served.get(&format!("/api/v1/export?format={name}&run={second}&run={first}"));
        assert_eq!(chunks(&body), table(&[&second, &first]));
        assert!(head.contains("fltk-skipped: 0"), "{head}");
    }
    let (code, _, body) = served.get(&format!("/api/v1/export?run={first}&run={bad}"));
    assert_eq!(code, 500);
    assert!(json(&body)["error"].as_str().unwrap().contains("journal.jsonl"), "{body}");
}

#[test]
fn run_is_served_while_being_written() {
    let served = Served::new(None);
    let mut recorder = begin(&served.root, 1, 2);
    let rows = || chunks(&served.get("/api/v1/export").2).lines().count();
    assert_eq!(rows(), 3);
    go_on(&mut recorder, 2);
    assert_eq!(rows(), 4);
    assert_eq!(json(&served.get("/api/v1/runs").2)[0]["status"], "running");
    let path = format!("/api/v1/runs/{}/archive", name(1));
    assert_eq!(served.bytes(&path), packed(&served.root, &name(1)));
    drop(recorder);
    assert_eq!(json(&served.get("/api/v1/runs").2)[0]["status"], "interrupted");
}

#[test]
fn files_outside_the_folder_are_unreachable() {
    let served = Served::new(None);
    let run = run(&served.root, 1);
    let outside = served.root.parent().unwrap();
    fs::rename(served.root.join(&run), outside.join("outside")).unwrap();
    stream(outside, "outer", "job");
    symlink(outside.join("outside"), served.root.join("link")).unwrap();
    symlink(outside.join("outer"), served.root.join("outer")).unwrap();
    for name in ["..", "%2e%2e", "..%2foutside", "%2e%2e%2foutside", "..%5coutside", "%2fetc", ".hidden", "a%00b", "a%0ab", "%ff", "%2e"] {
        for path in [format!("/api/v1/runs/{name}"), format!("/api/v1/runs/{name}/archive"), format!("/api/v1/runs/{name}/files")] {
            let (code, _, body) = served.get(&path);
            assert!([400, 404].contains(&code), "{path}: {code} {body}");
            assert!(json(&body)["error"].is_string() && !body.contains("secret"), "{path}: {body}");
        }
        let code = served.get(&format!("/api/v1/export?run={name}")).0;
        assert!([400, 404].contains(&code), "{name}: {code}");
    }
    for path in ["/../secret", "/api/v1/../../secret", "/api/v1/runs/../../../secret", "//secret"] {
        assert_eq!(served.get(path).0, 404, "{path}");
    }
    // Folders that are links don't belong to this folder.
    for path in ["/api/v1/runs/link", "/api/v1/runs/link/archive", "/api/v1/streams/outer/jobs", "/api/v1/streams/outer/archive"] {
        assert_eq!(served.get(path).0, 404, "{path}");
    }
    for path in ["/api/v1/runs", "/api/v1/streams", "/api/v1/records"] {
        assert_eq!(served.get(path).2, "[]\n", "{path}");
    }
    assert_eq!(chunks(&served.get("/api/v1/export").2).lines().count(), 1);
    // They weren't even read: the index would have the run.
    assert!(!served.root.parent().unwrap().join("indexes").exists() && !served.root.join("index.sqlite").exists());
}

#[test]
fn links_and_pipes_in_a_folder_are_reported_as_damage() {
    let served = Served::new(None);
    let outside = served.root.parent().unwrap().join("outside");
    fs::create_dir(&outside).unwrap();
    let pipe = |path: &Path| assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
    // A checkpoint that is stored elsewhere.
    let name = run(&served.root, 1);
    let checkpoints = served.root.join(&name).join("checkpoints");
    RunFolder::open(served.root.join(&name)).unwrap().checkpoints(Unit::Round).save(1.into(), &Files::new()).unwrap();
    let listed = |code: u16| {
        let (found, _, body) = served.get(&format!("/api/v1/runs/{name}"));
        assert_eq!(found, code, "{body}");
        body.contains("round-000001")
    };
    assert!(listed(200));
    fs::rename(checkpoints.join("round-000001"), outside.join("round-000001")).unwrap();
    symlink(outside.join("round-000001"), checkpoints.join("round-000001")).unwrap();
    assert!(!listed(200));
    fs::remove_file(checkpoints.join("round-000001")).unwrap();
    fs::remove_dir(&checkpoints).unwrap();
    symlink(&outside, &checkpoints).unwrap();
    assert!(!listed(500));
    fs::remove_file(&checkpoints).unwrap();
    // Files that are stored elsewhere, or pipes that never deliver anything.
    for (file, is_pipe) in [("run.json", false), ("run.json", true), ("journal.jsonl", false), ("journal.jsonl", true)] {
        let path = served.root.join(&name).join(file);
        fs::rename(&path, outside.join(file)).unwrap();
        if is_pipe {
            pipe(&path)
        } else {
            symlink(outside.join(file), &path).unwrap()
        }
        assert!(!listed(500));
        assert_eq!(served.get("/api/v1/runs").2, "[]\n", "{file}");
        assert!(served.get("/api/v1/export").1.contains("fltk-skipped: 1"), "{file}");
        fs::remove_file(&path).unwrap();
        fs::rename(outside.join(file), &path).unwrap();
    }
    fs::remove_file(served.root.join(&name).join("lock")).unwrap();
    pipe(&served.root.join(&name).join("lock"));
    assert!(!listed(200));
}

#[test]
fn streams_are_named_after_their_folders() {
    let served = Served::new(None);
    stream(&served.root, "nightly", "job");
    fs::rename(served.root.join("nightly"), served.root.join("nightly-old")).unwrap();
    stream(&served.root, "nightly", "job");
    let outside = served.root.parent().unwrap();
    // A link whose description has the name of a stream in this folder.
    stream(outside, "nightly", "job");
    symlink(outside.join("nightly"), served.root.join("link")).unwrap();
    let names: Vec<_> = json(&served.get("/api/v1/streams").2).as_array().unwrap().iter().map(|one| one["stream"].clone()).collect();
    assert_eq!(names, ["nightly", "nightly-old"]);
    assert_eq!(served.get("/api/v1/streams/nightly-old/jobs").0, 200);
}

#[test]
fn repeatedly_named_run_is_exported_once() {
    let served = Served::new(None);
    let (first, second) = (run(&served.root, 1), run(&served.root, 2));
    let table = chunks(&served.get(&format!("/api/v1/export?run={second}&run={first}&run={second}")).2);
    let runs: Vec<_> = table.lines().skip(1).map(|line| line.split(',').next().unwrap().to_owned()).collect();
    assert_eq!(runs, [[second.as_str(); 3], [first.as_str(); 3]].concat());
}

#[test]
fn probes_do_not_wait_for_readers() {
    let served = Served::new(None);
    let run = run(&served.root, 1);
    fs::File::create(served.root.join(&run).join("large")).unwrap().set_len(64 << 20).unwrap();
    // As many readers as are allowed at the same time.
    let readers = (0..16).map(|_| {
        let mut reader = TcpStream::connect(served.address).unwrap();
        write!(reader, "GET /api/v1/runs/{run}/archive HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        reader.read_exact(&mut [0; 64]).unwrap();
        reader
    });
    let _readers: Vec<_> = readers.collect();
    let began = Instant::now();
    assert_eq!((served.get("/healthz").0, served.get("/readyz").0), (200, 200));
    assert!(began.elapsed().as_secs() < 5, "probes give up then");
}

#[test]
fn server_without_a_token_refuses_foreign_host_names() {
    let (open, closed) = (Served::new(None), Served::new(Some("0123456789abcdef")));
    for host in ["evil.example", "evil.example:8080", "127.0.0.1.evil.example"] {
        let line = format!("Host: {host}\r\n");
        let (code, _, body) = open.ask("GET", "/api/v1/runs", &line);
        assert!(code == 421 && body.contains("--token-file"), "{host}: {code} {body}");
        let with_token = format!("{line}Authorization: Bearer 0123456789abcdef\r\n");
        assert_eq!(closed.ask("GET", "/api/v1/runs", &with_token).0, 200, "{host}");
        assert_eq!(open.ask("GET", "/readyz", &line).0, 200, "{host}");
    }
    for host in ["localhost:8080", "127.0.0.1:8080", "[::1]:80"] {
        assert_eq!(open.ask("GET", "/api/v1/runs", &format!("Host: {host}\r\n")).0, 200, "{host}");
    }
}

#[test]
fn public_server_accepts_only_its_given_host_names() {
    let (named, nameless) = (Served::everywhere(&["extractor.test.svc", "runs.example"]), Served::everywhere(&[]));
    let asked = |served: &Served, path: &str, host: &str| served.ask("GET", path, &format!("Host: {host}\r\n")).0;
    for host in ["evil.example", "extractor.test.svc.evil.example"] {
        assert_eq!(asked(&named, "/api/v1/runs", host), 421, "{host}");
        assert_eq!(asked(&named, "/readyz", host), 200, "{host}");
        assert_eq!(asked(&nameless, "/api/v1/runs", host), 200, "{host}");
    }
    for host in ["extractor.test.svc:8080", "runs.example", "localhost:8080", "10.0.0.1:8080"] {
        assert_eq!(asked(&named, "/api/v1/runs", host), 200, "{host}");
    }
}

#[test]
fn errors_are_json_with_their_code() {
    let served = Served::new(None);
    let bad = run(&served.root, 1);
    damage(&served.root, &bad);
    stream(&served.root, "s-1", "damaged");
    for (path, code, words) in [
        ("/api/v1/runs/none", 404, "not a run's folder"),
        ("/api/v1/runs/s-1", 404, "not a run's folder"),
        ("/api/v1/runs/none/archive", 404, "not a run's folder"),
        ("/api/v1/streams/none/jobs", 404, "not a stream's folder"),
        ("/api/v1/streams/s-1/jobs", 500, "the experiment is damaged"),
        (&format!("/api/v1/runs/{bad}"), 500, "journal.jsonl"),
        ("/api/v1/none", 404, "nothing at this path"),
        ("/api", 404, "nothing at this path"),
        ("/api/v1/export?format=xml", 400, "one of csv, json"),
        ("/api/v1/export?format=csv&format=json", 400, "twice"),
        ("/api/v1/export?runs=a", 400, "only format, run"),
        ("/api/v1/streams/s-1/jobs?format=table", 400, "one of json, csv"),
    ] {
        let (found, head, body) = served.get(path);
        assert_eq!(found, code, "{path}: {body}");
        assert!(json(&body)["error"].as_str().unwrap().contains(words), "{path}: {body}");
        assert!(head.contains("content-type: application/json"), "{head}");
    }
    for method in ["POST", "PUT", "DELETE"] {
        let (code, _, body) = served.ask(method, "/api/v1/runs", "Content-Length: 0\r\n");
        assert!(code == 405 && json(&body)["error"].is_string(), "{method}: {code} {body}");
    }
    let (code, _, body) = served.ask("HEAD", &format!("/api/v1/runs/{bad}/archive"), "");
    assert_eq!((code, body.as_str()), (200, ""));
}

#[test]
fn with_a_token_only_probes_and_the_page_need_none() {
    let served = Served::new(Some("0123456789abcdef"));
    let run = run(&served.root, 1);
    for path in ["/healthz", "/readyz"] {
        assert_eq!(served.get(path).0, 200, "{path}");
    }
    for path in ["/none", "/api/v1", "/api/v1/runs", "/api/v1/export", &format!("/api/v1/runs/{run}/archive"), "/api/v1/records"] {
        for line in ["", "Authorization: Bearer 0123456789abcdeX\r\n", "Authorization: Basic MDEyMzQ1Njc4OWFiY2RlZg==\r\n"] {
            let (code, head, body) = served.ask("GET", path, line);
            assert_eq!(code, 401, "{path}");
            assert!(head.contains("www-authenticate: Bearer") && !body.contains(&run), "{head}{body}");
        }
    }
    assert_eq!(served.ask("GET", "/api/v1/runs", "Authorization: Bearer 0123456789abcdef\r\n").0, 200);
}

#[test]
fn server_is_ready_while_the_folder_can_be_listed() {
    let served = Served::new(None);
    assert_eq!(served.get("/readyz").2, "ok");
    let away = served.root.with_extension("away");
    fs::rename(&served.root, &away).unwrap();
    let (code, _, body) = served.get("/readyz");
    assert_eq!(code, 503);
    assert!(json(&body)["error"].as_str().unwrap().contains("can't be listed"), "{body}");
    assert_eq!(served.get("/healthz").0, 200);
    fs::rename(&away, &served.root).unwrap();
    assert_eq!(served.get("/readyz").0, 200);
}

#[test]
fn stopped_server_finishes_current_answers() {
    let served = Served::new(None);
    let run = run(&served.root, 1);
    // More than sockets and queues hold, so that the server waits for the client to read.
    let file = fs::File::create(served.root.join(&run).join("large")).unwrap();
    file.set_len(64 << 20).unwrap();
    let mut reader = TcpStream::connect(served.address).unwrap();
    write!(reader, "GET /api/v1/runs/{run}/archive HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    reader.read_exact(&mut [0; 64]).unwrap();
    served.stop.send(()).unwrap();
    let mut rest = Vec::new();
    reader.read_to_end(&mut rest).unwrap();
    assert!(rest.len() > 64 << 20 && rest.ends_with(b"0\r\n\r\n"), "the whole archive came: {} bytes", rest.len());
    served.runtime.block_on(async { timeout(LIMIT, served.server).await }).expect("it ends").unwrap().unwrap();
    assert!(TcpStream::connect(served.address).is_err(), "nothing listens any more");
}

#[test]
fn idle_readers_do_not_prevent_the_stop() {
    let served = Served::new(None);
    let run = run(&served.root, 1);
    fs::File::create(served.root.join(&run).join("large")).unwrap().set_len(64 << 20).unwrap();
    let mut reader = TcpStream::connect(served.address).unwrap();
    write!(reader, "GET /api/v1/runs/{run}/archive HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    reader.read_exact(&mut [0; 64]).unwrap();
    served.stop.send(()).unwrap();
    let began = Instant::now();
    served.runtime.block_on(async { timeout(LIMIT, served.server).await }).expect("it ends").unwrap().unwrap();
    assert!(began.elapsed() < LIMIT);
    // The thread that wrote it ends too: the runtime waits for it.
    drop(served.runtime);
}

#[test]
fn digests_are_sent_as_they_are_computed() {
    let served = Served::new(None);
    let run = run(&served.root, 1);
    fs::File::create(served.root.join(&run).join("large")).unwrap().set_len(40 << 20).unwrap();
    let path = format!("/api/v1/runs/{run}/files");
    let text = String::from_utf8(served.bytes(&path)).unwrap();
    assert_eq!(serde_json::from_str::<Vec<FileDigest>>(&text).unwrap(), digests(&served.root, &run).unwrap());
    // The first piece ends within the large file.
    let (_, head, body) = served.get(&path);
    let first = usize::from_str_radix(body.lines().next().unwrap(), 16).unwrap();
    assert!(
        head.contains("content-type: application/json")
            && first < text.len()
            && !text[..first].contains("large")
            && text[..first].ends_with(' '),
        "{body}"
    );
    assert_eq!(served.get("/api/v1/runs/none/files").0, 404);
}

#[test]
fn idle_readers_do_not_delay_others() {
    let served = Served::new(None);
    let name = run(&served.root, 1);
    // More than sockets hold; a sparse file.
    fs::File::create(served.root.join(&name).join("large")).unwrap().set_len(64 << 20).unwrap();
    let ask = |_| {
        let mut stream = TcpStream::connect(served.address).unwrap();
        write!(stream, "GET /api/v1/runs/{name}/archive HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        // The response has begun.
        stream.read_exact(&mut [0; 64]).unwrap();
        stream
    };
    // Twice as many as may read files at the same time.
    let slow: Vec<TcpStream> = (0..32).map(ask).collect();
    let began = Instant::now();
    assert_eq!(served.get("/api/v1/runs").0, 200);
    assert_eq!(served.get("/readyz").0, 200);
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    drop(slow);
}

//! A server of its own folder, in this process.

#[path = "../../../fltk-records/src/samples.rs"]
mod samples;

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use fltk_core::{
    event::RunEvent,
    ids::{ClientId, Round},
    metrics::{Evaluation, TrainSummary},
    milestone::Milestone,
};
use fltk_records::{
    Hyperparameter, Hyperparameters, RunDescription, RunFolder, RunRecorder, StreamFolder, StreamTexts, archive,
    stream_folder::{
        derived::JobRow,
        timeline::{Series, Timeline},
    },
};
use fltk_web::{
    Token,
    server::{Site, serve},
};
use tokio::{net::TcpListener, runtime::Runtime, sync::oneshot, task::JoinHandle};

pub use samples::at;
use samples::{bare, stream_description};

/// The time limit for a server that has to end.
pub const LIMIT: Duration = Duration::from_secs(30);

/// A server and its folder, which is removed with it.
pub struct Served {
    pub root: PathBuf,
    pub address: SocketAddr,
    pub runtime: Runtime,
    pub server: JoinHandle<std::io::Result<()>>,
    pub stop: oneshot::Sender<()>,
    _folder: tempfile::TempDir,
}

impl Served {
    /// Serves a folder inside a temporary folder, with a secret next to it.
    pub fn new(token: Option<&str>) -> Self {
        Self::start("runs", "/", token, "127.0.0.1:0", &[])
    }

    /// Like [`Served::new`], with a separate folder for streams next to that of the runs.
    pub fn with_streams_in(name: &str) -> Self {
        Self::start(name, "/", None, "127.0.0.1:0", &[])
    }

    /// Like [`Served::new`], below a prefix.
    pub fn below(prefix: &str) -> Self {
        Self::start("runs", prefix, None, "127.0.0.1:0", &[])
    }

    /// Like [`Served::new`] without a token, on every address of this machine, with the host names `hosts`.
    pub fn everywhere(hosts: &[&str]) -> Self {
        Self::start("runs", "/", None, "0.0.0.0:0", hosts)
    }

    fn start(streams: &str, prefix: &str, token: Option<&str>, listen: &str, hosts: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("runs");
        let streams = folder.path().join(streams);
        fs::create_dir_all(&root).unwrap();
        fs::create_dir_all(&streams).unwrap();
        fs::write(folder.path().join("secret"), "secret").unwrap();
        let runtime = Runtime::new().unwrap();
        let listener = runtime.block_on(TcpListener::bind(listen)).unwrap();
        let address = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), listener.local_addr().unwrap().port());
        let (stop, stopped) = oneshot::channel();
        let token = token.map(|token| Token::parse(token).unwrap());
        let hosts = hosts.iter().map(|host| host.parse().unwrap()).collect();
        let indexes = Some(folder.path().join("indexes"));
        let (jobs, timeline) = (Arc::new(jobs), Arc::new(timeline));
        let site = Site { runs: root.clone(), streams, indexes, prefix: prefix.parse().unwrap(), jobs, timeline, token, hosts };
        let server = runtime.spawn(serve(listener, site, async {
            let _ = stopped.await;
        }));
        Self { root, address, runtime, server, stop, _folder: folder }
    }

    /// Returns the code, the head and the body of the response to `GET path`, whatever `path` is.
    pub fn get(&self, path: &str) -> (u16, String, String) {
        self.ask("GET", path, "")
    }

    /// Like [`get`](Self::get), for any method, with additional lines in the head.
    pub fn ask(&self, method: &str, path: &str, lines: &str) -> (u16, String, String) {
        let mut stream = TcpStream::connect(self.address).unwrap();
        let host = if lines.contains("Host: ") { "" } else { "Host: localhost\r\n" };
        write!(stream, "{method} {path} HTTP/1.1\r\n{host}Connection: close\r\n{lines}\r\n").unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), head.to_owned(), body.to_owned())
    }

    /// Returns a chunked response as bytes.
    pub fn bytes(&self, path: &str) -> Vec<u8> {
        let mut stream = TcpStream::connect(self.address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let line = |bytes: &[u8]| bytes.windows(2).position(|pair| pair == b"\r\n").unwrap();
        let mut rest = &answer[answer.windows(4).position(|end| end == b"\r\n\r\n").unwrap() + 4..];
        let mut bytes = Vec::new();
        loop {
            let end = line(rest);
            let size = usize::from_str_radix(std::str::from_utf8(&rest[..end]).unwrap(), 16).unwrap();
            if size == 0 {
                return bytes;
            }
            bytes.extend_from_slice(&rest[end + 2..end + 2 + size]);
            rest = &rest[end + 4 + size..];
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// Stands in for the program: the text of the experiment is the name of the stream's only job, or says that the stream is damaged.
fn jobs(folder: StreamFolder) -> Result<Vec<JobRow>, String> {
    let text = folder.texts().map_err(|error| error.to_string())?.experiment;
    if text == "damaged" {
        return Err("the experiment is damaged".to_owned());
    }
    Ok(vec![JobRow { job: text, class: "small".to_owned(), state: "succeeded", queue_seconds: Some(1.5), ..JobRow::default() }])
}

/// Stands in for the program likewise: a stream without jobs.
fn timeline(folder: StreamFolder) -> Result<Timeline, String> {
    if folder.texts().is_ok_and(|texts| texts.experiment == "damaged") {
        return Err("the experiment is damaged".to_owned());
    }
    Ok(Timeline {
        stream: folder.description().run.to_string(),
        experiment: folder.description().experiment.to_string(),
        is_orchestrated: folder.is_taken(),
        started_at: folder.description().started_at,
        now: None,
        classes: vec!["small".to_owned()],
        nodes: Vec::new(),
        states: vec!["waiting"],
        jobs: Vec::new(),
        series: Series::default(),
    })
}

fn round(round: u32) -> RunEvent {
    RunEvent::RoundEnded {
        round: Round(round),
        clients: vec![ClientId(1), ClientId(3)],
        train: (round > 0).then_some(TrainSummary { num_samples: 600, num_steps: 19, loss: Some(0.75) }),
        learning_rate: 0.125,
        test: Some(Evaluation { num_samples: 100, loss: 1.5, accuracy: 0.5, confusion: None }),
        client_test: None,
        train_seconds: 2.5,
        virtual_seconds: None,
        test_seconds: 0.5,
        sent_bytes: None,
    }
}

/// Starts a run, and records these rounds.
pub fn begin(root: &Path, seed: u64, rounds: u32) -> RunRecorder {
    let description = RunDescription {
        hyperparameters: Hyperparameters([("kind".to_owned(), Hyperparameter::Text("federated".into()))].into()),
        started_at: at(0),
        ..bare(seed)
    };
    let folder = RunFolder::create(root, &description.experiment, at(0), &format!("{seed:08x}"), "name: exp\n", &description).unwrap();
    let (mut recorder, _) = RunRecorder::open(folder, "a test").unwrap();
    recorder.record(&RunEvent::Started { from: Milestone::START, version: "0.1.0".into() }, at(0)).unwrap();
    (0..rounds).for_each(|step| recorder.record(&round(step), at(1)).unwrap());
    recorder
}

/// The end of a round with a confusion matrix of `classes`.
pub fn large_round(step: u32, classes: usize) -> RunEvent {
    let mut event = round(step);
    if let RunEvent::RoundEnded { test: Some(test), .. } = &mut event {
        test.confusion = Some(vec![vec![1; classes]; classes]);
    }
    event
}

/// Records one more round.
pub fn go_on(recorder: &mut RunRecorder, step: u32) {
    recorder.record(&round(step), at(2)).unwrap();
}

/// Creates a finished run of three rounds, and returns its name.
pub fn run(root: &Path, seed: u64) -> String {
    let mut recorder = begin(root, seed, 3);
    recorder.record(&RunEvent::Finished { parameters_sha256: "f".repeat(64), seconds: 3.5 }, at(3)).unwrap();
    name(seed)
}

pub fn name(seed: u64) -> String {
    format!("exp-20260102-030405-{seed:08x}")
}

/// Creates a stream.
pub fn stream(root: &Path, name: &str, experiment: &str) {
    let description = stream_description(name, "s");
    let texts = StreamTexts { experiment: experiment.to_owned(), ..StreamTexts::default() };
    StreamFolder::create::<RunEvent>(root, &description, &texts).unwrap();
}

/// Makes a run's journal unreadable.
pub fn damage(root: &Path, name: &str) {
    let path = root.join(name).join("journal.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(path, text.replacen("round_ended", "round_xnded", 1)).unwrap();
}

/// Returns the archive of a run.
pub fn packed(root: &Path, name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    archive::pack(root, name, &mut bytes).unwrap();
    bytes
}

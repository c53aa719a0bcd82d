//! Tests of federated runs whose nodes are frozen, cut off, or behind a proxy, with real signals, connections and a real proxy: the digest is that of one process.
//!
//! The test of the proxy needs `tinyproxy`, which `cargo xtask test` installs.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

#[path = "../../fltk/tests/common/mod.rs"]
mod common;
mod support;

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, OnceLock},
    thread,
    time::{Duration, Instant},
};

use common::{TINY_FEDERATED, fltk, json};
use support::forwarder::{Cut, Forwarder};

/// The time in which anything that is waited for happens.
const PATIENCE: Duration = Duration::from_secs(60);

/// The time in which a node is lost that is silent for a second.
const SOON: Duration = Duration::from_secs(10);

/// The rounds. Each client takes a fifth of a second over its link, and each of two nodes trains two a round: two seconds in all, without failures.
const ROUNDS: u32 = 5;

/// Returns the tiny experiment, with or without links that nodes impose: with them, a run lasts long enough for something to happen to it.
fn experiment(has_links: bool) -> String {
    let links = "      simulation: { clock: wall, impose_links: true, network: { type: constant, up_mbit: 1000, down_mbit: 1000, latency_ms: 100 } }\n";
    let text = TINY_FEDERATED.replace("      rounds: 5\n", &format!("      rounds: {ROUNDS}\n"));
    if has_links { text + links } else { text }
}

/// A process, which doesn't outlive the test, and the lines that it has written.
struct Running {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Running {
    fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = Arc::new(Mutex::new(Vec::new()));
        let (said, to) = (BufReader::new(child.stderr.take().unwrap()).lines(), Arc::clone(&lines));
        thread::spawn(move || said.map_while(Result::ok).for_each(|line| to.lock().unwrap().push(line)));
        Self { child, lines }
    }

    /// Waits until it has said `words` so many times, and returns the last line with them.
    fn says(&mut self, words: &str, times: usize) -> String {
        let until = Instant::now() + PATIENCE;
        loop {
            let found: Vec<String> = self.lines.lock().unwrap().iter().filter(|line| line.contains(words)).cloned().collect();
            if found.len() >= times {
                return found.last().cloned().unwrap_or_default();
            }
            let has_ended = self.child.try_wait().unwrap();
            assert!(
                has_ended.is_none() && Instant::now() < until,
                "`{words}` wasn't said {times} times: {:#?}",
                self.lines.lock().unwrap()
            );
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn signal(&self, signal: &str) {
        assert!(Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap().success());
    }

    fn ends(&mut self) {
        let until = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < until, "it doesn't end: {:#?}", self.lines.lock().unwrap());
            thread::sleep(Duration::from_millis(5));
        };
        assert!(status.success(), "{status}: {:#?}", self.lines.lock().unwrap());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Starts a federator, to which a node is lost after a second of silence.
fn federate(at: &Path, port: u16, security: &[&str]) -> Running {
    fs::write(at.join("linked.yaml"), experiment(true)).unwrap();
    let mut command = fltk(at);
    command.args(["federate", "linked.yaml", "--id", "a", "--silence", "1s", "--listen", &format!("127.0.0.1:{port}")]).args(security);
    Running::start(command)
}

/// Starts a node that calls a port of this machine.
fn node(at: &Path, name: &str, port: u16) -> Running {
    let mut command = fltk(at);
    command.args(["node", "--name", name, "--workers", "1", "--join", &format!("http://127.0.0.1:{port}")]);
    Running::start(command)
}

/// Checks that the run has ended with the digest of one process, and returns the stays of its nodes.
fn check(at: &Path) -> Vec<serde_json::Value> {
    /// The digest of one process, which all tests share.
    static EXPECTED: OnceLock<String> = OnceLock::new();
    let digest = |args: &[&str]| json(at, args)["parameters_sha256"].as_str().unwrap().to_owned();
    let expected = EXPECTED.get_or_init(|| {
        fs::write(at.join("here.yaml"), experiment(false)).unwrap();
        digest(&["run", "here.yaml", "--output", "json"])
    });
    assert_eq!(digest(&["run", "linked.yaml", "--id", "a", "--output", "json"]), *expected);
    let stays = json(at, &["runs", "nodes", "a", "--output", "json"]);
    let stays = stays.as_array().unwrap().clone();
    let sum: u64 = stays.iter().map(|stay| stay["end"]["num_updates"].as_u64().unwrap()).sum();
    assert_eq!(sum, u64::from(4 * ROUNDS), "{stays:?}");
    stays
}

/// Runs with two nodes, of which one fails in the first round, and is there again in the same run.
fn with_failure(fails: impl FnOnce(&Path, u16) -> (Running, Box<dyn Fn(&Running, bool)>)) {
    let folder = tempfile::tempdir().unwrap();
    let (at, port) = (folder.path(), free_port());
    let mut federator = federate(at, port, &["--insecure"]);
    federator.says("nodes on this machine join", 1);
    let (mut failing, set) = fails(at, port);
    let mut other = node(at, "stays", port);
    federator.says("takes part", 2);
    set(&failing, true);
    let began = Instant::now();
    assert!(federator.says("node `fails` is lost", 1).contains("its work is done by others"));
    // A node that hears nothing may still be heard: it has to hang up, so that nobody waits for it.
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    set(&failing, false);
    federator.says("node `fails` takes part", 2);
    federator.ends();
    failing.ends();
    other.ends();
    let stays = check(at);
    assert_eq!(stays.len(), 3, "{stays:?}");
}

#[test]
fn a_frozen_node_is_lost_and_comes_back() {
    with_failure(|at, port| (node(at, "fails", port), Box::new(|node, is_frozen| node.signal(if is_frozen { "-STOP" } else { "-CONT" }))));
}

#[test]
fn a_node_that_is_cut_off_is_lost_and_comes_back() {
    for cut in [Cut::Up, Cut::Down, Cut::Both] {
        with_failure(|at, port| {
            let forwarder = Forwarder::start(port);
            let node = node(at, "fails", forwarder.port());
            (node, Box::new(move |_, is_cut| forwarder.set(is_cut.then_some(cut))))
        });
    }
}

#[test]
fn a_node_may_come_through_a_proxy() {
    /// An address of this machine that no program takes for one: what is called so goes through a proxy.
    const HOST: &str = "127.1";
    let there = Command::new("tinyproxy").arg("-v").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if there.is_err() {
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "there is no `tinyproxy`, and with CI=true this test may not be skipped");
        eprintln!("skipped: there is no `tinyproxy`; `cargo xtask test` installs it");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (at, port, proxy_port) = (folder.path(), free_port(), free_port());
    let mut federator = federate(at, port, &["--host", HOST, "--invite", "1"]);
    let line = federator.says("--invitation", 1);
    let log = at.join("proxy.log");
    let proxy = |name: &str, port: u16, allowed: u16| {
        let file = at.join(name);
        let log = log.display();
        let text = format!(
            "Port {port}\nListen 127.0.0.1\nAllow 127.0.0.1\nTimeout 600\nConnectPort {allowed}\nLogFile \"{log}\"\nLogLevel Connect\n"
        );
        fs::write(&file, text).unwrap();
        let mut command = Command::new("tinyproxy");
        command.arg("-d").arg("-c").arg(file);
        Running::start(command)
    };
    let through = |port: u16, wait: &str| {
        let mut command = fltk(at);
        let words = line.trim().strip_prefix("fltk ").unwrap().split_whitespace();
        let proxy = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        command.args(words).args(["--workers", "1", "--wait", wait, "--proxy", &format!("http://{proxy}")]);
        command
    };
    // A proxy that allows nothing but another port is no way, and the invitation isn't used up.
    let refusing_port = free_port();
    let _refusing = proxy("refusing.conf", refusing_port, 1);
    let refused = through(refusing_port, "1s").output().unwrap();
    assert!(refused.status.code() == Some(7) && String::from_utf8_lossy(&refused.stderr).contains("the proxy `"), "{refused:?}");
    let _proxy = proxy("proxy.conf", proxy_port, port);
    let mut node = Running::start(through(proxy_port, "1min"));
    federator.ends();
    node.ends();
    check(at);
    let log = fs::read_to_string(log).unwrap();
    assert!(log.contains(&format!("CONNECT {HOST}:{port}")), "{log}");
}

//! Tests of federated runs over node processes: whatever the number of nodes, and whoever is killed, the digest is that of one process.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

#[path = "../../fltk/tests/common/mod.rs"]
mod common;

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use common::{TINY_FEDERATED, fltk, json};

/// The time in which anything that is waited for happens.
const PATIENCE: Duration = Duration::from_secs(60);

/// Returns the tiny experiment with so many nodes, and `more` settings.
fn experiment(nodes: u32, more: &str) -> String {
    TINY_FEDERATED.replace("      clients: 40\n", &format!("      clients: 40\n      nodes: {nodes}\n{more}"))
}

fn digest(at: &Path, text: &str) -> String {
    fs::write(at.join("tiny.yaml"), text).unwrap();
    json(at, &["run", "tiny.yaml", "--workers", "2", "--output", "json"])["parameters_sha256"].as_str().unwrap().to_owned()
}

#[test]
fn any_number_of_nodes_ends_with_the_digest_of_one_process() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    for (more, nodes) in [
        ("", &[1, 3][..]),
        ("      strategy: { type: SCAFFOLD }\n      compression: { type: top_k, fraction: 0.05 }\n", &[1, 2]),
        ("      strategy: { type: Ditto }\n      client_test_fraction: 0.2\n", &[2]),
        (
            "      simulation: { clock: wall, impose_links: true, network: { type: constant, up_mbit: 100, down_mbit: 100, latency_ms: 1 } }\n",
            &[2],
        ),
        (
            "      simulation: { clock: virtual, devices: { type: lognormal, median_ms: 5 } }\n      strategy: { type: FedBuff, buffer_size: 2 }\n",
            &[2],
        ),
    ] {
        // Only nodes impose links.
        let expected = digest(at, &experiment(0, if more.contains("impose_links") { "" } else { more }));
        for &nodes in nodes {
            assert_eq!(digest(at, &experiment(nodes, more)), expected, "{nodes} nodes, {more}");
        }
    }
}

#[test]
fn links_are_imposed_on_nodes_alone() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let links = "      simulation: { clock: wall, impose_links: true, network: { type: constant, up_mbit: 0.8, down_mbit: 0.8, latency_ms: 20 } }\n";
    fs::write(at.join("tiny.yaml"), experiment(0, links)).unwrap();
    let refused = fltk(at).args(["run", "tiny.yaml"]).output().unwrap();
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains("nodes impose links, and this run has none\nhint: add `nodes`"), "{said}");
    // Four workers: the clients of a round don't wait for each other. Their model has 0.12 MB, so each takes 2.4 s.
    let timed = |links: &str| {
        let began = Instant::now();
        fs::write(at.join("tiny.yaml"), experiment(2, links).replace("rounds: 5", "rounds: 1")).unwrap();
        let result = json(at, &["run", "tiny.yaml", "--workers", "4", "--output", "json"]);
        (result["parameters_sha256"].as_str().unwrap().to_owned(), began.elapsed())
    };
    let ((expected, _), (imposed, took)) = (timed(""), timed(links));
    assert_eq!(imposed, expected);
    assert!(took > Duration::from_millis(2300), "{took:?}");
}

#[test]
fn metrics_are_served_while_a_run_is_on() {
    use std::io::{Read as _, Write as _};
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("tiny.yaml"), experiment(1, "").replace("rounds: 5", "rounds: 100000")).unwrap();
    let mut command = fltk(at);
    command.args(["run", "tiny.yaml", "--metrics", "127.0.0.1:0"]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    let line = said.find(|line| line.starts_with("metrics at http://")).expect("it says where");
    thread::spawn(move || said.for_each(drop));
    let address = line.trim_start_matches("metrics at http://").trim_end_matches("/metrics").to_owned();
    let scrape = || {
        let mut stream = std::net::TcpStream::connect(&address).unwrap();
        write!(stream, "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    };
    let until = Instant::now() + PATIENCE;
    loop {
        let text = scrape();
        let value = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<f64>().ok()).unwrap_or_default();
        if value("fltk_federation_rounds_total") >= 1.0 && value("fltk_federation_nodes") == 1.0 {
            assert!(value("fltk_federation_updates_total") >= 4.0 && value("fltk_federation_received_bytes_total") > 100_000.0, "{text}");
            break;
        }
        assert!(Instant::now() < until && child.try_wait().unwrap().is_none(), "{text}");
        thread::sleep(Duration::from_millis(20));
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

/// A run in the background.
struct Running {
    child: Child,
    folder: PathBuf,
}

impl Running {
    /// Starts the tiny experiment in `at` under a name, so that a second start goes on.
    fn start(at: &Path) -> Self {
        let mut command = fltk(at);
        command.args(["run", "tiny.yaml", "--id", "a", "--workers", "2", "--output", "json"]);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        Self { child, folder: at.join("runs") }
    }

    /// Returns the number of lines of the run's journal.
    fn num_lines(&self) -> usize {
        let runs = fs::read_dir(&self.folder).into_iter().flatten().filter_map(Result::ok);
        let journals = runs.filter_map(|run| fs::read_to_string(run.path().join("journal.jsonl")).ok());
        journals.map(|text| text.lines().count()).sum()
    }

    /// Waits until `is` or the run has ended; returns false in the latter case.
    fn wait(&mut self, is: &dyn Fn(&Self) -> bool) -> bool {
        let until = Instant::now() + PATIENCE;
        while !is(self) {
            if self.child.try_wait().unwrap().is_some() {
                return false;
            }
            assert!(Instant::now() < until, "nothing happens");
            thread::sleep(Duration::from_millis(2));
        }
        true
    }

    /// Returns the processes of its nodes.
    fn nodes(&self) -> Vec<u32> {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.child.id())).into_iter().flatten().filter_map(Result::ok);
        let children = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
        children.flat_map(|list| list.split_whitespace().map(|pid| pid.parse().unwrap()).collect::<Vec<u32>>()).collect()
    }
}

fn kill(pid: u32) {
    // It may have ended by itself.
    let _ = Command::new("kill").args(["-9", &pid.to_string()]).stderr(Stdio::null()).status().unwrap();
}

/// Returns the digest of the run in `at` that was begun under a name and has finished.
fn finished(at: &Path) -> String {
    let result = json(at, &["run", "tiny.yaml", "--id", "a", "--output", "json"]);
    result["parameters_sha256"].as_str().unwrap().to_owned()
}

#[test]
fn a_node_may_be_killed_in_every_round() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let expected = digest(at, &experiment(0, ""));
    fs::remove_dir_all(at.join("runs")).unwrap();
    fs::write(at.join("tiny.yaml"), experiment(2, "")).unwrap();
    let mut run = Running::start(at);
    let mut num_killed = 0;
    for lines in (6..).step_by(5) {
        if !run.wait(&|run| run.num_lines() >= lines) {
            break;
        }
        if let Some(node) = run.nodes().first() {
            kill(*node);
            num_killed += 1;
        }
    }
    assert!(run.child.wait().unwrap().success());
    assert!(num_killed >= 3, "{num_killed}");
    assert_eq!(finished(at), expected);
    // The journal says who was there: each node that was killed, and those that stayed to the end, if the last kill wasn't just before it.
    let stays = json(at, &["runs", "nodes", "a", "--output", "json"]);
    let stays = stays.as_array().unwrap();
    let lost = stays.iter().filter(|stay| stay["end"]["reason"].is_string()).count();
    assert!(lost >= 1 && lost <= num_killed, "{stays:?}");
    let sum: u64 = stays.iter().map(|stay| stay["end"]["num_updates"].as_u64().unwrap()).sum();
    assert_eq!(sum, 5 * 4, "{stays:?}");
    assert!(stays.iter().any(|stay| stay["end"]["bytes_received"].as_u64().unwrap() > 100_000), "{stays:?}");
}

#[test]
fn the_federator_may_be_killed_and_begun_again_with_other_nodes() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let expected = digest(at, &experiment(0, "      strategy: { type: SCAFFOLD }\n"));
    fs::remove_dir_all(at.join("runs")).unwrap();
    fs::write(at.join("tiny.yaml"), experiment(2, "      strategy: { type: SCAFFOLD }\n")).unwrap();
    let mut num_killed = 0;
    loop {
        let mut run = Running::start(at);
        // Each start gets a few lines further than the one before, and so past a checkpoint at last.
        let lines = run.num_lines() + 4 + 5 * num_killed;
        if !run.wait(&|run| run.num_lines() >= lines) {
            assert!(run.child.wait().unwrap().success());
            break;
        }
        let nodes = run.nodes();
        run.child.kill().unwrap();
        run.child.wait().unwrap();
        num_killed += 1;
        // None of its nodes is left behind.
        let until = Instant::now() + PATIENCE;
        while nodes.iter().any(|node| is_running(*node)) {
            assert!(Instant::now() < until, "a node is left");
            thread::sleep(Duration::from_millis(5));
        }
    }
    assert!(num_killed >= 3, "{num_killed}");
    assert_eq!(finished(at), expected);
}

/// True if a process of this number runs; a zombie doesn't.
fn is_running(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    status.rsplit(')').next().is_some_and(|rest| !rest.trim().is_empty() && !rest.trim().starts_with('Z'))
}

/// Starts `fltk federate` on a port of this machine, and returns it with the lines that it prints for nodes.
fn federate(at: &Path, port: u16, num_invited: usize) -> (Child, Vec<String>) {
    let mut command = fltk(at);
    command.args(["federate", "tiny.yaml", "--id", "a", "--listen", &format!("127.0.0.1:{port}"), "--host", "localhost"]);
    if num_invited > 0 {
        command.args(["--invite", &num_invited.to_string()]);
    }
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut lines = Vec::new();
    while lines.len() < num_invited {
        let line = said.next().expect("it invites").unwrap();
        lines.extend(line.trim().strip_prefix("fltk ").filter(|line| line.starts_with("node")).map(str::to_owned));
    }
    // Its messages are read as long as it writes some.
    thread::spawn(move || said.for_each(drop));
    (child, lines)
}

#[test]
fn invited_nodes_come_back_to_a_federator_that_was_killed() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let expected = digest(at, &experiment(0, ""));
    fs::remove_dir_all(at.join("runs")).unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (mut federator, lines) = federate(at, port, 2);
    let start = |line: &String| {
        let mut command = fltk(at);
        command.args(line.split_whitespace()).args(["--workers", "1"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    };
    let mut nodes: Vec<Child> = lines.iter().map(start).collect();
    let running = Running { child: fltk(at).arg("--version").stdout(Stdio::null()).spawn().unwrap(), folder: at.join("runs") };
    let until = Instant::now() + PATIENCE;
    while running.num_lines() < 9 {
        assert!(Instant::now() < until, "nothing happens");
        thread::sleep(Duration::from_millis(5));
    }
    federator.kill().unwrap();
    federator.wait().unwrap();
    // The port is free again, and a federator that finds it taken records nothing.
    let taken = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let refused = fltk(at).args(["federate", "tiny.yaml", "--listen", &format!("127.0.0.1:{port}"), "--runs", "others"]).output().unwrap();
    assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("hint: choose another port"), "{refused:?}");
    assert!(!at.join("others").exists());
    drop(taken);
    let (mut federator, _) = federate(at, port, 0);
    assert!(federator.wait().unwrap().success());
    assert!(nodes.iter_mut().all(|node| node.wait().unwrap().success()));
    assert_eq!(finished(at), expected);
    // Each invitation admitted one node, whose certificate is of no use any more.
    assert_eq!(fs::read_dir(at.join("cache/fltk/pki")).unwrap().count(), 0);
    let again = fltk(at).args(lines[0].split_whitespace()).args(["--wait", "1ms"]).output().unwrap();
    assert_eq!(again.status.code(), Some(7), "{again:?}");
}

/// Starts rank `rank` of three as a pod does.
fn rank(at: &Path, port: u16, rank: u32) -> Child {
    let credentials = if rank == 0 { "federator.pem" } else { "node.pem" };
    let mut command = fltk(at);
    command.args(["client", "tiny.yaml", "0", "--id", "a", "--workers", "1", "--credentials", credentials]);
    let place = [("RANK", rank.to_string()), ("WORLD_SIZE", "3".to_owned()), ("MASTER_PORT", port.to_string())];
    command.envs(place).env("MASTER_ADDR", "localhost").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

#[test]
fn ranks_of_a_federated_task_are_a_federator_and_nodes_which_may_be_killed_and_restarted() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    // A federator takes any number of nodes, whatever the file says.
    let expected = digest(at, &experiment(0, ""));
    fs::remove_dir_all(at.join("runs")).unwrap();
    for args in [&["pki", "init", "pki"][..], &["pki", "issue", "pki", "federator", "--federator"], &["pki", "issue", "pki", "node"]] {
        assert!(fltk(at).args(args).output().unwrap().status.success(), "{args:?}");
    }
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    // Nodes may be there before their federator.
    let mut nodes = [1, 2].map(|node| rank(at, port, node));
    let mut federator = Running { child: rank(at, port, 0), folder: at.join("runs") };
    assert!(federator.wait(&|run| run.num_lines() >= 7));
    nodes[0].kill().unwrap();
    nodes[0].wait().unwrap();
    nodes[0] = rank(at, port, 1);
    assert!(federator.wait(&|run| run.num_lines() >= 13));
    federator.child.kill().unwrap();
    federator.child.wait().unwrap();
    // A node that is asked to end does so at once, though it waits for a federator.
    let asked = Instant::now();
    let _ = Command::new("kill").args(["-TERM", &nodes[1].id().to_string()]).status().unwrap();
    assert_eq!(nodes[1].wait().unwrap().code(), Some(130));
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    nodes[1] = rank(at, port, 2);
    federator.child = rank(at, port, 0);
    assert!(federator.child.wait().unwrap().success());
    assert!(nodes.iter_mut().all(|node| node.wait().unwrap().success()));
    assert_eq!(finished(at), expected);
    // A node that comes when all is done learns of it from the records.
    assert!(rank(at, port, 1).wait().unwrap().success());
}

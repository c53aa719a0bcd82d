//! Federators of runs whose clients have data of their own, and the clients' data sets.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::TcpListener,
    path::Path,
    process::{Child, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use fltk_core::experiment::DatasetConfig;
use fltk_data::{Locations, Split, load};

use crate::common::fltk;

/// Writes the embedded data set as IDX files into `folder`, with the training images of these classes alone.
pub fn write_classes(folder: &Path, classes: std::ops::Range<u16>) {
    let all = load(&DatasetConfig::named("fashion-mnist-mini"), Path::new(""), &Locations { cache: None, local: vec![] }).unwrap();
    fs::create_dir_all(folder).unwrap();
    for (name, split, kept) in [("train", &all.train, classes), ("t10k", &all.test, 0..10)] {
        let Split::Images(set) = split else { panic!("it has images") };
        let chosen: Vec<usize> = (0..set.labels.len()).filter(|index| kept.contains(&set.labels[*index])).collect();
        let num = u32::try_from(chosen.len()).unwrap().to_be_bytes();
        let side = 28_u32.to_be_bytes();
        let mut images = [&[0, 0, 8, 3], &num[..], &side, &side].concat();
        images.extend(chosen.iter().flat_map(|index| set.image(*index)));
        let mut labels = [&[0, 0, 8, 1], &num[..]].concat();
        labels.extend(chosen.iter().map(|index| u8::try_from(set.labels[*index]).unwrap()));
        fs::write(folder.join(format!("{name}-images-idx3-ubyte")), images).unwrap();
        fs::write(folder.join(format!("{name}-labels-idx1-ubyte")), labels).unwrap();
    }
}

/// The messages of a federator.
pub type Said = Arc<Mutex<String>>;

/// Starts `fltk federate` with `args`, and returns it with the lines that it prints for nodes, and whatever it says after these.
pub fn federate(at: &Path, args: &[&str], num_lines: usize) -> (Child, Vec<String>, Said) {
    let mut command = fltk(at);
    command.args(["federate", "own.yaml", "--id", "a", "--output", "json"]).args(args);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut lines = Vec::new();
    let mut all = String::new();
    while lines.len() < num_lines {
        let line = said.next().unwrap_or_else(|| panic!("it invites nobody:\n{all}")).unwrap();
        lines.extend(line.trim().strip_prefix("fltk ").filter(|line| line.starts_with("node")).map(str::to_owned));
        all += &format!("{line}\n");
    }
    // Its messages are read as long as it writes some.
    let later = Said::default();
    let more = Arc::clone(&later);
    thread::spawn(move || said.map_while(Result::ok).for_each(|line| *more.lock().unwrap() += &format!("{line}\n")));
    (child, lines, later)
}

/// Waits until something is so.
pub fn wait(is: &dyn Fn() -> bool) {
    let until = Instant::now() + Duration::from_secs(60);
    while !is() {
        assert!(Instant::now() < until, "nothing happens");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Returns the text of the only run's journal, as far as it is written.
pub fn journal(at: &Path) -> String {
    let runs = fs::read_dir(at.join("runs")).into_iter().flatten().filter_map(Result::ok);
    runs.filter_map(|run| fs::read_to_string(run.path().join("journal.jsonl")).ok()).collect()
}

/// Starts a node by the line that a federator printed, for a client whose data is in `folder`.
pub fn node(at: &Path, line: &str, folder: &str) -> Child {
    let line = line.replace("DIR", folder);
    fltk(at).args(line.split_whitespace()).args(["--workers", "1"]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Returns an address of this machine at which nobody listens.
pub fn free_port() -> String {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    format!("127.0.0.1:{port}")
}

//! Support for running the built program in a folder of its own. The tests of `fltk-torch` share it: that is the same program, with libtorch.
#![allow(dead_code, reason = "each test file uses a part of this")]

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

/// The path of the program of the package under test.
pub const PROGRAM: &str = match (option_env!("CARGO_BIN_EXE_fltk"), option_env!("CARGO_BIN_EXE_fltk-torch")) {
    (Some(program), _) | (None, Some(program)) => program,
    (None, None) => panic!("cargo names no program"),
};

/// Returns the repository's root folder.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("the crate is two folders below the root").to_path_buf()
}

/// Returns a command that runs the program in `folder`, without any environment variables of the caller that change its behavior.
pub fn fltk(folder: &Path) -> Command {
    program(Path::new(PROGRAM), folder)
}

/// Returns such a command for `program`.
pub fn program(program: &Path, folder: &Path) -> Command {
    let mut command = Command::new(program);
    let ours = [
        "FLTK_RUNS",
        "FLTK_DATA",
        "FLTK_LAUNCHER",
        "FLTK_TERMINATION_LOG",
        "FLTK_INTERFACE",
        "FLTK_LOG",
        "FLTK_LOG_FORMAT",
        "FLTK_METRICS",
    ];
    for variable in ours.into_iter().chain(["RANK", "WORLD_SIZE", "LOCAL_RANK", "PET_NNODES", "GLOO_SOCKET_IFNAME"]) {
        command.env_remove(variable);
    }
    for variable in ["SSL_CERT_FILE", "SSL_CERT_DIR", "ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY"] {
        command.env_remove(variable).env_remove(variable.to_lowercase());
    }
    command.current_dir(folder).env("NO_COLOR", "1").env("XDG_CACHE_HOME", folder.join("cache"));
    command
}

/// Returns an output to which nothing can be written, as on a full disk.
pub fn full() -> Stdio {
    File::options().write(true).open("/dev/full").unwrap().into()
}

/// Returns a pipe that nobody reads.
pub fn closed() -> Stdio {
    let (read, write) = std::io::pipe().unwrap();
    drop(read);
    write.into()
}

/// Runs the program with `args` in `folder`.
pub fn run(folder: &Path, args: &[&str]) -> Output {
    fltk(folder).args(args).output().expect("the program starts")
}

/// Runs the program, which must succeed, and parses its standard output.
pub fn json(folder: &Path, args: &[&str]) -> serde_json::Value {
    let output = run(folder, args);
    assert!(output.status.success(), "fltk {args:?}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("fltk {args:?}: {error}: {}", String::from_utf8_lossy(&output.stdout)))
}

/// A federated experiment that takes a second or two.
pub const TINY_FEDERATED: &str = "\
name: tiny
tasks:
  - kind: federated
    network: FashionMNISTCNN
    dataset: fashion-mnist-mini
    train: { batch_size: 32, optimizer: { type: SGD, learning_rate: 0.05, momentum: 0.9 } }
    checkpoint_every: 2
    federated:
      clients: 40
      clients_per_round: 4
      rounds: 5
      epochs_per_round: 1
      partition: { type: dirichlet, alpha: 0.5 }
";

/// A single-process experiment that takes a second or two, with dropout and a stateful optimizer.
pub const TINY_CENTRAL: &str = "\
name: tiny-central
tasks:
  - kind: distributed
    network: MNISTCNN
    dataset: fashion-mnist-mini
    train:
      batch_size: 64
      optimizer: { type: Adam, learning_rate: 0.001 }
      scheduler: { step_size: 2, gamma: 0.5, minimum_learning_rate: 1.0e-5, unit: epoch }
    checkpoint_every: 1
    distributed: { epochs: 4 }
";

/// Parses each line of `text` as a JSON object.
pub fn json_lines(text: &str) -> Vec<serde_json::Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

/// Copies the files that version `version` wrote into `folder`: `runs` as the user has it, and beside it the files that the runs were begun with.
pub fn earlier(version: &str, folder: &Path) {
    let data = repository().join("crates/fltk-records/tests/data").join(version);
    copy(&data.join("files"), folder);
    copy(&data.join("runs"), &folder.join("runs"));
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder can be made");
    if to.parent().is_some_and(|parent| parent.ends_with("runs")) && from.join("run.json").exists() {
        // Git doesn't keep empty folders.
        fs::create_dir_all(to.join("checkpoints")).expect("a folder can be made");
    }
    for entry in fs::read_dir(from).expect("the folder is there") {
        let entry = entry.expect("the folder can be read");
        let to = to.join(entry.file_name());
        if entry.path().is_dir() { copy(&entry.path(), &to) } else { fs::copy(entry.path(), to).map(drop).expect("a file can be copied") }
    }
}

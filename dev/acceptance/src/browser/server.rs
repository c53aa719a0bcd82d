//! A running `fltk serve`, which can be killed, and started again at the same address.

use std::{
    cell::RefCell,
    fs,
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, ChildStderr, Command, Stdio},
    sync::mpsc::{Sender, channel},
    thread,
    time::Duration,
};

use anyhow::Context as _;

use crate::sh;

/// The time limit for its start: it takes hundredths of a second on an idle machine.
const START_LIMIT: Duration = Duration::from_secs(30);

/// The text before the address in what it says first.
const GREETING: &str = " at http://";

/// A server of the records in a folder.
pub struct Server {
    program: PathBuf,
    options: Vec<String>,
    /// The folder of caches, in which it keeps its index.
    cache: PathBuf,
    process: RefCell<Child>,
    /// The address at which it listens, which stays the same.
    pub address: SocketAddr,
}

impl Server {
    /// Starts `program` for the records in `runs`, on any free port of this machine. Its index is in `cache`.
    ///
    /// # Errors
    /// If it doesn't start.
    pub fn start(program: &Path, runs: &Path, cache: &Path, options: &[&str]) -> anyhow::Result<Self> {
        let mut all = vec!["--runs".to_owned(), runs.to_str().context("a path that isn't UTF-8")?.to_owned()];
        all.extend(options.iter().map(|&option| option.to_owned()));
        let (process, address) = start(program, "127.0.0.1:0", &all, cache)?;
        Ok(Self { program: program.to_owned(), options: all, cache: cache.to_owned(), process: RefCell::new(process), address })
    }

    /// Returns the address of a path that begins with `/`.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Kills it, as `kill -9` does.
    ///
    /// # Errors
    /// If it has ended by itself.
    pub fn kill(&self) -> anyhow::Result<()> {
        let mut process = self.process.borrow_mut();
        process.kill().context("the server has ended")?;
        process.wait().map(|_| ()).context("the server can't be waited for")
    }

    /// Starts it again after [`kill`](Self::kill), at the same address.
    ///
    /// # Errors
    /// If it doesn't start.
    pub fn start_again(&self) -> anyhow::Result<()> {
        let (process, _) = start(&self.program, &self.address.to_string(), &self.options, &self.cache)?;
        // The one before has ended.
        let _ = self.process.replace(process).wait();
        Ok(())
    }

    /// Returns the most memory that it has used since its start, in 10^6 bytes.
    ///
    /// # Errors
    /// If it has ended.
    pub fn peak_mb(&self) -> anyhow::Result<f64> {
        let path = format!("/proc/{}/status", self.process.borrow().id());
        let status = fs::read_to_string(&path).with_context(|| format!("can't read `{path}`"))?;
        let kib = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.trim().parse::<f64>().ok());
        Ok(kib.with_context(|| format!("`{path}` has no VmHWM"))? * 1024.0 / 1e6)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have been killed.
        let process = self.process.get_mut();
        let _ = process.kill();
        let _ = process.wait();
    }
}

/// Starts the program, and waits until it says where it listens.
fn start(program: &Path, listen: &str, options: &[String], cache: &Path) -> anyhow::Result<(Child, SocketAddr)> {
    let mut command = Command::new(program);
    command.args(["serve", "--listen", listen]).args(options).env("XDG_CACHE_HOME", cache).env_remove("FLTK_TOKEN");
    let mut process = sh::start(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()))?;
    let said = process.stderr.take().context("no pipe from the server")?;
    let (sender, receiver) = channel();
    thread::spawn(move || listen_to(said, &sender));
    match receiver.recv_timeout(START_LIMIT) {
        Ok(address) => Ok((process, address)),
        Err(_) => {
            // It may have ended.
            let _ = process.kill();
            let _ = process.wait();
            anyhow::bail!("`{}` doesn't say within {} s where it listens", sh::show(&command), START_LIMIT.as_secs())
        }
    }
}

/// Passes on the first address, and everything to our own standard error, so that the server never waits for a reader.
fn listen_to(said: ChildStderr, address: &Sender<SocketAddr>) {
    for line in BufReader::new(said).lines().map_while(Result::ok) {
        eprintln!("server: {line}");
        if let Some(found) = address_in(&line) {
            // Only the first is waited for.
            let _ = address.send(found);
        }
    }
}

fn address_in(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once(GREETING)?;
    rest.split('/').next()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_is_found_in_the_greeting() {
        for (line, expected) in [
            ("serving `runs` at http://127.0.0.1:8080/api/v1/runs", Some("127.0.0.1:8080")),
            ("serving `runs` at http://127.0.0.1:8080/", Some("127.0.0.1:8080")),
            ("serving `runs` at http://127.0.0.1:8080", Some("127.0.0.1:8080")),
            ("anybody who reaches this address can read all records", None),
        ] {
            assert_eq!(address_in(line), expected.map(|address| address.parse().unwrap()), "{line}");
        }
    }
}

//! Stops the cluster and removes what it left, whatever state it is in.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};

use super::{NAMESPACE, OWNER, daemons::MARK, groups};
use crate::sh;

/// The time for programs to end by themselves before they are killed.
const GRACE: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(100);

/// True if a process of the cluster in `state` is alive.
pub fn is_alive(state: &Path) -> bool {
    !marked(state, |_| true).is_empty()
}

/// Stops all processes, then removes mounts, control groups, the namespace and `state`. Does nothing if there is no cluster.
///
/// Nothing that belongs to others is touched: processes are recognized by their environment and by our own control group.
pub fn run(state: &Path) -> anyhow::Result<()> {
    if let Ok(owner) = fs::read_to_string(OWNER)
        && Path::new(owner.trim()) != state
        && Path::new(owner.trim()).exists()
    {
        bail!(
            "the cluster on this machine is of `{}`\nhint: stop it from the checkout that has its cache there (XDG_CACHE_HOME)",
            owner.trim()
        );
    }
    // Without the kubelet, nothing restarts the stopped containers.
    stop(&marked(state, |name| name != "containerd" && name != "etcd" && !name.starts_with("containerd-shim")));
    stop(&groups::processes());
    stop(&marked(state, |_| true));
    groups::remove();
    for mount in mounts_below(state)? {
        quietly(Command::new("umount").arg("--lazy").arg(mount));
    }
    if Path::new("/run/netns").join(NAMESPACE).exists() {
        quietly(Command::new("ip").args(["netns", "del", NAMESPACE]));
    }
    if let Ok(settings) = fs::read_to_string(state.join("sysctls")) {
        settings.lines().for_each(|setting| quietly(Command::new("sysctl").args(["-qw", setting])));
    }
    let cached = fs::read_dir("/var/lib/cni/results").into_iter().flatten().filter_map(Result::ok);
    cached
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(&format!("{NAMESPACE}-")))
        .for_each(|entry| drop(fs::remove_file(entry.path())));
    // Otherwise, the mounted files would be deleted.
    if let Some(mount) = mounts_below(state)?.first() {
        bail!("`{mount}` can't be unmounted, so `{}` stays\nhint: unmount it, then `cargo xtask cluster down` again", state.display());
    }
    match fs::remove_dir_all(state) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let _ = fs::remove_file(OWNER);
    nothing_left(state)
}

/// Checks that no processes, control groups or namespace are left. Killed processes take a moment to disappear.
fn nothing_left(state: &Path) -> anyhow::Result<()> {
    let deadline = Instant::now() + GRACE;
    loop {
        let processes = marked(state, |_| true);
        let groups = groups::all();
        let namespace = Path::new("/run/netns").join(NAMESPACE);
        let left = if !processes.is_empty() {
            format!("processes {processes:?}")
        } else if let Some(group) = groups.first() {
            format!("the control group `{}`", group.display())
        } else if namespace.exists() {
            format!("the network namespace `{}`", namespace.display())
        } else {
            return Ok(());
        };
        if Instant::now() >= deadline {
            bail!("left of the cluster: {left}\nhint: `cargo xtask cluster down` again");
        }
        thread::sleep(POLL);
        groups::remove();
    }
}

/// Returns the processes of the cluster that started in `state`, recognized by their environment, whose program's name `takes` accepts.
fn marked(state: &Path, takes: impl Fn(&str) -> bool) -> Vec<i32> {
    let mark = format!("{MARK}={}", state.display());
    let is_marked = |pid: &i32| {
        let Ok(environment) = fs::read(format!("/proc/{pid}/environ")) else { return false };
        environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
            && fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| takes(name.trim()))
    };
    let own = std::process::id().cast_signed();
    let all = fs::read_dir("/proc").into_iter().flatten().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    all.filter(|pid| *pid != own).filter(is_marked).collect()
}

/// Returns the mount points below `state`, the innermost first.
fn mounts_below(state: &Path) -> anyhow::Result<Vec<String>> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").context("can't read the mounts")?;
    let prefix = format!("{}/", state.display());
    // This is the fifth field; spaces in it are written as `\040`, and the state folder has none.
    let mut below: Vec<String> =
        mounts.lines().filter_map(|line| line.split(' ').nth(4)).filter(|path| path.starts_with(&prefix)).map(str::to_owned).collect();
    below.sort_by(|left, right| right.cmp(left));
    Ok(below)
}

/// Asks processes to end, then kills those that haven't.
fn stop(pids: &[i32]) {
    // The start time is included because a process ID may be reused.
    let mut alive: Vec<(i32, String)> = pids.iter().filter_map(|pid| Some((*pid, started(*pid)?))).collect();
    let signal = |name: &str, alive: &[(i32, String)]| {
        let mut kill = Command::new("kill");
        kill.arg(name).args(alive.iter().map(|(pid, _)| pid.to_string()));
        quietly(&mut kill);
    };
    if !alive.is_empty() {
        signal("-TERM", &alive);
    }
    let deadline = Instant::now() + GRACE;
    while !alive.is_empty() {
        if Instant::now() >= deadline {
            signal("-KILL", &alive);
            break;
        }
        thread::sleep(POLL);
        alive.retain(|(pid, start)| started(*pid).as_ref() == Some(start));
    }
}

/// Returns the start time of the process, in the kernel's clock; `None` if it is gone.
fn started(pid: i32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // After the name, which may contain any characters, come the state and 18 more fields.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    if fields.first() == Some(&"Z") { None } else { fields.get(19).map(|start| (*start).to_owned()) }
}

/// Runs a command whose failure means that there was nothing to do, or shows in what is left.
fn quietly(command: &mut Command) {
    let _ = sh::quiet_output(command.stdin(Stdio::null()).stderr(Stdio::null()), sh::LOOKUP_LIMIT);
}

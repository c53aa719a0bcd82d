//! Stops the cluster and removes what it left, whatever state it is in.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use super::{NAMESPACE, daemons::MARK};
use crate::sh;

/// For programs to end by themselves before they are killed.
const GRACE: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(100);

/// Stops all, then removes mounts, control groups, the namespace and `state`. Does nothing where there is nothing.
pub fn run(state: &Path) -> anyhow::Result<()> {
    // Without the kubelet nobody starts again what is stopped.
    stop(&marked(state, |name| name != "containerd" && name != "etcd" && !name.starts_with("containerd-shim")));
    stop(&descendants(&marked(state, |_| true)));
    stop(&marked(state, |_| true));
    for mount in mounts_below(state) {
        quietly(Command::new("umount").arg("--lazy").arg(mount));
    }
    for name in namespaces() {
        quietly(Command::new("ip").args(["netns", "del", &name]));
    }
    if let Ok(settings) = fs::read_to_string(state.join("sysctls")) {
        remove_pod_groups(Path::new("/sys/fs/cgroup"));
        settings.lines().for_each(|setting| quietly(Command::new("sysctl").args(["-qw", setting])));
    }
    match fs::remove_dir_all(state) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

/// Processes of the cluster that starts in `state`, by their environment; those whose program's name `takes` takes.
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

/// All that `ancestors` started, directly or not: what runs in containers has no mark, but its shim has.
fn descendants(ancestors: &[i32]) -> Vec<i32> {
    let parent = |pid: i32| -> Option<i32> {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        status.lines().find_map(|line| line.strip_prefix("PPid:")?.trim().parse().ok())
    };
    let all = fs::read_dir("/proc").into_iter().flatten().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let parents: BTreeMap<i32, i32> = all.filter_map(|pid| Some((pid, parent(pid)?))).collect();
    let is_below = |pid: i32| {
        let above = std::iter::successors(parents.get(&pid), |pid| parents.get(pid));
        above.take(64).any(|pid| ancestors.contains(pid))
    };
    parents.keys().copied().filter(|pid| !ancestors.contains(pid) && is_below(*pid)).collect()
}

/// Groups below a `kubepods`, the innermost first.
fn pod_groups(folder: &Path) -> Vec<PathBuf> {
    fn walk(folder: &Path, is_below: bool, depth: u32, found: &mut Vec<PathBuf>) {
        let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
        for entry in entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
            let is_pods = is_below || entry.file_name().to_string_lossy().starts_with("kubepods");
            // Version 1 has one hierarchy a controller; `kubepods` is at the top of each.
            if is_pods || depth < 1 {
                walk(&entry.path(), is_pods, depth + 1, found);
            }
            if is_pods {
                found.push(entry.path());
            }
        }
    }
    let mut found = Vec::new();
    walk(folder, false, 0, &mut found);
    found
}

fn remove_pod_groups(folder: &Path) {
    for group in pod_groups(folder) {
        // One that is in use can't be removed.
        let _ = fs::remove_dir(group);
    }
}

/// The innermost first.
fn mounts_below(state: &Path) -> Vec<String> {
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    let prefix = format!("{}/", state.display());
    let mut below: Vec<String> =
        mounts.lines().filter_map(|line| line.split(' ').nth(1)).filter(|path| path.starts_with(&prefix)).map(str::to_owned).collect();
    below.sort_by(|left, right| right.cmp(left));
    below
}

/// Ours, and those of pods' networks.
fn namespaces() -> Vec<String> {
    let listed = fs::read_dir("/run/netns").into_iter().flatten().filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let (pods, own): (Vec<String>, Vec<String>) =
        listed.filter(|name| name == NAMESPACE || name.starts_with("cni-")).partition(|name| name != NAMESPACE);
    // Pods' networks are the cluster's only where there is one.
    if own.is_empty() { Vec::new() } else { [pods, own].concat() }
}

/// Asks them to end, then makes them.
fn stop(pids: &[i32]) {
    if pids.is_empty() {
        return;
    }
    let signal = |name: &str| {
        let mut kill = Command::new("kill");
        kill.arg(name).args(pids.iter().map(ToString::to_string));
        quietly(&mut kill);
    };
    signal("-TERM");
    let deadline = Instant::now() + GRACE;
    let is_alive = |pid: &i32| fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z"));
    while pids.iter().any(is_alive) {
        if Instant::now() >= deadline {
            signal("-KILL");
            break;
        }
        thread::sleep(POLL);
    }
}

/// Its failure means that there was nothing to do, or shows in what is left.
fn quietly(command: &mut Command) {
    let _ = sh::quiet_output(command.stdin(Stdio::null()).stderr(Stdio::null()), sh::LOOKUP_LIMIT);
}

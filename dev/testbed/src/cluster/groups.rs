//! The control group of all pods in the cluster. It has its own name, so that pods of another kubelet are not taken for ours.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;

use super::NAMESPACE;

const ROOT: &str = "/sys/fs/cgroup";

/// Creates the group, in every hierarchy of version 1, or in the one of version 2.
pub fn make() -> anyhow::Result<()> {
    for top in tops() {
        let group = top.join(NAMESPACE);
        fs::create_dir_all(&group).with_context(|| format!("can't make the control group `{}`", group.display()))?;
        // In version 1, a new group has no processors until some are assigned.
        for file in ["cpuset.cpus", "cpuset.mems"] {
            let (all, own) = (top.join(file), group.join(file));
            if all.exists() && own.exists() && fs::read_to_string(&own)?.trim().is_empty() {
                fs::write(&own, fs::read_to_string(&all)?.trim())?;
            }
        }
    }
    Ok(())
}

/// Returns the processes in the group.
pub fn processes() -> Vec<i32> {
    let mut pids = Vec::new();
    for group in all() {
        let listed = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
        pids.extend(listed.lines().filter_map(|line| line.parse::<i32>().ok()));
    }
    pids.sort_unstable();
    pids.dedup();
    pids
}

/// Removes the group. Groups in use stay.
pub fn remove() {
    all().into_iter().for_each(|group| drop(fs::remove_dir(group)));
}

fn tops() -> Vec<PathBuf> {
    let root = Path::new(ROOT);
    if root.join("cgroup.controllers").exists() {
        return vec![root.to_path_buf()];
    }
    let entries = fs::read_dir(root).into_iter().flatten().filter_map(Result::ok);
    entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path()).collect()
}

/// Returns the paths of the pods' cgroups and of all cgroups below them, the innermost first.
pub fn all() -> Vec<PathBuf> {
    fn walk(group: PathBuf, found: &mut Vec<PathBuf>) {
        let entries = fs::read_dir(&group).into_iter().flatten().filter_map(Result::ok);
        entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).for_each(|entry| walk(entry.path(), found));
        found.push(group);
    }
    let mut found = Vec::new();
    tops().into_iter().map(|top| top.join(NAMESPACE)).filter(|group| group.is_dir()).for_each(|group| walk(group, &mut found));
    found
}

//! This machine as the planner sees it: one node.

use std::{fs, thread::available_parallelism};

use fltk_cluster::{Amounts, plan::capacity::Node};

use crate::host;

/// Processes that the node takes, whatever they ask for: more than any stream starts.
const PODS: i128 = 1_000_000;

/// A node with this machine's cores and memory, of which nobody else uses any.
#[must_use]
pub fn node() -> Node {
    const NANOS: i128 = 1_000_000_000;
    let cores = available_parallelism().map_or(1, |cores| cores.get() as i128);
    let amounts = Amounts::none().with("cpu", cores * NANOS).with("pods", PODS * NANOS);
    // Where that isn't known, memory holds up nobody.
    let memory_bytes = memory_bytes().unwrap_or(u64::MAX);
    Node {
        name: host::name().unwrap_or_else(|| "local".to_owned()),
        allocatable: amounts.with("memory", i128::from(memory_bytes) * NANOS),
        used: Amounts::none(),
        closed: None,
    }
}

fn memory_bytes() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let kibibytes = text.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok())?;
    Some(kibibytes * 1024)
}

//! This machine as a node for the planner.

use std::{fs, thread::available_parallelism};

use fltk_plan::{Amounts, plan::capacity::Node};

use crate::host;

/// The node's capacity of pods, which are processes here: more than any stream starts.
const PODS: i128 = 1_000_000;

/// Returns a node with this machine's cores and memory, all of which is available to the stream.
#[must_use]
pub fn node() -> Node {
    const NANOS: i128 = 1_000_000_000;
    let cores = available_parallelism().map_or(1, |cores| cores.get() as i128);
    let amounts = Amounts::none().with("cpu", cores * NANOS).with("pods", PODS * NANOS);
    // If the memory isn't known, it limits no job.
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

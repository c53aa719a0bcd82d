//! The machine: its name, and its description for the records.

use fltk_records::Host;

/// Returns a description of this process as the holder of a run's lock, for another process that finds it taken.
#[must_use]
pub fn who() -> String {
    format!("process {} on {}", std::process::id(), name().unwrap_or_else(|| "this machine".to_owned()))
}

/// Returns a short name of this process among those of several machines.
#[must_use]
pub fn process() -> String {
    format!("{}-{}", name().unwrap_or_else(|| "node".to_owned()), std::process::id())
}

/// Returns the machine's name, if it is known.
#[must_use]
pub fn name() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    Some(name.trim().to_owned()).filter(|name| !name.is_empty())
}

/// Returns the properties of this machine, of which nothing computes with libtorch.
#[must_use]
pub fn machine() -> Host {
    Host {
        cpu: cpu_model().unwrap_or_else(|| "unknown".to_owned()),
        cores: std::thread::available_parallelism().map_or(1, |cores| u32::try_from(cores.get()).unwrap_or(u32::MAX)),
        os: os_name().unwrap_or_else(|| std::env::consts::OS.to_owned()),
        libtorch: None,
    }
}

fn cpu_model() -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    text.lines().find_map(|line| Some(line.strip_prefix("model name")?.split_once(':')?.1.trim().to_owned()))
}

fn os_name() -> Option<String> {
    let text = std::fs::read_to_string("/etc/os-release").ok()?;
    text.lines().find_map(|line| Some(line.strip_prefix("PRETTY_NAME=")?.trim_matches('"').to_owned()))
}

//! The machine's name.

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

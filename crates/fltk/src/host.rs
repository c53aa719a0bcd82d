//! The machine, by its name.

/// Who holds a run's lock, for another process that finds it taken.
#[must_use]
pub fn who() -> String {
    format!("process {} on {}", std::process::id(), name().unwrap_or_else(|| "this machine".to_owned()))
}

/// The machine's name.
#[must_use]
pub fn name() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    Some(name.trim().to_owned()).filter(|name| !name.is_empty())
}

//! The description of the machine, for the records: bit-identical results are promised only on the same kind of CPU.

use fltk_records::Host;

/// The version of libtorch; the build refuses any other, see `build.rs`.
const LIBTORCH_VERSION: &str = "2.13.0";

/// The properties of this machine.
#[must_use]
pub fn host() -> Host {
    Host {
        cpu: cpu_model().unwrap_or_else(|| "unknown".to_owned()),
        cores: std::thread::available_parallelism().map_or(1, |cores| u32::try_from(cores.get()).unwrap_or(u32::MAX)),
        os: os_name().unwrap_or_else(|| std::env::consts::OS.to_owned()),
        libtorch: Some(LIBTORCH_VERSION.to_owned()),
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

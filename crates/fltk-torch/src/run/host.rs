//! The description of the machine, for the records: bit-identical results are promised only on the same kind of CPU.

use fltk_records::Host;

/// The version of libtorch; the build refuses any other, see `build.rs`.
const LIBTORCH_VERSION: &str = "2.13.0";

/// The properties of this machine.
#[must_use]
pub fn host() -> Host {
    Host { libtorch: Some(LIBTORCH_VERSION.to_owned()), ..fltk::host::machine() }
}

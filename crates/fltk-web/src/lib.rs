//! Records over HTTP: a server that only reads a folder of runs and streams, and its client.
//!
//! ```text
//! folder ── fltk-records ──> server: JSON, CSV, tar ── HTTP ──> client ──> a table, or copies of folders
//! ```
//!
//! | path | what |
//! |---|---|
//! | `/` | which of the below there are |
//! | `/healthz`, `/readyz` | the process answers; the folder can be listed |
//! | `/api/v1/records` | every run and stream by name, damaged ones too |
//! | `/api/v1/runs`, `/api/v1/runs/{run}` | as `fltk runs list` and `fltk runs show` print in JSON |
//! | `/api/v1/export?format=csv\|json&run=A&run=B` | as `fltk runs export`; all runs when none is named |
//! | `/api/v1/streams`, `/api/v1/streams/{stream}/jobs?format=json\|csv` | as `fltk runs jobs` |
//! | `.../{run or stream}/archive` | the folder as a tar archive |
//! | `.../{run or stream}/files` | sizes and digests of what is in it |
//!
//! Not for: writing anything (but the index of runs, a cache that lies elsewhere), metrics of an orchestrator, TLS (a proxy's work).

pub mod client;
pub mod server;
mod token;

pub use fltk_http::Environment;
pub use token::{Token, TokenError};

/// Header of an export: how many runs were left out because they are damaged.
const SKIPPED_COUNT: &str = "fltk-skipped";
/// Header of an export: their names, separated by commas; at most [`SKIPPED_NAMES_MAX`].
const SKIPPED_NAMES: &str = "fltk-skipped-runs";
/// More names than this make a header too long for proxies.
const SKIPPED_NAMES_MAX: usize = 20;

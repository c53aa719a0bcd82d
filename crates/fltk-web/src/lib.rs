//! Records over HTTP: a read-only server of a folder of runs and streams, its page, and its client.
//!
//! ```text
//! folder ── fltk-records ──> server: JSON, CSV, tar ── HTTP ──> client ──> a table, or copies of folders
//! ```
//!
//! | path | what |
//! |---|---|
//! | `/`, `/assets/{name}` | the page for people, and what it loads |
//! | `/api/v1` | the list of the paths below |
//! | `/healthz`, `/readyz` | the process responds; the folder can be listed |
//! | `/api/v1/records` | every run and stream by name, including damaged ones |
//! | `/api/v1/runs`, `/api/v1/runs/{run}` | the JSON that `fltk runs list` and `fltk runs show` print |
//! | `/api/v1/table` | what a table shows of each run, the settings of all as columns, and the problems of damaged ones |
//! | `/api/v1/runs/{run}/clients` | what every client did in every round |
//! | `/api/v1/compare?run=A&run=B` | the JSON that `fltk runs compare` prints |
//! | `/api/v1/runs/{run}/live?after=STEP` | server-sent events: the rows of a run as they are recorded |
//! | `/api/v1/live`, `/api/v1/streams/{stream}/live` | server-sent events: something has changed |
//! | `/api/v1/export?format=csv\|json&run=A&run=B` | the output of `fltk runs export`; all runs if none is named |
//! | `/api/v1/streams`, `/api/v1/streams/{stream}/jobs?format=json\|csv` | the output of `fltk runs jobs` |
//! | `/api/v1/streams/{stream}/timeline` | what each job did when, and how many waited and ran |
//! | `.../{run or stream}/archive` | the folder as a tar archive |
//! | `.../{run or stream}/files` | sizes and digests of its files |
//!
//! Not for: writing anything (except the index of runs, a cache stored elsewhere), metrics of an orchestrator, TLS (left to a proxy).

pub mod answers;
pub mod client;
pub mod page;
pub mod server;
mod token;

pub use fltk_http::Environment;
pub use token::{Token, TokenError};

/// The header of an export that counts the runs left out because they are damaged.
const SKIPPED_COUNT: &str = "fltk-skipped";
/// The header of an export that names these runs, separated by commas; at most [`SKIPPED_NAMES_MAX`].
const SKIPPED_NAMES: &str = "fltk-skipped-runs";
/// The limit on names in that header: with more, it is too long for proxies.
const SKIPPED_NAMES_MAX: usize = 20;

/// Formats an error and its causes in one line.
fn words(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

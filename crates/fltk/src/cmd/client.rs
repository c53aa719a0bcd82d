//! `fltk client FILE [TASK]`: one rank of a distributed task, or a federated task as a whole. The training needs libtorch; its outcome is
//! reported here.

use std::{env, path::Path};

use crate::{
    cli::{Cli, ClientArgs},
    engine::{Computation, Engine},
    termination::{TERMINATION_LOG, Termination},
};

/// Trains as the rank that the environment names. Writes a report of the outcome if the environment names a file for it.
///
/// # Errors
/// If the task or the environment is wrong, data is missing, another rank is lost, or the run fails.
pub fn run(cli: &Cli, args: &ClientArgs, engine: Engine) -> anyhow::Result<()> {
    let termination = Termination::default();
    let outcome = engine.compute(cli, Computation::Client { args, termination: &termination });
    if let Some(path) = env::var_os(TERMINATION_LOG).filter(|path| !path.is_empty()) {
        termination.write(Path::new(&path), &outcome);
    }
    outcome
}

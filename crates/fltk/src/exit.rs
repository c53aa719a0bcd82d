//! Exit codes: the table that `fltk --help` prints, as an API for scripts.

use std::fmt;

use fltk_core::termination::{EXIT_DATA, EXIT_LOST_RANK, EXIT_RECORDS};

/// The kind of failure that ends the program. The numbers are part of the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// An error that is none of the others.
    General = 1,
    /// The command line, or a variable of the environment that adds to it, is wrong.
    CommandLine = 2,
    /// An experiment file is wrong.
    Experiment = 3,
    /// Data is missing, damaged or can't be fetched.
    Data = EXIT_DATA as isize,
    /// A run, or a job of a stream, failed.
    Run = 5,
    /// A run's folder is missing, damaged or in use.
    Records = EXIT_RECORDS as isize,
    /// Another rank of a distributed run was lost, or never came; or no federator answers a node.
    Ranks = EXIT_LOST_RANK as isize,
    /// The cluster doesn't answer, or lacks what a stream needs.
    Cluster = 8,
    /// Interrupted by a signal.
    Interrupted = 130,
}

/// The exit code that a shell reports for a program that was ended by SIGPIPE: the reader closed the output, and no message is printed.
pub const OUTPUT_CLOSED: u8 = 141;

/// An error together with the exit code it leads to.
#[derive(Debug)]
struct Coded {
    exit: Exit,
    error: anyhow::Error,
}

impl fmt::Display for Coded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.error, f)
    }
}

impl std::error::Error for Coded {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error.source()
    }
}

/// Gives an error its exit code.
pub trait OrExit<T> {
    /// Attaches the exit code `exit` to the error.
    fn or_exit(self, exit: Exit) -> anyhow::Result<T>;
}

impl<T, E: Into<anyhow::Error>> OrExit<T> for Result<T, E> {
    fn or_exit(self, exit: Exit) -> anyhow::Result<T> {
        self.map_err(|error| anyhow::Error::new(Coded { exit, error: error.into() }))
    }
}

/// Returns an error that ends the program with `exit`.
pub fn failure(exit: Exit, message: impl fmt::Display + fmt::Debug + Send + Sync + 'static) -> anyhow::Error {
    anyhow::Error::new(Coded { exit, error: anyhow::Error::msg(message) })
}

/// Returns the exit code that `error` leads to.
pub fn code(error: &anyhow::Error) -> Exit {
    error.downcast_ref::<Coded>().map_or(Exit::General, |coded| coded.exit)
}

/// Returns the program's numeric exit status for `error`.
pub fn status(error: &anyhow::Error) -> u8 {
    let output_closed = error.chain().any(|cause| {
        let kind = match (cause.downcast_ref::<std::io::Error>(), cause.downcast_ref::<serde_json::Error>()) {
            (Some(error), _) => Some(error.kind()),
            (_, Some(error)) => error.io_error_kind(),
            (None, None) => None,
        };
        kind == Some(std::io::ErrorKind::BrokenPipe)
    });
    if output_closed { OUTPUT_CLOSED } else { code(error) as u8 }
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[test]
    fn exit_code_survives_added_context() {
        let error = failure(Exit::Data, "no such file");
        assert_eq!(code(&error), Exit::Data);
        let error = Err::<(), _>(error).context("while loading").unwrap_err();
        assert_eq!(code(&error), Exit::Data);
        assert_eq!(format!("{error:#}"), "while loading: no such file");
        assert_eq!(status(&error), 4);
        assert_eq!(code(&anyhow::anyhow!("plain")), Exit::General);
    }

    #[test]
    fn closed_output_is_recognized() {
        let closed = std::io::Error::from(std::io::ErrorKind::BrokenPipe);
        assert_eq!(status(&anyhow::Error::new(closed).context("while printing")), OUTPUT_CLOSED);
        assert_eq!(status(&anyhow::Error::new(std::io::Error::from(std::io::ErrorKind::NotFound))), 1);
    }
}

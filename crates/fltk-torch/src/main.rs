//! The program `fltk-torch`: all of `fltk`, with libtorch. `fltk` becomes it for the commands that compute; by itself it does the others too.

mod cmd;
mod run;

use std::process::ExitCode;

fn main() -> ExitCode {
    fltk::main(fltk::Engine::Here(cmd::compute))
}

//! The program `fltk`: everything except for the computation, for which it becomes the program `fltk-torch`.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(fltk::main(fltk::Engine::Beside))
}

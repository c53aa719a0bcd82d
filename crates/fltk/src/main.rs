//! The program `fltk`: all but what computes, for which it becomes the program `fltk-torch`.

use std::process::ExitCode;

fn main() -> ExitCode {
    fltk::main(fltk::Engine::Beside)
}

//! The program `fltk-torch`: all of `fltk`, with libtorch. `fltk` execs it for the commands that compute; started directly, it runs all other commands too.

mod cmd;
mod run;

fn main() {
    fltk_train::exit(fltk::main(fltk::Engine::Here(cmd::compute)))
}

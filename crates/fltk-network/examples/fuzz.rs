//! Passes generated inputs to the decoder and the hub: `fuzz INPUTS SEED`. `cargo xtask fuzz` starts it.
//!
//! A panic ends it: the state that it leaves behind says nothing about the inputs after it.

use std::{
    cell::Cell,
    io::{IsTerminal as _, Write as _},
    panic::{AssertUnwindSafe, catch_unwind},
    process::ExitCode,
    time::{Duration, Instant},
};

/// The interval of progress on a terminal, and elsewhere, where each is a line.
const ON_TERMINAL: Duration = Duration::from_millis(200);
const ELSEWHERE: Duration = Duration::from_secs(5);

/// The inputs between two looks at the clock, which takes as long as some inputs do.
const LOOK_EVERY: u64 = 1024;

fn main() -> ExitCode {
    let arguments: Vec<Option<u64>> = std::env::args().skip(1).map(|argument| argument.parse().ok()).collect();
    let [Some(inputs), Some(seed)] = arguments[..] else {
        eprintln!("usage: fuzz INPUTS SEED");
        return ExitCode::from(2);
    };
    let (began, num_over) = (Instant::now(), Cell::new(0));
    let mut progress = Progress::new();
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        fltk_network::fuzz::run(seed, inputs, &mut |over| {
            num_over.set(over);
            progress.look(over, inputs);
        });
    }));
    progress.end();
    // The input that panicked counts too.
    let num_panics = u64::from(outcome.is_err());
    let num_inputs = num_over.get() + num_panics;
    if num_panics > 0 {
        eprintln!(
            "input {num_inputs} of seed {seed} panicked\nhint: `cargo xtask fuzz --inputs {num_inputs} --seed {seed}` finds it again"
        );
    }
    println!("{num_inputs} inputs of seed {seed}, {num_panics} panics, {} inputs/s", per_second(num_inputs, began.elapsed()));
    ExitCode::from(u8::from(num_panics > 0))
}

fn per_second(num_inputs: u64, elapsed: Duration) -> u64 {
    let micros = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX).max(1);
    num_inputs.saturating_mul(1_000_000) / micros
}

/// The progress that is shown.
struct Progress {
    is_terminal: bool,
    shown: Instant,
    is_line_open: bool,
}

impl Progress {
    fn new() -> Self {
        Self { is_terminal: std::io::stderr().is_terminal(), shown: Instant::now(), is_line_open: false }
    }

    fn look(&mut self, over: u64, inputs: u64) {
        let interval = if self.is_terminal { ON_TERMINAL } else { ELSEWHERE };
        if !over.is_multiple_of(LOOK_EVERY) || self.shown.elapsed() < interval {
            return;
        }
        self.shown = Instant::now();
        let text = format!("{over} of {inputs} inputs, {} %", over.saturating_mul(100) / inputs.max(1));
        // If it can't be shown, nobody misses it.
        let _ = if self.is_terminal { write!(std::io::stderr(), "\r{text}") } else { writeln!(std::io::stderr(), "{text}") };
        self.is_line_open = self.is_terminal;
    }

    fn end(&mut self) {
        if std::mem::take(&mut self.is_line_open) {
            let _ = writeln!(std::io::stderr());
        }
    }
}

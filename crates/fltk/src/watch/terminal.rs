//! The terminal that a screen is drawn on. However the program ends, the terminal is as it was before.

use std::{
    io::{self, IsTerminal as _},
    panic,
    sync::{
        Arc, Once,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use ratatui::{
    Terminal as Screen,
    backend::CrosstermBackend,
    buffer::Buffer,
    crossterm::{
        cursor,
        event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers},
        execute, terminal,
    },
    layout::Rect,
};
use rustix::event::{PollFd, PollFlags, Timespec};
use signal_hook::{
    consts::{SIGINT, SIGTERM},
    flag,
};

use super::screen::Key;
use crate::output;

/// A terminal in which lines aren't kept and keys aren't echoed, until it is dropped.
pub struct Terminal {
    screen: Screen<CrosstermBackend<io::Stdout>>,
    stopped: Arc<AtomicBool>,
    /// True if keys come from standard input, and not from the terminal by its own name.
    reads_input: bool,
}

/// An outcome of waiting for a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happened {
    /// Nothing.
    Nothing,
    /// A key was pressed that means something.
    Pressed(Key),
    /// The terminal has another size.
    Resized,
    /// The program is asked to stop.
    Interrupted,
}

impl Terminal {
    /// Takes the terminal.
    ///
    /// # Errors
    /// If standard output isn't a terminal, or it can't be set up.
    pub fn take() -> anyhow::Result<Self> {
        let stopped = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            // Seen at the next look, so that the terminal is given back. A terminal that hangs up can't be: SIGHUP ends the program.
            flag::register(signal, Arc::clone(&stopped))?;
        }
        give_back_on_panic();
        // Made first: from here on, an error gives the terminal back.
        let reads_input = io::stdin().is_terminal();
        let taken = Self { screen: Screen::new(CrosstermBackend::new(output::screen()))?, stopped, reads_input };
        terminal::enable_raw_mode()?;
        execute!(output::screen(), terminal::EnterAlternateScreen, cursor::Hide)?;
        Ok(taken)
    }

    /// Returns the size of the terminal.
    ///
    /// # Errors
    /// If it isn't known.
    pub fn area(&self) -> io::Result<Rect> {
        let size = self.screen.size()?;
        Ok(Rect::new(0, 0, size.width, size.height))
    }

    /// Draws a screen with `draw`, and writes what differs from the one before.
    ///
    /// # Errors
    /// If the terminal can't be written.
    pub fn draw(&mut self, draw: impl FnOnce(Rect, &mut Buffer)) -> io::Result<()> {
        self.screen.draw(|frame| draw(frame.area(), frame.buffer_mut())).map(drop)
    }

    /// Waits until something happens, at most for `time`.
    ///
    /// # Errors
    /// If the terminal can't be read.
    pub fn wait(&self, time: Duration) -> io::Result<Happened> {
        if self.reads_input && has_hung_up() {
            return Ok(Happened::Interrupted);
        }
        let is_there = match event::poll(time) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => false,
            polled => polled?,
        };
        if self.stopped.load(Ordering::Relaxed) {
            return Ok(Happened::Interrupted);
        }
        if !is_there {
            return Ok(Happened::Nothing);
        }
        Ok(match event::read()? {
            Event::Resize(..) => Happened::Resized,
            Event::Key(KeyEvent { kind: KeyEventKind::Press | KeyEventKind::Repeat, code, modifiers, .. }) => pressed(code, modifiers),
            _ => Happened::Nothing,
        })
    }
}

/// Returns true if nobody is at the terminal any more, as after a lost connection: waiting for a key would then never end.
fn has_hung_up() -> bool {
    let input = io::stdin();
    let mut looked = [PollFd::new(&input, PollFlags::IN)];
    let now = Timespec::default();
    let gone = PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL;
    rustix::event::poll(&mut looked, Some(&now)).is_ok() && looked[0].revents().intersects(gone)
}

fn pressed(code: KeyCode, modifiers: KeyModifiers) -> Happened {
    let key = match code {
        KeyCode::Char('c' | 'd') if modifiers.contains(KeyModifiers::CONTROL) => return Happened::Interrupted,
        _ if modifiers.intersects(KeyModifiers::CONTROL | KeyModifiers::ALT) => return Happened::Nothing,
        KeyCode::Up | KeyCode::Char('k') => Key::Up,
        KeyCode::Down | KeyCode::Char('j') => Key::Down,
        KeyCode::Left | KeyCode::Char('h') => Key::Left,
        KeyCode::Right | KeyCode::Char('l') => Key::Right,
        KeyCode::PageUp => Key::PageUp,
        KeyCode::PageDown | KeyCode::Char(' ') => Key::PageDown,
        KeyCode::Home | KeyCode::Char('g') => Key::Home,
        KeyCode::End | KeyCode::Char('G') => Key::End,
        KeyCode::Enter => Key::Enter,
        KeyCode::Esc | KeyCode::Backspace => Key::Escape,
        KeyCode::Tab => Key::Tab,
        KeyCode::Char('?') | KeyCode::F(1) => Key::Help,
        KeyCode::Char('q' | 'Q') => Key::Quit,
        _ => return Happened::Nothing,
    };
    Happened::Pressed(key)
}

impl Drop for Terminal {
    fn drop(&mut self) {
        give_back();
    }
}

/// Makes the terminal what it was. What can't be written can't be helped.
fn give_back() {
    let _ = execute!(output::screen(), terminal::LeaveAlternateScreen, cursor::Show);
    let _ = terminal::disable_raw_mode();
}

/// Has a panic give the terminal back before its message is written.
fn give_back_on_panic() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |panicked| {
            give_back();
            before(panicked);
        }));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_mean_what_they_say() {
        let check = |code: KeyCode, modifiers: KeyModifiers, expected: Happened| assert_eq!(pressed(code, modifiers), expected, "{code:?}");
        check(KeyCode::Char('c'), KeyModifiers::CONTROL, Happened::Interrupted);
        check(KeyCode::Char('c'), KeyModifiers::NONE, Happened::Nothing);
        check(KeyCode::Char('z'), KeyModifiers::CONTROL, Happened::Nothing);
        check(KeyCode::Char('q'), KeyModifiers::NONE, Happened::Pressed(Key::Quit));
        check(KeyCode::Char('G'), KeyModifiers::SHIFT, Happened::Pressed(Key::End));
        check(KeyCode::Esc, KeyModifiers::NONE, Happened::Pressed(Key::Escape));
    }
}

//! The looks of a screen: colors, and characters that every terminal has.

use fltk_core::terminal;
use fltk_records::history::Status;
use ratatui::{
    buffer::Buffer,
    style::{Color, Modifier, Style},
};

/// The characters and colors that the terminal can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// True if it shows more than ASCII.
    pub is_unicode: bool,
    /// True if colors are wanted.
    pub has_colors: bool,
}

/// The colors of the curves of one chart.
const CURVES: [Color; 6] = [Color::Cyan, Color::Yellow, Color::Magenta, Color::Green, Color::Blue, Color::Red];

/// Returns the style of the curve at this position in its chart.
pub fn curve(at: usize) -> Style {
    Style::new().fg(CURVES[at % CURVES.len()])
}

/// Returns the style of a title.
pub fn title() -> Style {
    Style::new().add_modifier(Modifier::BOLD)
}

/// Returns the style of what is less important.
pub fn faint() -> Style {
    Style::new().add_modifier(Modifier::DIM)
}

/// Returns the style of a bar of progress.
pub fn bar() -> Style {
    Style::new().fg(Color::Cyan)
}

/// Returns the style of a status.
pub fn status(status: Status) -> Style {
    let color = match status {
        Status::Running => Color::Cyan,
        Status::Finished => Color::Green,
        Status::Failed => Color::Red,
        Status::Interrupted => Color::Yellow,
    };
    Style::new().fg(color).add_modifier(Modifier::BOLD)
}

/// Returns the style of the state of a job.
pub fn state(name: &str) -> Style {
    match name {
        "succeeded" => Style::new().fg(Color::Green),
        "failed" | "deleted" => Style::new().fg(Color::Red),
        "running" | "starting" | "admitted" => Style::new().fg(Color::Cyan),
        "waiting" | "held" | "suspending" => Style::new().fg(Color::Yellow),
        _ => faint(),
    }
}

impl Look {
    /// Makes the cells of `buffer` ones that the terminal shows as they are.
    pub fn apply(self, buffer: &mut Buffer) {
        for cell in &mut buffer.content {
            // All texts are plain already: this is the last line of defense.
            if !cell.symbol().chars().all(terminal::is_plain) {
                cell.set_symbol("?");
            }
            if !self.has_colors {
                cell.set_fg(Color::Reset).set_bg(Color::Reset);
            }
            if !self.is_unicode
                && let Some(plain) = cell.symbol().chars().next().filter(|c| !c.is_ascii()).map(ascii)
            {
                cell.set_char(plain);
            }
        }
    }
}

/// Returns the character that stands for `c` where only ASCII can be shown.
fn ascii(c: char) -> char {
    match c {
        '─' | '━' => '-',
        '│' | '┃' => '|',
        '┌' | '┐' | '└' | '┘' | '├' | '┤' | '┬' | '┴' | '┼' | '╭' | '╮' | '╰' | '╯' => '+',
        '█' | '▓' | '▒' => '#',
        '░' => '.',
        '·' | '…' => '.',
        '\u{2800}' => ' ',
        '\u{2801}'..='\u{28ff}' | '•' => '*',
        '↑' => '^',
        '↓' => 'v',
        '←' => '<',
        '→' => '>',
        '▁' => '_',
        '▂'..='▇' => '=',
        _ => '?',
    }
}

#[cfg(test)]
mod tests {
    use ratatui::layout::Rect;

    use super::*;

    #[test]
    fn cells_are_what_the_terminal_can_show() {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 5, 1));
        buffer.set_string(0, 0, "é│⣿█", Style::new().fg(Color::Red));
        buffer[(4, 0)].set_symbol("\u{1b}[2J");
        let shown = |buffer: &Buffer| buffer.content.iter().map(|cell| cell.symbol()).collect::<String>();
        Look { is_unicode: true, has_colors: true }.apply(&mut buffer);
        assert_eq!((shown(&buffer), buffer[(0, 0)].fg), ("é│⣿█?".to_owned(), Color::Red));
        Look { is_unicode: false, has_colors: false }.apply(&mut buffer);
        assert_eq!((shown(&buffer), buffer[(0, 0)].fg), ("?|*#?".to_owned(), Color::Reset));
    }
}

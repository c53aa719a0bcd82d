//! The choice of what a person sees, and how keys change it.

use super::{grid::keep_in_sight, view::View};

/// A key that means something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// One row up.
    Up,
    /// One row down.
    Down,
    /// The curves before.
    Left,
    /// The next curves.
    Right,
    /// A screen of rows up.
    PageUp,
    /// A screen of rows down.
    PageDown,
    /// The first row.
    Home,
    /// The last row.
    End,
    /// Opens what is selected.
    Enter,
    /// Goes back.
    Escape,
    /// The next table.
    Tab,
    /// Shows the keys, or hides them.
    Help,
    /// Ends the program.
    Quit,
}

/// A request of a key to whoever has the files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Nothing: the screen has changed, or not.
    Nothing,
    /// The run of this job is to be opened.
    Open(String),
    /// A request to show again what was watched before.
    Back,
    /// The program is to end.
    Quit,
}

/// The choices of a person.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Screen {
    /// True while the keys are shown.
    pub is_help: bool,
    /// True if there is something to go back to.
    pub is_within: bool,
    /// The number of the first chart in sight.
    pub chart: usize,
    /// The number of the table of a run that is shown.
    pub table: usize,
    /// The first row in sight.
    pub first: usize,
    /// The job that is selected; it stays so wherever its row moves.
    pub selected: Option<String>,
    /// A sentence to be said, such as why a job can't be opened.
    pub notice: Option<String>,
}

impl Screen {
    /// Returns the screen of something that was opened from another one.
    #[must_use]
    pub fn within() -> Self {
        Self { is_within: true, ..Self::default() }
    }

    /// Takes in a key. `rows` is how many rows of a table are in sight.
    pub fn press(&mut self, key: Key, view: &View, rows: usize) -> Asked {
        self.notice = None;
        if self.is_help && key != Key::Quit {
            self.is_help = false;
            return Asked::Nothing;
        }
        let charts = match view {
            View::Run(run) => run.charts.len(),
            View::Stream(stream) => stream.charts.len(),
        };
        match key {
            Key::Quit => return Asked::Quit,
            Key::Escape if self.is_within => return Asked::Back,
            Key::Escape => {}
            Key::Help => self.is_help = true,
            Key::Right => self.chart = (self.chart + 1) % charts.max(1),
            Key::Left => self.chart = (self.chart + charts.max(1) - 1) % charts.max(1),
            Key::Tab => {
                if let View::Run(run) = view {
                    (self.table, self.first) = ((self.table + 1) % run.tables.len().max(1), 0);
                }
            }
            Key::Enter => {
                if let (View::Stream(_), Some(job)) = (view, &self.selected) {
                    return Asked::Open(job.clone());
                }
            }
            Key::Up => self.scroll(view, rows, |row, _| row.saturating_sub(1)),
            Key::Down => self.scroll(view, rows, |row, _| row + 1),
            Key::PageUp => self.scroll(view, rows, |row, page| row.saturating_sub(page)),
            Key::PageDown => self.scroll(view, rows, |row, page| row + page),
            Key::Home => self.scroll(view, rows, |_, _| 0),
            Key::End => self.scroll(view, rows, |_, _| usize::MAX / 2),
        }
        Asked::Nothing
    }

    /// Moves to the row that `to` says, given the present one and the rows in sight: the selected job of a stream, or the first row of a run's table.
    fn scroll(&mut self, view: &View, rows: usize, to: fn(usize, usize) -> usize) {
        let page = rows.saturating_sub(1).max(1);
        match view {
            View::Run(_) => self.first = to(self.first, page),
            View::Stream(stream) => {
                let row = to(self.row(view).unwrap_or(0), page).min(stream.jobs.len().saturating_sub(1));
                self.selected = stream.jobs.get(row).map(|job| job.job.clone());
            }
        }
        self.settle(view, rows);
    }

    /// Takes in that what is watched has changed: the selected job stays in sight.
    pub fn settle(&mut self, view: &View, rows: usize) {
        match view {
            View::Run(run) => {
                self.table = self.table.min(run.tables.len().saturating_sub(1));
                let all = run.tables.get(self.table).map_or(0, |(_, table)| table.rows.len());
                self.first = self.first.min(all.saturating_sub(rows));
            }
            View::Stream(stream) => {
                if self.row(view).is_none() {
                    self.selected = stream.jobs.first().map(|job| job.job.clone());
                }
                self.first = keep_in_sight(self.first, self.row(view).unwrap_or(0), stream.jobs.len(), rows);
            }
        }
    }

    /// Returns the row of the selected job.
    #[must_use]
    pub fn row(&self, view: &View) -> Option<usize> {
        let View::Stream(stream) = view else { return None };
        let selected = self.selected.as_ref()?;
        stream.jobs.iter().position(|job| job.job == *selected)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::draw::tests::{run_view, stream_view};

    #[test]
    fn selected_job_stays_selected_when_rows_move() {
        let (mut screen, mut view) = (Screen::default(), View::Stream(Box::new(stream_view(20))));
        screen.settle(&view, 5);
        assert_eq!((screen.row(&view), screen.first), (Some(0), 0));
        screen.press(Key::PageDown, &view, 5);
        screen.press(Key::Down, &view, 5);
        assert_eq!((screen.row(&view), screen.first), (Some(5), 1));
        let selected = screen.selected.clone().unwrap();
        if let View::Stream(stream) = &mut view {
            stream.jobs.rotate_left(5);
        }
        screen.settle(&view, 5);
        assert_eq!((screen.row(&view), screen.first), (Some(0), 0));
        assert_eq!(screen.press(Key::Enter, &view, 5), Asked::Open(selected));
        screen.press(Key::End, &view, 5);
        assert_eq!((screen.row(&view), screen.first), (Some(19), 15));
        screen.press(Key::Home, &view, 5);
        assert_eq!((screen.row(&view), screen.first), (Some(0), 0));
        if let View::Stream(stream) = &mut view {
            stream.jobs.clear();
        }
        screen.settle(&view, 5);
        assert_eq!((screen.selected.clone(), screen.press(Key::Enter, &view, 5)), (None, Asked::Nothing));
    }

    #[test]
    fn keys_of_a_run_scroll_and_choose() {
        let (mut screen, view) = (Screen::within(), View::Run(Box::new(run_view(30))));
        screen.press(Key::End, &view, 10);
        assert_eq!(screen.first, 21, "31 rows, round 0 among them");
        assert_eq!((screen.press(Key::Tab, &view, 10), screen.table, screen.first), (Asked::Nothing, 1, 0));
        screen.press(Key::Left, &view, 10);
        assert_eq!(screen.chart, 1);
        screen.press(Key::Right, &view, 10);
        assert_eq!(screen.chart, 0);
        screen.press(Key::Help, &view, 10);
        assert_eq!((screen.is_help, screen.press(Key::Escape, &view, 10), screen.is_help), (true, Asked::Nothing, false));
        assert_eq!(screen.press(Key::Escape, &view, 10), Asked::Back);
        assert_eq!(Screen::default().press(Key::Escape, &view, 10), Asked::Nothing, "there is nothing to go back to");
        assert_eq!(screen.press(Key::Quit, &view, 10), Asked::Quit);
    }
}

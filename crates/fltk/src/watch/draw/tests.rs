//! Screens of runs and streams of any size, drawn and compared.

use fltk_core::terminal::is_plain;
use fltk_records::history::Status;
use ratatui::{Terminal, backend::TestBackend};

use super::*;
use crate::watch::{
    grid::{Column, Grid},
    view::{Along, Chart, Curve, JobView, Progress, RunView, StreamView},
};

fn progress(words: &str) -> Progress {
    let rate = "1.3 s/round".to_owned();
    Progress { words: words.to_owned(), part: Some(0.4), rate, left: Some(50.0), elapsed: 26.0, quiet: None }
}

/// A run of so many rounds, and its initial model.
pub fn run_view(rounds: u32) -> RunView {
    let curve = |name: &str, of: fn(f64) -> f64| Curve::new(name, (0..=rounds).map(|round| (f64::from(round), of(f64::from(round)))));
    let chart = |title: &str, curves| Chart { title: title.to_owned(), curves, along: Along::Steps("round") };
    let columns = vec![Column::number("round", 0), Column::number("accuracy", 1), Column::number("loss", 2), Column::number("took", 3)];
    let rows =
        (0..=rounds).rev().map(|round| vec![round.to_string(), format!("0.{round:04}"), "1.2345".to_owned(), "0.7 s".to_owned()]).collect();
    let clients =
        Grid { columns: vec![Column::number("client", 0), Column::text("", 1, 40)], rows: vec![vec!["7".into(), "was late".into()]] };
    RunView {
        name: "quickstart-20260102-030405-1a2b3c4d".to_owned(),
        about: "mnist, federated, LeNet5 on mnist, seed 1".to_owned(),
        status: Status::Running,
        failure: None,
        progress: progress("round 20 of 50"),
        figures: vec![("accuracy".to_owned(), "0.8123".to_owned()), ("loss".to_owned(), "0.5432".to_owned())],
        charts: vec![
            chart("accuracy", vec![curve("", |round| 1.0 - 0.9 / (1.0 + round))]),
            chart("loss", vec![curve("test", |round| 2.3 / (1.0 + round)), curve("train", |round| 2.0 / (1.0 + round))]),
        ],
        tables: vec![("last steps", Grid { columns, rows }), ("clients", clients)],
        absences: "3 were late".to_owned(),
    }
}

/// A stream of so many jobs, of which each third waits.
pub fn stream_view(jobs: usize) -> StreamView {
    let state = |at: usize| if at.is_multiple_of(3) { "waiting" } else { "running" };
    let columns = vec![Column::text("job", 0, 8), Column::text("task", 1, 24), Column::states("state", 11), Column::number("waited", 3)];
    let rows = (0..jobs).map(|at| vec![format!("{at:08x}"), "small".to_owned(), state(at).to_owned(), "12 s".to_owned()]).collect();
    let points = [(0.0, 0.0), (0.0, 2.0), (30.0, 2.0), (30.0, 1.0), (60.0, 1.0)];
    StreamView {
        name: "stream-20260101-120000-1a2b".to_owned(),
        about: "stream, policy fifo".to_owned(),
        status: Status::Running,
        progress: progress("5 of 12 jobs are over"),
        states: vec![("to come", 4), ("waiting", 1), ("running", 2), ("succeeded", 5)],
        next: "12 s".to_owned(),
        charts: vec![Chart {
            title: "jobs".to_owned(),
            curves: vec![Curve::new("waiting", points.into_iter()), Curve::new("running", points.into_iter())],
            along: Along::Seconds,
        }],
        jobs: (0..jobs)
            .map(|at| JobView { job: format!("{at:016x}"), words: "it waits: 2 jobs run, and no more may".to_owned() })
            .collect(),
        table: Grid { columns, rows },
    }
}

/// Draws through ratatui's own test terminal, and returns the lines.
fn lines(view: &View, screen: &Screen, width: u16, height: u16) -> Vec<String> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    let look = Look { is_unicode: true, has_colors: true };
    terminal.draw(|frame| draw(view, screen, look, frame.area(), frame.buffer_mut())).unwrap();
    let buffer = terminal.backend().buffer();
    let line = |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned();
    (0..height).map(line).collect()
}

#[test]
fn screens_have_their_parts_at_usual_sizes() {
    let run = View::Run(Box::new(run_view(50)));
    let mut stream_screen = Screen::default();
    let stream = View::Stream(Box::new(stream_view(30)));
    stream_screen.settle(&stream, 5);
    for (width, height) in [(60, 20), (80, 24), (120, 40), (200, 60)] {
        let text = lines(&run, &Screen::default(), width, height).join("\n");
        for words in [
            "quickstart-20260102-030405-1a2b3c4d",
            "running",
            "round 20 of 50",
            "50 s left",
            "accuracy 0.8123",
            "3 were late",
            "last steps (51)",
            "q quit",
            "█",
        ] {
            assert!(text.contains(words), "{width}x{height}: no `{words}` in\n{text}");
        }
        assert_eq!(text.contains("━ train"), width >= 80, "the second chart\n{text}");
        assert_eq!(text.contains("was late"), width >= 120, "the second table\n{text}");
        let text = lines(&stream, &stream_screen, width, height).join("\n");
        for words in [
            "stream-20260101",
            "5 of 12 jobs are over",
            "50 s left",
            "to come 4",
            "waiting 1",
            "━ waiting",
            "jobs that have arrived (30)",
            "0000000000000000: it waits: 2 jobs run",
            "enter open",
        ] {
            assert!(text.contains(words), "{width}x{height}: no `{words}` in\n{text}");
        }
    }
}

#[test]
fn screens_of_any_size_are_drawn() {
    let screens = [
        Screen::default(),
        Screen { is_help: true, notice: Some("it isn't here".to_owned()), first: 500, chart: 7, table: 9, ..Screen::within() },
    ];
    let empty_run =
        RunView { charts: Vec::new(), tables: Vec::new(), figures: Vec::new(), failure: Some("it diverged".to_owned()), ..run_view(0) };
    let views = [
        View::Run(Box::new(run_view(3))),
        View::Run(Box::new(empty_run)),
        View::Stream(Box::new(stream_view(3))),
        View::Stream(Box::new(stream_view(0))),
    ];
    for view in &views {
        for screen in &screens {
            for (width, height) in [(1, 1), (39, 30), (40, 9), (40, 10), (41, 11), (60, 12), (80, 13), (300, 14), (80, 200)] {
                let mut screen = screen.clone();
                screen.settle(view, rows_in_sight(view, Rect::new(0, 0, width, height)));
                lines(view, &screen, width, height);
            }
        }
    }
    assert!(lines(&views[0], &screens[0], 39, 30).join(" ").contains("the terminal is too small"));
    let help = lines(&views[0], &screens[1], 80, 24).join("\n");
    assert!(help.contains("keys") && help.contains("open the run of a job") && help.contains("it isn't here"), "{help}");
}

#[test]
fn hostile_texts_are_cells_of_plain_text() {
    let hostile = "x\u{1b}[2J\u{9b}2J\u{1b}]0;t\u{7}\r\u{202e}y";
    let mut run = run_view(3);
    // Views have plain texts; even if they had not, nothing else would be drawn.
    (run.name, run.about, run.failure) = (hostile.to_owned(), hostile.to_owned(), Some(hostile.to_owned()));
    run.tables[0].1.rows[0][0] = hostile.to_owned();
    run.charts[0].title = hostile.to_owned();
    let text = lines(&View::Run(Box::new(run)), &Screen::default(), 100, 30).concat();
    assert!(text.chars().all(is_plain) && !text.contains('\u{202e}'), "{text:?}");
}

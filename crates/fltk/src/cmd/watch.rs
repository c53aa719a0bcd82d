//! `fltk watch`: a live screen of a run or a stream.

use std::{
    env,
    path::Path,
    time::{Duration, Instant},
};

use fltk_records::{
    FollowedRun, RunError, RunFolder, StreamFolder,
    history::Status,
    index::{self, Filter, Sort},
    stream_folder::StreamListing,
};
use jiff::Timestamp;
use ratatui::{buffer::Buffer, crossterm, layout::Rect};

use super::runs;
use crate::{
    cli::{Cli, Output, WatchArgs},
    exit::{Exit, OrExit as _, failure},
    inputs, locale, output,
    watch::{
        Asked, Look, Screen, View, draw, rows_in_sight,
        source::{Source, StreamSource},
        terminal::{Happened, Terminal},
    },
    work::Work,
};

/// The time between two looks at the files.
const READ_EVERY: Duration = Duration::from_millis(500);
/// The time after which the screen is drawn again although nothing has changed: times pass.
const DRAW_EVERY: Duration = Duration::from_secs(1);
/// The longest wait for a key.
const WAIT_MAX: Duration = Duration::from_millis(250);
/// The size of a screen that is printed elsewhere than on a terminal, in columns and lines, unless `COLUMNS` and `LINES` say another.
const PRINTED: (u16, u16) = (100, 30);
/// The most columns and lines of such a screen.
const SIDE_MAX: u16 = 1000;

/// Watches what `args` name, until a key ends it.
///
/// # Errors
/// If the records can't be read, standard output isn't a terminal, or a signal ends it.
pub fn run(cli: &Cli, args: &WatchArgs) -> anyhow::Result<()> {
    if cli.output == Output::Json {
        let message =
            "a screen isn't JSON\nhint: `fltk runs show RUN --output json` and `fltk runs jobs STREAM --output json` have the figures";
        return Err(failure(Exit::CommandLine, message));
    }
    let is_terminal = output::is_terminal() && env::var("TERM").is_ok_and(|term| term != "dumb");
    if !args.once && !is_terminal {
        let message = "standard output isn't a terminal that a screen can be drawn on\nhint: `--once` prints one screen as text; `fltk runs show RUN` prints all figures";
        return Err(failure(Exit::CommandLine, message));
    }
    let work = Work::wait("reading the records");
    let source = open(&args.runs.runs, args.named.as_deref())?;
    drop(work);
    if args.once { once(&source, is_terminal) } else { watch(source, &args.runs.runs) }
}

/// Opens what a person named; without a name, the newest that is running, or else the newest.
fn open(root: &Path, named: Option<&Path>) -> anyhow::Result<Source> {
    let Some(named) = named else { return open_newest(root) };
    match StreamFolder::find(root, named) {
        Ok(folder) => stream(folder),
        Err(RunError::NotAStream { .. }) => run_in(runs::one(root, named)?),
        Err(error) => Err(error).or_exit(Exit::Records),
    }
}

fn open_newest(root: &Path) -> anyhow::Result<Source> {
    let all = index::list(root, inputs::indexes().as_deref(), &Filter::default(), Sort::Newest).or_exit(Exit::Records)?.runs;
    let streams = StreamListing::of(root).or_exit(Exit::Records)?.streams;
    let is_running = |status: Status| status == Status::Running;
    let run = all.iter().find(|run| is_running(run.status)).or_else(|| all.first());
    let newest = streams.iter().max_by_key(|stream| (stream.is_orchestrated, stream.started_at));
    let (run, newest) = match (run, newest) {
        (None, None) => {
            let message =
                format!("there are no runs in `{}`\nhint: `fltk run FILE` makes one; `--runs` names another folder", root.display());
            return Err(failure(Exit::Records, message));
        }
        (None, Some(newest)) => return stream(StreamFolder::find(root, Path::new(&newest.stream)).or_exit(Exit::Records)?),
        (Some(run), newest) => (run, newest),
    };
    let folder = RunFolder::open(&run.path).or_exit(Exit::Records)?;
    // A job's run is newer than its stream, which shows it too.
    let is_of = |stream: &str| {
        let name = folder.description().group_name.as_deref();
        name.and_then(|name| name.strip_prefix(stream)).is_some_and(|rest| rest.starts_with('-'))
    };
    match newest {
        Some(newest) if is_of(&newest.stream) || (newest.is_orchestrated, newest.started_at) > (is_running(run.status), run.started_at) => {
            stream(StreamFolder::find(root, Path::new(&newest.stream)).or_exit(Exit::Records)?)
        }
        _ => run_in(folder),
    }
}

fn run_in(folder: RunFolder) -> anyhow::Result<Source> {
    Ok(Source::Run(Box::new(FollowedRun::open(folder).or_exit(Exit::Records)?)))
}

fn stream(folder: StreamFolder) -> anyhow::Result<Source> {
    Ok(Source::Stream(Box::new(StreamSource::open(folder)?)))
}

/// Prints one screen as text.
fn once(source: &Source, is_terminal: bool) -> anyhow::Result<()> {
    let side = |variable: &str, default: u16| {
        let said = env::var(variable).ok().and_then(|text| text.parse().ok()).filter(|side| (1..=SIDE_MAX).contains(side));
        said.unwrap_or(default)
    };
    let here = is_terminal.then(crossterm::terminal::size).and_then(Result::ok);
    let (width, height) = here.unwrap_or_else(|| (side("COLUMNS", PRINTED.0), side("LINES", PRINTED.1)));
    let look = Look { is_unicode: locale::is_unicode(), has_colors: false };
    let view = source.view(Timestamp::now(), None, look.is_unicode);
    // The last line is that of the keys.
    let area = Rect::new(0, 0, width, height);
    let mut screen = Screen::default();
    screen.settle(&view, rows_in_sight(&view, area));
    let mut buffer = Buffer::empty(area);
    draw(&view, &screen, look, area, &mut buffer);
    let line = |y: u16| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned();
    let lines: Vec<String> = (0..height.saturating_sub(1)).map(line).collect();
    output::text(lines.join("\n").trim_end())
}

/// Something that is watched, and what a person has chosen to see of it.
struct Level {
    source: Source,
    screen: Screen,
    view: View,
    /// True if the records couldn't be read the last time, which the screen says.
    is_unread: bool,
}

impl Level {
    fn new(source: Source, screen: Screen, look: Look) -> Self {
        let view = source.view(Timestamp::now(), None, look.is_unicode);
        Self { source, screen, view, is_unread: false }
    }

    /// Reads what is new. What can't be read is said, and read again later.
    fn refresh(&mut self, look: Look) {
        match self.source.refresh() {
            Ok(()) if self.is_unread => (self.is_unread, self.screen.notice) = (false, None),
            Ok(()) => {}
            Err(error) => (self.is_unread, self.screen.notice) = (true, Some(crate::watch::shown(&format!("{error:#}")))),
        }
        self.look(look);
    }

    fn look(&mut self, look: Look) {
        self.view = self.source.view(Timestamp::now(), self.screen.selected.as_deref(), look.is_unicode);
    }
}

fn watch(source: Source, root: &Path) -> anyhow::Result<()> {
    let look = Look { is_unicode: locale::is_unicode(), has_colors: env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()) };
    let mut levels = vec![Level::new(source, Screen::default(), look)];
    let mut terminal = Terminal::take()?;
    let (mut read, mut drawn): (Instant, Option<Instant>) = (Instant::now(), None);
    while let Some(level) = levels.last_mut() {
        let rows = rows_in_sight(&level.view, terminal.area()?);
        if read.elapsed() >= READ_EVERY {
            level.refresh(look);
            read = Instant::now();
        }
        if drawn.is_none_or(|drawn| drawn.elapsed() >= DRAW_EVERY.min(READ_EVERY)) {
            level.screen.settle(&level.view, rows);
            terminal.draw(|area, buffer| draw(&level.view, &level.screen, look, area, buffer))?;
            drawn = Some(Instant::now());
        }
        let key = match terminal.wait(WAIT_MAX.min(READ_EVERY.saturating_sub(read.elapsed())))? {
            Happened::Nothing => continue,
            Happened::Interrupted => return Err(failure(Exit::Interrupted, "interrupted; whatever was watched goes on")),
            Happened::Resized => {
                drawn = None;
                continue;
            }
            Happened::Pressed(key) => key,
        };
        drawn = None;
        match level.screen.press(key, &level.view, rows) {
            Asked::Nothing => level.look(look),
            Asked::Quit => break,
            Asked::Back => {
                levels.pop();
            }
            Asked::Open(job) => match opened(&level.source, &job) {
                Some(source) => levels.push(Level::new(source, Screen::within(), look)),
                None => {
                    level.screen.notice =
                        Some(format!("the run of this job isn't in `{}`, or not yet", crate::watch::shown(&root.display().to_string())))
                }
            },
        }
    }
    Ok(())
}

/// Opens the run of `job`, if it is here and can be read.
fn opened(source: &Source, job: &str) -> Option<Source> {
    let Source::Stream(stream) = source else { return None };
    run_in(stream.run_of(job)?).ok()
}

//! The inputs of commands: experiment files, and the folders of data sets and indexes, which depend on the environment.

use std::{
    io::Read as _,
    os::unix::fs::FileTypeExt as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use fltk_core::{
    arrivals::{self, TraceEntry},
    experiment::{Experiment, NetworkConfig, Setting, TaskKind},
    seed::Seed,
};
use fltk_data::Locations;
use fltk_experiment::{Override, Parsed, Report, SourceFile};

use crate::{
    cli::LocationArgs,
    exit::{Exit, OrExit as _, failure},
    named_files, output,
};

/// The maximum size of an experiment file, in bytes, the same as the parser's: tens of times the largest real one.
const FILE_SIZE_MAX: u64 = 1 << 20;

/// The maximum size of a trace, in bytes: a million arrivals.
const TRACE_SIZE_MAX: u64 = 64 << 20;

/// The maximum size of a file that a partition, a selection or a trace of devices names, in bytes: the indices of some fifty million samples, or as many
/// times of a hundred thousand devices as FedScale has.
const NAMED_SIZE_MAX: u64 = 256 << 20;

/// Reads the text of the experiment file `path`.
///
/// # Errors
/// If it is neither a file nor a pipe that the shell opened, can't be read, is larger than `FILE_SIZE_MAX` or isn't UTF-8.
pub fn read_source(path: &Path) -> anyhow::Result<SourceFile> {
    read_text(path, FILE_SIZE_MAX)
}

/// Reads the text of the trace that `experiment` replays, whose path is relative to `base`; `None` if it replays none.
///
/// # Errors
/// If it can't be read.
pub fn read_trace_text(experiment: &Experiment, base: &Path) -> anyhow::Result<Option<SourceFile>> {
    let Some(trace) = experiment.stream.as_ref().and_then(|stream| stream.trace.as_ref()) else { return Ok(None) };
    read_text(&base.join(trace), TRACE_SIZE_MAX).map(Some)
}

/// Reads the text of a file that a partition or a selection names, whose path is relative to `base`.
///
/// # Errors
/// If it can't be read, or isn't UTF-8.
pub fn read_named_file(path: &str, base: &Path) -> anyhow::Result<SourceFile> {
    read_text(&base.join(path), NAMED_SIZE_MAX)
}

/// Returns the SHA-256, in lower-case hex, of a file that a partition or a selection names.
///
/// # Errors
/// If it can't be read.
pub fn named_file_sha256(path: &str, base: &Path) -> anyhow::Result<String> {
    let path = base.join(path);
    let bytes = read_bytes(&path, NAMED_SIZE_MAX).with_context(|| cannot_read(&path)).or_exit(Exit::Experiment)?;
    Ok(fltk_data::digest::sha256_hex(&bytes))
}

/// Parses the arrivals of a trace.
///
/// # Errors
/// If the text isn't a valid trace.
pub fn parse_trace(source: &SourceFile) -> anyhow::Result<Vec<TraceEntry>> {
    arrivals::read_trace(&source.name, &source.text).or_exit(Exit::Experiment)
}

fn read_text(path: &Path, bytes_max: u64) -> anyhow::Result<SourceFile> {
    let read = || -> anyhow::Result<SourceFile> { Ok(SourceFile::from_bytes(path.display().to_string(), read_bytes(path, bytes_max)?)?) };
    read().with_context(|| cannot_read(path)).or_exit(Exit::Experiment)
}

/// Reads a file of at most `bytes_max` bytes.
///
/// # Errors
/// If it can't be read, or is larger.
pub fn read_small(path: &Path, bytes_max: u64) -> anyhow::Result<Vec<u8>> {
    read_bytes(path, bytes_max).with_context(|| cannot_read(path))
}

fn read_bytes(path: &Path, bytes_max: u64) -> anyhow::Result<Vec<u8>> {
    // Checked before it is opened: opening a named pipe without a writer would block. A shell's own pipes have a writer.
    let kind = std::fs::metadata(path)?.file_type();
    let is_pipe = kind.is_fifo() && ["/dev/stdin", "/dev/fd", "/proc/self/fd"].iter().any(|open| path.starts_with(open));
    anyhow::ensure!(kind.is_file() || is_pipe, "it is not a file");
    limited(&mut std::fs::File::open(path)?, bytes_max)
}

fn cannot_read(path: &Path) -> String {
    format!("can't read `{}`", path.display())
}

/// The maximum size of a case of `fltk strategies apply`, in bytes: a few models of a million parameters.
const CASE_SIZE_MAX: u64 = 64 << 20;

/// Reads the text of a case of `fltk strategies apply`; `-` is standard input.
///
/// # Errors
/// If it can't be read, is larger than `CASE_SIZE_MAX` or isn't UTF-8.
pub fn read_case(path: &Path) -> anyhow::Result<SourceFile> {
    if path != Path::new("-") {
        return read_text(path, CASE_SIZE_MAX);
    }
    let name = "standard input";
    let read = || anyhow::Ok(SourceFile::from_bytes(name.to_owned(), limited(&mut std::io::stdin().lock(), CASE_SIZE_MAX)?)?);
    read().with_context(|| format!("can't read {name}")).or_exit(Exit::Experiment)
}

/// Reads `input`, which has no more than `bytes_max` bytes.
fn limited(input: &mut dyn std::io::Read, bytes_max: u64) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    input.take(bytes_max + 1).read_to_end(&mut bytes)?;
    anyhow::ensure!(bytes.len() as u64 <= bytes_max, "it has more bytes than such a file may have ({bytes_max})");
    Ok(bytes)
}

/// Returns true if `path` is a pipe, which can be read only once.
#[must_use]
pub fn is_pipe(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_fifo())
}

/// A valid experiment with the warnings about its files. The process that uses the experiment prints them: that may be another program, which reads the
/// files again.
pub struct ReadExperiment {
    experiment: Experiment,
    warnings: Report,
}

impl ReadExperiment {
    /// Returns true if the experiment is a stream of jobs.
    #[must_use]
    pub fn has_stream(&self) -> bool {
        self.experiment.stream.is_some()
    }

    /// Returns true if a task runs a program of the user's own.
    #[must_use]
    pub fn has_command(&self) -> bool {
        self.experiment.tasks.iter().any(|task| task.command().is_some())
    }

    /// Prints the warnings, and returns the experiment.
    #[must_use]
    pub fn told(self) -> Experiment {
        output::report(&self.warnings);
        self.experiment
    }
}

/// Returns the experiment that `files` describe, with `overrides` (`a.b=c`) and `seed` instead of the files' values. Prints warnings.
///
/// # Errors
/// If a file can't be read or is wrong; the error holds the whole report.
pub fn read_experiment(files: &[PathBuf], overrides: &[String], seed: Option<u64>) -> anyhow::Result<Experiment> {
    let sources = files.iter().map(|path| read_source(path)).collect::<anyhow::Result<Vec<_>>>()?;
    parse_experiment(&sources, overrides, seed)
}

/// Does the same as [`read_experiment`] for a command that uses the files that the tasks name, which are checked too; but prints no warnings yet.
///
/// # Errors
/// If a file can't be read or is wrong; the error holds the whole report.
pub fn check_experiment(files: &[PathBuf], overrides: &[String], seed: Option<u64>) -> anyhow::Result<ReadExperiment> {
    let sources = files.iter().map(|path| read_source(path)).collect::<anyhow::Result<Vec<_>>>()?;
    check_sources(&sources, overrides, seed, &|parsed| named_files::check(parsed, &base_folder(files)))
}

/// Returns the experiment that `sources` describe, in the same way as [`read_experiment`].
///
/// # Errors
/// If a source is wrong; the error holds the whole report.
pub fn parse_experiment(sources: &[SourceFile], overrides: &[String], seed: Option<u64>) -> anyhow::Result<Experiment> {
    check_sources(sources, overrides, seed, &Ok).map(ReadExperiment::told)
}

fn check_sources(
    sources: &[SourceFile],
    overrides: &[String],
    seed: Option<u64>,
    check: &dyn Fn(Parsed) -> Result<Parsed, Report>,
) -> anyhow::Result<ReadExperiment> {
    let overrides = overrides.iter().map(|text| text.parse::<Override>()).collect::<Result<Vec<_>, _>>().or_exit(Exit::Experiment)?;
    let parsed = fltk_experiment::parse(sources, &overrides, crate::catalogues())
        .and_then(check)
        .map_err(|report| failure(Exit::Experiment, report.render(output::color_stderr())))?;
    let mut experiment = parsed.experiment;
    if let Some(seed) = seed {
        experiment.seeds = vec![Seed(seed)];
    }
    Ok(ReadExperiment { experiment, warnings: parsed.warnings })
}

/// Makes the paths in `experiment`, which are relative to `base`, absolute, so that a run can be resumed from anywhere.
///
/// # Errors
/// If a path isn't UTF-8.
pub fn make_paths_absolute(experiment: &mut Experiment, base: &Path) -> anyhow::Result<()> {
    let absolute = |path: &str| -> anyhow::Result<String> {
        let path: PathBuf = std::path::absolute(base.join(path))?;
        path.into_os_string().into_string().map_err(|path| anyhow::anyhow!("the path `{}` is not UTF-8", path.display()))
    };
    for task in &mut experiment.tasks {
        if let TaskKind::Command(config) = &mut task.kind {
            config.folder = Some(absolute(config.folder.as_deref().unwrap_or("."))?);
        }
        let Some(task) = task.training_mut() else { continue };
        if let NetworkConfig::TorchScript { torchscript } = &mut task.network {
            *torchscript = absolute(torchscript)?;
        }
        if let NetworkConfig::Python(net) = &mut task.network {
            net.change_files(&absolute)?;
        }
        if let Some(path) = &mut task.dataset.path {
            *path = absolute(path)?;
        }
        task.change_files(&absolute)?;
        if let Setting::Federated(config) = &mut task.setting {
            config.strategy = config.strategy.clone().with_environment(&absolute)?;
        }
    }
    Ok(())
}

/// Returns the folder that paths in `files` are relative to.
#[must_use]
pub fn base_folder(files: &[PathBuf]) -> PathBuf {
    files.first().and_then(|path| path.parent()).map_or_else(PathBuf::new, Path::to_path_buf)
}

/// Returns the folders in which data sets are searched. Without an argument and a home folder there is no cache, which is an error only for commands
/// that need one.
#[must_use]
pub fn locations(args: &LocationArgs) -> Locations {
    let cache = args.data.clone().or_else(|| cache_folder().map(|cache| cache.join("data")));
    Locations { cache, local: Vec::new() }
}

/// Returns the folder that holds the indexes of folders of runs; `None` if there is no home folder.
#[must_use]
pub fn indexes() -> Option<PathBuf> {
    cache_folder().map(|cache| cache.join("index"))
}

/// Returns the folder that holds the authorities of runs (`pki`) and the credentials of nodes (`nodes`); `None` if there is no home folder.
#[must_use]
pub fn secrets(name: &str) -> Option<PathBuf> {
    cache_folder().map(|cache| cache.join(name))
}

fn cache_folder() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache"))).map(|cache| cache.join("fltk"))
}

//! Running programs: the command is shown, every wait has a limit, and an error contains the whole command.

use std::{
    io::Read as _,
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, anyhow, bail};

use crate::setup::programs;

/// The limit for a build from scratch: torch-sys alone takes 3 minutes on two idle cores, everything in both profiles about 15.
pub const BUILD_LIMIT: Duration = Duration::from_secs(45 * 60);

/// The limit for a download or an installation: the largest is PyTorch with its CUDA libraries, 2.5 GB.
pub const INSTALL_LIMIT: Duration = Duration::from_secs(40 * 60);

/// The limit for programs that only look something up.
pub const LOOKUP_LIMIT: Duration = Duration::from_secs(60);

/// The interval at which a running program is polled; far below any duration that is measured with it.
const POLL: Duration = Duration::from_millis(50);

/// Runs `command` with its output on ours. Returns `Err` if it can't start, fails or takes longer than `limit`.
pub fn run(command: &mut Command, limit: Duration) -> anyhow::Result<()> {
    eprintln!("$ {}", show(command));
    let mut child = start(command)?;
    check(command, wait(&mut child, command, limit)?)
}

/// Does the same as [`run`], but returns standard output instead of showing it.
pub fn output(command: &mut Command, limit: Duration) -> anyhow::Result<String> {
    eprintln!("$ {}", show(command));
    quiet_output(command.stderr(Stdio::inherit()), limit)
}

/// Returns the standard output of `command` without showing anything. Standard error goes where the command says, by default to ours.
pub fn quiet_output(command: &mut Command, limit: Duration) -> anyhow::Result<String> {
    let mut child = start(command.stdout(Stdio::piped()))?;
    let mut pipe = child.stdout.take().context("standard output is not a pipe")?;
    let reader = thread::spawn(move || {
        let mut text = Vec::new();
        pipe.read_to_end(&mut text).map(|_| text)
    });
    let status = wait(&mut child, command, limit)?;
    let Ok(text) = reader.join() else { bail!("the thread that reads the output of `{}` panicked", show(command)) };
    check(command, status)?;
    String::from_utf8(text?).with_context(|| format!("the output of `{}` is not UTF-8", show(command)))
}

/// True if `program --version` can be run.
pub fn is_there(program: impl AsRef<std::ffi::OsStr>) -> bool {
    let mut command = Command::new(program);
    command.arg("--version").stdin(Stdio::null()).stderr(Stdio::null());
    quiet_output(&mut command, LOOKUP_LIMIT).is_ok()
}

/// Waits for `child`, which `command` started, and kills it after `limit`.
pub fn wait(child: &mut Child, command: &Command, limit: Duration) -> anyhow::Result<ExitStatus> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if Instant::now() >= deadline {
            child.kill()?;
            child.wait()?;
            bail!("`{}` was killed: it ran longer than {} s", show(command), limit.as_secs());
        }
        thread::sleep(POLL);
    }
}

/// Starts `command`.
pub fn start(command: &mut Command) -> anyhow::Result<Child> {
    command.spawn().map_err(|error| {
        let place = format!("can't start `{}`", show(command));
        match programs::missing(command.get_program(), &error) {
            Some(missing) => anyhow!("{place}: {missing}"),
            None => anyhow::Error::new(error).context(place),
        }
    })
}

fn check(command: &Command, status: ExitStatus) -> anyhow::Result<()> {
    if !status.success() {
        bail!("`{}` failed: {status}", show(command));
    }
    Ok(())
}

/// Returns the command as one would type it.
pub fn show(command: &Command) -> String {
    let word = |text: &std::ffi::OsStr| {
        let text = text.to_string_lossy();
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
        if !text.is_empty() && text.chars().all(plain) { text.into_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
    };
    std::iter::once(command.get_program()).chain(command.get_args()).map(word).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn commands_are_shown_as_typed() {
        let mut command = Command::new("fltk");
        command.args(["run", "a b.yaml", "--set=x.y=1", "it's", ""]);
        assert_eq!(show(&command), r"fltk run 'a b.yaml' --set=x.y=1 'it'\''s' ''");
    }

    #[test]
    fn output_is_returned_or_the_failed_command_named() {
        assert_eq!(quiet_output(&mut shell("echo hello"), LOOKUP_LIMIT).unwrap(), "hello\n");
        let error = quiet_output(&mut shell("exit 3"), LOOKUP_LIMIT).unwrap_err().to_string();
        assert!(error.contains("'exit 3'") && error.contains('3'), "{error}");
        assert!(quiet_output(&mut Command::new("no-such-program-anywhere"), LOOKUP_LIMIT).is_err());
    }

    #[test]
    fn hanging_program_is_killed() {
        let begin = Instant::now();
        let error = quiet_output(Command::new("sleep").arg("600"), Duration::from_millis(100)).unwrap_err().to_string();
        assert!(error.contains("was killed"), "{error}");
        assert!(begin.elapsed() < Duration::from_secs(60));
    }
}

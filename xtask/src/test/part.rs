//! A check, as plain data: what it proves, what must come before it, what it does, and what it needs of the machine.

/// One of the checks of `cargo xtask test`.
#[derive(Debug)]
pub struct Part {
    /// The name used by reports, by the table of proofs and by `--only`.
    pub name: &'static str,
    /// The property that only this part proves: a row of the table in CONTRIBUTING.md.
    pub proves: &'static str,
    /// The command that runs it.
    pub stage: Stage,
    /// The parts that come before it.
    pub after: &'static [After],
    /// The work that it does.
    pub work: Work,
    /// The resources of the machine that it needs.
    pub load: Load,
    /// The changes that can break it.
    pub touched: Touched,
}

impl Part {
    /// Returns the package whose tests this part runs; `None` if its work is another.
    pub fn tested(&self) -> Option<&'static str> {
        self.name.strip_prefix("tests of ").filter(|_| self.work == Work::Tests)
    }
}

/// The command that runs a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// `cargo xtask test`.
    Checks,
    /// `cargo xtask test --slow`: proofs of a kind that the others have too, which take minutes.
    Slow,
    /// `cargo xtask test --cluster`.
    Cluster,
    /// All of them.
    Both,
}

impl Stage {
    /// True if the command of the stage `command` runs the part.
    pub fn is_of(self, command: Self) -> bool {
        self == Self::Both || self == command
    }

    /// Returns the option of the command, with a space before it.
    pub fn option(self) -> &'static str {
        match self {
            Self::Checks | Self::Both => "",
            Self::Slow => " --slow",
            Self::Cluster => " --cluster",
        }
    }
}

/// The condition for a part that comes before another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// The part must have passed; otherwise this one is skipped.
    Passed(&'static str),
    /// The part must be over, whatever its outcome.
    Over(&'static str),
    /// The part must be over, whatever its outcome; if this one is chosen by itself, that one is run too.
    Wanted(&'static str),
    /// All parts that run in the same command must be over, whatever their outcomes.
    AllOthers,
}

impl After {
    /// The name of the earlier part, if it is one.
    pub fn name(self) -> Option<&'static str> {
        match self {
            Self::Passed(name) | Self::Over(name) | Self::Wanted(name) => Some(name),
            Self::AllOthers => None,
        }
    }

    /// The name of the earlier part, if a part that is chosen by itself brings it along.
    pub fn brought(self) -> Option<&'static str> {
        self.name().filter(|_| !matches!(self, Self::Over(_)))
    }
}

/// The work of a part. Each part is a separate process, with its output in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Cargo with these arguments, with libtorch.
    Cargo(&'static [&'static str]),
    /// Compiles all tests and programs of the workspace, and notes where they are.
    Compile,
    /// The compiled tests of the package in the part's name ([`Part::tested`]).
    Tests,
    /// A function of this program ([`super::own_part`]).
    Own,
    /// A part of the program `acceptance` with the same name.
    Acceptance,
}

/// The resources of the machine that a part needs while it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// The number of processors that it keeps busy; 0 if it mostly waits. More than there are means all.
    pub cores: u32,
    /// The resources that no two parts may use at once.
    pub uses: &'static [Resource],
}

/// A resource of which there is only one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// Cargo's lock on the target folder.
    Cargo,
    /// apt's and dpkg's locks.
    Apt,
    /// The cores of the cluster's real node, whose exact number some parts rely on.
    Node,
    /// A quiet machine: nothing else runs, since the part stops something that others need, or is disturbed by any load.
    Quiet,
}

impl Load {
    /// Returns a load of this many processors.
    pub const fn cores(cores: u32) -> Self {
        Self { cores, uses: &[] }
    }

    /// Adds resources of which there is only one.
    pub const fn using(self, uses: &'static [Resource]) -> Self {
        Self { cores: self.cores, uses }
    }
}

/// The changes that can break a part, in addition to what follows from its other fields: a change of the package whose tests it runs; of `acceptance`, if
/// that runs it; of the list of Python packages, if it comes after their installation; and of the cluster's programs, if it belongs to that stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Touched {
    /// Any change.
    Always,
    /// A change of one of these packages, or of one that they are compiled with, or of a file whose path begins with one of these.
    By {
        /// The names of workspace packages.
        packages: &'static [&'static str],
        /// Prefixes of paths, relative to the root.
        files: &'static [&'static str],
    },
    /// No change: a part that others need, and that runs if one of those does.
    Never,
}

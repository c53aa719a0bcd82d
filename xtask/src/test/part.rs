//! A check, as plain data: what it proves, what has to be there first, what it does, and what it needs of the machine.

/// One of the checks of `cargo xtask test`.
#[derive(Debug)]
pub struct Part {
    /// As reports, the table of proofs and `--only` call it.
    pub name: &'static str,
    /// What only it proves: a row of the table in CONTRIBUTING.md.
    pub proves: &'static str,
    /// Which command runs it.
    pub stage: Stage,
    /// What comes before it.
    pub after: &'static [After],
    /// What is done.
    pub work: Work,
    /// What it takes of the machine.
    pub load: Load,
    /// Which changes can break it.
    pub touched: Touched,
    /// Seconds that it takes on two idle cores, where nothing but the checkout is new. Only until it has been measured here.
    pub seconds: u32,
}

/// Which command runs a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// `cargo xtask test`.
    Checks,
    /// `cargo xtask test --cluster`.
    Cluster,
    /// Both.
    Both,
}

impl Stage {
    /// Whether `--cluster`, or the lack of it, runs the part.
    #[must_use]
    pub fn is_of(self, cluster: bool) -> bool {
        match self {
            Self::Checks => !cluster,
            Self::Cluster => cluster,
            Self::Both => true,
        }
    }
}

/// What comes before a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// The part must have passed, or this one is skipped.
    Passed(&'static str),
    /// The part must be over, however it ended.
    Over(&'static str),
    /// The part must be over, however it ended; and where this one is chosen by itself, that one is run too.
    Wanted(&'static str),
}

impl After {
    /// Whether a part that is chosen by itself brings that one with it.
    #[must_use]
    pub fn is_brought(self) -> bool {
        !matches!(self, Self::Over(_))
    }

    /// The part that it is about.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Passed(name) | Self::Over(name) | Self::Wanted(name) => name,
        }
    }
}

/// What a part does. Each is a process of its own, with its output in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Cargo with these arguments, with libtorch.
    Cargo(&'static [&'static str]),
    /// Compiles all tests and programs of the workspace, and notes where they are.
    Compile,
    /// The compiled tests of a package.
    Tests(&'static str),
    /// A function of this program ([`super::own_part`]).
    Own,
    /// A part of the program `checks`, of the same name.
    Checks,
}

/// What a part takes of the machine while it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// Processors that it keeps busy; 0 for what mostly waits. More than there are means all.
    pub cores: u32,
    /// What no two parts may use at once.
    pub uses: &'static [Resource],
}

/// Something that there is one of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// Cargo's lock on the target folder.
    Cargo,
    /// apt's and dpkg's locks.
    Apt,
    /// The cores of the cluster's real node, which some parts count on to the last.
    Node,
    /// Everybody's quiet: nothing else runs, since the part stops something that others need, or is disturbed by any load.
    Quiet,
}

impl Load {
    /// Of so many processors.
    #[must_use]
    pub const fn cores(cores: u32) -> Self {
        Self { cores, uses: &[] }
    }

    /// Also of something that there is one of.
    #[must_use]
    pub const fn using(self, uses: &'static [Resource]) -> Self {
        Self { cores: self.cores, uses }
    }
}

/// Which changes can break a part, beside what follows from its other fields: a change of the package whose tests it runs, of `checks` where that does
/// it, of the list of Python's packages where it comes after their installation, and of the cluster's programs where it is of that stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Touched {
    /// Any.
    Always,
    /// Of a package, or of one that it is compiled with; and of files whose path begins with one of these.
    By {
        /// Names of packages of the workspace.
        packages: &'static [&'static str],
        /// Beginnings of paths, relative to the root.
        files: &'static [&'static str],
    },
    /// None: a part that others need, and that runs where one of those does.
    Never,
}

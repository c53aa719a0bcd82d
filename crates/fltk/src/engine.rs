//! Who does what needs libtorch: this process, or the program `fltk-torch`, which takes its place.

use std::path::Path;

use crate::{
    cli::{Cli, ClientArgs, NetsCommand, ParityArgs, RunArgs},
    hand_over,
    inputs::ReadExperiment,
    termination::Termination,
};

/// A command that needs libtorch, with what was read for it so far.
pub enum Computation<'a> {
    /// `fltk run FILE` of an experiment without a stream.
    Run {
        /// What the command line says.
        args: &'a RunArgs,
        /// What the files say.
        experiment: Box<ReadExperiment>,
        /// Notes what there will be to report of this process.
        termination: &'a Termination,
    },
    /// `fltk run --resume RUN` of what isn't a stream.
    Resume {
        /// What the command line says.
        args: &'a RunArgs,
        /// The run's folder, or its name.
        run: &'a Path,
        /// Notes what there will be to report of this process.
        termination: &'a Termination,
    },
    /// `fltk client`.
    Client {
        /// What the command line says.
        args: &'a ClientArgs,
        /// Notes what there will be to report of this process.
        termination: &'a Termination,
    },
    /// `fltk nets`.
    Nets(&'a NetsCommand),
    /// `fltk parity`.
    Parity(&'a ParityArgs),
}

/// Who computes.
#[derive(Clone, Copy, Debug)]
pub enum Engine {
    /// This process, by this function: the program is `fltk-torch`.
    Here(fn(&Cli, Computation<'_>) -> anyhow::Result<()>),
    /// `fltk-torch`, which lies beside this program: it gets the command line, and does all of it in this one's place.
    Beside,
}

impl Engine {
    /// Does `computation`, or hands the command line over.
    ///
    /// # Errors
    /// If that fails.
    pub(crate) fn compute(self, cli: &Cli, computation: Computation<'_>) -> anyhow::Result<()> {
        match self {
            Self::Here(compute) => compute(cli, computation),
            Self::Beside => Err(hand_over::hand_over()),
        }
    }

    /// Returns where this process computes; otherwise hands the command line over.
    ///
    /// # Errors
    /// If that fails.
    pub(crate) fn go_on(self) -> anyhow::Result<()> {
        match self {
            Self::Here(_) => Ok(()),
            Self::Beside => Err(hand_over::hand_over()),
        }
    }

    /// That there is somebody who computes: asked before something is begun that will need it.
    ///
    /// # Errors
    /// If there isn't.
    pub(crate) fn check(self) -> anyhow::Result<()> {
        match self {
            Self::Here(_) => Ok(()),
            Self::Beside => hand_over::program().map(drop),
        }
    }
}

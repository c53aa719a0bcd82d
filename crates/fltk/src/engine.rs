//! The engine that runs commands that need libtorch: this process, or the program `fltk-torch`, which replaces it.

use std::path::Path;

use crate::{
    cli::{Cli, ClientArgs, FederateArgs, NetsCommand, NodeArgs, ParityArgs, RunArgs},
    hand_over,
    inputs::ReadExperiment,
    termination::Termination,
};

/// A command that needs libtorch, with the inputs that were read for it so far.
pub enum Computation<'a> {
    /// `fltk run FILE` for an experiment without a stream.
    Run {
        /// The command line's arguments.
        args: &'a RunArgs,
        /// The experiment that the files describe.
        experiment: Box<ReadExperiment>,
        /// Collects the facts for this process's termination report.
        termination: &'a Termination,
    },
    /// `fltk run --resume RUN` for a run that isn't a stream.
    Resume {
        /// The command line's arguments.
        args: &'a RunArgs,
        /// The run's folder, or its name.
        run: &'a Path,
        /// Collects the facts for this process's termination report.
        termination: &'a Termination,
    },
    /// `fltk client`.
    Client {
        /// The command line's arguments.
        args: &'a ClientArgs,
        /// Collects the facts for this process's termination report.
        termination: &'a Termination,
    },
    /// `fltk federate`.
    Federate {
        /// The command line's arguments.
        args: &'a FederateArgs,
        /// The experiment that the files describe; `None` to resume a run.
        experiment: Option<Box<ReadExperiment>>,
        /// Collects the facts for this process's termination report.
        termination: &'a Termination,
    },
    /// `fltk node`.
    Node {
        /// The command line's arguments.
        args: &'a NodeArgs,
        /// Collects the facts for this process's termination report.
        termination: &'a Termination,
    },
    /// `fltk nets`.
    Nets(&'a NetsCommand),
    /// `fltk parity`.
    Parity(&'a ParityArgs),
}

/// The process that computes.
#[derive(Clone, Copy, Debug)]
pub enum Engine {
    /// This process computes, by calling this function: the program is `fltk-torch`.
    Here(fn(&Cli, Computation<'_>) -> anyhow::Result<()>),
    /// The program `fltk-torch` in the same folder computes: it receives the command line and replaces this process.
    Beside,
}

impl Engine {
    /// Runs `computation`, or hands the command line over.
    ///
    /// # Errors
    /// If the computation or the handover fails.
    pub(crate) fn compute(self, cli: &Cli, computation: Computation<'_>) -> anyhow::Result<()> {
        match self {
            Self::Here(compute) => compute(cli, computation),
            Self::Beside => Err(hand_over::hand_over()),
        }
    }

    /// Returns if this process computes; otherwise hands the command line over.
    ///
    /// # Errors
    /// If the handover fails.
    pub(crate) fn go_on(self) -> anyhow::Result<()> {
        match self {
            Self::Here(_) => Ok(()),
            Self::Beside => Err(hand_over::hand_over()),
        }
    }

    /// Checks that a program that computes is installed, before something is begun that will need it.
    ///
    /// # Errors
    /// If it isn't installed.
    pub(crate) fn check(self) -> anyhow::Result<()> {
        match self {
            Self::Here(_) => Ok(()),
            Self::Beside => hand_over::program().map(drop),
        }
    }
}

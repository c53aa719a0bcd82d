//! Federated learning without tensors and without a network: the rounds as a pure state machine, the strategies that turn client
//! updates into the next global model, and the selection of clients.
//!
//! ```text
//!            orders                              orders
//!   Federation ------> transport (edge) ------> clients, evaluator
//!   (pure)     <------  clock, threads  <------
//!            events                              answers
//! ```
//!
//! [`round`], [`strategy`], [`selection`], [`compression`], [`simulation`] and [`attack`] consist of values and pure functions: time and randomness are arguments. Only [`transport`]
//! uses threads, and only [`drive`] and [`transport`] read clocks.
//!
//! A complete run, with a model that needs no tensors:
//!
//! ```
//! use std::{num::NonZeroUsize, sync::{Arc, atomic::AtomicBool}};
//!
//! use fltk_core::{catalogue::Choice, experiment::FederatedConfig, schedule::LearningRates, seed::Seed};
//! use fltk_fed::{dummy::Dummy, round::{Federation, Record, Setup}, transport::in_process};
//!
//! let config = FederatedConfig::new(20, 5, 10);
//! // 20 clients with 3 local steps each, 8 weights.
//! let dummy = Dummy::new(Seed(42), 8, vec![3; 20]);
//! let rates = LearningRates { initial: 0.1, scheduler: None };
//! let setup = Setup::new(config, rates, Seed(42), dummy.samples.clone(), 5)?;
//! let federation = Federation::new(setup, Arc::new(dummy.initial()))?;
//! let mut losses = Vec::new();
//! let state = in_process::run(
//!     federation,
//!     NonZeroUsize::MIN,
//!     &|_worker| Ok(Box::new(&dummy)),
//!     Box::new(&dummy),
//!     &AtomicBool::new(false),
//!     &mut |record| {
//!         if let Record::RoundEnded(round) = record {
//!             losses.extend(round.test.as_ref().map(|test| test.loss));
//!         }
//!         Ok(())
//!     },
//! )?;
//! assert_eq!(losses.len(), 11);
//! assert!(losses[10] < losses[0]);
//! assert_eq!(losses[10], dummy.score(&state).loss);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Not for: training (`fltk-train`), files (`fltk-records`). A net's state is [`fltk_core::model_state::ModelState`], plain numbers.

pub mod attack;
pub mod client;
pub mod compression;
pub mod drive;
pub mod dummy;
mod faults;
pub mod round;
pub mod selection;
pub mod simulation;
pub mod state_check;
pub mod strategy;
pub mod transport;

/// Any error of a client or an evaluator.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

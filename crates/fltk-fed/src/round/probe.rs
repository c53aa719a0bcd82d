//! The part of a round before its clients are selected, if the selection goes by losses of the current model: candidates measure these.

use std::{collections::BTreeMap, sync::Arc};

use fltk_core::{
    attendance::{Absence, Attended},
    ids::{ClientId, Round},
    model_state::ModelState,
};

use super::{AbsenceRecord, Failure, LossOrder, ProtocolError, Setup, Timestamp};
use crate::selection::Candidates;

/// The candidates of one round.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Probe {
    round: Round,
    global: Arc<ModelState>,
    /// The time after which no answer counts; `None` if there is no limit.
    limit: Option<Timestamp>,
    num_samples: u32,
    began: Timestamp,
    /// True if every loss is needed, since an earlier start selected by them.
    is_bound: bool,
    candidates: BTreeMap<ClientId, Standing>,
}

/// The state of a candidate's answer.
#[derive(Clone, Debug, PartialEq)]
enum Standing {
    Awaited,
    Measured(f64),
    Absent { absence: Absence, reason: Option<String> },
}

/// The outcome of a [`Probe`].
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Measured {
    /// The losses, by client.
    pub(super) losses: BTreeMap<ClientId, f64>,
    /// The candidates without one, ascending.
    pub(super) absent: Vec<AbsenceRecord>,
}

impl Probe {
    /// Asks `candidates` for the loss of `global`. What an earlier start recorded of the round isn't decided again.
    pub(super) fn new(
        setup: &Setup,
        round: Round,
        global: Arc<ModelState>,
        candidates: Candidates,
        attended: Option<&BTreeMap<ClientId, Attended>>,
        now: Timestamp,
    ) -> Self {
        let standing = |client| match attended.and_then(|of| of.get(&client)) {
            Some(Attended::Absent { absence: Absence::Unmeasured, reason }) => {
                Standing::Absent { absence: Absence::Unmeasured, reason: reason.clone() }
            }
            // A drop-out is one from training, after the selection.
            _ if setup.faults.has_crashed(round, client) => Standing::Absent { absence: Absence::Crashed, reason: None },
            _ => Standing::Awaited,
        };
        let num_samples = candidates.num_samples;
        let candidates = candidates.clients.into_iter().map(|client| (client, standing(client))).collect();
        let mut recorded = attended.into_iter().flat_map(BTreeMap::values);
        let is_bound = recorded.any(|attended| !matches!(attended, Attended::Absent { absence: Absence::Unmeasured, .. }));
        let limit = setup.deadline().filter(|_| !is_bound).map(|deadline| Timestamp(now.0.saturating_add(deadline)));
        Self { round, global, limit, num_samples, began: now, is_bound, candidates }
    }

    pub(super) fn global(&self) -> &Arc<ModelState> {
        &self.global
    }

    /// Returns the time after which no answer counts, if there is one and answers are awaited.
    pub(super) fn limit(&self) -> Option<Timestamp> {
        self.limit.filter(|_| !self.is_complete())
    }

    pub(super) fn orders(&self, setup: &Setup) -> impl Iterator<Item = LossOrder> {
        let (seed, settings) = (setup.seed, setup.settings);
        self.awaited().map(move |client| LossOrder {
            round: self.round,
            client,
            seed,
            state: Arc::clone(&self.global),
            num_samples: self.num_samples,
            given: self.began,
            settings,
        })
    }

    pub(super) fn is_complete(&self) -> bool {
        self.awaited().next().is_none()
    }

    fn awaited(&self) -> impl Iterator<Item = ClientId> {
        self.candidates.iter().filter(|(_, standing)| matches!(standing, Standing::Awaited)).map(|(client, _)| *client)
    }

    /// Checks that a loss of `client` is awaited at `now`.
    pub(super) fn check_awaited(&self, client: ClientId, setup: &Setup, now: Timestamp) -> Result<(), ProtocolError> {
        let (round, num_clients) = (self.round, setup.samples.len());
        if client.0 as usize >= num_clients {
            return Err(ProtocolError::UnknownClient { client, num_clients });
        }
        match self.candidates.get(&client) {
            None => Err(ProtocolError::NotSelected { round, client }),
            Some(Standing::Measured(_)) => Err(ProtocolError::Duplicate { round, client }),
            Some(Standing::Absent { absence, .. }) => Err(ProtocolError::Absent { round, client, absence: *absence }),
            Some(Standing::Awaited) if self.limit.is_some_and(|limit| now > limit) => Err(ProtocolError::Late { round, client }),
            Some(Standing::Awaited) => Ok(()),
        }
    }

    /// Checks that a loss is awaited at `now` and can be used.
    pub(super) fn check(&self, client: ClientId, loss: f64, setup: &Setup, now: Timestamp) -> Result<(), ProtocolError> {
        self.check_awaited(client, setup, now)?;
        if !loss.is_finite() || loss.abs() > f64::from(f32::MAX) {
            return Err(ProtocolError::Number { round: self.round, client, what: "loss", value: loss });
        }
        Ok(())
    }

    /// Takes the loss, which [`Self::check`] accepts, of `client`.
    pub(super) fn take(&mut self, client: ClientId, loss: f64) {
        self.candidates.insert(client, Standing::Measured(loss));
    }

    /// Goes on without the loss of `client`, which failed.
    ///
    /// # Errors
    /// If the round needs it.
    pub(super) fn lose(&mut self, client: ClientId, reason: String, setup: &Setup) -> Result<(), Failure> {
        if !setup.tolerates_failures() || self.is_bound {
            return Err(Failure::Client { round: self.round, client, reason });
        }
        self.candidates.insert(client, Standing::Absent { absence: Absence::Unmeasured, reason: Some(reason) });
        Ok(())
    }

    /// Goes on without the candidates that haven't answered.
    ///
    /// # Errors
    /// If a client that doesn't answer ends the run.
    pub(super) fn pass_deadline(&mut self, setup: &Setup) -> Result<(), Failure> {
        if setup.config.participation.is_none() {
            let missing = self.awaited().collect();
            return Err(Failure::Deadline { round: self.round, num_selected: self.candidates.len(), missing });
        }
        for standing in self.candidates.values_mut().filter(|standing| matches!(standing, Standing::Awaited)) {
            let reason = Some("no answer before the deadline".to_owned());
            *standing = Standing::Absent { absence: Absence::Unmeasured, reason };
        }
        Ok(())
    }

    /// Returns the losses, and who has none.
    pub(super) fn finish(self) -> Measured {
        let (round, mut measured) = (self.round, Measured::default());
        for (client, standing) in self.candidates {
            match standing {
                Standing::Measured(loss) => {
                    measured.losses.insert(client, loss);
                }
                Standing::Absent { absence, reason } => measured.absent.push(AbsenceRecord { round, client, absence, reason }),
                Standing::Awaited => {}
            }
        }
        measured
    }
}

//! One selected client of a round.

use std::sync::Arc;

use fltk_core::{
    attendance::{Absence, Attended},
    client_terms::ClientTerms,
    ids::{ClientId, Round},
};

use crate::round::{ClientUpdate, Setup, Timestamp};

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Member {
    pub(super) client: ClientId,
    pub(super) terms: Arc<ClientTerms>,
    /// The round whose state the client goes on from.
    pub(super) kept: Option<Round>,
    pub(super) is_malicious: bool,
    /// True if it is the server itself, which trains on its own samples.
    pub(super) is_root: bool,
    /// True if its update has to count, since it did in an earlier start of this run.
    pub(super) is_bound: bool,
    pub(super) standing: Standing,
    /// The time at which its answer was taken in; that of its order before.
    pub(super) arrived: Timestamp,
}

/// The state of a member's answer.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Standing {
    /// No answer yet; one may come.
    Awaited,
    /// Its update is ready at another place, and counts. It is asked for in client order.
    Ready { is_asked_for: bool },
    /// An update that waits to be folded. These are the only client models that are kept.
    Answered(Box<ClientUpdate>),
    /// Its update is folded.
    Folded,
    /// Its update doesn't count.
    Absent { absence: Absence, reason: Option<String> },
}

impl Member {
    /// Creates a member at the beginning of a round. What an earlier start recorded of it takes precedence over its faults.
    pub(super) fn new(
        setup: &Setup,
        round: Round,
        client: ClientId,
        terms: Arc<ClientTerms>,
        kept: Option<Round>,
        attended: Option<&Attended>,
        now: Timestamp,
    ) -> Self {
        let standing = match attended {
            Some(Attended::Counted { .. }) => Standing::Awaited,
            Some(Attended::Absent { absence, reason }) => Standing::Absent { absence: *absence, reason: reason.clone() },
            None => match setup.faults.absence(setup.seed, round, client) {
                Some(absence) => Standing::Absent { absence, reason: None },
                None => Standing::Awaited,
            },
        };
        let is_bound = matches!(attended, Some(Attended::Counted { .. }));
        Self { client, terms, kept, is_malicious: setup.faults.is_malicious(client), is_root: false, is_bound, standing, arrived: now }
    }

    /// Creates the server's own training, which has to count.
    pub(super) fn root(client: ClientId, terms: Arc<ClientTerms>, now: Timestamp) -> Self {
        Self { client, terms, kept: None, is_malicious: false, is_root: true, is_bound: true, standing: Standing::Awaited, arrived: now }
    }
}

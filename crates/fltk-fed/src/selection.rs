//! Selections: which clients take part in a round.
//!
//! A selection is a [`Selection`] in its own file, and a line in the [`CATALOGUE`]. What it has to remember of earlier rounds, such as losses, is in
//! [`ServerState`], under names that begin with `selection.`: every checkpoint contains it, so a resumed run selects the same clients.

mod catalogue;
mod cyclic;
mod file;
mod memory;
mod oort;
mod power_of_choice;
mod random;
mod tifl;
mod urn;
mod weighted;

use std::collections::BTreeMap;

use fltk_core::{
    catalogue::{Choice, Kind, SelectionEntry},
    client_terms::LocalWork,
    ids::{ClientId, Round},
    metrics::TrainSummary,
    seed::{Purpose, Seed},
    server_state::ServerState,
};
use rand::Rng;

use crate::simulation::{Fleet, Micros};

pub use catalogue::{CATALOGUE, by_name, entries};

/// A way to select the clients of a round.
#[derive(Debug)]
pub struct Selection {
    /// The name in experiment files, the publication, and the parameters.
    pub entry: SelectionEntry,
    /// Returns the clients that first have to measure the loss of the current model; none for most selections.
    pub candidates: fn(&Selecting<'_>) -> Candidates,
    /// Returns the clients of a round, in any order: [`Selecting::amount`] different ones among the eligible, or fewer if candidates couldn't measure
    /// their loss.
    pub select: fn(&Selecting<'_>) -> Vec<ClientId>,
    /// Notes in the server's state what it has to remember of a round that has ended.
    pub observe: fn(&Observing<'_>, &mut ServerState),
}

impl PartialEq for Selection {
    /// Compares names, which are unique in a catalogue.
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

/// The arguments of a selection.
#[derive(Clone, Copy, Debug)]
pub struct Selecting<'a> {
    /// The selection's settings.
    pub settings: &'a Choice,
    /// The root seed, for draws.
    pub seed: Seed,
    /// The round.
    pub round: Round,
    /// The number of earlier selections in this round: 0 unless clients are selected one by one.
    pub pick: u32,
    /// The clients that hold samples, ascending.
    pub eligible: &'a [ClientId],
    /// The number of clients to select; at most that of the eligible.
    pub amount: usize,
    /// The clients of this round in the file that the settings name; none if the selection reads no file.
    pub given: &'a [ClientId],
    /// The number of samples of each client, by client.
    pub samples: &'a [u64],
    /// The memory of earlier rounds.
    pub server: &'a ServerState,
    /// The losses of the current model that candidates measured; empty before they did.
    pub losses: &'a BTreeMap<ClientId, f64>,
    /// The clients' devices and links, if time is simulated.
    pub profile: Option<Profile<'a>>,
}

/// The speed of clients, as a server that has measured them knows it.
#[derive(Clone, Copy, Debug)]
pub struct Profile<'a> {
    /// The clients' devices and links.
    pub fleet: &'a Fleet,
    /// All clients with samples, there or not, ascending.
    pub clients: &'a [ClientId],
    /// The amount of training of a round.
    pub work: LocalWork,
    /// The bytes of the model, and of an update.
    pub bytes: (u64, u64),
}

/// The losses before anybody measured one.
static NO_LOSSES: BTreeMap<ClientId, f64> = BTreeMap::new();

impl<'a> Selecting<'a> {
    /// Creates the arguments of a selection among clients that are always there, without a file and without losses of the current model.
    #[must_use]
    pub fn new(
        settings: &'a Choice,
        (seed, round): (Seed, Round),
        eligible: &'a [ClientId],
        amount: usize,
        samples: &'a [u64],
        server: &'a ServerState,
    ) -> Self {
        Self { settings, seed, round, pick: 0, eligible, amount, given: &[], samples, server, losses: &NO_LOSSES, profile: None }
    }
}

impl Selecting<'_> {
    /// Returns the number of samples of `client`.
    #[must_use]
    pub fn samples_of(&self, client: ClientId) -> u64 {
        self.samples.get(client.0 as usize).copied().unwrap_or(0)
    }

    /// Returns the simulated time that `client` needs for a round; `None` if time is the wall clock's.
    #[must_use]
    pub fn round_trip(&self, client: ClientId) -> Option<Micros> {
        let Profile { fleet, work, bytes, .. } = self.profile?;
        Some(fleet.round_trip(client, work, self.samples_of(client), bytes))
    }

    /// Returns the random stream of the round's selection.
    fn stream(&self) -> impl Rng {
        let indices = [u64::from(self.round.0), u64::from(self.pick)];
        self.seed.stream(Purpose::Selection, if self.pick == 0 { &indices[..1] } else { &indices })
    }
}

/// Clients that have to measure the loss of the current model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Candidates {
    /// The clients, different ones among the eligible.
    pub clients: Vec<ClientId>,
    /// The number of samples on which each measures; 0 for all that it has.
    pub num_samples: u32,
}

/// A round that has ended, as a selection sees it.
#[derive(Clone, Copy, Debug)]
pub struct Observing<'a> {
    /// The selection's settings.
    pub settings: &'a Choice,
    /// The round.
    pub round: Round,
    /// The number of samples of each client, by client.
    pub samples: &'a [u64],
    /// The clients whose updates count, ascending.
    pub trained: &'a [Trained],
}

/// A client whose update counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trained {
    /// The client.
    pub client: ClientId,
    /// The report of its training.
    pub summary: TrainSummary,
    /// The simulated time from its order to its answer, in seconds; `None` if time is the wall clock's.
    pub duration: Option<f64>,
}

impl Trained {
    /// Creates the part of a client on the wall clock.
    #[must_use]
    pub const fn new(client: ClientId, summary: TrainSummary) -> Self {
        Self { client, summary, duration: None }
    }
}

impl Selection {
    /// Creates a selection that remembers nothing.
    #[must_use]
    pub const fn new(entry: SelectionEntry, select: fn(&Selecting<'_>) -> Vec<ClientId>) -> Self {
        Self { entry, candidates: |_| Candidates::default(), select, observe: |_, _| () }
    }

    /// Returns the name in experiment files.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.entry.entry.name
    }

    /// Returns true if it takes the clients of each round from a file that its settings name.
    #[must_use]
    pub fn reads_file(&self) -> bool {
        self.entry.entry.parameters.iter().any(|parameter| parameter.kind == Kind::Path)
    }

    /// Returns the clients that have to measure the loss of the current model before the cohort of a round is selected; they are ascending.
    #[must_use]
    pub fn candidates(&self, selecting: &Selecting<'_>) -> Candidates {
        let amount = selecting.amount.min(selecting.eligible.len());
        let mut candidates = (self.candidates)(&Selecting { amount, ..*selecting });
        candidates.clients.sort_unstable();
        candidates
    }

    /// Returns the cohort of a round: as many of the eligible clients as are to be selected, ascending; all of them if there are no more. The
    /// result depends only on the arguments, so a resumed run selects the same clients as an uninterrupted one.
    #[must_use]
    pub fn cohort(&self, selecting: &Selecting<'_>) -> Vec<ClientId> {
        let amount = selecting.amount.min(selecting.eligible.len());
        let mut clients = (self.select)(&Selecting { amount, ..*selecting });
        clients.sort_unstable();
        clients
    }
}

/// Returns so many of `clients`, each as likely as the others, in the order in which they are drawn.
fn draw_uniformly(clients: &[ClientId], amount: usize, stream: &mut impl Rng) -> Vec<ClientId> {
    rand::seq::index::sample(stream, clients.len(), amount.min(clients.len())).into_iter().map(|index| clients[index]).collect()
}

//! Faults to order: which clients drop out, crash or are malicious. All of it depends on the root seed alone, by client and round.

use std::collections::{BTreeMap, BTreeSet};

use fltk_core::{
    attendance::Absence,
    catalogue::Choice,
    experiment::{ATTACK_FRACTION, CrashConfig, FaultsConfig, num_affected},
    ids::{ClientId, Round},
    seed::{Purpose, Seed},
};
use rand::RngExt;

use crate::attack::{Attack, How};

/// The faults of a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Faults {
    /// The probability that a selected client drops out of a round.
    drop_out: f64,
    /// The clients that crash, with the first round in which they don't answer.
    crashes: BTreeMap<ClientId, Round>,
    attack: Option<(&'static Attack, Choice)>,
    malicious: BTreeSet<ClientId>,
}

impl Faults {
    /// Draws the faults of a run of so many rounds among the clients with samples, which are ascending. `attack` is the one that `config` names.
    pub(crate) fn draw(config: &FaultsConfig, attack: Option<&'static Attack>, rounds: u32, seed: Seed, eligible: &[ClientId]) -> Self {
        let crashes = config.crash.map(|crash| crashes(crash, rounds, seed, eligible)).unwrap_or_default();
        let attack = attack.zip(config.attack.clone());
        let malicious = attack.as_ref().map(|(_, settings)| some_of(eligible, ATTACK_FRACTION.of(settings), Purpose::Malice, seed));
        Self { drop_out: config.drop_out, crashes, attack, malicious: malicious.unwrap_or_default() }
    }

    /// Returns the reason why `client` doesn't answer in `round`, if it doesn't.
    pub(crate) fn absence(&self, seed: Seed, round: Round, client: ClientId) -> Option<Absence> {
        if self.has_crashed(round, client) {
            return Some(Absence::Crashed);
        }
        let drops_out = || seed.stream(Purpose::DropOut, &[client.0.into(), round.0.into()]).random::<f64>() < self.drop_out;
        (self.drop_out > 0.0 && drops_out()).then_some(Absence::DroppedOut)
    }

    /// Returns true if `client` doesn't answer anything from `round` or an earlier one on.
    pub(crate) fn has_crashed(&self, round: Round, client: ClientId) -> bool {
        self.crashes.get(&client).is_some_and(|from| round >= *from)
    }

    /// Returns the attack of malicious clients, with its settings.
    pub(crate) fn attack(&self) -> Option<(&'static Attack, &Choice)> {
        self.attack.as_ref().map(|(attack, settings)| (*attack, settings))
    }

    /// Returns true if malicious clients agree on what they send, so that nothing is known of it before all of them have answered.
    pub(crate) fn attacks_together(&self) -> bool {
        matches!(self.attack, Some((attack, _)) if matches!(attack.how, How::Together(_)))
    }

    pub(crate) fn is_malicious(&self, client: ClientId) -> bool {
        self.malicious.contains(&client)
    }

    /// Returns the malicious clients, ascending.
    pub(crate) fn malicious(&self) -> impl Iterator<Item = ClientId> {
        self.malicious.iter().copied()
    }
}

fn crashes(crash: CrashConfig, rounds: u32, seed: Seed, eligible: &[ClientId]) -> BTreeMap<ClientId, Round> {
    let last = crash.last_round.unwrap_or(rounds).max(crash.first_round);
    let from = |client: ClientId| seed.stream(Purpose::Crash, &[client.0.into()]).random_range(crash.first_round..=last);
    some_of(eligible, crash.fraction, Purpose::Crash, seed).into_iter().map(|client| (client, Round(from(client)))).collect()
}

/// Returns a fraction of the clients, drawn without replacement.
fn some_of(clients: &[ClientId], fraction: f64, purpose: Purpose, seed: Seed) -> BTreeSet<ClientId> {
    let amount = num_affected(fraction, u32::try_from(clients.len()).unwrap_or(u32::MAX)) as usize;
    let chosen = rand::seq::index::sample(&mut seed.stream(purpose, &[]), clients.len(), amount.min(clients.len()));
    chosen.into_iter().map(|index| clients[index]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attack;

    const SEED: Seed = Seed(42);

    fn eligible() -> Vec<ClientId> {
        (0..100).filter(|client| client % 5 != 0).map(ClientId).collect()
    }

    fn faults(drop_out: f64, crash: Option<CrashConfig>, attack: Option<Choice>) -> Faults {
        let known = attack.as_ref().map(|attack| attack::by_name(attack.name()).expect("it is in the catalogue"));
        Faults::draw(&FaultsConfig { drop_out, crash, attack }, known, 20, SEED, &eligible())
    }

    #[test]
    fn drop_outs_have_their_probability_and_are_independent() {
        let faults = faults(0.3, None, None);
        let (mut once, mut twice) = (0_u32, 0_u32);
        for round in 1..=100 {
            for client in 0..100 {
                let is_out = |round| faults.absence(SEED, Round(round), ClientId(client)) == Some(Absence::DroppedOut);
                once += u32::from(is_out(round));
                twice += u32::from(is_out(round) && is_out(round + 1));
            }
        }
        // Of 10,000: 3000 with a standard deviation of 46, and 900 with one of about 40. Five of each.
        assert!((2770..=3230).contains(&once), "{once}");
        assert!((700..=1100).contains(&twice), "{twice}");
    }

    #[test]
    fn crashed_clients_answer_until_their_round_and_never_again() {
        let faults = faults(0.0, Some(CrashConfig { fraction: 0.5, first_round: 3, last_round: Some(6) }), None);
        let mut rounds = BTreeMap::new();
        for client in eligible() {
            let crashed: Vec<u32> = (1..=20).filter(|round| faults.absence(SEED, Round(*round), client).is_some()).collect();
            if let Some(first) = crashed.first() {
                assert_eq!(crashed, (*first..=20).collect::<Vec<_>>());
                *rounds.entry(*first).or_insert(0) += 1;
            }
        }
        assert_eq!(rounds.keys().copied().collect::<Vec<_>>(), [3, 4, 5, 6]);
        assert_eq!(rounds.values().sum::<u32>(), 40);
    }

    #[test]
    fn a_crash_without_a_last_round_may_be_in_any() {
        let faults = faults(0.0, Some(CrashConfig { fraction: 1.0, first_round: 19, last_round: None }), None);
        assert_eq!(faults.crashes.values().copied().collect::<BTreeSet<_>>(), [Round(19), Round(20)].into());
        assert_eq!(faults.crashes.keys().copied().collect::<Vec<_>>(), eligible());
    }

    #[test]
    fn malicious_clients_are_fixed_and_hold_samples() {
        let faults = faults(0.0, None, Some(Choice::new("sign_flip").with("fraction", 0.1)));
        let found: Vec<u32> = faults.malicious().map(|client| client.0).collect();
        // Recorded from this code: these draws decide recorded results.
        assert_eq!(found, [12, 43, 44, 46, 51, 52, 59, 97]);
        assert!(faults.malicious().all(|client| eligible().contains(&client) && faults.is_malicious(client)));
        assert!(eligible().into_iter().all(|client| faults.absence(SEED, Round(1), client).is_none()));
    }
}

//! The amount of local training and the learning rate of each client, where these differ.

use fltk_core::{
    client_terms::LocalWork,
    experiment::{ClientGroup, DrawnFor, FederatedConfig, WorkConfig, WorkUnit},
    ids::{ClientId, Round},
    seed::{Purpose, Seed},
};
use rand::Rng as _;
use rand_distr::{Distribution as _, Normal};

/// The groups of a task by client: for each range of clients, both ends included and ascending, the place of its group.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Groups(Vec<(u32, u32, usize)>);

impl Groups {
    /// Reads the groups' clients, once for all rounds. Of what isn't a range, which a check has refused, nothing is a member.
    pub(super) fn of(config: &FederatedConfig) -> Self {
        let ranges = config
            .groups
            .iter()
            .enumerate()
            .flat_map(|(place, group)| group.ranges().unwrap_or_default().into_iter().map(move |(first, last)| (first, last, place)));
        let mut ranges: Vec<_> = ranges.collect();
        ranges.sort_unstable();
        Self(ranges)
    }

    fn get<'a>(&self, config: &'a FederatedConfig, client: ClientId) -> Option<&'a ClientGroup> {
        let next = self.0.partition_point(|(first, ..)| *first <= client.0);
        let (_, last, place) = *self.0.get(next.checked_sub(1)?)?;
        if client.0 <= last { config.groups.get(place) } else { None }
    }
}

/// Returns true if clients may have different terms.
pub(super) fn differs(config: &FederatedConfig) -> bool {
    config.work.is_some() || !config.groups.is_empty()
}

/// Returns the amount of local training of a client that is no exception.
pub(super) fn usual(config: &FederatedConfig) -> LocalWork {
    config.steps_per_round.map_or(LocalWork::Epochs(config.epochs().0), LocalWork::Steps)
}

/// Returns the amount of local training of `client` in `round`: that of its group, otherwise a drawn one, otherwise that of all.
pub(super) fn of_client(config: &FederatedConfig, groups: &Groups, seed: Seed, client: ClientId, round: Round) -> LocalWork {
    let group = groups.get(config, client);
    let steps = group.and_then(|group| group.steps_per_round).map(LocalWork::Steps);
    let epochs = || group.and_then(|group| group.epochs_per_round).map(|epochs| LocalWork::Epochs(epochs.0));
    let drawn = || config.work.as_ref().map(|work| draw(work, seed, client, round));
    steps.or_else(epochs).or_else(drawn).unwrap_or_else(|| usual(config))
}

/// Returns the learning rate of `client` in a round in which it is `rate` for those without one of their own, and was `initial` in the first.
pub(super) fn learning_rate(config: &FederatedConfig, groups: &Groups, client: ClientId, rate: f64, initial: f64) -> f64 {
    match groups.get(config, client).and_then(|group| group.learning_rate) {
        Some(own) if initial > 0.0 => own * (rate / initial),
        Some(own) => own,
        None => rate,
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "checked when the file was read")]
fn draw(work: &WorkConfig, seed: Seed, client: ClientId, round: Round) -> LocalWork {
    let round = if work.each == DrawnFor::Round { u64::from(round.0) } else { 0 };
    let mut stream = seed.stream(Purpose::Work, &[client.0.into(), round]);
    let (min, max) = (work.min.0, work.max.0);
    let drawn = match (work.mean, work.deviation) {
        (Some(mean), Some(deviation)) => Normal::new(mean, deviation).map_or(mean, |normal| normal.sample(&mut stream)),
        _ => {
            // 53 bits: a number from 0 to below 1.
            let share = (stream.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
            if work.is_whole() { (min + share * (max - min + 1.0)).floor() } else { min + share * (max - min) }
        }
    };
    let amount = if work.is_whole() { drawn.round() } else { drawn }.clamp(min, max);
    match work.unit {
        WorkUnit::Epochs => LocalWork::Epochs(amount),
        WorkUnit::Steps => LocalWork::Steps(amount as u64),
    }
}

#[cfg(test)]
mod tests {
    use fltk_core::experiment::Epochs;

    use super::*;

    const SEED: Seed = Seed(42);

    fn config(work: Option<WorkConfig>, groups: Vec<ClientGroup>) -> FederatedConfig {
        FederatedConfig { work, groups, ..FederatedConfig::new(100, 10, 5) }
    }

    fn uniform(min: f64, max: f64) -> WorkConfig {
        let (unit, each) = (WorkUnit::Epochs, DrawnFor::Client);
        WorkConfig { min: Epochs(min), max: Epochs(max), mean: None, deviation: None, unit, each }
    }

    fn amounts(work: WorkConfig, round: u32) -> Vec<f64> {
        let config = config(Some(work), Vec::new());
        let amount = |client| match of_client(&config, &Groups::of(&config), SEED, ClientId(client), Round(round)) {
            LocalWork::Epochs(epochs) => epochs,
            LocalWork::Steps(steps) => steps as f64,
        };
        (0..1000).map(amount).collect()
    }

    /// FedNova's setting: 2 to 5 epochs, each equally likely.
    #[test]
    fn whole_amounts_between_whole_bounds_are_equally_likely() {
        let found = amounts(uniform(2.0, 5.0), 1);
        for epochs in [2.0, 3.0, 4.0, 5.0] {
            let count = found.iter().filter(|&&found| found == epochs).count();
            // Binomial(1000, 1/4): mean 250, standard deviation 14.
            assert!((180..320).contains(&count), "{epochs}: {count}");
        }
        assert!(found.iter().all(|epochs| (2.0..=5.0).contains(epochs)));
        assert_eq!(found, amounts(uniform(2.0, 5.0), 2), "one draw for each client");
        let each_round = WorkConfig { each: DrawnFor::Round, ..uniform(2.0, 5.0) };
        assert_ne!(amounts(each_round, 1), amounts(each_round, 2));
        // Recorded from this code: these draws decide recorded results.
        assert_eq!(found[..8], [4.0, 5.0, 4.0, 4.0, 3.0, 3.0, 2.0, 3.0]);
    }

    #[test]
    fn amounts_between_other_bounds_are_any_numbers() {
        let found = amounts(uniform(0.5, 2.0), 1);
        assert!(found.iter().all(|epochs| (0.5..=2.0).contains(epochs)) && found.iter().any(|epochs| epochs.fract() != 0.0));
        let mean = found.iter().sum::<f64>() / 1000.0;
        assert!((mean - 1.25).abs() < 0.06, "{mean}");
    }

    #[test]
    fn a_normal_distribution_is_cut_off() {
        let steps = WorkConfig { mean: Some(20.0), deviation: Some(10.0), unit: WorkUnit::Steps, ..uniform(5.0, 60.0) };
        let found = amounts(steps, 1);
        assert!(found.iter().all(|steps| (5.0..=60.0).contains(steps) && steps.fract() == 0.0));
        let mean = found.iter().sum::<f64>() / 1000.0;
        assert!((mean - 20.0).abs() < 1.5, "{mean}");
        assert!(found.contains(&5.0), "cut off");
    }

    #[test]
    fn groups_come_first() {
        let group = |clients: &str, epochs: Option<f64>, steps, learning_rate| ClientGroup {
            clients: clients.to_owned(),
            epochs_per_round: epochs.map(Epochs),
            steps_per_round: steps,
            learning_rate,
        };
        let config = config(
            Some(uniform(2.0, 2.0)),
            vec![group("0-4", Some(0.5), None, Some(0.2)), group("7", None, Some(9), None), group("8", None, None, None)],
        );
        let work = |client| of_client(&config, &Groups::of(&config), SEED, ClientId(client), Round(1));
        assert_eq!(
            [0, 4, 5, 7, 8].map(work),
            [0.5, 0.5, 2.0, 0.0, 2.0]
                .map(LocalWork::Epochs)
                .map(|work| { if work == LocalWork::Epochs(0.0) { LocalWork::Steps(9) } else { work } })
        );
        // The schedule has halved the rate.
        assert_eq!([0, 7].map(|client| learning_rate(&config, &Groups::of(&config), ClientId(client), 0.05, 0.1)), [0.1, 0.05]);
        assert!(differs(&config) && !differs(&FederatedConfig::new(3, 2, 1)));
        let steps = FederatedConfig { steps_per_round: Some(7), ..FederatedConfig::new(3, 2, 1) };
        assert_eq!(of_client(&steps, &Groups::default(), SEED, ClientId(0), Round(1)), LocalWork::Steps(7));
    }
}

//! Evaluations of federated clients on test samples of their own, the figures over all of them, and what of each client may be recorded.

use serde::{Deserialize, Serialize};

use crate::{experiment::ClientFigure, ids::ClientId};

/// The result of evaluating the model that serves a client on the client's own test samples, in evaluation mode.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClientEvaluation {
    /// The client.
    pub client: ClientId,
    /// The number of predictions: samples, or tokens of a language model.
    pub num_samples: u64,
    /// The mean loss per prediction.
    pub loss: f64,
    /// The fraction of right predictions, `0..=1`.
    pub accuracy: f64,
}

impl ClientEvaluation {
    /// Returns what may be recorded of this client, given the figures that may be; `None` if nothing may.
    #[must_use]
    pub fn figures(&self, allowed: &[ClientFigure]) -> Option<ClientFigures> {
        let may = |figure: ClientFigure| allowed.contains(&figure);
        (!allowed.is_empty()).then(|| ClientFigures {
            num_samples: may(ClientFigure::Samples).then_some(self.num_samples),
            loss: may(ClientFigure::Loss).then_some(self.loss),
            accuracy: may(ClientFigure::Accuracy).then_some(self.accuracy),
        })
    }
}

/// The recorded part of one client's evaluation: the figures of [`ClientEvaluation`] that may be.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClientFigures {
    /// The number of predictions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub num_samples: Option<u64>,
    /// The mean loss per prediction.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss: Option<f64>,
    /// The fraction of right predictions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<f64>,
}

/// The accuracy over all clients that have test samples of their own. Each client counts once, however many samples it has, but for
/// `weighted_accuracy`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClientTestSummary {
    /// The number of clients.
    pub num_clients: u32,
    /// The number of predictions of all of them.
    pub num_samples: u64,
    /// The mean of the clients' accuracies.
    pub accuracy: f64,
    /// The mean accuracy of the tenth of the clients that has the lowest: of a tenth of their number, rounded down, and at least of one.
    pub worst_decile: f64,
    /// The variance of the clients' accuracies: their mean squared distance from the mean.
    pub variance: f64,
    /// The mean of the clients' accuracies weighted by their predictions.
    pub weighted_accuracy: f64,
}

impl ClientTestSummary {
    /// Summarizes the evaluations of clients, whose order makes no difference but in the last bits; `None` if there are no predictions.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    pub fn of(clients: &[ClientEvaluation]) -> Option<Self> {
        let num_samples: u64 = clients.iter().map(|client| client.num_samples).sum();
        let num_clients = u32::try_from(clients.len()).ok()?;
        if num_clients == 0 || num_samples == 0 {
            return None;
        }
        let count = f64::from(num_clients);
        let mut accuracies: Vec<f64> = clients.iter().map(|client| client.accuracy).collect();
        let accuracy = accuracies.iter().sum::<f64>() / count;
        let variance = accuracies.iter().map(|own| (own - accuracy).powi(2)).sum::<f64>() / count;
        let weighted: f64 = clients.iter().map(|client| client.num_samples as f64 * client.accuracy).sum();
        accuracies.sort_unstable_by(f64::total_cmp);
        accuracies.truncate((clients.len() / 10).max(1));
        let worst_decile = accuracies.iter().sum::<f64>() / accuracies.len() as f64;
        Some(Self { num_clients, num_samples, accuracy, worst_decile, variance, weighted_accuracy: weighted / num_samples as f64 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clients(of: &[(u64, f64)]) -> Vec<ClientEvaluation> {
        let client = |(client, &(num_samples, accuracy))| ClientEvaluation { client: ClientId(client), num_samples, loss: 1.0, accuracy };
        (0..).zip(of).map(client).collect()
    }

    fn assert_close(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-12, "{found} instead of {expected}");
    }

    #[test]
    fn figures_of_ten_clients_by_hand() {
        // Accuracies 0.1, 0.2, ..., 1.0, shuffled: mean 5.5 / 10; squares of the distances 2 (0.45^2 + 0.35^2 + 0.25^2 + 0.15^2 + 0.05^2) = 0.825.
        let of = [(10, 0.5), (10, 1.0), (40, 0.1), (10, 0.2), (10, 0.9), (10, 0.3), (10, 0.8), (10, 0.4), (10, 0.7), (80, 0.6)];
        let summary = ClientTestSummary::of(&clients(&of)).unwrap();
        assert_eq!((summary.num_clients, summary.num_samples), (10, 200));
        assert_close(summary.accuracy, 0.55);
        assert_close(summary.variance, 0.0825);
        assert_eq!(summary.worst_decile, 0.1);
        // 10 (5.5 - 0.1 - 0.6) + 40 * 0.1 + 80 * 0.6 = 100 right predictions of 200.
        assert_close(summary.weighted_accuracy, 0.5);
    }

    #[test]
    fn the_worst_decile_is_a_tenth_rounded_down_and_at_least_one() {
        let of = |count: u8| {
            let all: Vec<(u64, f64)> = (1..=count).rev().map(|place| (1, f64::from(place) / 100.0)).collect();
            ClientTestSummary::of(&clients(&all)).unwrap().worst_decile
        };
        for (count, expected) in [(1, 0.01), (9, 0.01), (10, 0.01), (19, 0.01), (20, 0.015), (39, 0.02), (100, 0.055)] {
            assert_close(of(count), expected);
        }
    }

    #[test]
    fn without_predictions_there_is_no_summary() {
        assert_eq!(ClientTestSummary::of(&[]), None);
        assert_eq!(ClientTestSummary::of(&clients(&[(0, 0.0)])), None);
    }

    #[test]
    fn only_figures_on_the_list_are_recorded() {
        use ClientFigure::{Accuracy, Loss, Samples};
        let own = ClientEvaluation { client: ClientId(3), num_samples: 8, loss: 1.5, accuracy: 0.25 };
        assert_eq!(own.figures(&[]), None);
        let figures = |num_samples, loss, accuracy| Some(ClientFigures { num_samples, loss, accuracy });
        assert_eq!(own.figures(&[Accuracy]), figures(None, None, Some(0.25)));
        assert_eq!(own.figures(&[Loss, Samples]), figures(Some(8), Some(1.5), None));
        assert_eq!(own.figures(&ClientFigure::ALL), figures(Some(8), Some(1.5), Some(0.25)));
    }
}

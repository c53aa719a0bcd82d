//! Label flipping: malicious clients train on wrong labels.

use fltk_core::{
    catalogue::{AttackEntry, Entry},
    experiment::ATTACK_FRACTION,
};

use super::{Attack, How};

/// Training on samples whose class `y` of `C` is taken for `C - 1 - y`. The client is honest otherwise, so this is an attack on data alone.
pub static ATTACK: Attack = Attack {
    entry: AttackEntry::on_labels(
        Entry::new("label_flip", "Malicious clients train on flipped labels: class y of C is taken for C - 1 - y.")
            .paper("Fang et al., Local Model Poisoning Attacks to Byzantine-Robust Federated Learning, 2020, arXiv:1911.11815")
            .parameters(&[ATTACK_FRACTION.parameter()]),
    ),
    how: How::FlipLabels,
};

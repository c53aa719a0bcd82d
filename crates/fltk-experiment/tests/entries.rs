//! The entries of this version: what every catalogue has to keep.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::collections::BTreeSet;

use fltk_catalogue::catalogues;
use fltk_core::{
    catalogue::{Catalogue, Choice, Entry, Kind, LEARNING_RATE, Parameter, Preset, Value},
    experiment::ATTACK_FRACTION,
};

fn check<T: AsRef<Entry>>(catalogue: &Catalogue<T>) {
    let mut names = BTreeSet::new();
    for entry in catalogue.iter().map(AsRef::as_ref) {
        let at = format!("{} {}", catalogue.kind(), entry.name);
        assert!(names.insert(entry.name.to_lowercase()), "{at} is there twice");
        assert!(!entry.doc.is_empty() && !entry.doc.contains('\n'), "{at}: {}", entry.doc);
        for parameter in entry.parameters {
            check_parameter(parameter, &format!("{at}, {}", parameter.name));
        }
    }
    assert!(!names.is_empty(), "{}", catalogue.kind());
}

fn check_parameter(parameter: &Parameter, at: &str) {
    assert!(!parameter.doc.is_empty() && parameter.doc.ends_with('.'), "{at}: {}", parameter.doc);
    assert!(!["type", "law"].contains(&parameter.name), "{at} is called as the key of the name");
    let is_possible = match (parameter.default(), parameter.kind) {
        (None, _) => parameter.preset == Preset::Required,
        (Some(Value::Number(value)), Kind::Number(range)) => range.contains(value),
        (Some(Value::Whole(value)), Kind::Whole { min, max }) => (min..=max).contains(&value),
        (Some(Value::Numbers(values)), Kind::Numbers { count_min, count_max, each }) => {
            (count_min..=count_max).contains(&values.len()) && values.iter().all(|value| each.contains(*value))
        }
        (Some(Value::Wholes(values)), Kind::Wholes { count_min, count_max, min, max }) => {
            (count_min..=count_max).contains(&values.len()) && values.iter().all(|value| (min..=max).contains(value))
        }
        (Some(Value::Switch(_)), Kind::Switch) => true,
        (Some(Value::Word(word)), Kind::Word(words)) => words.contains(&&*word),
        (Some(Value::Word(_)), Kind::Text) => true,
        _ => false,
    };
    assert!(is_possible, "{at}: {:?}", parameter.preset);
}

#[test]
fn every_entry_is_documented_and_its_defaults_are_possible() {
    let all = catalogues();
    check(&all.nets);
    check(&all.datasets);
    check(&all.formats);
    check(&all.partitioners);
    check(&all.strategies);
    check(&all.selections);
    check(&all.attacks);
    check(&all.compressions);
    check(&all.optimizers);
    check(&all.losses);
}

#[test]
fn every_optimizer_has_a_learning_rate() {
    for optimizer in catalogues().optimizers.iter() {
        assert!(optimizer.parameters.contains(&LEARNING_RATE.parameter()), "{}", optimizer.name);
    }
}

#[test]
fn every_attack_has_a_fraction() {
    for attack in catalogues().attacks.iter() {
        assert_eq!(attack.entry.parameters.first(), Some(&ATTACK_FRACTION.parameter()), "{}", attack.entry.name);
    }
}

#[test]
fn the_defaults_of_federated_tasks_are_entries() {
    assert_eq!(catalogues().strategies.settle(Choice::new("FedAvg")).unwrap().name(), "FedAvg");
    assert_eq!(catalogues().selections.settle(Choice::new("random")).unwrap().name(), "random");
}

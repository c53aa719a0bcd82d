//! Settings that a file leaves open, and whose default has changed.

use fltk_catalogue::{catalogues, entries};
use fltk_core::{
    catalogue::{Catalogues, Entry, NetEntry, SampleKind, Whole},
    experiment::Experiment,
};
use fltk_experiment::{SourceFile, parse, parse_partition, to_yaml};

fn experiment(partition: &str) -> Experiment {
    let text = format!(
        "{{ name: a, tasks: [{{ kind: federated, network: LeNet5, dataset: mnist, federated: {{ clients: 10, clients_per_round: 2, rounds: 5, partition: {partition} }} }}] }}"
    );
    parse(&[SourceFile { name: "a".into(), text }], &[], catalogues()).unwrap_or_else(|report| panic!("{report}")).experiment
}

#[test]
fn changed_defaults_depend_on_the_origin_of_the_file() {
    for partition in
        ["type: dirichlet, alpha: 1", "type: limit_labels, limit: 1", "type: n_labels, n: 1", "type: pathological, classes_per_client: 1"]
    {
        let [open, first, second] = ["", ", version: 1", ", version: 2"].map(|version| experiment(&format!("{{ {partition}{version} }}")));
        assert_eq!((open.clone().with_newest_defaults(), open.clone().with_earliest_defaults()), (second.clone(), first.clone()));
        for said in [&first, &second] {
            assert_eq!((&said.clone().with_newest_defaults(), &said.clone().with_earliest_defaults()), (said, said));
        }
        // The text written now leaves nothing open.
        assert!(to_yaml(&open).contains("version: 2") && to_yaml(&first).contains("version: 1"));
        // Compares a user's file with a written record of the same name: `is_same` is true if they are equal.
        let check = |file: &Experiment, written: &Experiment, is_same: bool| {
            assert_eq!(file.clone().with_defaults_of(written) == written.clone().with_earliest_defaults(), is_same, "{file:?} {written:?}");
        };
        for (file, same) in [(&open, [true, false, true]), (&first, [true, true, false]), (&second, [false, false, true])] {
            for (written, is_same) in [&open, &first, &second].into_iter().zip(same) {
                check(file, written, is_same);
            }
        }
    }
    let none = experiment("{ type: uniform }");
    assert!(none.clone().with_newest_defaults() == none && none.clone().with_earliest_defaults() == none);
    let wrong = |version: &str| {
        parse_partition(&format!("{{ type: dirichlet, alpha: 1, version: {version} }}"), catalogues()).unwrap_err().render(false)
    };
    assert!(wrong("3").contains("at most 2") && wrong("0").contains("at least 1"), "{}", wrong("3"));
}

const PADDING: Whole = Whole::changed("padding", 1, 2, "The padding of images.").within(1, 2);
const WIDTH: Whole = Whole::new("width", 64, "Width of the hidden layer.");

static NET: NetEntry = NetEntry {
    block: Some("padded"),
    ..NetEntry::new(
        Entry::new("Padded", "A net with a default that has changed.").parameters(const { &[PADDING.parameter(), WIDTH.parameter()] }),
        SampleKind::images(1, 28, 10),
    )
};

#[test]
fn changed_defaults_of_nets_depend_on_the_origin_of_the_file() {
    let mut entries = entries();
    entries.nets.push(&NET);
    let catalogues = Catalogues::new(entries);
    for network in ["Padded", "{ type: Padded }", "{ type: Padded, width: 3 }", "{ padded: {} }", "{ padded: { width: 3 } }"] {
        let text =
            format!("{{ name: a, tasks: [{{ kind: distributed, network: {network}, dataset: mnist, distributed: {{ epochs: 1 }} }}] }}");
        let parsed = parse(&[SourceFile { name: "a".into(), text }], &[], &catalogues).unwrap_or_else(|report| panic!("{report}"));
        let padding = |experiment: &Experiment| experiment.tasks[0].training().expect("it trains").network.net().map(|net| PADDING.of(net));
        assert_eq!(padding(&parsed.experiment.clone().with_newest_defaults()), Some(2), "{network}");
        assert_eq!(padding(&parsed.experiment.clone().with_earliest_defaults()), Some(1), "{network}");
        assert!(to_yaml(&parsed.experiment).contains("padding: 2"), "{network}: {}", to_yaml(&parsed.experiment));
    }
}

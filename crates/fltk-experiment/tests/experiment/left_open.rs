//! Settings that a file leaves open, and whose default has changed.

use fltk_catalogue::catalogues;
use fltk_core::experiment::Experiment;
use fltk_experiment::{SourceFile, parse, parse_partition, to_yaml};

fn experiment(partition: &str) -> Experiment {
    let text = format!(
        "{{ name: a, tasks: [{{ kind: federated, network: LeNet5, dataset: mnist, federated: {{ clients: 10, clients_per_round: 2, rounds: 5, partition: {partition} }} }}] }}"
    );
    parse(&[SourceFile { name: "a".into(), text }], &[], catalogues()).unwrap_or_else(|report| panic!("{report}")).experiment
}

#[test]
fn a_default_that_has_changed_depends_on_who_wrote_the_file() {
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

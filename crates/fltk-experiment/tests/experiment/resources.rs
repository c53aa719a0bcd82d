//! The resources of a task's pods.

use fltk_catalogue::catalogues;
use fltk_experiment::{SourceFile, parse};

#[test]
fn tasks_with_workers_need_their_resources() {
    let check = |task: &str, expected: Result<(), &str>| {
        let resources = "resources: { master: { cores: 1, memory: 1Gi } }";
        let text = format!("name: a\ntasks:\n  - {{ name: a, network: FashionMNISTCNN, dataset: fashion-mnist, {task}, {resources} }}\n");
        let parsed = parse(&[SourceFile { name: "a.yaml".into(), text }], &[], catalogues());
        match (parsed, expected) {
            (Ok(parsed), Ok(())) => assert!(parsed.experiment.tasks[0].resources.as_ref().unwrap().worker.is_none()),
            (Err(report), Err(words)) => assert!(report.render(false).contains(words), "{report}"),
            (parsed, _) => panic!("{task}: {:?}", parsed.map(|parsed| parsed.experiment)),
        }
    };
    check("kind: federated, federated: { clients: 4, clients_per_round: 2, rounds: 1 }", Ok(()));
    check("kind: distributed, distributed: { epochs: 1 }", Ok(()));
    check("kind: distributed, distributed: { epochs: 1, data_parallelism: 1 }", Ok(()));
    let words = "`resources` lacks the resources of the 2 ranks after the first";
    check("kind: distributed, distributed: { epochs: 1, data_parallelism: 3 }", Err(words));
    let varied = "matrix: { factors: { distributed.data_parallelism: [1, 3] } }, kind: distributed, distributed: { epochs: 1 }";
    check(varied, Err(words));
}

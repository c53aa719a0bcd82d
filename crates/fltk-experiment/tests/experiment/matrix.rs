//! Sweeps: one task for each combination of values.

use fltk_catalogue::catalogues;
use fltk_core::experiment::Experiment;
use fltk_experiment::{SourceFile, parse};

fn read(task: &str, more: &str) -> Result<Experiment, String> {
    let text = format!(
        "name: x\ntasks:\n  - {{ name: t, kind: distributed, network: LeNet5, dataset: mnist, distributed: {{ epochs: 1 }}, {task} }}\n{more}"
    );
    parse(&[SourceFile { name: "x.yaml".into(), text }], &[], catalogues())
        .map(|parsed| parsed.experiment)
        .map_err(|report| report.render(false))
}

const SGD: &str = "train: { optimizer: { type: SGD, learning_rate: 1 } }";

fn names(experiment: &Experiment) -> Vec<&str> {
    experiment.tasks.iter().map(|task| task.name.as_str()).collect()
}

#[test]
fn combinations_are_tasks_with_labels() {
    let experiment =
        read(&format!("{SGD}, matrix: {{ factors: {{ train.batch_size: [16, 32], train.optimizer.learning_rate: [0.1, 0.01] }} }}"), "")
            .unwrap();
    assert_eq!(
        names(&experiment),
        [
            "t-batch_size16-learning_rate0_1",
            "t-batch_size16-learning_rate0_01",
            "t-batch_size32-learning_rate0_1",
            "t-batch_size32-learning_rate0_01"
        ]
    );
    let second = &experiment.tasks[1];
    assert_eq!(
        (second.training().expect("it trains").train.batch_size, second.training().expect("it trains").train.learning_rate()),
        (16, 0.01)
    );
    assert_eq!(second.labels["train.batch_size"], "16");
    assert_eq!(second.labels["train.optimizer.learning_rate"], "0.01");
}

#[test]
fn fraction_takes_a_regular_subset() {
    let three = "matrix: { factors: { train.batch_size: [1, 2], threads: [1, 2], train.test_batch_size: [5, 6] }, fraction: 2 }";
    let experiment = read(three, "").unwrap();
    let cells: Vec<_> = experiment
        .tasks
        .iter()
        .map(|task| {
            (
                task.training().expect("it trains").train.batch_size,
                task.training().expect("it trains").threads,
                task.training().expect("it trains").train.test_batch_size,
            )
        })
        .collect();
    // Every value of every factor occurs equally often, and so does every pair.
    assert_eq!(cells, [(1, 1, 5), (1, 2, 6), (2, 1, 6), (2, 2, 5)]);
}

#[test]
fn blocks_can_vary_and_long_names_become_numbers() {
    let experiment =
        read("matrix: { factors: { train.optimizer: [{ type: SGD, learning_rate: 0.1 }, { type: Adam, learning_rate: 0.001 }] } }", "");
    assert_eq!(names(&experiment.unwrap()), ["t-optimizerSGD1", "t-optimizerAdam2"]);
    let long = "matrix: { factors: { distributed.checkpoint_every_steps: [1, 2], distributed.data_parallelism: [1, 2], distributed.restarts: [100], threads: [1] } }";
    assert_eq!(names(&read(long, "").unwrap()), ["t-1", "t-2", "t-3", "t-4"]);
}

#[test]
fn group_with_a_matrix_task_contains_all_cells() {
    let stream = "stream: { orchestrator: batch, groups: [{ name: g, tasks: [t] }] }\n";
    let experiment = read("matrix: { factors: { threads: [1, 2] } }", stream).unwrap();
    assert_eq!(experiment.stream.unwrap().groups[0].tasks, ["t-threads1", "t-threads2"]);
}

#[test]
fn wrong_values_are_located_in_the_matrix() {
    let check = |matrix: &str, expected: &str| {
        let report = read(&format!("matrix: {matrix}"), "").expect_err(matrix);
        assert!(report.contains(expected), "{report}");
    };
    check("{ factors: { train.batch_size: [16, 0] } }", "`batch_size` must be at least 1, not `0`");
    check("{ factors: { train.batchsize: [16] } }", "`batchsize` isn't a key of `train`");
    check("{ factors: { kind: [federated] } }", "`kind` can't be varied");
    check("{ factors: { threads: [] } }", "`threads` has no values");
    check("{ factors: { threads.x: [1] } }", "`threads` must be a whole number");
    check("{ factors: {} }", "the matrix has no factors");
    check("{ factors: { threads: 3 } }", "`threads` must be a list");
    check("{ factors: { threads: [1, 2] }, fraction: 1 }", "`fraction` must be");
    check("{ factor: { threads: [1] } }", "did you mean `factors`?");
    check("{ factors: { threads: [1, 2, 3] }, fraction: 2 }", "no multiple of `fraction`");
    check("{ factors: { threads: [1, 1] } }", "has a value twice");
    check("{ factors: { train.batch_size: [1], train: [{ batch_size: 2 }] } }", "overlap");
    let many = (0..40).map(|number| number.to_string()).collect::<Vec<_>>().join(", ");
    check(&format!("{{ factors: {{ threads: [{many}], train.batch_size: [{many}] }} }}"), "more than 1000 combinations");
}

#[test]
fn cells_with_code_in_python_have_its_name() {
    let text = "name: x\ntasks:\n  - name: t\n    kind: federated\n    network: LeNet5\n    dataset: mnist\n    federated: { clients: 3, clients_per_round: 2, rounds: 1 }\n    matrix: { factors: { federated.strategy: [{ type: FedAvg }, { python: \"mine.py:Mine\" }] } }\n";
    let file = SourceFile { name: "x.yaml".into(), text: text.into() };
    let experiment = parse(&[file], &[], catalogues()).unwrap_or_else(|report| panic!("{report}")).experiment;
    assert_eq!(names(&experiment), ["t-strategyFedAvg1", "t-strategyMine2"]);
}

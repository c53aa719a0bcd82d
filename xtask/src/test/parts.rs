//! The list of checks. The table of proofs in CONTRIBUTING.md is made from this list; the checks themselves are in the crates' tests, here, or in
//! `dev/acceptance`.

use super::part::{
    After::{self, AllOthers, Over, Passed, Wanted},
    Load, Part,
    Resource::{Apt, Cargo, Node, Quiet},
    Stage, Touched, Work,
};

/// All processors.
const ALL: u32 = u32::MAX;

/// The packages of the programs.
const PROGRAM: &[&str] = &["fltk", "fltk-torch"];

/// The condition for parts that rely on the exact number of the real node's cores: all other parts with pods there are over.
const NODE_TO_ITSELF: &[After] = &[
    Passed("a real Kubernetes"),
    Passed("the guide"),
    Over("both charts twice in a namespace"),
    Over("data sets through a proxy"),
    Over("an orchestrator in its pod, PyTorchJobs"),
    Over("an orchestrator in its pod, TrainJobs"),
];

/// The packages for training that isn't federated, in addition to the programs' own code.
const TRAINS_ALONE: &[&str] = &["fltk-train", "fltk-records"];

const fn by(packages: &'static [&'static str], files: &'static [&'static str]) -> Touched {
    Touched::By { packages, files }
}

/// The fields that most parts of `cargo xtask test` share: one core, the programs under test, and the program `acceptance`.
const CHECK: Part = Part {
    name: "",
    proves: "",
    stage: Stage::Checks,
    after: &[Passed("compile")],
    work: Work::Acceptance,
    load: Load::cores(1),
    touched: Touched::Never,
};

/// The same for the parts of `cargo xtask test --cluster`.
const ON_CLUSTER: Part = Part { stage: Stage::Cluster, ..CHECK };

/// The same for the parts that others of both commands need.
const SET_UP: Part = Part { stage: Stage::Both, after: &[], work: Work::Own, load: Load::cores(0), ..CHECK };

/// The same for the compiled tests of a package, some of which compare with peers in Python. The package is in the name, by which its changes are found.
const TESTS: Part = Part { after: &[Passed("compile"), Wanted("Python packages")], work: Work::Tests, touched: by(&[], &[]), ..CHECK };

/// Returns the part that runs the tests of a package.
const fn tests(name: &'static str, proves: &'static str) -> Part {
    Part { name, proves, ..TESTS }
}

/// The parts, in an order in which each may run after those before it.
pub const PARTS: &[Part] = &[
    Part { name: "libtorch", proves: "that set-up finds or gets libtorch", ..SET_UP },
    Part {
        name: "Python packages",
        proves: "that the Python environment can be made, with PyTorch, for comparison, and TensorBoard, which reads our records",
        load: Load::cores(0).using(&[Apt]),
        ..SET_UP
    },
    Part {
        name: "Fashion-MNIST in full",
        proves: "that the data set is there, as Debian packages it",
        load: Load::cores(0).using(&[Apt]),
        ..SET_UP
    },
    Part {
        name: "HTTP proxy",
        proves: "that tinyproxy is there, through which nodes call in a test",
        load: Load::cores(0).using(&[Apt]),
        stage: Stage::Checks,
        ..SET_UP
    },
    Part {
        name: "Chromium",
        proves: "that Chromium is there, in which the page of `fltk serve` is tested",
        load: Load::cores(0).using(&[Apt]),
        stage: Stage::Checks,
        ..SET_UP
    },
    // These checks run no program of ours.
    Part {
        name: "format",
        proves: "that the code is formatted as rustfmt.toml says",
        after: &[],
        work: Work::Cargo(&["fmt", "--all", "--check"]),
        touched: Touched::Always,
        ..CHECK
    },
    Part {
        name: "tidy",
        proves: "the rules that no compiler checks: dependencies between crates, where clocks and `unsafe` may be, links, hosts, documented dependencies",
        after: &[],
        work: Work::Own,
        touched: Touched::Always,
        ..CHECK
    },
    Part {
        name: "compile",
        proves: "that all programs, tests and examples compile",
        stage: Stage::Both,
        after: &[Passed("libtorch")],
        work: Work::Compile,
        load: Load::cores(ALL).using(&[Cargo]),
        ..CHECK
    },
    Part {
        name: "clippy",
        proves: "that clippy and rustc give no warning, in tests and examples too",
        work: Work::Cargo(&["clippy", "--release", "--workspace", "--all-targets", "--", "-D", "warnings"]),
        load: Load::cores(ALL).using(&[Cargo]),
        touched: by(&["*"], &["clippy.toml"]),
        ..CHECK
    },
    Part {
        name: "the program without its features",
        proves: "that `fltk` compiles without Kubernetes and HTTP, and without warnings",
        work: Work::Cargo(&["clippy", "--release", "--package", "fltk", "--no-default-features", "--", "-D", "warnings"]),
        load: Load::cores(1).using(&[Cargo]),
        touched: by(PROGRAM, &[]),
        ..CHECK
    },
    Part {
        name: "documentation",
        proves: "that rustdoc accepts all comments, including their links",
        work: Work::Cargo(&["doc", "--release", "--workspace", "--no-deps", "--quiet"]),
        load: Load::cores(1).using(&[Cargo]),
        touched: by(&["*"], &[]),
        ..CHECK
    },
    Part {
        name: "examples in comments",
        proves: "that the examples of doc comments compile and hold",
        work: Work::Cargo(&["test", "--release", "--workspace", "--doc", "--quiet"]),
        load: Load::cores(1).using(&[Cargo]),
        touched: by(&["*"], &[]),
        ..CHECK
    },
    Part {
        name: "torch-dist with NCCL",
        stage: Stage::Slow,
        proves: "that groups over NCCL compile against its own headers; running them needs a GPU",
        after: &[Passed("compile"), Passed("Python packages")],
        load: Load::cores(1).using(&[Cargo]),
        touched: by(&["torch-dist"], &[]),
        ..CHECK
    },
    Part { load: Load::cores(0), ..tests("tests of fltk-core", "units, seeds, schedules, and the entries of catalogues") },
    Part {
        touched: by(&[], &["examples/", "configs/", "docs/experiment.schema.json"]),
        ..tests(
            "tests of fltk-experiment",
            "the meaning of experiment files, including KFLTK's, and how their errors are shown; arrivals; that an entry of one's own is one file and one line",
        )
    },
    tests(
        "tests of fltk-data",
        "readers, verified downloads that resume after an interruption, transforms, and every partitioner's properties",
    ),
    tests(
        "tests of fltk-fed",
        "the federated round as a protocol under any order and loss of messages, and strategies by hand-computed numbers",
    ),
    Part {
        touched: by(&[], &["proto/"]),
        ..tests(
            "tests of fltk-network",
            "nodes and federators over simulated and real networks: lost, doubled and hostile messages, certificates, generated inputs; the bits of one process",
        )
    },
    Part { load: Load::cores(0), ..tests("tests of fltk-http", "which certificates clients trust, over real TLS") },
    tests("tests of fltk-server", "that connections that are silent, or read nothing, keep nobody out"),
    tests(
        "tests of fltk-records",
        "journals and folders that were cut off at any byte, malicious archives, and that real TensorBoard reads our events",
    ),
    tests("tests of fltk-plan", "the planner, by properties and tables, and the orchestrator, rebuilt from its journal after every record"),
    Part {
        touched: by(&[], &["charts/", "examples/", "configs/"]),
        ..tests(
            "tests of fltk-kubernetes",
            "the edge and the orchestrator, killed at every record and request, against an in-memory API server: lost responses, expired watches, capacity, rights",
        )
    },
    Part {
        load: Load::cores(0),
        ..tests("tests of fake-kubernetes", "that the in-memory API server and its operators answer a real client as a real cluster does")
    },
    Part { load: Load::cores(0), ..tests("tests of fltk-web", "the HTTP API and its client: tokens, ranges, aborted responses") },
    Part { load: Load::cores(0), ..tests("tests of libtorch-build", "which versions of libtorch build scripts accept") },
    tests("tests of torch-dist", "stores, groups and DDP of libtorch from Rust, with lost, late and hanging ranks"),
    tests(
        "tests of fltk-train",
        "nets, losses, optimizers and schedules by golden numbers of PyTorch; ranks that compute the same as one process",
    ),
    Part {
        touched: by(&[], &["examples/", "configs/", "docs/", "charts/"]),
        ..tests(
            "tests of fltk",
            "the commands that don't train: exit codes, JSON, help, servers, hand-over to `fltk-torch`, and that `fltk` loads no libtorch",
        )
    },
    Part {
        after: &[Passed("compile"), Wanted("Python packages"), Wanted("HTTP proxy")],
        touched: by(&[], &["examples/", "configs/", "python/make_torchscript.py"]),
        ..tests(
            "tests of fltk-torch",
            "runs, ranks, nodes and streams as processes: killed and resumed, frozen, cut off, behind a proxy, TorchScript, the same bits",
        )
    },
    Part { touched: by(&[], &["CONTRIBUTING.md"]), ..tests("tests of xtask", "set-up, tidy and this runner") },
    Part { touched: by(&[], &["charts/"]), ..tests("tests of chart-values", "that the schemas fit the charts' own values") },
    Part {
        touched: by(&[], &["charts/", "Dockerfile", "python/"]),
        ..tests("tests of images", "rules of the charts, reproducible images on a small scale")
    },
    Part {
        touched: by(&[], &["cluster/tools/", "docs/guide/"]),
        ..tests("tests of testbed", "what the cluster of the tests is made of, pages as scripts")
    },
    Part {
        touched: by(&[], &["docs/guide/", "docs/reproduction/", "docs/reproduction.md"]),
        ..tests(
            "tests of acceptance",
            "the parts that this list names, and what they read; that docs/reproduction.md is what tables and records give",
        )
    },
    Part {
        name: "a Rust and a Python rank in one group",
        proves: "that our ranks and `torch.distributed`'s train one model, with either as rank 0, and meet in a control group as well",
        after: &[Passed("compile"), Passed("Python packages")],
        load: Load::cores(2),
        touched: by(&["torch-dist"], &["python/ddp_rank.py", "python/groups_rank.py"]),
        ..CHECK
    },
    Part {
        name: "parity with PyTorch",
        stage: Stage::Slow,
        proves: "every net against the installed PyTorch, each optimizer on half of them, with weights exchanged as files, at large steps on this processor",
        after: &[Passed("compile"), Passed("Python packages")],
        touched: by(&["fltk-train"], &["crates/fltk-torch/src/cmd/parity", "python/nets.py", "python/parity.py"]),
        ..CHECK
    },
    Part {
        name: "the Python package",
        proves: "that records, figures and runs in Python are what the program prints of the folders of all versions, on each Python that is found; types and syntax for 3.10 to 3.14; notebooks; apps of the real Flower, with the parameters of its own simulation; copies for MLflow and Weights & Biases",
        after: &[Passed("compile"), Passed("Python packages")],
        touched: by(
            &["fltk", "fltk-torch", "fltk-records"],
            &[
                "python/fltk/",
                "python/program/",
                "python/build_wheels.py",
                "python/package.txt",
                "python/peers.txt",
                "examples/flower/",
                "examples/notebooks/",
            ],
        ),
        ..CHECK
    },
    Part {
        name: "wheels",
        proves: "that the wheel of the package and the one that carries the program, installed without Rust, train with the tests' PyTorch to the same bits as the program from its archive",
        after: &[Passed("compile"), Passed("Python packages")],
        load: Load::cores(1).using(&[Apt]),
        touched: by(&["fltk", "fltk-torch"], &["python/fltk/", "python/program/", "python/build_wheels.py"]),
        ..CHECK
    },
    Part {
        name: "Helm charts",
        proves: "that both charts render what was committed, fit the API of five versions of Kubernetes, and keep our own rules",
        touched: by(&[], &["charts/", "cluster/tools/", "configs/", "examples/"]),
        ..CHECK
    },
    Part {
        name: "charts and program",
        proves: "that the program takes what the charts give it, and that the schemas are what the types of experiments and charts' values say",
        after: &[Passed("compile"), Over("Helm charts")],
        touched: by(&["fltk", "chart-values"], &["charts/", "configs/", "docs/catalogue.md", "docs/experiment.schema.json", "examples/"]),
        ..CHECK
    },
    Part {
        name: "the page in a browser",
        proves: "that Chromium shows what the server serves: every view and chart, while a run trains and while the server is gone, by keyboard alone, at any width, 2,000 runs and 15,000 jobs; that hostile names stay text, and nothing is asked of any other host",
        after: &[Passed("compile"), Passed("Chromium")],
        load: Load::cores(2),
        touched: by(&["fltk-web", "fltk-records", "fltk-plan", "fltk", "fltk-torch"], &[]),
        ..CHECK
    },
    // These are whole runs.
    Part {
        name: "quickstart",
        proves: "that the demo's experiment learns real images (accuracy above 0.75), with the same bits for one worker, and for two when killed and resumed",
        load: Load::cores(2),
        touched: by(PROGRAM, &["examples/quickstart.yaml"]),
        ..CHECK
    },
    Part {
        name: "published tables",
        proves: "that the program accepts every cell of the tables that `cargo xtask reproduce` runs, and a run of one that was killed gives the same record",
        load: Load::cores(2),
        touched: by(PROGRAM, &[]),
        ..CHECK
    },
    Part {
        name: "accuracy of central training",
        proves: "that examples/fashion-central.yaml reaches 0.88 on all of Fashion-MNIST",
        after: &[Passed("compile"), Passed("Fashion-MNIST in full")],
        touched: by(TRAINS_ALONE, &["crates/fltk/src/", "crates/fltk-torch/src/", "examples/fashion-central.yaml"]),
        ..CHECK
    },
    Part {
        name: "accuracy of federated training",
        proves: "that examples/fashion-fedavg.yaml reaches 0.80 on all of Fashion-MNIST",
        after: &[Passed("compile"), Passed("Fashion-MNIST in full")],
        load: Load::cores(2),
        touched: by(PROGRAM, &["examples/fashion-fedavg.yaml"]),
        ..CHECK
    },
    Part {
        name: "accuracy of four ranks",
        stage: Stage::Slow,
        proves: "that four ranks, as in examples/fashion-ddp.yaml with larger batches, end within 0.2 points of the same training in one process",
        after: &[Passed("compile"), Passed("Fashion-MNIST in full")],
        load: Load::cores(2),
        touched: by(TRAINS_ALONE, &["crates/fltk/src/", "crates/fltk-torch/src/", "examples/fashion-ddp.yaml"]),
        ..CHECK
    },
    // These parts need a cluster.
    Part {
        name: "Debian packages",
        proves: "that the Debian packages that containers and the cluster need can be installed",
        after: &[Passed("compile"), Over("Fashion-MNIST in full")],
        load: Load::cores(0).using(&[Apt]),
        ..ON_CLUSTER
    },
    Part {
        name: "Kubernetes, built",
        proves: "that Kubernetes, Kubeflow's operators, kwok and Helm can be built from the Go module proxy",
        // That part installs some packages itself.
        after: &[Passed("compile"), Wanted("Debian packages")],
        load: Load::cores(ALL),
        ..ON_CLUSTER
    },
    Part {
        name: "image training",
        proves: "that the image is built, runs without privileges, and has verified data",
        after: &[Wanted("Debian packages"), Passed("compile"), Passed("Fashion-MNIST in full")],
        touched: by(&["fltk", "fltk-torch"], &["Dockerfile"]),
        ..ON_CLUSTER
    },
    Part {
        name: "image orchestrator",
        proves: "that the image is built, runs without privileges, and stays below 47 MB",
        after: &[Wanted("Debian packages"), Passed("compile")],
        touched: by(&["fltk"], &["Dockerfile"]),
        ..ON_CLUSTER
    },
    Part {
        name: "image tensorboard",
        proves: "that the image is built, and runs TensorBoard without privileges",
        after: &[Wanted("Debian packages"), Passed("compile"), Wanted("Python packages")],
        touched: by(&[], &["Dockerfile", "python/tensorboard.txt"]),
        ..ON_CLUSTER
    },
    Part {
        name: "image cuda",
        proves: "that the image with CUDA's libraries finds all of them, and trains to the same bits without a GPU",
        after: &[Wanted("Debian packages"), Passed("compile"), Passed("Python packages"), Passed("Fashion-MNIST in full")],
        touched: by(&["fltk-torch"], &["Dockerfile", "examples/quickstart.yaml"]),
        ..ON_CLUSTER
    },
    Part {
        name: "a real Kubernetes",
        proves: "that the cluster of the tests starts, with Kubeflow's operators and 50 simulated nodes",
        after: &[Wanted("Debian packages"), Passed("Kubernetes, built")],
        ..ON_CLUSTER
    },
    Part {
        name: "a namespace without rights",
        proves: "that a user without rights gets an error that names the missing ones, from the real API server, and nothing is made",
        after: &[Passed("a real Kubernetes")],
        load: Load::cores(0),
        touched: by(&["fltk"], &["examples/stream.yaml"]),
        ..ON_CLUSTER
    },
    Part {
        name: "500 jobs on 50 nodes",
        proves: "that a stream of 500 jobs through the real operator follows its plan, and each job is created once, although the orchestrator is killed, the API server frozen and a job deleted",
        after: &[Passed("a real Kubernetes")],
        load: Load::cores(1).using(&[Quiet]),
        touched: by(&["fltk-kubernetes", "fltk"], &[]),
        ..ON_CLUSTER
    },
    Part {
        name: "the guide",
        proves: "that the guide, run as it is written, leads from an empty cluster to results: images, charts, an experiment of four jobs, TensorBoard, cleaning up",
        after: &[Passed("a real Kubernetes"), Passed("Fashion-MNIST in full")],
        load: Load::cores(1).using(&[Node, Cargo]),
        touched: by(&["fltk", "fltk-torch"], &["docs/guide/", "charts/", "configs/", "Dockerfile", "python/tensorboard.txt"]),
        ..ON_CLUSTER
    },
    Part {
        name: "images, built again",
        proves: "that images are the same when built again, as the guide says",
        after: &[Passed("the guide"), Passed("image training"), Passed("image orchestrator"), Passed("image tensorboard")],
        touched: by(&["fltk", "fltk-torch"], &["Dockerfile"]),
        ..ON_CLUSTER
    },
    Part {
        name: "both charts twice in a namespace",
        proves: "that several releases in a namespace are installed, upgraded and uninstalled by real helm without conflicts",
        after: &[Passed("a real Kubernetes"), Passed("the guide")],
        load: Load::cores(0),
        touched: by(&["fltk-kubernetes", "fltk"], &["charts/"]),
        ..ON_CLUSTER
    },
    Part {
        name: "data sets through a proxy",
        proves: "that the Extractor fetches published files through a proxy that intercepts TLS, resumes after an interruption, and a job trains with them",
        after: &[Passed("a real Kubernetes"), Passed("the guide")],
        load: Load::cores(1).using(&[Node]),
        touched: by(&["fltk-data", "fltk"], &["charts/"]),
        ..ON_CLUSTER
    },
    Part {
        name: "an orchestrator in its pod, PyTorchJobs",
        proves: "that an orchestrator whose pod is deleted is resumed by the next, and uses exactly the rights that the chart gives",
        after: &[Passed("a real Kubernetes"), Passed("the guide")],
        load: Load::cores(0),
        touched: by(&["fltk-kubernetes", "fltk"], &["charts/orchestrator/"]),
        ..ON_CLUSTER
    },
    Part {
        name: "an orchestrator in its pod, TrainJobs",
        proves: "the same with TrainJobs, which need other rights",
        // A node that is added for one part would have room for the other part's jobs.
        after: &[Passed("a real Kubernetes"), Passed("the guide"), Over("an orchestrator in its pod, PyTorchJobs")],
        load: Load::cores(0),
        touched: by(&["fltk-kubernetes", "fltk"], &["charts/orchestrator/"]),
        ..ON_CLUSTER
    },
    Part {
        name: "KFLTK's files in real pods, TrainJobs",
        proves: "that KFLTK's files train in restricted pods of Kubeflow Trainer, with records on a shared volume, and are removed by `--down`",
        after: NODE_TO_ITSELF,
        load: Load::cores(1).using(&[Node]),
        touched: by(&["fltk-kubernetes", "fltk", "fltk-torch"], &["configs/"]),
        ..ON_CLUSTER
    },
    Part {
        name: "priorities on a tainted node",
        proves: "that a real job is preempted by one of higher priority and resumes from its checkpoint",
        after: NODE_TO_ITSELF,
        load: Load::cores(1).using(&[Node]),
        touched: by(&["fltk-kubernetes", "fltk", "fltk-torch"], &[]),
        ..ON_CLUSTER
    },
    Part {
        name: "a gang on a tainted node",
        proves: "that a gang of real pods waits until all of it fits, and reports what it waits for",
        after: NODE_TO_ITSELF,
        load: Load::cores(1).using(&[Node]),
        touched: by(&["fltk-kubernetes", "fltk", "fltk-torch"], &[]),
        ..ON_CLUSTER
    },
    Part {
        name: "a stream of all kinds",
        proves: "that a stream of a federated job with a TorchScript module, a distributed one and a program in an image without fltk runs in real pods, as PyTorchJob and as TrainJob, and the program, preempted, goes on by its own checkpoint",
        after: NODE_TO_ITSELF,
        load: Load::cores(1).using(&[Node]),
        touched: by(&["fltk-kubernetes", "fltk", "fltk-torch"], &[]),
        ..ON_CLUSTER
    },
    Part {
        name: "lost ranks",
        proves: "that a job of three ranks loses its master once, or a worker three times, and ends with the same result as an undisturbed one, as PyTorchJob and as TrainJob",
        // The part's pods request no resources, and mostly wait for the kubelet.
        after: &[Passed("a real Kubernetes"), Passed("the guide")],
        touched: by(&["fltk-kubernetes", "torch-dist", "fltk", "fltk-torch"], &[]),
        ..ON_CLUSTER
    },
    Part {
        name: "nodes of a federated job",
        proves: "that KFLTK's federated example trains as a federator and three nodes in pods, as PyTorchJob and as TrainJob, loses a node and then the federator, and ends with the bits of one process",
        // As above.
        after: &[Passed("a real Kubernetes"), Passed("the guide")],
        touched: by(&["fltk-kubernetes", "fltk-network", "fltk", "fltk-torch"], &["configs/federated_tasks/"]),
        ..ON_CLUSTER
    },
    Part {
        name: "ranks as containers",
        proves: "that the ranks, the federator and the nodes of docs/compose.md, run as it is written, train as containers of one machine",
        after: &[Passed("the guide")],
        touched: by(
            &["fltk-torch", "fltk-network"],
            &["docs/compose.md", "compose.yaml", "Dockerfile", "examples/fashion-ddp.yaml", "examples/quickstart.yaml"],
        ),
        ..ON_CLUSTER
    },
    Part {
        name: "stopping Kubernetes",
        proves: "that nothing of the cluster is left: no process, mount, group or namespace",
        after: &[AllOthers],
        load: Load::cores(0),
        ..ON_CLUSTER
    },
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_of_parts_are_unique_and_needs_come_first() {
        let mut before = BTreeSet::new();
        for part in PARTS {
            for after in part.after.iter().filter_map(|after| after.name()) {
                assert!(before.contains(after), "`{}` comes after `{after}`, which isn't before it", part.name);
            }
            assert!(before.insert(part.name), "`{}` is there twice", part.name);
            assert!(!part.proves.is_empty() && !part.proves.contains('|'), "`{}`", part.name);
        }
    }

    /// A part that is chosen by itself never runs programs compiled from another state of the checkout.
    #[test]
    fn parts_that_run_programs_need_the_compile_part() {
        for part in PARTS.iter().filter(|part| matches!(part.work, Work::Acceptance | Work::Tests) && part.name != "stopping Kubernetes") {
            let mut needs: Vec<&str> = vec![part.name];
            let mut at = 0;
            while at < needs.len() {
                let needed = PARTS.iter().find(|part| part.name == needs[at]).unwrap();
                needs.extend(needed.after.iter().filter_map(|after| if let Passed(name) = after { Some(*name) } else { None }));
                at += 1;
            }
            assert!(needs.contains(&"compile"), "`{}`", part.name);
        }
    }

    #[test]
    fn packages_with_tests_have_a_part() {
        let metadata = crate::checkout::Checkout::find().unwrap().metadata().unwrap();
        let of_parts: BTreeSet<&str> = PARTS.iter().filter_map(Part::tested).collect();
        let packages: BTreeSet<String> = metadata
            .workspace_packages()
            .iter()
            .filter(|package| package.targets.iter().any(|target| target.test && !target.is_custom_build()))
            .map(|package| package.name.to_string())
            .collect();
        assert_eq!(of_parts.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>(), packages);
    }
}

//! Tests of the program as a user or a script sees it: outputs, errors, exit codes.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;

use std::fs;

use common::{TINY_CENTRAL, TINY_FEDERATED, fltk, json, repository, run};

/// Runs the program, which must fail with `code`, and returns its messages.
fn refusal(folder: &std::path::Path, args: &[&str], code: i32) -> String {
    let output = run(folder, args);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "fltk {args:?}: {said}");
    said
}

#[test]
fn exit_codes_match_the_help() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("tiny.yaml"), TINY_FEDERATED).unwrap();
    fs::write(at.join("typo.yaml"), TINY_FEDERATED.replace("rounds:", "round:")).unwrap();
    let help = run(at, &["--help"]);
    assert!(String::from_utf8_lossy(&help.stdout).contains("130  interrupted"));

    assert!(refusal(at, &["run"], 2).contains("Usage"));
    let said = refusal(at, &["validate", "typo.yaml"], 3);
    assert!(said.contains("typo.yaml:") && said.contains("did you mean `rounds`"), "{said}");
    assert!(refusal(at, &["run", "typo.yaml"], 3).contains("rounds"));
    assert!(refusal(at, &["run", "missing.yaml"], 3).contains("missing.yaml"));
    assert!(refusal(at, &["run", "tiny.yaml", "--set", "tasks.0.federated.clients_per_round=41"], 3).contains("clients_per_round"));
    assert!(refusal(at, &["data", "show", "mnist"], 4).contains("fltk data fetch mnist"));
    assert!(refusal(at, &["data", "show", "mnits"], 4).contains("fashion-mnist"));
    assert!(refusal(at, &["runs", "show", "nowhere"], 6).contains("nowhere"));
}

#[test]
fn help_lists_the_entries_of_the_catalogues() {
    let folder = tempfile::tempdir().unwrap();
    let catalogues = fltk::catalogues();
    let nets: Vec<&str> = catalogues.nets.iter().map(|entry| entry.as_ref().name).collect();
    let datasets: Vec<&str> = catalogues.datasets.iter().map(|entry| entry.as_ref().name).collect();
    let partitioners: Vec<&str> = catalogues.partitioners.iter().map(|entry| entry.as_ref().name).collect();
    let strategies: Vec<&str> = catalogues.strategies.names().collect();
    let optimizers: Vec<&str> = catalogues.optimizers.iter().map(|entry| entry.name).collect();
    let commands: [(&[&str], &[&str]); 7] = [
        (&["nets", "show"], &nets),
        (&["data", "fetch"], &datasets),
        (&["data", "verify"], &datasets),
        (&["data", "show"], &[datasets.as_slice(), &partitioners].concat()),
        (&["strategies", "show"], &strategies),
        (&["parity"], &[nets.as_slice(), &optimizers].concat()),
        (&["catalogue"], &["net", "dataset", "partition", "strategy", "selection", "optimizer", "loss"]),
    ];
    for (command, names) in commands {
        let help = String::from_utf8(run(folder.path(), &[command, &["--help"]].concat()).stdout).unwrap();
        let words: Vec<&str> = help.split(|c: char| !(c.is_alphanumeric() || "_-".contains(c))).collect();
        for name in names {
            assert!(words.contains(name), "{command:?} doesn't name {name}: {help}");
        }
    }
}

#[test]
fn all_examples_and_configurations_are_valid() {
    let root = repository();
    let folder = tempfile::tempdir().unwrap();
    let mut num_files = 0;
    for pattern in ["examples", "configs", "crates/fltk-experiment/tests/cases/kfltk"] {
        let mut folders = vec![root.join(pattern)];
        while let Some(next) = folders.pop() {
            for entry in fs::read_dir(next).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|extension| extension == "yaml" || extension == "json") {
                    let checked = json(folder.path(), &["validate", path.to_str().unwrap(), "--output", "json"]);
                    assert_eq!(checked[0]["valid"], true, "{}: {checked}", path.display());
                    num_files += 1;
                }
            }
        }
    }
    assert!(num_files >= 8, "only {num_files} files were found");
}

#[test]
fn validate_accepts_overrides() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("tiny.yaml"), TINY_FEDERATED).unwrap();
    assert_eq!(json(at, &["validate", "tiny.yaml", "--set", "tasks.0.federated.rounds=2", "--output", "json"])[0]["valid"], true);
    let said = refusal(at, &["validate", "tiny.yaml", "--set", "tasks.0.federated.rounds=0"], 3);
    assert!(said.contains("--set:1:26") && said.contains("at least 1"), "{said}");
    // `--set` also replaces a value of a cluster file that is given with an arrival file, but not of a cluster file alone.
    let configs = repository().join("configs");
    let (cluster, arrival) = (configs.join("example_cloud_experiment.json"), configs.join("federated_tasks/example_arrival_config.json"));
    let (cluster, arrival) = (cluster.to_str().unwrap(), arrival.to_str().unwrap());
    let set = ["--set", "execution_config.duration=x"];
    assert!(refusal(at, &["validate", cluster, arrival, set[0], set[1]], 3).contains("--set:1:"));
    assert!(refusal(at, &["validate", cluster, set[0], set[1]], 3).contains("none of the files is one"));
}

#[test]
fn files_that_tasks_name_are_checked_at_the_line_of_their_path() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let partition = "partition: { type: dirichlet, alpha: 0.5 }";
    let with = |settings: &str| TINY_FEDERATED.replace(partition, settings);
    assert_ne!(with(""), TINY_FEDERATED);
    fs::create_dir(at.join("files")).unwrap();
    fs::write(
        at.join("files/given.yaml"),
        with("partition: { type: file, path: split.json }\n      selection: { type: file, path: split.json }"),
    )
    .unwrap();
    fs::write(at.join("files/table.yaml"), with("partition: { type: distribution, path: split.json }")).unwrap();
    let line =
        |path: &str| 1 + TINY_FEDERATED.lines().position(|line| line.contains(partition)).unwrap() + usize::from(path == "selection");
    let write = |text: &str| fs::write(at.join("files/split.json"), text).unwrap();
    let check = |file: &str, block: &str, words: &[&str]| {
        for command in ["validate", "run"] {
            let said = refusal(at, &[command, file], 3);
            for word in [&format!("{file}:{}:", line(block)), "^^^^^", "hint: "].into_iter().chain(words.iter().copied()) {
                assert!(said.contains(word), "`fltk {command}`: no `{word}` in {said}");
            }
        }
    };
    check("files/given.yaml", "partition", &["can't read `files/split.json`: No such file", "begins in the folder of the experiment file"]);
    let clients: Vec<Vec<u32>> = (0..40).map(|client| vec![client]).collect();
    let cohorts = [[0, 1, 2, 3]; 5];
    let split = |clients: &[Vec<u32>], cohorts: &[[u32; 4]]| serde_json::json!({ "clients": clients, "cohorts": cohorts }).to_string();
    for (text, block, words) in [
        ("{\"clients\": [[0],\n 1x]}".to_owned(), "partition", "line 2, column"),
        ("{}".to_owned(), "partition", "has no `clients`"),
        ("{}".to_owned(), "selection", "has no `cohorts`"),
        (split(&clients[..39], &cohorts), "partition", "its length is 39, and the task has 40 clients"),
        (split(&[&clients[..39], &[vec![60_000]]].concat(), &cohorts), "partition", "clients[39][0]: there is no sample 60000"),
        (split(&clients, &cohorts[..4]), "selection", "its length is 4, and the task has 5 rounds"),
        (split(&clients, &[[0, 1, 2, 40]; 5]), "selection", "cohorts[0][3]: there is no client 40"),
    ] {
        write(&text);
        check("files/given.yaml", block, &[words]);
    }
    write(r#"{ "counts": [[1]] }"#);
    check("files/table.yaml", "partition", &["counts: its length is 1, and the task has 40 clients"]);
    write(&split(&clients, &cohorts));
    assert_eq!(json(at, &["validate", "files/given.yaml", "--output", "json"])[0]["valid"], true);
}

#[test]
fn invalid_utf8_is_refused_with_its_position() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("latin1.yaml"), b"name: x\n# caf\xe9\n").unwrap();
    for command in ["validate", "run", "convert", "plan"] {
        let said = refusal(at, &[command, "latin1.yaml"], 3);
        assert!(said.contains("latin1.yaml") && said.contains("line 2, column 6") && said.contains("hint: save it as UTF-8"), "{said}");
    }
    fs::write(at.join("broken.json"), "{\n  \"trainTasks\": [\n}\n").unwrap();
    let said = refusal(at, &["validate", "broken.json"], 3);
    assert!(said.contains("broken.json:3:1") && said.contains("not valid JSON"), "{said}");
}

#[test]
fn kfltk_files_convert_to_a_valid_experiment_file() {
    let folder = tempfile::tempdir().unwrap();
    let configs = repository().join("configs");
    let (cluster, arrival) = (configs.join("example_cloud_experiment.json"), configs.join("federated_tasks/example_arrival_config.json"));
    let output = run(folder.path(), &["convert", cluster.to_str().unwrap(), arrival.to_str().unwrap()]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    fs::write(folder.path().join("converted.yaml"), &output.stdout).unwrap();
    let again = run(folder.path(), &["convert", "converted.yaml"]);
    assert_eq!(again.stdout, output.stdout, "a file of ours converts to itself");
    // JSON is YAML.
    let as_json = json(folder.path(), &["convert", "converted.yaml", "--output", "json"]);
    fs::write(folder.path().join("json.yaml"), as_json.to_string()).unwrap();
    assert_eq!(run(folder.path(), &["convert", "json.yaml"]).stdout, output.stdout);
}

#[test]
fn printed_schema_is_the_committed_one() {
    let folder = tempfile::tempdir().unwrap();
    let committed: serde_json::Value =
        serde_json::from_slice(&fs::read(repository().join("docs/experiment.schema.json")).unwrap()).unwrap();
    assert_eq!(json(folder.path(), &["schema"]), committed, "run `cargo xtask gen`");
}

#[test]
fn plans_are_reproducible() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let root = repository();
    let stream = root.join("examples/stream.yaml");
    let stream = stream.to_str().unwrap();
    let plan = |more: &[&str]| json(at, &[&["plan", stream, "--output", "json"], more].concat());
    let first = plan(&[]);
    assert_eq!(first, plan(&[]));
    let jobs = first["replications"][0]["jobs"].as_array().unwrap();
    assert!(jobs.len() > 20 && jobs[0]["pods"][0]["role"] == "Master", "{first}");
    assert_ne!(plan(&["--seed", "7"])["replications"][0]["jobs"], first["replications"][0]["jobs"]);
    let trace = root.join("examples/trace.yaml");
    let shown = run(at, &["plan", trace.to_str().unwrap()]);
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.contains("6 jobs, the last after 0:00:20.0") && shown.contains("admission max_concurrent 2"), "{shown}");
    let said = refusal(at, &["plan", trace.to_str().unwrap(), "--set", "stream.trace=missing.csv"], 3);
    assert!(said.contains("missing.csv"), "{said}");
    fs::write(at.join("wrong.csv"), "time,class\n1,nobody\n").unwrap();
    let wrong = format!("stream.trace={}", at.join("wrong.csv").display());
    let said = refusal(at, &["plan", trace.to_str().unwrap(), "--set", &wrong], 3);
    assert!(said.contains("wrong.csv:2: there is no task `nobody`"), "{said}");
    let endless = refusal(at, &["plan", stream, "--set", "stream.groups.0.gaps.mean=1ms", "--set", "stream.duration=30d"], 3);
    assert!(endless.contains("more than 1000000 jobs"), "{endless}");
}

/// The refusals are also reported without an image, as long as a file has a `kubernetes` block.
#[cfg(feature = "cluster")]
#[test]
fn plan_reports_jobs_that_kubernetes_cannot_run() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("tiny.yaml"), TINY_CENTRAL.replace("dataset: fashion-mnist-mini", "dataset: { name: fashion-mnist, path: mine }"))
        .unwrap();
    let block = |more: &str| {
        let policy = "run_policy: { clean_pod_policy: All, scheduling_policy: { queue: q } }";
        format!("kubernetes: {{ backend: trainjob, resources: {{ master: {{ nvidia.com/gpu: 2 }} }}, {policy}{more} }}\n")
    };
    fs::write(at.join("unnamed.yaml"), block("")).unwrap();
    fs::write(at.join("named.yaml"), block(", image: registry.example/fltk:1")).unwrap();
    let refused = ["`mine` is relative", "`scheduling_policy`", "`clean_pod_policy: All`"];
    for kubernetes in ["unnamed.yaml", "named.yaml"] {
        let shown = run(at, &["plan", "tiny.yaml", kubernetes]);
        let text = String::from_utf8(shown.stdout).unwrap();
        assert!(shown.status.success() && text.contains("nvidia.com/gpu 2"), "{text}{}", String::from_utf8_lossy(&shown.stderr));
        let lines: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("refused on Kubernetes: ")).collect();
        assert!(lines.len() == 3 && lines.iter().zip(refused).all(|(line, words)| line.contains(words)), "{text}");
        let plan = json(at, &["plan", "tiny.yaml", kubernetes, "--output", "json"]);
        assert_eq!(plan["refusals"].as_array().unwrap(), &lines, "{plan}");
    }
    assert!(refusal(at, &["plan", "tiny.yaml", "unnamed.yaml", "--manifests", "made"], 3).contains("no container image is set"));
    // A plan for this machine, without a `kubernetes` block, refuses none of that.
    let shown = String::from_utf8(run(at, &["plan", "tiny.yaml"]).stdout).unwrap();
    assert!(shown.contains("tiny-central") && !shown.contains("refused"), "{shown}");
}

/// The experiment's name is valid for an experiment, but not as a label value.
#[cfg(feature = "cluster")]
#[test]
fn plans_have_names_valid_for_the_api_server() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let file = repository().join("crates/fltk/tests/data/odd-name.yaml");
    let file = file.to_str().unwrap();
    let planned = json(at, &["plan", file, "--set", "stream.image=fltk:1", "--manifests", "made", "--output", "json"]);
    let id = planned["replications"][0]["jobs"][0]["id"].as_str().unwrap();
    let made = fs::read_to_string(at.join(format!("made/trainjob-{id}.yaml"))).unwrap();
    assert!(made.matches("fltk.node/run: lenet\n").count() >= 4 && !made.contains("fltk.node/run: _"), "{made}");
    fs::write(at.join("kubernetes.yaml"), "kubernetes: { image: 'fltk:1', labels: { team: _a } }\n").unwrap();
    let refused = json(at, &["plan", file, "kubernetes.yaml", "--output", "json"])["refusals"].clone();
    assert!(refused[0].as_str().unwrap().contains("`team` of `labels` can't be `_a`"), "{refused}");
}

#[test]
fn cluster_file_may_omit_settings_of_the_arrival_file() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let cases = repository().join("crates/fltk-experiment/tests/cases/kfltk");
    let mut cluster: serde_json::Value = serde_json::from_slice(&fs::read(cases.join("cluster-batch-serial.json")).unwrap()).unwrap();
    cluster["execution_config"]["reproducibility"] = serde_json::json!({});
    fs::write(at.join("cluster.json"), cluster.to_string()).unwrap();
    let with_seeds = cases.join("x_experimentConfiguration.json");
    let checked = json(at, &["validate", with_seeds.to_str().unwrap(), "cluster.json", "--output", "json"]);
    assert!(checked.as_array().unwrap().iter().all(|file| file["valid"] == true), "{checked}");
    // The seeds are missing if the cluster file is alone, or beside an arrival file without seeds.
    assert!(refusal(at, &["validate", "cluster.json"], 3).contains("seeds"));
    let without = cases.join("batch-priorities.json");
    assert!(refusal(at, &["validate", without.to_str().unwrap(), "cluster.json"], 3).contains("seeds"));
}

#[test]
fn options_without_effect_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let stream = repository().join("examples/stream.yaml");
    let stream = stream.to_str().unwrap();
    assert!(refusal(folder.path(), &["run", stream, "--fail-fast"], 3).contains("`--fail-fast` is for runs"));
    assert!(refusal(folder.path(), &["run", stream, "--retry-failed"], 2).contains("--resume"));
}

#[test]
fn validate_continues_after_a_missing_file() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("tiny.yaml"), TINY_FEDERATED).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(at.join("pipe")).status().unwrap().success());
    let output = run(at, &["validate", "missing.yaml", "/dev/zero", "pipe", ".", "tiny.yaml", "--output", "json"]);
    assert_eq!(output.status.code(), Some(3));
    let checked: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let valid: Vec<_> = checked.as_array().unwrap().iter().map(|file| file["valid"].as_bool().unwrap()).collect();
    assert_eq!(valid, [false, false, false, false, true]);
    assert!(checked[2]["problems"][0]["message"].as_str().unwrap().contains("not a file"), "{checked}");
}

#[test]
fn closed_output_pipe_is_not_an_error() {
    let folder = tempfile::tempdir().unwrap();
    for output in ["text", "json"] {
        let mut child = fltk(folder.path())
            .args(["data", "list", "--output", output])
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        // The pipe is closed before the program writes, or while it writes: in both cases it must print no error.
        drop(child.stdout.take());
        let ended = child.wait_with_output().unwrap();
        assert!(matches!(ended.status.code(), Some(0 | 141)), "{ended:?}");
        assert!(ended.stderr.is_empty(), "{ended:?}");
    }
}

#[test]
fn excessive_numbers_of_clients_are_usage_errors() {
    let folder = tempfile::tempdir().unwrap();
    let show = |clients| ["data", "show", "fashion-mnist-mini", "--partition", "{type: uniform}", "--clients", clients];
    for clients in ["0", "4000000000"] {
        assert!(refusal(folder.path(), &show(clients), 2).contains("1..=1000000"));
    }
}

#[test]
fn data_sets_with_settings_are_shown() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let shown = |name: &str, more: &[&str]| json(at, &[&["data", "show", name, "--output", "json"], more].concat());
    let (by_name, few) =
        (shown("synthetic", &[]), shown("{name: synthetic, clients: 4}", &["--partition", "{type: natural_id}", "--clients", "4"]));
    assert_eq!(
        (&by_name["name"], &few["name"], &few["image_shape"]),
        (&"synthetic".into(), &"synthetic".into(), &serde_json::json!([60, 1, 1]))
    );
    assert!(few["train_samples"].as_u64() < by_name["train_samples"].as_u64());
    assert_eq!(few["partition"]["clients"].as_array().map(Vec::len), Some(4));
    let counts = few["train_counts"].as_array().unwrap().iter().map(|count| count.as_u64().unwrap()).sum::<u64>();
    assert_eq!(Some(counts), few["train_samples"].as_u64());
    // There are too many samples to look at all of them.
    let many = "{name: synthetic, clients: 200000}";
    assert_eq!(shown(many, &[])["train_counts"], serde_json::Value::Null);
    assert!(refusal(at, &["data", "show", many, "--partition", "{type: natural_id}"], 3).contains("use fewer `clients`"));
    assert!(refusal(at, &["data", "show", "{name: synthetic, alhpa: 1}"], 3).contains("did you mean `alpha`?"));
    assert!(refusal(at, &["data", "show", "synthetic", "--path", "folder"], 4).contains("leave `path` out"));
    let listed = String::from_utf8(run(at, &["data", "list"]).stdout).unwrap();
    assert!(listed.contains("made when it is used"), "{listed}");
    let fetched = String::from_utf8(run(at, &["data", "fetch", "synthetic", "--data", "cache"]).stdout).unwrap();
    assert_eq!(fetched, "synthetic: made when it is used\n");
}

#[test]
fn fetch_continues_after_failures_and_lists_them() {
    let folder = tempfile::tempdir().unwrap();
    // The cache can't be created, since there is a file at its path.
    fs::write(folder.path().join("cache"), "").unwrap();
    let output = run(folder.path(), &["data", "fetch", "mnist", "fashion-mnist-mini", "cifar10", "--data", "cache"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(4), "{said}");
    assert!(said.contains("mnist: ") && said.contains("cifar10: "), "{said}");
    assert!(String::from_utf8(output.stdout).unwrap().contains("fashion-mnist-mini: in the program"));
}

#[test]
fn warnings_on_a_cluster_file_are_printed_once() {
    let folder = tempfile::tempdir().unwrap();
    let configs = repository().join("configs");
    let files = ["example_cloud_experiment.json", "federated_tasks/example_arrival_config.json"].map(|file| configs.join(file));
    let checked = json(folder.path(), &["validate", files[0].to_str().unwrap(), files[1].to_str().unwrap(), "--output", "json"]);
    for (checked, path) in checked.as_array().unwrap().iter().zip(&files) {
        let problems = checked["problems"].as_array().unwrap();
        assert!(!problems.is_empty() && problems.iter().all(|problem| problem["at"]["file"] == path.to_str().unwrap()), "{checked}");
    }
}

#[test]
fn files_saved_by_editors_and_tools_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let mark = "\u{feff}";
    let trace = r#"[{ "time": 0, "class": "first", "priority": 1.0 }, { "time": 2.5, "class": "first", "priority": null }]"#;
    let task = "name: first, kind: federated, network: MNISTCNN, dataset: fashion-mnist-mini, federated: { clients: 10.0, clients_per_round: 2, rounds: 1e1 }";
    let experiment = format!("name: marked\r\ntasks: [{{ {task} }}]\r\nstream: {{ orchestrator: trace, trace: trace.json }}\r\n");
    fs::write(at.join("trace.json"), format!("{mark}{trace}")).unwrap();
    fs::write(at.join("marked.yaml"), format!("{mark}{experiment}")).unwrap();
    let arrivals = fs::read_to_string(repository().join("configs/federated_tasks/example_arrival_config.json")).unwrap();
    fs::write(at.join("arrivals.json"), format!("{mark}{arrivals}")).unwrap();
    for file in ["marked.yaml", "arrivals.json"] {
        assert_eq!(json(at, &["validate", file, "--output", "json"])[0]["valid"], true, "{file}");
    }
    let converted = String::from_utf8(run(at, &["convert", "marked.yaml"]).stdout).unwrap();
    assert!(converted.contains("clients: 10\n") && converted.contains("rounds: 10\n"), "{converted}");
    assert!(json(at, &["plan", "marked.yaml", "--output", "json"]).to_string().contains("first"));
    let utf16: Vec<u8> = format!("{mark}{experiment}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    for bytes in [&utf16[..], &utf16[2..]] {
        fs::write(at.join("wide.yaml"), bytes).unwrap();
        let said = refusal(at, &["plan", "wide.yaml"], 3);
        assert!(said.contains("wide.yaml") && said.contains("it is UTF-16") && said.contains("save it as UTF-8"), "{said}");
    }
    fs::write(at.join("latin1.yaml"), [experiment.as_bytes(), b"# caf\xe9\n"].concat()).unwrap();
    let said = refusal(at, &["plan", "latin1.yaml"], 3);
    assert!(said.contains("line 4, column 6: the byte 0xe9 is not UTF-8"), "{said}");
}

#[test]
fn home_is_required_only_for_cached_data_sets() {
    let folder = tempfile::tempdir().unwrap();
    let run = |args: &[&str]| fltk(folder.path()).args(args).env_remove("HOME").env_remove("XDG_CACHE_HOME").output().unwrap();
    for args in
        [&["data", "list"][..], &["data", "show", "fashion-mnist-mini"], &["data", "fetch", "fashion-mnist-mini"], &["data", "verify"]]
    {
        let output = run(args);
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    for args in [["data", "show", "cifar100"], ["data", "fetch", "cifar100"]] {
        let output = run(&args);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(4) && said.contains("HOME") && said.contains("--data DIR"), "{args:?}: {said}");
    }
}

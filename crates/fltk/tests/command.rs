//! Tests of `kind: command`: programs of the user's own as runs and as jobs of a stream, with real processes.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use common::{fltk, json, repository, run};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::Value as Json;

/// The time limit for something that takes a second.
const LIMIT: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(10);

/// A folder with an experiment of one command: settings of the block in YAML, and a script for `sh`.
struct Case(tempfile::TempDir);

impl Case {
    fn new(settings: &str, script: &str) -> Self {
        let case = Self(tempfile::tempdir().unwrap());
        let script: String = script.lines().map(|line| format!("          {line}\n")).collect();
        let text = format!(
            "name: case\nseeds: [7]\ntasks:\n  - name: program\n    kind: command\n    command:\n      {settings}\n      run:\n        - sh\n        - -c\n        - |\n{script}"
        );
        fs::write(case.path().join("case.yaml"), text).unwrap();
        case
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// The folder of the only run.
    fn folder(&self) -> PathBuf {
        let runs: Vec<_> = fs::read_dir(self.path().join("runs")).unwrap().map(|entry| entry.unwrap().path()).collect();
        let runs: Vec<_> = runs.into_iter().filter(|path| path.join("run.json").exists()).collect();
        assert_eq!(runs.len(), 1, "{runs:?}");
        runs[0].clone()
    }

    /// The output of a rank.
    fn said(&self, rank: u32) -> String {
        fs::read_to_string(self.folder().join(format!("output/rank-{rank}.log"))).unwrap()
    }

    fn show(&self) -> Json {
        json(self.path(), &["runs", "show", self.folder().to_str().unwrap(), "--output", "json"])
    }

    /// Starts `fltk run` of the case in the background.
    fn start(&self) -> Running {
        Running(Some(fltk(self.path()).args(["run", "case.yaml"]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()))
    }

    /// Waits until the program has written a file of this name in the run's own folder, and returns its text.
    fn wait_for(&self, name: &str) -> String {
        let deadline = Instant::now() + LIMIT;
        loop {
            let runs = fs::read_dir(self.path().join("runs")).into_iter().flatten().map(|entry| entry.unwrap().path());
            let text = runs.filter_map(|run| fs::read_to_string(run.join("program").join(name)).ok()).next();
            if let Some(text) = text.filter(|text| text.ends_with('\n')) {
                return text;
            }
            assert!(Instant::now() < deadline, "too long: {name}");
            thread::sleep(POLL);
        }
    }
}

/// A running `fltk`, which is killed when this value is dropped.
struct Running(Option<Child>);

impl Running {
    fn signal(&self, signal: Signal) {
        kill_process(pid(self.0.as_ref().unwrap().id()), signal).unwrap();
    }

    fn end(mut self) -> Output {
        self.0.take().unwrap().wait_with_output().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn pid(id: u32) -> Pid {
    Pid::from_raw(i32::try_from(id).unwrap()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Waits until none of these processes is there.
fn wait_until_gone(processes: &str) {
    let deadline = Instant::now() + LIMIT;
    // A zombie that nobody has waited for yet is there for `kill`, but runs no more.
    let is_there = |process: u32| {
        let state = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        test_kill_process(pid(process)).is_ok() && !state.contains(") Z ")
    };
    for process in processes.split_whitespace().map(|process| process.parse().unwrap()) {
        while is_there(process) {
            assert!(Instant::now() < deadline, "process {process} is still there");
            thread::sleep(POLL);
        }
    }
}

#[test]
fn figures_of_the_example_are_recorded_as_those_of_other_runs() {
    let folder = tempfile::tempdir().unwrap();
    let example = repository().join("examples/command.yaml");
    let result = json(folder.path(), &["run", example.to_str().unwrap(), "--output", "json"]);
    assert_eq!((&result["kind"], &result["unit"], &result["accuracy"]), (&"command".into(), &"epoch".into(), &0.9.into()));
    let steps: Vec<_> = result["steps"].as_array().unwrap().iter().map(|step| (step["step"].clone(), step["figures"].clone())).collect();
    let expected: Vec<(Json, Json)> =
        (1..=5).map(|epoch| (epoch.into(), serde_json::json!({ "accuracy": f64::from(4 + epoch) / 10.0 }))).collect();
    assert_eq!(steps, expected);

    let run = result["run"].as_str().unwrap();
    let report = json(folder.path(), &["runs", "show", run, "--output", "json"]);
    let summary = &report["summary"];
    assert_eq!((&summary["status"], &summary["kind"], &summary["best_step"]), (&"finished".into(), &"command".into(), &5.into()));
    assert_eq!(report["description"]["hyperparameters"]["command.ranks"], 2.0);
    let csv = fs::read_to_string(folder.path().join(run).join("metrics.csv")).unwrap();
    let accuracies: Vec<&str> = csv.lines().skip(1).map(|line| line.split(',').nth(10).unwrap()).collect();
    assert_eq!(accuracies, ["0.5", "0.6", "0.7", "0.8", "0.9"]);
    for rank in 0..2 {
        let said = fs::read_to_string(folder.path().join(run).join(format!("output/rank-{rank}.log"))).unwrap();
        assert!(said.starts_with(&format!("rank {rank} of 2: epoch 1, seed 42\n")), "{said}");
    }
    // A finished run is only read again.
    let again = json(folder.path(), &["run", "--resume", run, "--output", "json"]);
    assert_eq!((&again["steps"], &again["seconds"]), (&result["steps"], &result["seconds"]));
    // Another seed joins it in a comparison.
    let other = json(folder.path(), &["run", example.to_str().unwrap(), "--seed", "43", "--output", "json"]);
    let comparison = json(folder.path(), &["runs", "compare", run, other["run"].as_str().unwrap(), "--output", "json"]);
    assert_eq!(comparison["groups"][0]["accuracy"]["count"], 2);
    assert_eq!(comparison["steps"].as_array().unwrap().len(), 5);
}

#[test]
fn environment_is_an_allow_list() {
    let case = Case::new("environment: [PATH, ALLOWED]\n      variables: { GIVEN: 'a b' }", "env");
    let output = fltk(case.path()).args(["run", "case.yaml"]).env("SECRET", "1").env("ALLOWED", "2").output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let said = case.said(0);
    // The shell adds some of its own.
    let of_shell = ["PWD", "SHLVL", "_", "OLDPWD"];
    let mut names: Vec<&str> = said.lines().filter_map(|line| line.split('=').next()).filter(|name| !of_shell.contains(name)).collect();
    names.sort_unstable();
    let expected = [
        "ALLOWED",
        "FLTK_FOLDER",
        "FLTK_SEED",
        "GIVEN",
        "LOCAL_RANK",
        "LOCAL_WORLD_SIZE",
        "MASTER_ADDR",
        "MASTER_PORT",
        "PATH",
        "RANK",
        "WORLD_SIZE",
    ];
    assert_eq!(names, expected);
    assert!(said.contains("GIVEN=a b\n") && said.contains("FLTK_SEED=7\n"), "{said}");
}

#[test]
fn a_program_that_ignores_to_be_stopped_is_killed_with_all_that_it_started() {
    let case =
        Case::new("grace: 300ms", "trap '' TERM INT\nsleep 1000 &\necho $$ $! > \"$FLTK_FOLDER/pids\"\nwhile :; do sleep 1000; done");
    let running = case.start();
    let processes = case.wait_for("pids");
    running.signal(Signal::TERM);
    let output = running.end();
    assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
    assert!(stderr(&output).contains("hint: `fltk run --resume"), "{}", stderr(&output));
    wait_until_gone(&processes);
    assert_eq!(case.show()["summary"]["status"], "interrupted");
}

/// A shell that waits ends with SIGTERM at once; what it started gets its grace.
#[test]
fn what_a_shell_started_has_the_grace_time_too() {
    let script = "sh -c 'trap \"sleep 0.3; echo saved > $FLTK_FOLDER/saved; exit 0\" TERM
  echo $$ > $FLTK_FOLDER/pids; while :; do sleep 0.05; done'
true";
    let case = Case::new("grace: 30s", script);
    let running = case.start();
    let processes = case.wait_for("pids");
    running.signal(Signal::TERM);
    let output = running.end();
    assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
    assert_eq!(case.wait_for("saved"), "saved\n");
    wait_until_gone(&processes);
}

/// Figures before any unit wait for it, however long, and those of step 0 outlive an interruption.
#[test]
fn figures_before_the_first_unit_and_of_step_0_are_kept() {
    let script = "if [ -e $FLTK_FOLDER/again ]; then echo 'fltk: {\"epoch\": 1, \"loss\": 1}'; exit 0; fi
echo 'fltk: {\"parameters\": 9}'
sleep 2.5
echo 'fltk: {\"epoch\": 0, \"loss\": 2}'
sleep 2.5
echo > $FLTK_FOLDER/again
sleep 1000";
    let case = Case::new("ranks: 1", script);
    let running = case.start();
    case.wait_for("again");
    running.signal(Signal::TERM);
    assert_eq!(running.end().status.code(), Some(130));
    let result = json(case.path(), &["run", "--resume", case.folder().to_str().unwrap(), "--output", "json"]);
    let expected = serde_json::json!([
        { "step": 0, "figures": { "parameters": 9.0, "loss": 2.0 } },
        { "step": 1, "figures": { "loss": 1.0 } }
    ]);
    assert_eq!((&result["unit"], &result["steps"]), (&"epoch".into(), &expected));
}

/// Steps in any order, thousands of them, stop nothing: the derived files aren't written anew for each.
#[test]
fn steps_out_of_order_keep_nobody_from_stopping() {
    let script = "i=0
while [ $i -lt 3000 ]; do echo \"fltk: {\\\"step\\\": $((i % 7)), \\\"i\\\": $i}\"; i=$((i + 1)); done
echo > $FLTK_FOLDER/begun
sleep 1000";
    let case = Case::new("grace: 1s", script);
    let running = case.start();
    case.wait_for("begun");
    running.signal(Signal::TERM);
    assert_eq!(running.end().status.code(), Some(130));
    let rows = case.show()["rows"].as_array().unwrap().clone();
    assert_eq!((rows.len(), rows.iter().map(|row| row["figures"]["i"].as_f64().unwrap()).fold(0.0, f64::max)), (7, 2999.0));
}

/// One task that can't start doesn't keep the others from running.
#[test]
fn a_command_that_cannot_start_leaves_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let task = |name: &str, more: &str| format!("  - {{ name: {name}, kind: command, command: {{ run: [\"true\"]{more} }} }}\n");
    let text = format!("name: two\ntasks:\n{}{}", task("a", ", folder: nowhere"), task("b", ""));
    fs::write(folder.path().join("two.yaml"), text).unwrap();
    let output = run(folder.path(), &["run", "two.yaml"]);
    assert!(!output.status.success() && stderr(&output).contains("is no folder"), "{}", stderr(&output));
    let listed = json(folder.path(), &["runs", "list", "--output", "json"]).to_string();
    assert!(listed.contains("\"finished\"") && listed.contains("\"failed\""), "{listed}");
}

#[test]
fn a_program_dies_with_fltk_and_goes_on_by_its_own_checkpoint() {
    let script = "done=$(cat $FLTK_FOLDER/done 2>/dev/null || echo 0)
echo $$ > $FLTK_FOLDER/pids
while [ $done -lt 3 ]; do
  done=$((done + 1)); echo $done > $FLTK_FOLDER/done
  echo \"fltk: {\\\"epoch\\\": $done, \\\"loss\\\": $((10 - done))}\"
  if [ $done = 2 ] && [ ! -e $FLTK_FOLDER/again ]; then echo > $FLTK_FOLDER/again; sleep 1000; fi
done";
    let case = Case::new("ranks: 1", script);
    let running = case.start();
    let processes = case.wait_for("pids");
    case.wait_for("again");
    running.signal(Signal::KILL);
    running.end();
    wait_until_gone(&processes);
    let result = json(case.path(), &["run", "--resume", case.folder().to_str().unwrap(), "--output", "json"]);
    let losses: Vec<_> = result["steps"].as_array().unwrap().iter().map(|step| step["figures"]["loss"].as_f64().unwrap()).collect();
    // What was printed at the moment of the kill may be lost; what the program did again is there.
    assert_eq!((losses.last(), result["loss"].as_f64()), (Some(&7.0), Some(7.0)), "{result}");
    assert_eq!(case.show()["summary"]["num_resumptions"], 1);
}

#[test]
fn a_run_that_an_earlier_version_began_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let earlier = repository().join("crates/fltk-records/tests/data/0.1.0-command/runs");
    let run = fs::read_dir(earlier).unwrap().next().unwrap().unwrap().path();
    let copied = std::process::Command::new("cp").arg("-r").arg(&run).arg(folder.path()).status().unwrap();
    assert!(copied.success());
    let run = folder.path().join(run.file_name().unwrap());
    let report = json(folder.path(), &["runs", "show", run.to_str().unwrap(), "--output", "json"]);
    assert_eq!((&report["summary"]["status"], &report["summary"]["accuracy"]), (&"interrupted".into(), &0.7.into()));
    let result = json(folder.path(), &["run", "--resume", run.to_str().unwrap(), "--output", "json"]);
    let figures: Vec<_> = result["steps"].as_array().unwrap().iter().map(|step| step["figures"].clone()).collect();
    let expected = [(0.6, 8.0), (0.7, 7.0), (0.8, 6.0)].map(|(accuracy, wer)| serde_json::json!({ "accuracy": accuracy, "wer": wer }));
    assert_eq!(figures, expected);
}

#[test]
fn ranks_that_fail_are_started_again_together() {
    let script = "echo start >> $FLTK_FOLDER/starts-$RANK
if [ $RANK = 1 ] && [ ! -e $FLTK_FOLDER/again ]; then echo > $FLTK_FOLDER/again; echo oh no >&2; kill -9 $$; fi
if [ $RANK = 0 ] && [ $(wc -l < $FLTK_FOLDER/starts-0) = 1 ]; then sleep 1000; fi
echo \"fltk: {\\\"step\\\": 1, \\\"rank\\\": $RANK}\"";
    let case = Case::new("ranks: 2\n      restarts: 1\n      grace: 1s", script);
    let output = run(case.path(), &["run", "case.yaml", "--output", "json"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("rank 1 was ended by signal 9: oh no; all ranks are started again (restart 1 of 1)"),
        "{}",
        stderr(&output)
    );
    for rank in 0..2 {
        assert_eq!(fs::read_to_string(case.folder().join(format!("program/starts-{rank}"))).unwrap(), "start\nstart\n");
    }
    // Only rank 0's lines are records.
    let result: Json = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(result["steps"], serde_json::json!([{ "step": 1, "figures": { "rank": 0.0 } }]));
}

#[test]
fn a_failure_says_what_the_program_said_last() {
    let case = Case::new("ranks: 1", "echo fine\necho 'no data \u{1b}[31m' >&2\nexit 4");
    let output = run(case.path(), &["run", "case.yaml"]);
    // The program's exit codes aren't ours.
    assert_eq!(output.status.code(), Some(5), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("program, seed 7: rank 0 ended with exit code 4: ") && !stderr(&output).contains('\u{1b}'),
        "{}",
        stderr(&output)
    );
    assert_eq!(case.show()["summary"]["status"], "failed");

    let case = Case::new("ranks: 1", "");
    let text = fs::read_to_string(case.path().join("case.yaml")).unwrap().replace("- sh\n", "- no-such-program\n");
    fs::write(case.path().join("case.yaml"), text).unwrap();
    let output = run(case.path(), &["run", "case.yaml"]);
    assert_eq!(output.status.code(), Some(5), "{}", stderr(&output));
    assert!(stderr(&output).contains("can't start `no-such-program`"), "{}", stderr(&output));
}

#[test]
fn a_flood_of_output_fills_no_disk() {
    let case =
        Case::new("ranks: 1", "yes 'a line of a flood' | head -n 3000000\necho 'fltk: {\"step\": 1, \"accuracy\": 0.5}'\necho the end");
    let result = json(case.path(), &["run", "case.yaml", "--output", "json"]);
    assert_eq!(result["accuracy"], 0.5);
    let sizes: Vec<u64> =
        fs::read_dir(case.folder().join("output")).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).collect();
    assert!(sizes.len() == 2 && sizes.iter().all(|size| *size <= 8 << 20), "{sizes:?}");
    assert!(case.said(0).ends_with("the end\n"));
}

#[test]
fn lines_that_cannot_be_read_are_counted_and_harm_nothing() {
    let script = "echo 'fltk: {\"epoch\": 1, \"loss\": NaN}'
echo 'fltk: {\"epoch\": 1, \"loss\": 2}'
printf 'fltk: \\033[2J\\n'
echo 'fltk: {\"epoch\": 1, \"wer\": 3}'
echo 'fltk: {\"epoch\": 2, \"learning_rate\": 0.1}'
echo 'fltk: {\"step\": 9, \"loss\": 1}' >&2";
    let case = Case::new("ranks: 1", script);
    let output = run(case.path(), &["run", "case.yaml", "--output", "json"]);
    let result: Json = serde_json::from_slice(&output.stdout).unwrap();
    let figures: Vec<_> = result["steps"].as_array().unwrap().iter().map(|step| step["figures"].clone()).collect();
    assert_eq!(figures, [serde_json::json!({ "loss": 2.0, "wer": 3.0 }), serde_json::json!({ "learning_rate": 0.1 })]);
    let said = stderr(&output);
    assert_eq!(said.matches("isn't recorded").count(), 1, "{said}");
    assert!(said.contains("2 lines with figures aren't recorded") && !said.contains('\u{1b}'), "{said}");
    let csv = fs::read_to_string(case.folder().join("metrics.csv")).unwrap();
    assert!(csv.lines().nth(1).unwrap().ends_with(",\"{\"\"wer\"\":3.0}\""), "{csv}");
}

#[test]
fn settings_are_checked_before_anything_runs() {
    let check = |task: &str, expected: &str| {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("case.yaml"), format!("name: case\ntasks:\n{task}")).unwrap();
        let output = run(folder.path(), &["run", "case.yaml"]);
        assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
        assert!(stderr(&output).contains(expected), "{}", stderr(&output));
        assert!(!folder.path().join("runs").exists());
    };
    let command = "  - { kind: command, command: { run: ['true'] } }\n";
    check("  - { kind: command, network: LeNet5, command: { run: ['true'] } }\n", "a command task has no `network`");
    check("  - { kind: command, command: { run: [] } }\n", "`run` must have at least 1 item");
    check("  - { kind: command }\n", "`command`");
    check("  - { kind: command, command: { run: ['true'], variables: { RANK: '3' } } }\n", "`RANK` is set for each rank");
    check("  - { kind: command, command: { run: ['true'], environment: [A=B] } }\n", "`A=B` can't be the name of a variable");
    check("  - { kind: command, command: { run: ['true'], grace: 2h } }\n", "at most one hour");
    let training = "  - { kind: distributed, network: LeNet5, dataset: fashion-mnist-mini, distributed: { epochs: 1 } }\n";
    check(&format!("{command}{training}"), "hint: add `stream: { parallel: false }`");
    check("  - { kind: distributed, distributed: { epochs: 1 } }\n", "has no `network`");
}

#[test]
fn jobs_of_a_stream_arrive_wait_and_push_each_other_out() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().display();
    // The first job waits for the second to have been there, which it can only be when the first was pushed out.
    let text = format!(
        "name: mixed
tasks:
  - name: low
    kind: command
    priorities: [{{ priority: 5, probability: 1 }}]
    resources: {{ master: {{ cores: 1m, memory: 1Mi }} }}
    command:
      grace: 1s
      run: [sh, -c, \"echo start >> {path}/low; while [ ! -e {path}/high ]; do sleep 0.05; done; echo 'fltk: {{\\\"step\\\": 1, \\\"accuracy\\\": 0.75}}'\"]
  - name: high
    kind: command
    priorities: [{{ priority: 1, probability: 1 }}]
    resources: {{ master: {{ cores: 1m, memory: 1Mi }} }}
    command: {{ run: [sh, -c, \"touch {path}/high\"] }}
stream:
  orchestrator: trace
  trace: trace.csv
  policy: priority
  admission: {{ type: max_concurrent, jobs: 1 }}
  groups:
    - {{ name: all, tasks: [low, high], preempt: true }}
"
    );
    fs::write(folder.path().join("mixed.yaml"), text).unwrap();
    fs::write(folder.path().join("trace.csv"), "time,class\n0,low\n1.5,high\n").unwrap();
    let rows = json(folder.path(), &["run", "mixed.yaml", "--output", "json"]);
    let row = |class: &str| rows.as_array().unwrap().iter().find(|row| row["class"] == class).unwrap().clone();
    assert_eq!((&row("low")["state"], &row("high")["state"]), (&"succeeded".into(), &"succeeded".into()), "{rows}");
    assert_eq!(row("low")["suspensions"], 1, "{rows}");
    assert_eq!(fs::read_to_string(folder.path().join("low")).unwrap(), "start\nstart\n");
    let report = json(folder.path(), &["runs", "show", row("low")["run"].as_str().unwrap(), "--output", "json"]);
    assert_eq!((&report["summary"]["accuracy"], &report["summary"]["num_resumptions"]), (&0.75.into(), &1.into()));
}

#[test]
fn ranks_of_pytorch_train_unchanged() {
    let Some(python) = std::env::var_os("FLTK_PYTHON") else {
        eprintln!("skipped: FLTK_PYTHON names no Python with PyTorch");
        return;
    };
    let script = repository().join("python/ddp_rank.py");
    let script = format!("exec '{}' '{}' $RANK $WORLD_SIZE $MASTER_ADDR $MASTER_PORT", python.display(), script.display());
    let case = Case::new("ranks: 2\n      variables: { GLOO_SOCKET_IFNAME: lo }", &script);
    let output = run(case.path(), &["run", "case.yaml"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let digest = |rank| case.said(rank).lines().last().unwrap().split_once(" parameters sha256 ").unwrap().1.to_owned();
    assert_eq!((digest(0), digest(0).len()), (digest(1), 64));
}

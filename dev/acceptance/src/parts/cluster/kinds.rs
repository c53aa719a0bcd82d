//! A stream of all kinds of task in real pods: federated with a TorchScript module, distributed, and a program of the user's own, which is preempted and goes on by its own checkpoint.

use std::{fs, path::Path};

use anyhow::{Context as _, ensure};

use super::streams::{Streams, all_succeeded};
use crate::outcome::Outcome;

/// The settings of pods: the user's volume, for the program's checkpoints, in addition to what they have anyway. The image of the program names no user of its own.
const CONFIG: &str = "kubernetes:
  backend: BACKEND
  namespace: NAMESPACE
  image: localhost/fltk:dev
  image_pull_policy: Never
  tolerations: [{ key: fltk.node, operator: Exists }]
  security_context: { runAsNonRoot: true, runAsUser: 65532, runAsGroup: 65532, seccompProfile: { type: RuntimeDefault } }
  volumes: [{ name: keep, persistentVolumeClaim: { claimName: fl-log-claim } }]
  volume_mounts: [{ name: keep, mountPath: /keep }]
";

/// A TorchScript module with batch normalization, which travels to the pods.
const MODULE: &[u8] = include_bytes!("../../../../../crates/fltk-torch/tests/data/statistics.pt");

/// The program counts, keeps its place, and at last its two ranks meet at the address that they were given.
const EXPERIMENT: &str = r#"name: kinds
tasks:
  - name: program
    kind: command
    command:
      image: localhost/busybox:1
      ranks: 2
      grace: 3s
      variables: { COUNT: "40" }
      run:
        - sh
        - -c
        - |
          set -eu
          done=$(cat /keep/done-$RANK 2>/dev/null || echo 0)
          echo "$done of $COUNT, rank $RANK of $WORLD_SIZE, seed $FLTK_SEED" >> /keep/starts-$RANK
          while [ "$done" -lt "$COUNT" ]; do sleep 0.5; done=$((done + 1)); echo "$done" > /keep/done-$RANK; done
          if [ "$RANK" = 0 ]; then
            echo "the others are met" | nc -l -p "$MASTER_PORT"
          else
            until nc "$MASTER_ADDR" "$MASTER_PORT" < /dev/null | grep "are met"; do sleep 1; done
          fi
  - { name: federated, kind: federated, network: { torchscript: statistics.pt }, dataset: fashion-mnist-mini, federated: { clients: 4, clients_per_round: 2, rounds: 2 } }
  - { name: distributed, kind: distributed, network: LeNet5, dataset: fashion-mnist-mini, distributed: { epochs: 1, data_parallelism: 2 } }
stream:
  orchestrator: trace
  trace: NAMESPACE.csv
  policy: priority
  admission: { type: max_concurrent, jobs: 1 }
  groups: [{ name: urgent, tasks: [federated, distributed], preempt: true }]
"#;

/// Runs the stream as `PyTorchJob`s and as `TrainJob`s.
pub fn run(streams: &Streams<'_>) -> anyhow::Result<Outcome> {
    let mut words = Vec::new();
    for backend in ["pytorchjob", "trainjob"] {
        words.push(as_jobs(streams, backend).with_context(|| format!("as {backend}"))?);
    }
    Ok(Outcome::Passed(words.join("; ")))
}

fn as_jobs(streams: &Streams<'_>, backend: &str) -> anyhow::Result<String> {
    let name = format!("kinds-{backend}");
    let volume = streams.cluster.claim(&name)?;
    streams.write(&format!("{name}.csv"), "time,class,priority\n0,program,5\n12,federated,1\n13,distributed,2\n")?;
    let filled = |text: &str| text.replace("NAMESPACE", &name).replace("BACKEND", backend);
    let config = streams.write(&format!("{name}-config.yaml"), &filled(CONFIG))?;
    let experiment = streams.write(&format!("{name}.yaml"), &filled(EXPERIMENT))?;
    fs::write(experiment.with_file_name("statistics.pt"), MODULE)?;
    let path = |path: &Path| path.to_str().map(str::to_owned).context("a path that is not UTF-8");
    streams.run(&[&path(&config)?, &path(&experiment)?, "--id", &name])?;
    let jobs = streams.jobs(&name)?;
    all_succeeded(&jobs)?;
    let of = |class: &str| jobs.iter().find(|job| job.class == class).context("a job is gone");
    let (program, federated, distributed) = (of("program")?, of("federated")?, of("distributed")?);
    ensure!(program.suspensions >= 1 && federated.suspensions + distributed.suspensions == 0, "the wrong job was preempted: {jobs:?}");
    ensure!(program.ended > federated.ended && program.ended > distributed.ended, "the program ended first: {jobs:?}");
    let last = (0..2).map(|rank| last_start(&volume, rank)).collect::<anyhow::Result<Vec<String>>>()?;
    streams.run(&["--down", &name])?;
    Ok(format!("{backend}: the program went on after {}", last[0]))
}

/// Checks that rank `rank` of the program started again from its own checkpoint, and returns what it said then.
fn last_start(volume: &Path, rank: u32) -> anyhow::Result<String> {
    let said = fs::read_to_string(volume.join(format!("starts-{rank}"))).context("the program kept nothing")?;
    let lines: Vec<&str> = said.lines().collect();
    ensure!(lines.len() >= 2 && lines[0].starts_with("0 of 40, rank"), "the program wasn't preempted: {said}");
    let last = lines.last().copied().unwrap_or_default();
    ensure!(!last.starts_with("0 of") && last.contains(&format!(", rank {rank} of 2, seed ")), "it began anew, or elsewhere: {said}");
    Ok(last.to_owned())
}

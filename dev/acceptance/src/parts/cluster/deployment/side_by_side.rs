//! Both charts twice in one namespace: installed, used, upgraded and uninstalled without interfering with each other.

use std::time::Duration;

use anyhow::{Context as _, ensure};

use super::workplace::Workplace;
use crate::{cluster::TestCluster, outcome::Outcome};

const NAMESPACE: &str = "charts";
const LIMIT: Duration = Duration::from_secs(12 * 60);

/// The values; the jobs run on kwok nodes.
const VALUES: &str = "fltk: { pullPolicy: Never }
provider: { domain: localhost, projectName: '', imageName: 'none:1', orchestratorImageName: 'fltk-orchestrator:dev', tensorboardImageName: 'fltk-tensorboard:dev' }
storage: { hostPath: <<FOLDER>> }
extractor: { tensorboard: { enabled: false } }
orchestrator:
  removeJobsOnUninstall: true
  kubernetes:
    log_claim: null
    tolerations: [{ key: kwok.x-k8s.io/node, operator: Exists, effect: NoSchedule }]
    node_selector: { type: kwok }
";

/// The experiment, with this many jobs at once.
const EXPERIMENT: &str = "name: side-by-side
tasks:
  - { name: a, kind: distributed, network: LeNet5, dataset: fashion-mnist, distributed: { epochs: 1 } }
  - { name: b, kind: distributed, network: LeNet5, dataset: fashion-mnist, distributed: { epochs: 1 } }
stream: { orchestrator: batch }
";

/// The script. `one` is a Job, `two` a Deployment.
const SCRIPT: &str = r#"set -euo pipefail
helm() { command helm --namespace charts "$@"; }
kubectl() { command kubectl --namespace charts "$@"; }
# Streams have a label of their name: as many are over, or fail after a while.
jobs_are() {
    for try in $(seq 120); do
        test "$(kubectl get pytorchjobs --output 'jsonpath={range .items[?(@.status.completionTime)]}{.metadata.name}{"\n"}{end}' | wc -l)" = "$1" && return
        sleep 1
    done
    echo "there are not $1 jobs that ended"; kubectl get pytorchjobs; return 1
}
helm install records charts/extractor --values side.yaml --wait --timeout 3m
helm install more charts/extractor --values side.yaml --set storage.create=false --wait --timeout 3m
helm install one charts/orchestrator --values side.yaml --set-file orchestrator.experiment=side-experiment.yaml
helm install two charts/orchestrator --values side.yaml --set-file orchestrator.experiment=side-experiment.yaml --set orchestrator.kind=Deployment --wait --timeout 3m
kubectl wait --for=condition=complete --timeout=3m job --selector app.kubernetes.io/instance=one
jobs_are 4
# The same again changes nothing: the stream is over, and stays so.
helm upgrade one charts/orchestrator --values side.yaml --set-file orchestrator.experiment=side-experiment.yaml
# Other memory is another pod, which finds that the stream is over.
helm upgrade one charts/orchestrator --values side.yaml --set-file orchestrator.experiment=side-experiment.yaml --set orchestrator.memory=300Mi
kubectl wait --for=condition=complete --timeout=3m job --selector app.kubernetes.io/instance=one
jobs_are 4
# Another experiment is another stream.
sed 's/name: side-by-side/name: changed/' side-experiment.yaml > side-changed.yaml
helm upgrade two charts/orchestrator --values side.yaml --set-file orchestrator.experiment=side-changed.yaml --set orchestrator.kind=Deployment --wait --timeout 3m
jobs_are 6
# Another port; and a claim of data sets, with the job that fetches them: one that is in the program, since the cluster reaches no source of others.
helm upgrade records charts/extractor --values side.yaml --set extractor.service.servePort=8081 --set 'extractor.data.sets={fashion-mnist-mini}' --wait --timeout 3m
kubectl wait --for=condition=complete --timeout=2m job --selector app.kubernetes.io/component=data
kubectl get service records-extractor more-extractor
kubectl rollout status deployment two-orchestrator --timeout 1m
# Each takes what is its own: of `two` the jobs of the stream that it has now.
helm uninstall two --wait --timeout 3m
kubectl get pytorchjobs --output name | wc -l > left
kubectl get deployment,job --selector app.kubernetes.io/instance=one --output name | wc -l >> left
helm uninstall one more records --wait --timeout 3m
kubectl get all,configmaps,roles,rolebindings,serviceaccounts --selector app.kubernetes.io/part-of=fltk --output name >> left
kubectl get persistentvolumeclaims --output name >> left
"#;

/// Runs the script, and checks what is left in between and at the end.
pub fn run(cluster: &TestCluster, workplace: &Workplace<'_>) -> anyhow::Result<Outcome> {
    cluster.namespace(NAMESPACE)?;
    // This comes after the namespace is gone, so that no pods of an earlier test write there.
    let volume = workplace.volume(NAMESPACE)?;
    cluster.restrict(NAMESPACE)?;
    workplace.write("side.yaml", &VALUES.replace("<<FOLDER>>", volume.to_str().context("a folder whose name is not UTF-8")?))?;
    workplace.write("side-experiment.yaml", EXPERIMENT)?;
    workplace.bash(SCRIPT, LIMIT)?;
    let left = workplace.read("left")?;
    let left: Vec<&str> = left.split_whitespace().collect();
    let expected =
        ["4", "1", "persistentvolumeclaim/fl-data-claim", "persistentvolumeclaim/fl-log-claim", "persistentvolumeclaim/fl-server-claim"];
    ensure!(left == expected, "left are {left:?} in place of {expected:?}");
    Ok(Outcome::Passed("2 releases of each chart in one namespace".to_owned()))
}

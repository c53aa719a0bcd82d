//! Data sets fetched by the Extractor: Fashion-MNIST, as it was published, through a proxy that decrypts the traffic, onto a claim whose folder a job
//! made writable first; then a job of the orchestrator trains with it.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};

use super::workplace::Workplace;
use crate::{
    cluster::TestCluster,
    outcome::Outcome,
    setup::debian::{FASHION_MNIST, FASHION_MNIST_FILES},
    sh,
};

const NAMESPACE: &str = "data-sets";
const LIMIT: Duration = Duration::from_secs(15 * 60);

/// The server that answers for the web.
const WEB: &str = include_str!("web.py");

/// The Unix times at which the authors packed the training and the test files: apart from the names, this is all that Debian's package
/// leaves out.
const PACKED: [u32; 2] = [1_504_176_606, 1_504_176_627];

const VALUES: &str = "fltk: { pullPolicy: Never }
provider: { domain: localhost, projectName: '', imageName: 'fltk:dev', orchestratorImageName: 'fltk-orchestrator:dev' }
storage:
  hostPath: <<FOLDER>>
  prepare: { enabled: true, image: 'localhost/busybox:1' }
extractor:
  serve: { enabled: false }
  tensorboard: { enabled: false }
  data:
    sets: [fashion-mnist]
    env: [{ name: HTTPS_PROXY, value: 'http://<<NODE>>:3128' }]
    certificates: { configMapName: authority }
orchestrator: { cpu: 100m }
";

const EXPERIMENT: &str = "name: fetched
tasks:
  - { name: a, kind: distributed, network: LeNet5, dataset: fashion-mnist, distributed: { epochs: 1 }, resources: { master: { cores: 1, memory: 1Gi }, worker: { cores: 1, memory: 1Gi } } }
stream: { orchestrator: batch }
";

/// The script, which makes the web server's key and certificate, whose authority the job is told to trust, and uses the charts.
const SCRIPT: &str = r#"set -euo pipefail
helm() { command helm --namespace data-sets "$@"; }
kubectl() { command kubectl --namespace data-sets "$@"; }
key="-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
openssl req -x509 $key -keyout authority.key -out ca.crt -days 2 -subj /CN=authority
openssl req $key -keyout web.key -out web.csr -subj /CN=web
echo subjectAltName=DNS:raw.githubusercontent.com > web.names
openssl x509 -req -in web.csr -CA ca.crt -CAkey authority.key -CAcreateserial -days 2 -extfile web.names -out web.crt
rm -f web.log
web "$NODE_ADDRESS" 3128 raw.githubusercontent.com web.crt web.key published web.log &
WEB=$!
trap 'kill "$WEB"' EXIT
for try in $(seq 50); do
    grep --quiet --no-messages listens web.log && break
    sleep 0.2
done
grep --quiet listens web.log
kubectl create configmap authority --from-file=ca.crt
# The kubelet makes them so where nobody made them before.
chown -R 0:0 "$FOLDER"; chmod 755 "$FOLDER"/*
helm install extractor charts/extractor --values data.yaml --wait --wait-for-jobs --timeout 4m
kubectl logs --selector app.kubernetes.io/component=data --tail=-1
helm install orchestrator charts/orchestrator --values data.yaml --set-file orchestrator.experiment=data-experiment.yaml
kubectl wait --for=condition=complete --timeout=5m job --selector app.kubernetes.io/component=orchestrator || {
    kubectl logs --tail=100 --selector app.kubernetes.io/component=orchestrator
    kubectl logs --tail=100 --selector training.kubeflow.org/job-name
    exit 1
}
kubectl get pytorchjobs
kubectl wait --for=condition=Succeeded --timeout=10s pytorchjobs --all
RUN=$(fltk runs list --runs "$FOLDER/log" --output json | sed --quiet 's/.*"run": "\(.*\)",.*/\1/p')
fltk runs show "$RUN" --runs "$FOLDER/log" --output json > fetched.json
"#;

/// Runs the script, and checks the requests to the web server and what the run reports about its data.
pub fn run(cluster: &TestCluster, workplace: &Workplace<'_>) -> anyhow::Result<Outcome> {
    let began = Instant::now();
    cluster.namespace(NAMESPACE)?;
    let volume = workplace.volume(NAMESPACE)?;
    let volume = volume.to_str().context("a folder whose name is not UTF-8")?;
    let published = workplace.folder().join("published");
    fs::create_dir_all(&published)?;
    for name in FASHION_MNIST_FILES {
        fs::write(published.join(name), as_published(name)?)?;
    }
    let address = cluster.address();
    workplace.write("data.yaml", &VALUES.replace("<<FOLDER>>", volume).replace("<<NODE>>", address))?;
    workplace.write("data-experiment.yaml", EXPERIMENT)?;
    workplace.write("web.py", WEB)?;
    workplace.program("web", &format!("exec {} web.py \"$@\"", sh::show(&cluster.reach(Path::new("python3")))))?;
    workplace.bash(&format!("FOLDER='{volume}'\nNODE_ADDRESS={address}\n{SCRIPT}"), LIMIT)?;
    let log = workplace.read("web.log")?;
    let asked: Vec<&str> = log.lines().filter(|line| line.starts_with("GET ")).collect();
    // The files were requested one after the other, and then the rest of the one that was interrupted.
    ensure!(asked.len() == 5 && asked.iter().filter(|line| line.contains(" bytes=")).count() == 1, "the web was asked for {asked:?}");
    let run = workplace.read("fetched.json")?;
    let digest = "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84";
    ensure!(run.contains(digest), "the job has trained with other files, such as its image's: {run}");
    Ok(Outcome::Passed(format!("5 requests, 1 of them for the rest of a file; {} s", began.elapsed().as_secs())))
}

/// Returns a file as its authors packed it: Debian's file has another header, and the rest is the same. The program that fetches it compares its
/// digest.
fn as_published(name: &str) -> anyhow::Result<Vec<u8>> {
    let path = Path::new(FASHION_MNIST).join(name);
    let debian = fs::read(&path).with_context(|| format!("can't read `{}`", path.display()))?;
    // The header is defined in RFC 1952, section 2.3; here it has no name.
    ensure!(debian.starts_with(&[0x1f, 0x8b, 8, 0]) && debian.len() > 10, "`{}` was packed otherwise", path.display());
    let packed = PACKED[usize::from(name.starts_with("t10k"))];
    let mut file = vec![0x1f, 0x8b, 8, 8];
    file.extend(packed.to_le_bytes());
    file.extend([0, 3]);
    file.extend(name.trim_end_matches(".gz").bytes().chain([0]));
    file.extend(&debian[10..]);
    Ok(file)
}

//! Tests of manifests against golden files, and of properties of names.

use std::collections::BTreeMap;

use fltk_catalogue::catalogues;
use fltk_core::{
    catalogue::{Choice, Value},
    experiment::{DataPlace, NetworkConfig, Setting},
};
use fltk_experiment::{SourceFile, parse};
use fltk_plan::jobs;

use super::*;

const EXPERIMENT: &str = "
name: gold
seeds: [7]
tasks:
  - name: pair
    kind: distributed
    network: FashionMNISTCNN
    dataset: fashion-mnist
    distributed: { epochs: 1, data_parallelism: 3 }
    labels: { study: first }
    resources: { master: { cores: 1500m, memory: 1Gi }, worker: { cores: 500m, memory: 2Gi } }
  - name: alone
    kind: federated
    network: FashionMNISTCNN
    dataset: fashion-mnist
    federated: { clients: 10, clients_per_round: 2, rounds: 5 }
  - name: nodes
    kind: federated
    network: FashionMNISTCNN
    dataset: fashion-mnist
    federated: { clients: 10, clients_per_round: 2, rounds: 5, nodes: 2 }
    resources: { master: { cores: 1, memory: 1Gi }, worker: { cores: 500m, memory: 2Gi } }
  - name: program
    kind: command
    command:
      run: [sh, -c, 'exec train --rank $RANK --date $(date)']
      ranks: 2
      image: registry.example/mine:2
      variables: { OMP_NUM_THREADS: '1', SAID: $(whoami) }
      grace: 90s
    resources: { master: { cores: 1, memory: 1Gi }, worker: { cores: 500m, memory: 2Gi } }
stream: { namespace: test, image: registry.example/fltk:1 }
";

const FULL: &str = "
kubernetes:
  backend: BACKEND
  namespace: other
  image: localhost/fltk:dev
  image_pull_policy: Never
  image_pull_secrets: [pull]
  service_account: trainer
  log_claim: null
  data_claim: data
  tolerations: [{ key: fltk.node, operator: Equal, value: normal, effect: NoSchedule }]
  node_selector: { pool: fltk }
  affinity: { podAntiAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [{ topologyKey: kubernetes.io/hostname, labelSelector: { matchLabels: { app: a } } }] } }
  priority_class: high
  scheduler: volcano
  resources: { master: { nvidia.com/gpu: 1 }, worker: { nvidia.com/gpu: 2, rdma/hca: 1 } }
  env: [{ name: OMP_WAIT_POLICY, value: active }, { name: HOST_IP, valueFrom: { fieldRef: { fieldPath: status.hostIP } } }]
  volumes: [{ name: shm, emptyDir: { medium: Memory } }]
  volume_mounts: [{ name: shm, mountPath: /dev/shm }]
  restart_policy: Never
  run_policy: { clean_pod_policy: All, ttl: 1500ms, active_deadline: 2h, backoff_limit: 0, managed_by: kueue.x-k8s.io/multikueue }
  labels: { kueue.x-k8s.io/queue-name: q }
  annotations: { team: ml }
";

/// Credentials as a test issues them.
fn issued() -> Credentials {
    Credentials { federator: "of the federator".to_owned(), node: "of nodes".to_owned() }
}

/// The settings of a run of three jobs, of three pods, of one, and of a federator and two nodes, with this `kubernetes` block.
pub fn context(kubernetes: &str) -> RunContext {
    let file = |text: &str| SourceFile { name: "test".to_owned(), text: text.to_owned() };
    let experiment = parse(&[file(EXPERIMENT)], &[], catalogues()).unwrap().experiment;
    let (config, warnings) = KubernetesConfig::parse(&file(kubernetes)).unwrap();
    assert!(warnings.is_empty());
    let config = config.or_of(experiment.stream.as_ref());
    let (namespace, image) = (config.namespace.clone().unwrap(), config.image.clone().unwrap());
    let modules = BTreeMap::new();
    RunContext { run: "gold-1".to_owned(), namespace, image, config, experiment, catalogues: catalogues(), modules, issue: || Ok(issued()) }
}

fn yaml(context: &RunContext, task: &str) -> String {
    let specs = jobs(&context.experiment, &context.run, 0, &[]).unwrap();
    let spec = specs.into_iter().find(|spec| spec.class == task).unwrap();
    let Manifests { job, config_maps, secret } = context.manifests(&context.with_requests(spec), 1, &issued());
    let all = context.runtimes().into_iter().chain([job]).chain(config_maps).chain(secret);
    serde_json::to_string_pretty(&all.collect::<Vec<_>>()).unwrap()
}

#[test]
fn pytorch_jobs_match_snapshots() {
    let defaults = context("kubernetes: {}");
    insta::assert_snapshot!("pytorchjob_defaults", yaml(&defaults, "pair"));
    insta::assert_snapshot!("pytorchjob_federated", yaml(&defaults, "alone"));
    insta::assert_snapshot!("pytorchjob_nodes", yaml(&defaults, "nodes"));
    insta::assert_snapshot!("pytorchjob_command", yaml(&defaults, "program"));
    let scheduling =
        "clean_pod_policy: All, scheduling_policy: { min_available: 3, queue: q, priority_class: high, schedule_timeout: 1min }";
    let full = FULL.replace("BACKEND", "pytorchjob").replace("clean_pod_policy: All", scheduling);
    insta::assert_snapshot!("pytorchjob_full", yaml(&context(&full), "pair"));
}

#[test]
fn train_jobs_match_snapshots() {
    insta::assert_snapshot!("trainjob_defaults", yaml(&context("kubernetes: { backend: trainjob }"), "pair"));
    insta::assert_snapshot!("trainjob_nodes", yaml(&context("kubernetes: { backend: trainjob }"), "nodes"));
    insta::assert_snapshot!("trainjob_command", yaml(&context("kubernetes: { backend: trainjob }"), "program"));
    let full = context(&FULL.replace("BACKEND", "trainjob").replace("clean_pod_policy: All, ", ""));
    assert_eq!(full.refusals(), [""; 0]);
    insta::assert_snapshot!("trainjob_full", yaml(&full, "pair"));
}

#[test]
fn network_policy_admits_only_pods_of_the_same_job() {
    /// The labels of all pod templates in `object`.
    fn labels_of_pods(object: &Json, found: &mut Vec<Json>) {
        match object {
            Json::Object(fields) => {
                // The patch of a runtime may have nothing but labels and annotations.
                let is_patch = fields.contains_key("metadata") && fields.len() == 1;
                if is_patch || fields.get("spec").is_some_and(|spec| spec.get("containers").is_some()) {
                    found.push(fields["metadata"]["labels"].clone());
                }
                fields.values().for_each(|field| labels_of_pods(field, found));
            }
            Json::Array(items) => items.iter().for_each(|item| labels_of_pods(item, found)),
            _ => {}
        }
    }
    for kubernetes in ["kubernetes: {}", "kubernetes: { backend: trainjob }"] {
        let context = context(kubernetes);
        let specs = jobs(&context.experiment, &context.run, 0, &[]).unwrap();
        let selects = |of: &JobSpec, labels: &Json| {
            let policy = context.network_policy(of);
            serde_json::from_value::<k8s_openapi::api::networking::v1::NetworkPolicy>(policy.clone()).unwrap();
            let selector = &policy["spec"]["podSelector"];
            // All ports are open: ranks connect to each other at ports that they choose.
            assert_eq!(policy["spec"]["ingress"], serde_json::json!([{ "from": [{ "podSelector": selector }] }]));
            selector["matchLabels"].as_object().unwrap().iter().all(|(name, value)| labels[name] == *value)
        };
        for spec in &specs {
            let mut pods = Vec::new();
            labels_of_pods(&context.manifests(&context.with_requests(spec.clone()), 1, &issued()).job, &mut pods);
            assert!(!pods.is_empty());
            for labels in &pods {
                let by: Vec<bool> = specs.iter().map(|other| selects(other, labels) == (other.id == spec.id)).collect();
                assert!(by.iter().all(|right| *right), "{kubernetes} {labels}");
            }
        }
    }
}

/// The federator's key makes a federator of whoever has it: nodes get only their own, and no pod gets the authority's.
#[test]
fn pods_mount_only_the_credentials_of_their_role() {
    let names = |context: &RunContext, issued: &Credentials| {
        let spec = jobs(&context.experiment, &context.run, 0, &[]).unwrap().into_iter().find(|spec| spec.class == "nodes").unwrap();
        let Manifests { job, secret, .. } = context.manifests(&spec, 1, issued);
        let secret = secret.unwrap();
        let keys: Vec<String> = secret["stringData"].as_object().unwrap().keys().cloned().collect();
        assert_eq!(keys, ["federator.pem", "node.pem"]);
        let name = secret["metadata"]["name"].as_str().unwrap().to_owned();
        assert_eq!(job["metadata"]["annotations"]["fltk.node/credentials"], name, "the object says which");
        (job, name)
    };
    let source = |volumes: &Json| {
        volumes.as_array().unwrap().iter().find(|volume| volume["name"] == "fltk-credentials").cloned().unwrap()["secret"].clone()
    };
    let (job, name) = names(&context("kubernetes: {}"), &issued());
    for (role, key) in [("Master", "federator.pem"), ("Worker", "node.pem")] {
        let secret = source(&job["spec"]["pytorchReplicaSpecs"][role]["template"]["spec"]["volumes"]);
        assert_eq!(secret, serde_json::json!({ "secretName": name, "items": [{ "key": key, "path": "credentials.pem" }] }));
    }
    let (job, other) = names(&context("kubernetes: { backend: trainjob }"), &Credentials { federator: "other".to_owned(), ..issued() });
    assert_ne!(name, other, "credentials of another start have another name");
    let patch = &job["spec"]["runtimePatches"][0]["trainingRuntimeSpec"]["template"]["spec"]["replicatedJobs"][0];
    let pod = &patch["template"]["spec"]["template"]["spec"];
    let keys: Vec<(String, String)> = source(&pod["volumes"])["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| (item["key"].as_str().unwrap().to_owned(), item["path"].as_str().unwrap().to_owned()))
        .collect();
    let expected = [("federator.pem", "0"), ("node.pem", "1"), ("node.pem", "2")];
    assert_eq!(keys, expected.map(|(key, pod)| (key.to_owned(), format!("{pod}/credentials.pem"))));
    let mounts = pod["containers"][0]["volumeMounts"].as_array().unwrap();
    assert!(
        mounts.iter().any(|mount| mount["name"] == "fltk-credentials" && mount["subPathExpr"] == "$(JOB_COMPLETION_INDEX)"),
        "{mounts:?}"
    );
}

#[test]
fn single_rank_job_has_no_workers() {
    let manifests = yaml(&context("kubernetes: {}"), "alone");
    assert!(manifests.contains("\"Master\"") && !manifests.contains("\"Worker\""));
}

#[test]
fn unsupported_pod_settings_are_refused() {
    let mut context = context("kubernetes: { backend: trainjob, run_policy: { scheduling_policy: { queue: q } } }");
    context.experiment.tasks[0].training_mut().expect("it trains").dataset.path = Some("data/mine".to_owned());
    let refusals = context.refusals().join("\n");
    assert!(refusals.contains("`data/mine`") && refusals.contains("`scheduling_policy`"), "{refusals}");
}

/// A small module is one config map beside the experiment's, a larger one several; all are projected into one folder.
#[test]
fn modules_travel_as_config_maps() {
    for backend in ["pytorchjob", "trainjob"] {
        for (num_bytes, keys) in [(3, &["net.pt"][..]), (896 << 10, &["net.pt"]), ((896 << 10) + 1, &["net.pt.0", "net.pt.1"])] {
            let mut context = context(&format!("kubernetes: {{ backend: {backend} }}"));
            let network = NetworkConfig::TorchScript { torchscript: "net.pt".to_owned() };
            context.experiment.tasks[0].training_mut().expect("it trains").network = network;
            assert!(context.refusals().iter().any(|refusal| refusal.contains("`net.pt` is relative")), "nobody has the file");
            let bytes: Vec<u8> = (0..=255).cycle().take(num_bytes).collect();
            context.modules = BTreeMap::from([("net.pt".to_owned(), bytes.clone().into())]);
            assert_eq!(context.refusals(), [""; 0]);
            let specs = jobs(&context.experiment, &context.run, 0, &[]).unwrap();
            let [with, without] = [0, 1].map(|task| specs.iter().find(|spec| spec.arrival.task == task).unwrap());
            let Manifests { job, .. } = context.manifests(with, 1, &issued());
            let parts: Vec<ConfigMap> = context.module_maps().into_iter().map(|map| serde_json::from_value(map).unwrap()).collect();
            let found: Vec<(&str, &[u8])> =
                parts.iter().flat_map(|map| map.binary_data.iter().flatten()).map(|(key, part)| (&**key, &part.0[..])).collect();
            assert_eq!(found.iter().map(|(key, _)| *key).collect::<Vec<_>>(), keys);
            assert_eq!(found.iter().flat_map(|(_, part)| *part).copied().collect::<Vec<u8>>(), bytes);
            assert!(parts.iter().all(|map| map.immutable == Some(true) && map.metadata.labels.as_ref().unwrap()[RUN_LABEL] == "gold-1"));
            let job = job.to_string();
            for name in parts.iter().map(|map| map.metadata.name.as_deref().unwrap()) {
                assert!(job.contains(&format!("{{\"configMap\":{{\"name\":\"{name}\"}}}}")), "{job}");
            }
            let Manifests { job, .. } = context.manifests(without, 1, &issued());
            assert!(!job.to_string().contains("projected"));
        }
    }
}

/// Pods don't have the files beside the experiment file: a partition's or a selection's is on a volume or in the image.
#[test]
fn files_beside_the_experiment_are_refused() {
    let mut context = context("kubernetes: {}");
    let of_path = |path: &str| Choice::new("file").with("path", Value::Path(path.into()));
    let Setting::Federated(config) = &mut context.experiment.tasks[1].training_mut().expect("it trains").setting else {
        panic!("`alone` is federated")
    };
    (config.partition, config.selection) = (of_path("split.json"), of_path("lists/cohorts.json"));
    let refusals = context.refusals();
    assert_eq!(refusals.len(), 2, "{refusals:?}");
    for (refusal, path) in refusals.iter().zip(["`split.json`", "`lists/cohorts.json`"]) {
        assert!(refusal.contains(&format!("{path} is relative to the experiment file")), "{refusal}");
        assert!(refusal.contains("name a path in the image, or on a volume"), "{refusal}");
    }
    let absolute: &dyn Fn(&str) -> Result<String, ()> = &|path| Ok(format!("/data/{path}"));
    context.experiment.tasks[1].training_mut().expect("it trains").change_files(absolute).expect("no error");
    assert_eq!(context.refusals(), [""; 0]);
}

#[test]
fn strategies_in_python_are_refused() {
    let mut context = context("kubernetes: {}");
    let setting = context.experiment.tasks.iter_mut().find_map(|task| match &mut task.training_mut()?.setting {
        Setting::Federated(config) => Some(config),
        Setting::Distributed(_) => None,
    });
    setting.expect("one task is federated").strategy = Choice::python("mine.py:Mine");
    let refusals = context.refusals();
    assert!(matches!(&refusals[..], [refusal] if refusal.contains("its strategy is in Python")), "{refusals:?}");
}

#[test]
fn clients_with_data_of_their_own_are_refused() {
    let mut context = context("kubernetes: {}");
    let setting = context.experiment.tasks.iter_mut().find_map(|task| match &mut task.training_mut()?.setting {
        Setting::Federated(config) => Some(config),
        Setting::Distributed(_) => None,
    });
    setting.expect("one task is federated").data = DataPlace::Here;
    let refusals = context.refusals();
    assert!(matches!(&refusals[..], [refusal] if refusal.contains("run it with `fltk federate`")), "{refusals:?}");
}

#[test]
fn unsupported_clean_pod_policies_of_train_jobs_are_refused() {
    let check = |backend: &str, policy: &str, refused: bool| {
        let context = context(&format!("kubernetes: {{ backend: {backend}, run_policy: {{ clean_pod_policy: {policy} }} }}"));
        let refusals = context.refusals();
        assert_eq!(refusals.len(), usize::from(refused), "{backend} {policy}: {refusals:?}");
        assert!(refusals.iter().all(|refusal| refusal.contains(&format!("`clean_pod_policy: {policy}`"))), "{refusals:?}");
    };
    check("trainjob", "Running", false);
    check("trainjob", "None", true);
    check("trainjob", "All", true);
    check("pytorchjob", "Running", false);
    check("pytorchjob", "None", false);
    check("pytorchjob", "All", false);
}

#[test]
fn settings_invalid_for_the_api_server_are_refused() {
    let check = |kubernetes: &str, words: &str| {
        let refusals = context(&format!("kubernetes: {{ {kubernetes} }}")).refusals();
        assert!(refusals.len() == 1 && refusals[0].contains(words), "{kubernetes}: {refusals:?}");
    };
    check("labels: { team: _a }", "`team` of `labels` can't be `_a`");
    check("labels: { 'a b': x }", "a key of `labels` can't be `a b`");
    check("node_selector: { pool: 'a b' }", "`pool` of `node_selector` can't be `a b`");
    check("annotations: { 'a b': anything at all }", "a key of `annotations`");
    check("log_claim: My_claim", "`log_claim` can't be `My_claim`");
    check("resources: { master: { 'nvidia com/gpu': 1 } }", "a name in `resources`");
    check("env: [{ name: 'A=B', value: x }]", "a name in `env`");
    check("namespace: Mine", "the namespace can't be `Mine`");
    let odd = RunContext { run: "_lenet-".to_owned(), ..context("kubernetes: {}") };
    assert!(odd.refusals()[0].contains("the label `fltk.node/run` can't be `_lenet-`"), "{:?}", odd.refusals());
}

#[test]
fn preemption_with_a_kueue_queue_is_refused() {
    let queue = "kubernetes: { labels: { kueue.x-k8s.io/queue-name: q } }";
    let check = |kubernetes: &str, preempt: bool, is_refused: bool| {
        let mut context = context(kubernetes);
        let text = EXPERIMENT.replace(
            "stream: {",
            &format!("stream: {{ orchestrator: simulated, duration: 1h, policy: priority, groups: [{{ name: g, tasks: [pair, alone], gaps: {{ type: deterministic, every: 1min }}, preempt: {preempt} }}],"),
        );
        let text = text.replace("kind: ", "class_probability: 0.5\n    kind: ");
        let source = SourceFile { name: "test".to_owned(), text };
        context.experiment = parse(&[source], &[], catalogues()).unwrap_or_else(|report| panic!("{}", report.render(false))).experiment;
        let refusals = context.refusals();
        assert_eq!(refusals.len(), usize::from(is_refused), "{refusals:?}");
        assert!(refusals.iter().all(|refusal| refusal.contains("group `g` has `preempt`")), "{refusals:?}");
    };
    check(queue, true, true);
    check(queue, false, false);
    check("kubernetes: {}", true, false);
}

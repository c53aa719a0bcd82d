//! The nodes as the planner sees them: their resources, their use by other pods, and whether our pods may run there.

mod requests;

use std::collections::{BTreeMap, BTreeSet};

use fltk_core::experiment::Quantity;
use fltk_plan::{
    Amounts, JobId,
    plan::capacity::{Closed, Node},
};
use k8s_openapi::api::core::v1::{Node as ApiNode, NodeSelectorRequirement, NodeSelectorTerm, Pod, Taint, Toleration};

use self::requests::requests;
use crate::config::KubernetesConfig;

type ApiQuantities = BTreeMap<String, k8s_openapi::apimachinery::pkg::api::resource::Quantity>;

/// The nodes, and the pods by namespace and name, whose requests are added up per node.
#[derive(Debug, Default)]
pub struct NodesView {
    nodes: BTreeMap<String, ApiNode>,
    pods: BTreeMap<(String, String), Taken>,
}

/// The resources that a pod occupies.
#[derive(Debug)]
struct Taken {
    node: String,
    requests: Amounts,
    /// The job of the run that the pod belongs to, if any.
    job: Option<JobId>,
}

impl NodesView {
    /// Records the current state of `node`.
    pub fn has_node(&mut self, node: ApiNode) {
        if let Some(name) = node.metadata.name.clone() {
            self.nodes.insert(name, node);
        }
    }

    /// Removes a node that no longer exists.
    pub fn lost_node(&mut self, name: &str) {
        self.nodes.remove(name);
    }

    /// Removes all nodes except these.
    pub fn keep_nodes(&mut self, names: &BTreeSet<String>) {
        self.nodes.retain(|name, _| names.contains(name));
    }

    /// Records the current state of a pod; `job` is the job of the run that it belongs to, if any.
    pub fn has_pod(&mut self, key: (String, String), pod: &Pod, job: Option<JobId>) {
        match node_of(pod) {
            Some(node) => self.pods.insert(key, Taken { node, requests: requests(pod), job }),
            None => self.pods.remove(&key),
        };
    }

    /// Removes a pod that no longer exists.
    pub fn lost_pod(&mut self, key: &(String, String)) {
        self.pods.remove(key);
    }

    /// Removes all pods except these.
    pub fn keep_pods(&mut self, keys: &BTreeSet<(String, String)>) {
        self.pods.retain(|key, _| keys.contains(key));
    }

    /// All nodes, as seen by pods of `config`. Pods of an active job don't count as used: their capacity was promised to the job.
    #[must_use]
    pub fn nodes(&self, config: &KubernetesConfig, is_active: &dyn Fn(&JobId) -> bool) -> Vec<Node> {
        let mut used: BTreeMap<&str, Amounts> = BTreeMap::new();
        for taken in self.pods.values().filter(|taken| !taken.job.as_ref().is_some_and(is_active)) {
            used.entry(&taken.node).or_default().add(&taken.requests);
        }
        let node = |(name, node): (&String, &ApiNode)| Node {
            name: name.clone(),
            allocatable: node.status.as_ref().and_then(|status| status.allocatable.as_ref()).map(amounts).unwrap_or_default(),
            used: used.get(name.as_str()).cloned().unwrap_or_default(),
            closed: closed(node, config),
        };
        self.nodes.iter().map(node).collect()
    }

    /// The requests of the pods of `job`, by node.
    #[must_use]
    pub fn taken_by(&self, job: &JobId) -> BTreeMap<String, Amounts> {
        let mut taken_by: BTreeMap<String, Amounts> = BTreeMap::new();
        for taken in self.pods.values().filter(|taken| taken.job.as_ref() == Some(job)) {
            taken_by.entry(taken.node.clone()).or_default().add(&taken.requests);
        }
        taken_by
    }
}

/// The quantities in billionths; a value that isn't a valid quantity is left out.
fn amounts(quantities: &ApiQuantities) -> Amounts {
    let parsed = quantities.iter().filter_map(|(name, quantity)| Some((name, quantity.0.parse::<Quantity>().ok()?)));
    parsed.fold(Amounts::none(), |amounts, (name, quantity)| amounts.with(name, quantity.nanos()))
}

/// The node whose resources a pod occupies; `None` if it has no node yet, or is over. A terminating pod still occupies them.
fn node_of(pod: &Pod) -> Option<String> {
    let node = pod.spec.as_ref()?.node_name.clone()?;
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    (!matches!(phase, Some("Succeeded" | "Failed"))).then_some(node)
}

/// The reason why no pod of `config` may run on `node`, if there is one.
fn closed(node: &ApiNode, config: &KubernetesConfig) -> Option<Closed> {
    let spec = node.spec.as_ref();
    let closed = |reason: String, lasts| Some(Closed { reason, lasts });
    let taints = spec.and_then(|spec| spec.taints.as_ref()).into_iter().flatten();
    let untolerated = taints
        .filter(|taint| taint.effect != "PreferNoSchedule" && !config.tolerations.iter().any(|toleration| tolerates(toleration, taint)))
        .collect::<Vec<_>>();
    // The taints of Kubernetes itself describe the node's momentary condition.
    let passes = |taint: &&Taint| taint.key.starts_with("node.kubernetes.io/");
    if let Some(taint) = untolerated.iter().copied().find(|taint| !passes(taint)) {
        let value = taint.value.as_ref().filter(|value| !value.is_empty()).map(|value| format!("={value}")).unwrap_or_default();
        return closed(format!("untolerated taint {}{value}", taint.key), true);
    }
    let labels = node.metadata.labels.as_ref();
    let has = |(name, value): (&String, &String)| labels.and_then(|labels| labels.get(name)) == Some(value);
    if !config.node_selector.iter().all(has) {
        return closed("no match for the node selector".to_owned(), true);
    }
    let required = config
        .affinity
        .as_ref()
        .and_then(|affinity| affinity.node_affinity.as_ref()?.required_during_scheduling_ignored_during_execution.as_ref());
    if let Some(required) = required
        && !required.node_selector_terms.iter().any(|term| matches(node, term))
    {
        return closed("no match for the node affinity".to_owned(), true);
    }
    if spec.and_then(|spec| spec.unschedulable) == Some(true) {
        return closed("cordoned".to_owned(), false);
    }
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_ref()).into_iter().flatten();
    if !conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True") {
        return closed("not ready".to_owned(), false);
    }
    untolerated.first().and_then(|taint| closed(format!("untolerated taint {}", taint.key), false))
}

/// True if `toleration` tolerates `taint`, by the scheduler's rules.
fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    let same_effect = toleration.effect.as_ref().is_none_or(|effect| effect.is_empty() || *effect == taint.effect);
    let key = toleration.key.as_deref().unwrap_or_default();
    let same_key = key == taint.key || (key.is_empty() && toleration.operator.as_deref() == Some("Exists"));
    let same_value = match toleration.operator.as_deref() {
        Some("Exists") => true,
        _ => toleration.value.as_deref().unwrap_or_default() == taint.value.as_deref().unwrap_or_default(),
    };
    same_effect && same_key && same_value
}

/// True if all of a term's expressions hold for the node; an empty term holds for none.
fn matches(node: &ApiNode, term: &NodeSelectorTerm) -> bool {
    let empty = BTreeMap::new();
    let labels = node.metadata.labels.as_ref().unwrap_or(&empty);
    let name: BTreeMap<String, String> = node.metadata.name.iter().map(|name| ("metadata.name".to_owned(), name.clone())).collect();
    let expressions = term.match_expressions.as_deref().unwrap_or_default();
    let fields = term.match_fields.as_deref().unwrap_or_default();
    !(expressions.is_empty() && fields.is_empty())
        && expressions.iter().all(|expression| holds(labels, expression))
        && fields.iter().all(|field| holds(&name, field))
}

fn holds(labels: &BTreeMap<String, String>, expression: &NodeSelectorRequirement) -> bool {
    let value = labels.get(&expression.key);
    let values = expression.values.as_deref().unwrap_or_default();
    let is_listed = value.is_some_and(|value| values.contains(value));
    let numbers = || Some((value?.parse::<i64>().ok()?, values.first()?.parse::<i64>().ok()?));
    match expression.operator.as_str() {
        "In" => is_listed,
        "NotIn" => !is_listed,
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        "Gt" => numbers().is_some_and(|(value, bound)| value > bound),
        "Lt" => numbers().is_some_and(|(value, bound)| value < bound),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;

    fn node(spec: Json, labels: Json) -> ApiNode {
        let status = json!({ "conditions": [{ "type": "Ready", "status": "True" }], "allocatable": { "cpu": "3500m", "memory": "8Gi", "pods": "110" } });
        serde_json::from_value(json!({ "metadata": { "name": "n", "labels": labels }, "spec": spec, "status": status })).unwrap()
    }

    fn config(text: &str) -> KubernetesConfig {
        let file = fltk_experiment::SourceFile { name: "k".to_owned(), text: format!("kubernetes: {text}") };
        KubernetesConfig::parse(&file).unwrap().0
    }

    #[test]
    fn nodes_are_closed_like_in_the_scheduler() {
        let check = |spec: Json, labels: Json, config_text: &str, expected: Option<(&str, bool)>| {
            let closed = closed(&node(spec, labels), &config(config_text));
            assert_eq!(closed.as_ref().map(|closed| (closed.reason.as_str(), closed.lasts)), expected, "{config_text}");
        };
        let taint = |key: &str, value: &str| json!({ "taints": [{ "key": key, "value": value, "effect": "NoSchedule" }] });
        check(json!({}), json!({}), "{}", None);
        check(taint("fltk.node", "normal"), json!({}), "{}", None);
        check(taint("fltk.node", "normal"), json!({}), "{ tolerations: [{ key: fltk.node, operator: Equal, value: normal }] }", None);
        check(
            taint("fltk.node", "normal"),
            json!({}),
            "{ tolerations: [{ key: fltk.node, operator: Equal, value: large }] }",
            Some(("untolerated taint fltk.node=normal", true)),
        );
        check(taint("gpu", ""), json!({}), "{ tolerations: [{ operator: Exists }] }", None);
        check(taint("gpu", ""), json!({}), "{}", Some(("untolerated taint gpu", true)));
        check(taint("node.kubernetes.io/not-ready", ""), json!({}), "{}", Some(("untolerated taint node.kubernetes.io/not-ready", false)));
        check(json!({ "unschedulable": true }), json!({}), "{}", Some(("cordoned", false)));
        check(json!({}), json!({ "pool": "a" }), "{ node_selector: { pool: a } }", None);
        check(json!({}), json!({}), "{ node_selector: { pool: a } }", Some(("no match for the node selector", true)));
        let affinity = |operator: &str| {
            format!(
                "{{ affinity: {{ nodeAffinity: {{ requiredDuringSchedulingIgnoredDuringExecution: {{ nodeSelectorTerms: [{{ matchExpressions: [{{ key: size, operator: {operator}, values: ['3'] }}] }}] }} }} }} }}"
            )
        };
        check(json!({}), json!({ "size": "4" }), &affinity("Gt"), None);
        check(json!({}), json!({ "size": "3" }), &affinity("In"), None);
        check(json!({}), json!({ "size": "3" }), &affinity("NotIn"), Some(("no match for the node affinity", true)));
    }

    #[test]
    fn usage_sums_requests_of_active_pods_outside_active_jobs() {
        let mut view = NodesView::default();
        view.has_node(node(json!({}), json!({})));
        let pod = |cpu: &str, phase: &str, is_going: bool| -> Pod {
            let metadata = if is_going { json!({ "deletionTimestamp": "2026-01-01T00:00:00Z" }) } else { json!({}) };
            let container = json!({ "name": "a", "resources": { "requests": { "cpu": cpu, "memory": "1Gi" } } });
            serde_json::from_value(json!({
                "metadata": metadata, "spec": { "nodeName": "n", "containers": [container] }, "status": { "phase": phase },
            }))
            .unwrap()
        };
        let key = |name: &str| ("d".to_owned(), name.to_owned());
        let job = |id: &str| Some(JobId(id.to_owned()));
        let used = |view: &NodesView, active: &str| view.nodes(&config("{}"), &|id| id.0 == active)[0].used.to_string();
        view.has_pod(key("other"), &pod("500m", "Running", false), None);
        view.has_pod(key("one-0"), &pod("1", "Running", true), job("one"));
        view.has_pod(key("one-1"), &pod("1", "Pending", false), job("one"));
        view.has_pod(key("two-0"), &pod("2", "Running", false), job("two"));
        assert_eq!(view.nodes(&config("{}"), &|_| false)[0].allocatable.get("cpu"), 3_500_000_000);
        assert_eq!(used(&view, "one"), "cpu 2500m, memory 2Gi, pods 2");
        assert_eq!(used(&view, "two"), "cpu 2500m, memory 3Gi, pods 3");
        assert_eq!(used(&view, ""), "cpu 4500m, memory 4Gi, pods 4");
        assert_eq!(view.taken_by(&JobId("one".to_owned()))["n"].to_string(), "cpu 2, memory 2Gi, pods 2");
        view.has_pod(key("one-0"), &pod("1", "Failed", true), job("one"));
        view.has_pod(key("other"), &pod("500m", "Succeeded", false), None);
        view.lost_pod(&key("two-0"));
        assert_eq!(used(&view, "two"), "cpu 1, memory 1Gi, pods 1");
        view.keep_pods(&BTreeSet::from([key("other")]));
        assert_eq!((used(&view, "").as_str(), view.taken_by(&JobId("one".to_owned())).len()), ("nothing", 0));
    }
}

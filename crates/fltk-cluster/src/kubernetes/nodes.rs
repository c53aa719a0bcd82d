//! Nodes as the planner sees them: what they have, what others use, and whether our pods may go there.

use std::collections::BTreeMap;

use fltk_core::experiment::Quantity;
use k8s_openapi::api::core::v1::{Node as ApiNode, NodeSelectorRequirement, NodeSelectorTerm, Pod, PodSpec, Taint, Toleration};

use super::config::KubernetesConfig;
use crate::{
    Amounts,
    plan::capacity::{Closed, Node},
};

type ApiQuantities = BTreeMap<String, k8s_openapi::apimachinery::pkg::api::resource::Quantity>;

/// Nodes, and pods of others by namespace and name: what takes up room is added up per node.
#[derive(Debug, Default)]
pub struct NodesView {
    nodes: BTreeMap<String, ApiNode>,
    others: BTreeMap<(String, String), (String, Amounts)>,
}

impl NodesView {
    /// `node` is as it now is.
    pub fn has_node(&mut self, node: ApiNode) {
        if let Some(name) = node.metadata.name.clone() {
            self.nodes.insert(name, node);
        }
    }

    /// There is no such node any more.
    pub fn lost_node(&mut self, name: &str) {
        self.nodes.remove(name);
    }

    /// Only these are there.
    pub fn keep_nodes(&mut self, names: &std::collections::BTreeSet<String>) {
        self.nodes.retain(|name, _| names.contains(name));
    }

    /// A pod of others is as it now is.
    pub fn has_other(&mut self, key: (String, String), pod: &Pod) {
        match takes(pod) {
            Some(taken) => self.others.insert(key, taken),
            None => self.others.remove(&key),
        };
    }

    /// There is no such pod any more.
    pub fn lost_other(&mut self, key: &(String, String)) {
        self.others.remove(key);
    }

    /// Only these are there.
    pub fn keep_others(&mut self, keys: &std::collections::BTreeSet<(String, String)>) {
        self.others.retain(|key, _| keys.contains(key));
    }

    /// All nodes for pods of `config`.
    #[must_use]
    pub fn nodes(&self, config: &KubernetesConfig) -> Vec<Node> {
        let mut used: BTreeMap<&str, Amounts> = BTreeMap::new();
        for (node, requests) in self.others.values() {
            used.entry(node).or_default().add(requests);
        }
        let node = |(name, node): (&String, &ApiNode)| Node {
            name: name.clone(),
            allocatable: node.status.as_ref().and_then(|status| status.allocatable.as_ref()).map(amounts).unwrap_or_default(),
            used: used.get(name.as_str()).cloned().unwrap_or_default(),
            closed: closed(node, config),
        };
        self.nodes.iter().map(node).collect()
    }
}

/// Billionths; what is no quantity counts as nothing.
fn amounts(quantities: &ApiQuantities) -> Amounts {
    let parsed = quantities.iter().filter_map(|(name, quantity)| Some((name, quantity.0.parse::<Quantity>().ok()?)));
    parsed.fold(Amounts::none(), |amounts, (name, quantity)| amounts.with(name, quantity.nanos()))
}

/// The node that a pod takes up room on, and how much; `None` for one that has none yet, or is over.
fn takes(pod: &Pod) -> Option<(String, Amounts)> {
    let spec = pod.spec.as_ref()?;
    let node = spec.node_name.clone()?;
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    (!matches!(phase, Some("Succeeded" | "Failed"))).then(|| (node, requests(spec)))
}

/// What a pod requests, as the scheduler counts it: its containers together, or its largest init container if that is more; its overhead; and its place.
fn requests(spec: &PodSpec) -> Amounts {
    const ONE: i128 = 1_000_000_000;
    let of = |container: &k8s_openapi::api::core::v1::Container| {
        container.resources.as_ref().and_then(|resources| resources.requests.as_ref()).map(amounts).unwrap_or_default()
    };
    let mut sum = Amounts::none();
    spec.containers.iter().for_each(|container| sum.add(&of(container)));
    let mut largest = Amounts::none();
    // One that goes on beside the containers that follow adds to them.
    for container in spec.init_containers.iter().flatten() {
        if container.restart_policy.as_deref() == Some("Always") {
            sum.add(&of(container));
        } else {
            largest = largest.max(&of(container));
        }
    }
    let mut requests = sum.max(&largest);
    requests.add(&spec.overhead.as_ref().map(amounts).unwrap_or_default());
    requests.with("pods", ONE)
}

/// Why no pod of `config` may go to `node`, if so.
fn closed(node: &ApiNode, config: &KubernetesConfig) -> Option<Closed> {
    let spec = node.spec.as_ref();
    let closed = |reason: String, lasts| Some(Closed { reason, lasts });
    let taints = spec.and_then(|spec| spec.taints.as_ref()).into_iter().flatten();
    let untolerated = taints
        .filter(|taint| taint.effect != "PreferNoSchedule" && !config.tolerations.iter().any(|toleration| tolerates(toleration, taint)))
        .collect::<Vec<_>>();
    // Those of Kubernetes itself say how the node is at the moment.
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

/// As the scheduler decides it.
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

/// Whether all of a term's expressions hold for the node; an empty term holds for none.
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
        let file = fltk_core::experiment::SourceFile { name: "k".to_owned(), text: format!("kubernetes: {text}") };
        KubernetesConfig::parse(&file).unwrap().0
    }

    #[test]
    fn nodes_are_closed_as_the_scheduler_closes_them() {
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
    fn what_others_use_is_what_the_scheduler_counts() {
        let mut view = NodesView::default();
        view.has_node(node(json!({}), json!({})));
        let pod = |phase: &str| -> Pod {
            let container = |name: &str, cpu: &str| json!({ "name": name, "resources": { "requests": { "cpu": cpu, "memory": "1Gi" } } });
            serde_json::from_value(json!({
                "metadata": {},
                "spec": {
                    "nodeName": "n",
                    "containers": [container("a", "500m"), container("b", "250m")],
                    "initContainers": [container("i", "2")],
                    "overhead": { "cpu": "10m" },
                },
                "status": { "phase": phase },
            }))
            .unwrap()
        };
        let key = ("d".to_owned(), "p".to_owned());
        view.has_other(key.clone(), &pod("Running"));
        let nodes = view.nodes(&config("{}"));
        assert_eq!(nodes[0].used.to_string(), "cpu 2010m, memory 2Gi, pods 1");
        assert_eq!(nodes[0].allocatable.get("cpu"), 3_500_000_000);
        view.has_other(key, &pod("Succeeded"));
        assert_eq!(view.nodes(&config("{}"))[0].used, Amounts::none());
    }
}

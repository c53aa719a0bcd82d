//! The requests of a pod, as the scheduler counts them: `PodRequests` of `k8s.io/component-helpers`, as Kubernetes 1.34 calls it.

use std::collections::BTreeMap;

use fltk_plan::Amounts;
use k8s_openapi::api::core::v1::{Container, ContainerStatus, Pod};

use super::{ApiQuantities, amounts};

/// The requests of `pod`, including one of the node's `pods`.
///
/// An init container that keeps running (`restartPolicy: Always`) runs alongside all containers that start after it. So the pod needs the larger of
/// two amounts: that of the containers with all such init containers, and that of any other init container with the ones that are running by then. A
/// request of the pod as a whole replaces this amount for its resource. The pod's overhead is added.
///
/// **Caveats**: resizes of pod-level resources (on by default since Kubernetes 1.36) and claimed devices aren't counted: the API of 1.33 knows neither.
pub fn requests(pod: &Pod) -> Amounts {
    const ONE: i128 = 1_000_000_000;
    let Some(spec) = &pod.spec else { return Amounts::none() };
    let resized = Resized::of(pod);
    let mut together = Amounts::none();
    spec.containers.iter().for_each(|container| together.add(&resized.requests(container)));
    let (mut going_on, mut most) = (Amounts::none(), Amounts::none());
    for container in spec.init_containers.iter().flatten() {
        if container.restart_policy.as_deref() == Some("Always") {
            let requests = resized.requests(container);
            together.add(&requests);
            going_on.add(&requests);
            most = most.max(&going_on);
        } else {
            // This init container ends before it could be resized.
            let mut beside = requested(container);
            beside.add(&going_on);
            most = most.max(&beside);
        }
    }
    let mut requests = together.max(&most);
    let whole = spec.resources.as_ref().and_then(|resources| resources.requests.as_ref()).map(amounts).unwrap_or_default();
    for (name, nanos) in whole.iter().filter(|(name, _)| is_for_whole_pods(name)) {
        requests = requests.with(name, nanos);
    }
    requests.add(&spec.overhead.as_ref().map(amounts).unwrap_or_default());
    requests.with("pods", ONE)
}

/// True if a pod as a whole may request the resource; the scheduler ignores pod-level requests of others.
fn is_for_whole_pods(name: &str) -> bool {
    matches!(name, "cpu" | "memory") || name.starts_with("hugepages-")
}

fn requested(container: &Container) -> Amounts {
    of(container.resources.as_ref().and_then(|resources| resources.requests.as_ref()))
}

fn of(quantities: Option<&ApiQuantities>) -> Amounts {
    quantities.map(amounts).unwrap_or_default()
}

/// The state of in-place resizes: how far the node has applied the new requests of the pod's containers.
struct Resized<'a> {
    /// The status of each container by name.
    statuses: BTreeMap<&'a str, &'a ContainerStatus>,
    /// True if the node can't apply the resize.
    is_infeasible: bool,
}

impl<'a> Resized<'a> {
    fn of(pod: &'a Pod) -> Self {
        let status = pod.status.as_ref();
        let containers = status.and_then(|status| status.container_statuses.as_ref()).into_iter().flatten();
        let init_containers = status.and_then(|status| status.init_container_statuses.as_ref()).into_iter().flatten();
        let statuses = containers.chain(init_containers).map(|status| (status.name.as_str(), status)).collect();
        let mut conditions = status.and_then(|status| status.conditions.as_ref()).into_iter().flatten();
        let pending = conditions.find(|condition| condition.type_ == "PodResizePending");
        Self { statuses, is_infeasible: pending.is_some_and(|condition| condition.reason.as_deref() == Some("Infeasible")) }
    }

    /// The maximum of what `container` has, was allocated and requests; without the last if the node can't apply the resize.
    fn requests(&self, container: &Container) -> Amounts {
        let asked = requested(container);
        let Some((status, resources)) =
            self.statuses.get(container.name.as_str()).and_then(|status| Some((status, status.resources.as_ref()?)))
        else {
            return asked;
        };
        let has = of(resources.requests.as_ref()).max(&of(status.allocated_resources.as_ref()));
        if self.is_infeasible { has } else { asked.max(&has) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;

    fn container(name: &str, requests: Json) -> Json {
        json!({ "name": name, "resources": { "requests": requests } })
    }

    fn going_on(name: &str, requests: Json) -> Json {
        json!({ "name": name, "resources": { "requests": requests }, "restartPolicy": "Always" })
    }

    fn check(spec: Json, status: Json, expected: &str) {
        let pod: Pod = serde_json::from_value(json!({ "metadata": {}, "spec": spec, "status": status })).unwrap();
        assert_eq!(requests(&pod).to_string(), expected, "{spec}");
    }

    #[test]
    fn init_containers_add_requests_of_earlier_sidecars() {
        let cpu = |name: &str, cpu: &str| container(name, json!({ "cpu": cpu }));
        let check = |init: Json, expected: &str| {
            check(json!({ "containers": [cpu("a", "500m"), cpu("b", "250m")], "initContainers": init }), json!({}), expected);
        };
        let proxy = going_on("proxy", json!({ "cpu": "1" }));
        check(json!([]), "cpu 750m, pods 1");
        check(json!([cpu("i", "2"), cpu("j", "1")]), "cpu 2, pods 1");
        check(json!([proxy]), "cpu 1750m, pods 1");
        check(json!([cpu("i", "2"), proxy]), "cpu 2, pods 1");
        check(json!([proxy, cpu("i", "2")]), "cpu 3, pods 1");
        check(json!([proxy, cpu("i", "500m")]), "cpu 1750m, pods 1");
        check(json!([proxy, cpu("i", "2"), going_on("late", json!({ "cpu": "4" }))]), "cpu 5750m, pods 1");
        check(
            json!([going_on("first", json!({ "memory": "1Gi" })), container("i", json!({ "memory": "1Gi" }))]),
            "cpu 750m, memory 2Gi, pods 1",
        );
    }

    #[test]
    fn pod_level_requests_take_precedence_and_overhead_is_added() {
        let pod = |whole: Json| {
            json!({
                "containers": [container("a", json!({ "cpu": "500m", "memory": "1Gi", "nvidia.com/gpu": "1", "hugepages-2Mi": "2Mi" }))],
                "initContainers": [container("i", json!({ "cpu": "1" }))],
                "resources": whole,
                "overhead": { "cpu": "10m" },
            })
        };
        check(pod(json!(null)), json!({}), "cpu 1010m, hugepages-2Mi 2097152, memory 1Gi, nvidia.com/gpu 1, pods 1");
        check(
            pod(json!({ "requests": { "cpu": "4" } })),
            json!({}),
            "cpu 4010m, hugepages-2Mi 2097152, memory 1Gi, nvidia.com/gpu 1, pods 1",
        );
        check(
            pod(
                json!({ "requests": { "cpu": "1", "memory": "2Gi", "hugepages-2Mi": "4Mi", "nvidia.com/gpu": "2" }, "limits": { "cpu": "8" } }),
            ),
            json!({}),
            "cpu 1010m, hugepages-2Mi 4194304, memory 2Gi, nvidia.com/gpu 1, pods 1",
        );
        let bare = json!({ "containers": [{ "name": "a" }], "resources": { "requests": { "memory": "2Gi" } } });
        check(bare, json!({}), "memory 2Gi, pods 1");
    }

    #[test]
    fn resized_pod_counts_the_larger_of_old_and_new_requests() {
        let spec =
            json!({ "containers": [container("a", json!({ "cpu": "2" }))], "initContainers": [going_on("p", json!({ "cpu": "1" }))] });
        let status = |name: &str, has: &str, given: &str| {
            json!({ "name": name, "image": "", "imageID": "", "ready": true, "restartCount": 0,
            "resources": { "requests": { "cpu": has } }, "allocatedResources": { "cpu": given } })
        };
        let of = |has: &str, given: &str| json!({ "containerStatuses": [status("a", has, given)] });
        check(spec.clone(), of("1", "2"), "cpu 3, pods 1");
        check(spec.clone(), of("3", "2"), "cpu 4, pods 1");
        check(spec.clone(), of("1", "4"), "cpu 5, pods 1");
        check(spec.clone(), json!({ "initContainerStatuses": [status("p", "2", "1")] }), "cpu 4, pods 1");
        let mut infeasible = of("1", "1");
        infeasible["conditions"] = json!([{ "type": "PodResizePending", "status": "True", "reason": "Infeasible" }]);
        check(spec, infeasible, "cpu 2, pods 1");
    }
}

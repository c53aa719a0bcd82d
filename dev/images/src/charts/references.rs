//! The rule that everything that objects refer to exists: pods by selectors, volumes, accounts, roles, services and their ports.

use serde_json::{Value as Json, json};

use super::objects::{Object, Pod, list, mentions, selects, text};

/// The label on pods of a stream's jobs.
const RUN: &str = "fltk.node/run";

/// Returns the references to things that don't exist. Names in the set's own `values` belong to somebody else.
pub fn check(objects: &[Object], values: &str) -> Vec<String> {
    let mut found = Vec::new();
    let all = References { objects, values, pods: objects.iter().filter_map(Object::pod).collect() };
    for object in objects {
        let mut find = |problem: String| found.push(format!("{}: {problem}", object.describe()));
        let spec = &object.json["spec"];
        match object.kind() {
            "Deployment" => {
                let selector = &spec["selector"]["matchLabels"];
                if !object.pod().is_some_and(|pod| pod.is_selected(selector)) {
                    find(format!("its selector {selector} doesn't select its own pods"));
                }
            }
            "Service" => all.service(spec, &mut find),
            "NetworkPolicy" => all.network_policy(spec, &mut find),
            "ServiceMonitor" => all.service_monitor(spec, &mut find),
            "Ingress" => all.ingress(spec, &mut find),
            "RoleBinding" | "ClusterRoleBinding" => all.binding(&object.json, &mut find),
            "PersistentVolumeClaim" => {
                if let Some(volume) = spec["volumeName"].as_str()
                    && !all.has("PersistentVolume", volume)
                {
                    find(format!("there is no volume `{volume}`"));
                }
            }
            _ => {}
        }
        if let Some(pod) = object.pod() {
            all.pod(&pod, &mut find);
        }
    }
    found
}

struct References<'a> {
    objects: &'a [Object],
    values: &'a str,
    pods: Vec<Pod<'a>>,
}

impl References<'_> {
    fn has(&self, kind: &str, name: &str) -> bool {
        self.objects.iter().any(|object| object.kind() == kind && object.name() == name)
    }

    fn is_there(&self, kind: &str, name: &str) -> bool {
        self.has(kind, name) || mentions(self.values, name)
    }

    fn selected(&self, selector: &Json) -> Option<&Pod<'_>> {
        self.pods.iter().find(|pod| pod.is_selected(selector))
    }

    fn service(&self, spec: &Json, find: &mut dyn FnMut(String)) {
        let Some(pod) = self.selected(&spec["selector"]) else { return find(format!("it selects no pods: {}", spec["selector"])) };
        for port in list(&spec["ports"]) {
            if !pod.ports().contains(&text(&port["targetPort"])) {
                find(format!("its pods have no port {}", port["targetPort"]));
            }
        }
    }

    fn network_policy(&self, spec: &Json, find: &mut dyn FnMut(String)) {
        let selector = &spec["podSelector"]["matchLabels"];
        if let Some(run) = selector[RUN].as_str() {
            return self.policy_of_jobs(run, spec, find);
        }
        let Some(pod) = self.selected(selector) else { return find(format!("it selects no pods: {selector}")) };
        let ports: Vec<&str> =
            list(&spec["ingress"]).iter().flat_map(|rule| list(&rule["ports"])).map(|port| text(&port["port"])).collect();
        if let Some(unknown) = ports.iter().find(|port| !pod.ports().contains(port)) {
            find(format!("its pods have no port `{unknown}`"));
        }
        if let Some(closed) = pod.ports().iter().find(|port| !ports.contains(port)) {
            find(format!("nobody may connect to the port `{closed}` of its pods"));
        }
    }

    /// Checks a policy for jobs, which are created later: their pods have the stream's name as a label, and connect to each other at any
    /// port.
    fn policy_of_jobs(&self, run: &str, spec: &Json, find: &mut dyn FnMut(String)) {
        let option = format!("--id={run}");
        let begins = |container: &Json| list(&container["args"]).iter().any(|argument| text(argument) == option);
        if !self.pods.iter().any(|pod| pod.containers().any(begins)) {
            find(format!("no stream is called `{run}`"));
        }
        if list(&spec["ingress"]) != [json!({ "from": [{ "podSelector": &spec["podSelector"] }] })] {
            find(format!("not exactly the pods that it's for may connect to them: {}", spec["ingress"]));
        }
    }

    fn service_monitor(&self, spec: &Json, find: &mut dyn FnMut(String)) {
        let selector = &spec["selector"]["matchLabels"];
        let service = self.objects.iter().find(|object| object.kind() == "Service" && selects(selector, &object.labels()));
        let Some(service) = service else { return find(format!("it selects no service: {selector}")) };
        for endpoint in list(&spec["endpoints"]) {
            if !has_port(service, &endpoint["port"]) {
                find(format!("{} has no port {}", service.describe(), endpoint["port"]));
            }
        }
    }

    fn ingress(&self, spec: &Json, find: &mut dyn FnMut(String)) {
        for path in list(&spec["rules"]).iter().flat_map(|rule| list(&rule["http"]["paths"])) {
            let backend = &path["backend"]["service"];
            let service = self.objects.iter().find(|object| object.kind() == "Service" && object.name() == text(&backend["name"]));
            if !service.is_some_and(|service| has_port(service, &backend["port"]["name"])) {
                find(format!("there is no service with the port of {backend}"));
            }
        }
    }

    fn binding(&self, object: &Json, find: &mut dyn FnMut(String)) {
        let role = &object["roleRef"];
        if !self.has(text(&role["kind"]), text(&role["name"])) {
            find(format!("there is no {} `{}`", text(&role["kind"]), text(&role["name"])));
        }
        for subject in list(&object["subjects"]) {
            if !self.is_there("ServiceAccount", text(&subject["name"])) {
                find(format!("there is no service account `{}`", text(&subject["name"])));
            }
        }
    }

    fn pod(&self, pod: &Pod<'_>, find: &mut dyn FnMut(String)) {
        let spec = pod.spec();
        let account = text(&spec["serviceAccountName"]);
        if !["", "default"].contains(&account) && !self.is_there("ServiceAccount", account) {
            find(format!("there is no service account `{account}`"));
        }
        let volumes = list(&spec["volumes"]);
        let mounted: Vec<&str> =
            pod.containers().flat_map(|container| list(&container["volumeMounts"])).map(|mount| text(&mount["name"])).collect();
        for name in &mounted {
            if !volumes.iter().any(|volume| text(&volume["name"]) == *name) {
                find(format!("it mounts a volume `{name}` that it doesn't have"));
            }
        }
        for volume in volumes {
            let name = text(&volume["name"]);
            if !mounted.contains(&name) {
                find(format!("nothing mounts its volume `{name}`"));
            }
            for (source, kind, key) in [("configMap", "ConfigMap", "name"), ("secret", "Secret", "secretName")] {
                let refers_to = text(&volume[source][key]);
                if volume[source].is_object() && !self.is_there(kind, refers_to) {
                    find(format!("there is no {kind} `{refers_to}`"));
                }
            }
            // Claims may belong to the extractor.
            let claim = text(&volume["persistentVolumeClaim"]["claimName"]);
            let is_shared = ["fl-log-claim", "fl-server-claim", "fl-data-claim"].contains(&claim);
            if volume["persistentVolumeClaim"].is_object() && !is_shared && !self.is_there("PersistentVolumeClaim", claim) {
                find(format!("there is no claim `{claim}`"));
            }
        }
        for container in pod.containers() {
            let ports: Vec<&str> = list(&container["ports"]).iter().map(|port| text(&port["name"])).collect();
            for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
                let port = text(&container[probe]["httpGet"]["port"]);
                if container[probe].is_object() && !ports.contains(&port) {
                    find(format!("{probe} asks the port `{port}`, which its container doesn't have"));
                }
                if !ports.is_empty() && !container[probe].is_object() {
                    find(format!("container `{}` serves, and has no {probe}", text(&container["name"])));
                }
            }
        }
    }
}

fn has_port(service: &Object, name: &Json) -> bool {
    list(&service.json["spec"]["ports"]).iter().any(|port| port["name"] == *name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::charts::objects;

    const DEPLOYMENT: &str = "
kind: Deployment
metadata: { name: a }
spec:
  selector: { matchLabels: { app: a } }
  template:
    metadata: { labels: { app: a, more: b } }
    spec:
      serviceAccountName: theirs
      containers: [{ name: c, image: i, volumeMounts: [{ name: v, mountPath: /v }] }]
      volumes: [{ name: v, emptyDir: {} }]
";

    #[track_caller]
    fn finds(text: &str, expected: &[&str]) {
        let found = check(&objects::read(text).unwrap(), "serviceAccount: theirs");
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (found, words) in found.iter().zip(expected) {
            assert!(found.contains(words), "{found}: {words}");
        }
    }

    #[test]
    fn existing_references_are_resolved() {
        finds(DEPLOYMENT, &[]);
        let policy = "---\nkind: NetworkPolicy\nmetadata: { name: n }\nspec: { podSelector: { matchLabels: { more: b } } }\n";
        finds(&format!("{DEPLOYMENT}{policy}"), &[]);
    }

    #[test]
    fn missing_references_are_reported() {
        finds(&DEPLOYMENT.replace("{ matchLabels: { app: a } }", "{ matchLabels: { app: b } }"), &["its own pods"]);
        finds(&DEPLOYMENT.replace("theirs", "other"), &["service account `other`"]);
        finds(
            &DEPLOYMENT.replace("[{ name: v, emptyDir: {} }]", "[{ name: w, emptyDir: {} }]"),
            &["`v` that it doesn't have", "volume `w`"],
        );
        finds(&DEPLOYMENT.replace("emptyDir: {}", "configMap: { name: m }"), &["no ConfigMap `m`"]);
        finds(&DEPLOYMENT.replace("emptyDir: {}", "persistentVolumeClaim: { claimName: m }"), &["no claim `m`"]);
        finds(
            &DEPLOYMENT.replace("image: i", "ports: [{ name: http }], startupProbe: { httpGet: { port: htp } }"),
            &["`htp`", "no livenessProbe", "no readinessProbe"],
        );
        let service = "---\nkind: Service\nmetadata: { name: s }\nspec: { selector: { app: z }, ports: [] }\n";
        finds(&format!("{DEPLOYMENT}{service}"), &["selects no pods"]);
        let service = "---\nkind: Service\nmetadata: { name: s }\nspec: { selector: { app: a }, ports: [{ targetPort: http }] }\n";
        finds(&format!("{DEPLOYMENT}{service}"), &["no port \"http\""]);
        let monitor = "---\nkind: ServiceMonitor\nmetadata: { name: s }\nspec: { selector: { matchLabels: { app: a } }, endpoints: [] }\n";
        finds(&format!("{DEPLOYMENT}{monitor}"), &["selects no service"]);
        let binding = "---\nkind: RoleBinding\nmetadata: { name: b }\nroleRef: { kind: Role, name: r }\nsubjects: [{ name: x }]\n";
        finds(&format!("{DEPLOYMENT}{binding}"), &["no Role `r`", "account `x`"]);
    }
}

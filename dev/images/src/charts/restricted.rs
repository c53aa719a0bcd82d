//! The rule that pods pass the *restricted* pod security standard, and our own requirements beyond it: a read-only root file system, and
//! limits.

use serde_json::Value as Json;

use super::objects::{Object, Pod, list, text};

/// The only component that has to run as root, and says so: it makes folders on the node writable.
const ROOT: &str = "prepare";
const COMPONENT: &str = "app.kubernetes.io/component";

/// The kinds of volumes that restricted pods may have.
const VOLUMES: [&str; 8] = ["configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"];

/// Returns the violations.
pub fn check(objects: &[Object]) -> Vec<String> {
    let mut found = Vec::new();
    for pod in objects.iter().filter_map(Object::pod) {
        let mut find = |problem: String| found.push(format!("{}: {problem}", pod.owner.describe()));
        if pod.labels().get(COMPONENT) == Some(&ROOT) {
            root(&pod, &mut find);
        } else {
            restricted(&pod, &mut find);
        }
        all(&pod, &mut find);
    }
    found
}

/// Checks the rules for all pods, whatever user they run as.
fn all(pod: &Pod<'_>, find: &mut dyn FnMut(String)) {
    let spec = pod.spec();
    for field in ["hostNetwork", "hostPID", "hostIPC"] {
        if spec[field] == true {
            find(format!("{field} is true"));
        }
    }
    for volume in list(&spec["volumes"]) {
        let source = volume.as_object().into_iter().flatten().map(|(key, _)| key.as_str()).find(|key| *key != "name");
        if !source.is_some_and(|source| VOLUMES.contains(&source)) {
            find(format!("volume {volume} is of a kind that restricted pods may not have"));
        }
    }
    if !is_confined(&spec["securityContext"]) {
        find("seccompProfile isn't RuntimeDefault".to_owned());
    }
    if spec["enableServiceLinks"] != false {
        find("it gets a variable for each service of the namespace".to_owned());
    }
    if spec["automountServiceAccountToken"].is_null() {
        find("it doesn't say whether it gets a token".to_owned());
    }
    for container in pod.containers() {
        let (name, security) = (text(&container["name"]), &container["securityContext"]);
        let mut find = |problem: &str| find(format!("container `{name}`: {problem}"));
        if security["allowPrivilegeEscalation"] != false {
            find("allowPrivilegeEscalation isn't false");
        }
        if security["privileged"] == true {
            find("it is privileged");
        }
        if security["readOnlyRootFilesystem"] != true {
            find("its root file system can be written to");
        }
        if !list(&security["capabilities"]["drop"]).contains(&"ALL".into()) {
            find("it doesn't drop all capabilities");
        }
        if list(&container["ports"]).iter().any(|port| port["hostPort"].is_number()) {
            find("it takes a port of the node");
        }
        let resources = &container["resources"];
        for (kind, resource) in [("requests", "cpu"), ("requests", "memory"), ("limits", "memory")] {
            if resources[kind][resource].is_null() {
                find(&format!("resources.{kind}.{resource} isn't set"));
            }
        }
    }
}

fn restricted(pod: &Pod<'_>, find: &mut dyn FnMut(String)) {
    let whole = &pod.spec()["securityContext"];
    for container in pod.containers() {
        let (name, security) = (text(&container["name"]), &container["securityContext"]);
        let of = |field: &str| if security[field].is_null() { &whole[field] } else { &security[field] };
        if of("runAsNonRoot") != true || of("runAsUser") == 0 {
            find(format!("container `{name}`: it may be root"));
        }
        let added = list(&security["capabilities"]["add"]);
        if added.iter().any(|capability| capability != "NET_BIND_SERVICE") {
            find(format!("container `{name}`: it adds capabilities"));
        }
    }
}

/// Checks a pod that needs to be root: it keeps a single capability.
fn root(pod: &Pod<'_>, find: &mut dyn FnMut(String)) {
    for container in pod.containers() {
        if list(&container["securityContext"]["capabilities"]["add"]) != [Json::from("CHOWN")] {
            find(format!("container `{}`: of root's capabilities it needs CHOWN alone", text(&container["name"])));
        }
    }
}

fn is_confined(security: &Json) -> bool {
    ["RuntimeDefault", "Localhost"].contains(&text(&security["seccompProfile"]["type"]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::charts::objects;

    const POD: &str = "
kind: Job
metadata: { name: a }
spec:
  template:
    metadata: { labels: { app.kubernetes.io/component: x } }
    spec:
      automountServiceAccountToken: false
      enableServiceLinks: false
      securityContext: { runAsNonRoot: true, seccompProfile: { type: RuntimeDefault } }
      containers:
        - name: c
          resources: { requests: { cpu: 1, memory: 1 }, limits: { memory: 1 } }
          securityContext: { allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: { drop: [ALL] } }
      volumes: [{ name: v, emptyDir: {} }]
";

    #[track_caller]
    fn finds(from: &str, to: &str, expected: &[&str]) {
        assert!(POD.contains(from), "{from}");
        let found = check(&objects::read(&POD.replace(from, to)).unwrap());
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (found, words) in found.iter().zip(expected) {
            assert!(found.contains(words), "{found}: {words}");
        }
    }

    #[test]
    fn rules_of_the_standard_are_checked() {
        finds("kind", "kind", &[]);
        finds("runAsNonRoot: true, ", "", &["root"]);
        finds("runAsNonRoot: true", "runAsNonRoot: true, runAsUser: 0", &["root"]);
        finds("{ type: RuntimeDefault }", "{ type: Unconfined }", &["seccomp"]);
        finds("allowPrivilegeEscalation: false, ", "", &["allowPrivilegeEscalation"]);
        finds("readOnlyRootFilesystem: true, ", "", &["root file system"]);
        finds("{ drop: [ALL] }", "{ drop: [CHOWN] }", &["capabilities"]);
        finds("{ drop: [ALL] }", "{ drop: [ALL], add: [CHOWN] }", &["adds"]);
        finds("emptyDir: {}", "hostPath: { path: / }", &["hostPath"]);
        finds("enableServiceLinks: false", "hostNetwork: true", &["hostNetwork", "variable"]);
        finds("automountServiceAccountToken: false", "restartPolicy: Never", &["token"]);
        finds("limits: { memory: 1 }", "limits: {}", &["limits.memory"]);
        finds("name: c", "name: c\n          ports: [{ hostPort: 1 }]", &["port of the node"]);
    }

    #[test]
    fn root_keeps_one_capability() {
        let root = POD.replace("component: x", "component: prepare").replace("runAsNonRoot: true, ", "");
        let check = |to: &str| check(&objects::read(&root.replace("{ drop: [ALL] }", to)).unwrap()).len();
        assert_eq!(check("{ drop: [ALL], add: [CHOWN] }"), 0);
        assert_eq!(check("{ drop: [ALL], add: [CHOWN, SYS_ADMIN] }"), 1);
        assert_eq!(check("{ drop: [ALL] }"), 1);
    }
}

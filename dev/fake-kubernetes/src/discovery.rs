//! Discovery: the API server's description of itself.

use serde_json::{Value, json};

use crate::{
    faults::Faults,
    kinds::{KINDS, Kind},
};

const RELEASE: &str = "v1.34.4";

/// The answer to a question about the server or its kinds; `None` for other paths.
pub fn answer(path: &str, faults: &Faults) -> Option<Value> {
    let served = || KINDS.iter().filter(|kind| faults.serves(kind));
    let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
    match segments[..] {
        ["version"] => Some(json!({
            "major": "1", "minor": "34", "gitVersion": RELEASE, "gitCommit": "", "gitTreeState": "clean",
            "buildDate": "1970-01-01T00:00:00Z", "goVersion": "go1.26", "compiler": "gc", "platform": "linux/amd64",
        })),
        ["healthz" | "livez" | "readyz"] => Some(json!("ok")),
        ["api"] => Some(json!({ "kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": [] })),
        ["apis"] => {
            let mut groups: Vec<Value> = Vec::new();
            for kind in served().filter(|kind| !kind.group.is_empty()) {
                if !groups.iter().any(|group| group["name"] == kind.group) {
                    groups.push(group(kind));
                }
            }
            Some(json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": groups }))
        }
        ["apis", name] => {
            let mut group = served().find(|kind| kind.group == name).map(group)?;
            group["kind"] = "APIGroup".into();
            group["apiVersion"] = "v1".into();
            Some(group)
        }
        ["api", version] => resources(served().filter(|kind| kind.group.is_empty() && kind.version == version)),
        ["apis", name, version] => resources(served().filter(|kind| kind.group == name && kind.version == version)),
        _ => None,
    }
}

fn group(kind: &Kind) -> Value {
    let version = json!({ "groupVersion": kind.api_version(), "version": kind.version });
    json!({ "name": kind.group, "versions": [version], "preferredVersion": version })
}

fn resources<'a>(kinds: impl Iterator<Item = &'a Kind>) -> Option<Value> {
    let (mut resources, mut group_version) = (Vec::new(), None);
    for kind in kinds {
        group_version = Some(kind.api_version());
        let resource = |name: String, singular: String, verbs: &[&str]| json!({ "name": name, "singularName": singular, "namespaced": kind.namespaced, "kind": kind.kind, "verbs": verbs });
        let verbs = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
        resources.push(resource(kind.plural.to_owned(), kind.kind.to_lowercase(), &verbs));
        if kind.has_status {
            resources.push(resource(format!("{}/status", kind.plural), String::new(), &["get", "patch", "update"]));
        }
    }
    Some(json!({ "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version?, "resources": resources }))
}

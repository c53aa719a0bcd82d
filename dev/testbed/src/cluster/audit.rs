//! The API server's audit log: the rights that a service account has used, compared with those that it has, and how often each object was
//! created.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, fs,
};

use anyhow::Context as _;
use serde::Deserialize;

use super::Cluster;
use crate::sh;

/// A right, in the namespace or in the whole cluster: the two are not distinguished.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Right {
    /// The API group, empty for the Kubernetes core.
    pub group: String,
    /// The resource, with `/` and the subresource, if there is one.
    pub resource: String,
    /// The verb, such as `create`.
    pub verb: String,
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dot = if self.group.is_empty() { "" } else { "." };
        write!(f, "{} {}{dot}{}", self.verb, self.resource, self.group)
    }
}

/// The actions of an account.
#[derive(Debug, Default)]
pub struct Used {
    /// The rights that it used.
    pub allowed: BTreeSet<Right>,
    /// The rights that it was refused.
    pub refused: BTreeSet<Right>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    verb: String,
    #[serde(default, rename = "requestURI")]
    request_uri: String,
    user: User,
    object_ref: Option<ObjectRef>,
    response_status: Option<ResponseStatus>,
}

#[derive(Deserialize)]
struct User {
    username: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct ObjectRef {
    namespace: String,
    name: String,
    resource: String,
    api_group: String,
    subresource: String,
}

#[derive(Deserialize)]
struct ResponseStatus {
    #[serde(default)]
    code: u16,
}

const CREATED: u16 = 201;
const FORBIDDEN: u16 = 403;

/// Returns the actions of `account` in `namespace` since the cluster was started.
pub fn used(cluster: &Cluster, namespace: &str, account: &str) -> anyhow::Result<Used> {
    used_in(&read(cluster)?, &format!("system:serviceaccount:{namespace}:{account}"))
}

/// Returns the length of the log in bytes, without an incomplete last line.
pub fn len(cluster: &Cluster) -> anyhow::Result<usize> {
    Ok(read(cluster)?.rfind('\n').map_or(0, |last| last + 1))
}

/// Returns the jobs that somebody tried to create in `namespace` after the first `since` bytes of the log, of the kind with the plural `resource`: how often
/// each was created. A job whose creator was killed before the answer may have been created too.
pub fn made(cluster: &Cluster, namespace: &str, resource: &str, since: usize) -> anyhow::Result<BTreeMap<String, usize>> {
    let log = read(cluster)?;
    made_in(log.get(since..).context("the audit log is another")?, namespace, resource)
}

fn read(cluster: &Cluster) -> anyhow::Result<String> {
    let path = cluster.state.join("log/audit.log");
    fs::read_to_string(&path).with_context(|| format!("can't read `{}`", path.display()))
}

fn events(log: &str) -> impl Iterator<Item = anyhow::Result<Event>> {
    // The last line may be incomplete.
    let whole = log.rsplit_once('\n').map_or("", |(whole, _)| whole);
    whole.lines().map(|line| serde_json::from_str(line).with_context(|| format!("the audit log has `{line}`")))
}

fn made_in(log: &str, namespace: &str, resource: &str) -> anyhow::Result<BTreeMap<String, usize>> {
    let mut made = BTreeMap::new();
    for event in events(log) {
        let event = event?;
        let is_real = event.verb == "create" && !event.request_uri.contains("dryRun=");
        let is_done = event.response_status.is_some_and(|status| status.code == CREATED);
        let of_kind = |object: &ObjectRef| object.namespace == namespace && object.resource == resource && object.subresource.is_empty();
        if let Some(object) = event.object_ref.filter(of_kind).filter(|_| is_real) {
            *made.entry(object.name).or_default() += usize::from(is_done);
        }
    }
    Ok(made)
}

fn used_in(log: &str, username: &str) -> anyhow::Result<Used> {
    /// The API groups in which every account may ask about itself.
    const OF_EVERYBODY: [&str; 2] = ["authorization.k8s.io", "authentication.k8s.io"];
    let mut used = Used::default();
    for event in events(log) {
        let event = event?;
        let Some(object) = event.object_ref.filter(|object| event.user.username == username && !object.resource.is_empty()) else {
            continue;
        };
        if OF_EVERYBODY.contains(&object.api_group.as_str()) {
            continue;
        }
        let resource = if object.subresource.is_empty() { object.resource } else { format!("{}/{}", object.resource, object.subresource) };
        let right = Right { group: object.api_group, resource, verb: event.verb };
        let code = event.response_status.map_or(0, |status| status.code);
        if code == CREATED && right.verb == "patch" {
            // This is an apply that created the object. It needs both rights, and is logged as a patch.
            used.allowed.insert(Right { verb: "create".to_owned(), ..right.clone() });
        }
        if code == FORBIDDEN { &mut used.refused } else { &mut used.allowed }.insert(right);
    }
    Ok(used)
}

#[derive(Deserialize)]
struct List<T> {
    items: Vec<T>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Binding {
    #[serde(default)]
    subjects: Vec<Subject>,
    role_ref: RoleRef,
}

#[derive(Deserialize)]
struct Subject {
    kind: String,
    name: String,
    namespace: Option<String>,
}

#[derive(Deserialize)]
struct RoleRef {
    kind: String,
    name: String,
}

#[derive(Deserialize)]
struct Role {
    #[serde(default)]
    rules: Vec<Rule>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct Rule {
    api_groups: Vec<String>,
    resources: Vec<String>,
    verbs: Vec<String>,
}

/// Returns the rights that bindings in the namespace and in the cluster give to `account` in `namespace`.
pub fn granted(cluster: &Cluster, namespace: &str, account: &str) -> anyhow::Result<BTreeSet<Right>> {
    let get = |arguments: &[&str]| {
        let mut command = cluster.kubectl();
        command.args(["--namespace", namespace, "get", "--output", "json"]).args(arguments);
        sh::quiet_output(&mut command, sh::LOOKUP_LIMIT)
    };
    let mut rights = BTreeSet::new();
    for kind in ["rolebindings", "clusterrolebindings"] {
        let bindings: List<Binding> = serde_json::from_str(&get(&[kind])?)?;
        for binding in bindings.items {
            let is_it = |subject: &Subject| {
                subject.kind == "ServiceAccount" && subject.name == account && subject.namespace.as_deref() == Some(namespace)
            };
            if binding.subjects.iter().any(is_it) {
                let role: Role = serde_json::from_str(&get(&[&binding.role_ref.kind.to_lowercase(), &binding.role_ref.name])?)?;
                rights.extend(role.rules.iter().flat_map(of_rule));
            }
        }
    }
    Ok(rights)
}

fn of_rule(rule: &Rule) -> Vec<Right> {
    let mut rights = Vec::new();
    for group in &rule.api_groups {
        for resource in &rule.resources {
            rights.extend(rule.verbs.iter().map(|verb| Right { group: group.clone(), resource: resource.clone(), verb: verb.clone() }));
        }
    }
    rights
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_has_allowed_and_refused_requests_of_an_account() {
        let event = |user: &str, verb: &str, object: &str, code: u16| {
            format!(
                r#"{{"verb":"{verb}","user":{{"username":"system:serviceaccount:{user}"}},"objectRef":{object},"responseStatus":{{"code":{code}}}}}"#
            ) + "\n"
        };
        let job = r#"{"resource":"pytorchjobs","apiGroup":"kubeflow.org","namespace":"a","name":"x"}"#;
        let log = [
            event("a:fltk", "create", job, 201),
            event("a:fltk", "delete", job, 403),
            event("a:fltk", "get", r#"{"resource":"pods","subresource":"log"}"#, 200),
            event("a:other", "patch", job, 200),
            event("a:fltk", "create", r#"{"resource":"selfsubjectaccessreviews","apiGroup":"authorization.k8s.io"}"#, 201),
            event("a:fltk", "get", "{}", 200),
            event("a:fltk", "patch", r#"{"resource":"configmaps"}"#, 201),
            event("a:fltk", "patch", r#"{"resource":"secrets"}"#, 200),
            r#"{"verb":"#.to_owned(),
        ];
        let used = used_in(&log.concat(), "system:serviceaccount:a:fltk").unwrap();
        let said = |rights: &BTreeSet<Right>| rights.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(
            said(&used.allowed),
            ["create configmaps", "patch configmaps", "get pods/log", "patch secrets", "create pytorchjobs.kubeflow.org"]
        );
        assert_eq!(said(&used.refused), ["delete pytorchjobs.kubeflow.org"]);
    }

    #[test]
    fn log_counts_created_objects() {
        let event = |verb: &str, namespace: &str, name: &str, uri: &str, code: u16| {
            format!(
                r#"{{"verb":"{verb}","requestURI":"{uri}","user":{{"username":"a"}},"objectRef":{{"resource":"pytorchjobs","namespace":"{namespace}","name":"{name}"}},"responseStatus":{{"code":{code}}}}}"#
            ) + "\n"
        };
        let log = [
            event("create", "a", "x", "/p", 201),
            event("create", "a", "x", "/p", 409),
            event("create", "a", "y", "/p?fieldManager=f", 201),
            event("delete", "a", "y", "/p", 200),
            event("create", "a", "y", "/p", 201),
            event("create", "a", "z", "/p?dryRun=All", 201),
            event("create", "b", "x", "/p", 201),
            event("create", "a", "cut", "/p", 0),
        ];
        let made = made_in(&log.concat(), "a", "pytorchjobs").unwrap();
        assert_eq!(made, BTreeMap::from([("cut".to_owned(), 0), ("x".to_owned(), 1), ("y".to_owned(), 2)]));
    }

    #[test]
    fn rule_covers_all_its_groups_resources_and_verbs() {
        let rule: Rule = serde_json::from_str(r#"{"apiGroups":[""],"resources":["pods","nodes"],"verbs":["list","watch"]}"#).unwrap();
        let said: Vec<String> = of_rule(&rule).iter().map(ToString::to_string).collect();
        assert_eq!(said, ["list pods", "watch pods", "list nodes", "watch nodes"]);
    }
}

//! The rule that rights are named one by one. A test of the program (`crates/fltk-kubernetes/tests/edge`) shows that they are exactly those that the
//! program uses.

use super::objects::{Object, list, text};

/// Returns the roles that give more than they name, or the right to give rights.
pub fn check(objects: &[Object]) -> Vec<String> {
    let mut found = Vec::new();
    for object in objects {
        let mut find = |problem: String| found.push(format!("{}: {problem}", object.describe()));
        if object.kind() == "RoleBinding" && text(&object.json["roleRef"]["kind"]) != "Role" {
            find("it binds a role of the whole cluster".to_owned());
        }
        for rule in list(&object.json["rules"]) {
            for field in ["apiGroups", "resources", "verbs"] {
                let words: Vec<&str> = list(&rule[field]).iter().map(text).collect();
                if words.is_empty() || words.iter().any(|word| word.contains('*')) {
                    find(format!("{field} of {rule} aren't named"));
                }
            }
            let verbs: Vec<&str> = list(&rule["verbs"]).iter().map(text).collect();
            if object.is_of_the_cluster() && verbs.iter().any(|verb| !["list", "watch"].contains(verb)) {
                find(format!("{rule} does more in the whole cluster than look"));
            }
            // Whoever may only create secrets reads none of them.
            let reads_secrets = list(&rule["resources"]).contains(&"secrets".into()) && verbs != ["create"];
            if text(&rule["apiGroups"][0]) == "rbac.authorization.k8s.io" || reads_secrets {
                find(format!("{rule} is more than any orchestrator needs"));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::charts::objects;

    #[track_caller]
    fn finds(kind: &str, rule: &str, expected: &[&str]) {
        let found = check(&objects::read(&format!("kind: {kind}\nmetadata: {{ name: a }}\nrules: [{rule}]\n")).unwrap());
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (found, words) in found.iter().zip(expected) {
            assert!(found.contains(words), "{found}: {words}");
        }
    }

    #[test]
    fn overly_broad_roles_are_found() {
        finds("Role", "{ apiGroups: [\"\"], resources: [pods], verbs: [list] }", &[]);
        finds("Role", "{ apiGroups: [\"*\"], resources: [pods], verbs: [list] }", &["apiGroups"]);
        finds("Role", "{ apiGroups: [\"\"], resources: [pods/*], verbs: [] }", &["resources", "verbs"]);
        finds("ClusterRole", "{ apiGroups: [\"\"], resources: [pods], verbs: [list, delete] }", &["whole cluster"]);
        finds("Role", "{ apiGroups: [\"\"], resources: [secrets], verbs: [create] }", &[]);
        for verbs in ["[get]", "[create, list]"] {
            finds("Role", &format!("{{ apiGroups: [\"\"], resources: [secrets], verbs: {verbs} }}"), &["more than"]);
        }
        let binding = "kind: RoleBinding\nmetadata: { name: a }\nroleRef: { kind: ClusterRole, name: b }\n";
        assert_eq!(check(&objects::read(binding).unwrap()).len(), 1);
    }
}

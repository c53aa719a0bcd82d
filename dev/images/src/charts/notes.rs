//! The rule that the notes shown after an installation are true: every object that they name in kubectl's way exists.

use super::objects::{Object, mentions, text};

/// The kinds by their names in kubectl.
const KINDS: [(&str, &str); 6] = [
    ("job", "Job"),
    ("deployment", "Deployment"),
    ("service", "Service"),
    ("pvc", "PersistentVolumeClaim"),
    ("secret", "Secret"),
    ("configmap", "ConfigMap"),
];

/// Returns the objects that the notes name but that don't exist, and other problems of the notes.
pub fn check(notes: &str, objects: &[Object], values: &str) -> Vec<String> {
    let mut found = Vec::new();
    let claims: Vec<&str> = objects
        .iter()
        .filter_map(Object::pod)
        .flat_map(|pod| super::objects::list(&pod.spec()["volumes"]))
        .map(|volume| text(&volume["persistentVolumeClaim"]["claimName"]))
        .collect();
    for word in notes.split(|c: char| c.is_whitespace() || "(),;\"`".contains(c)) {
        let Some((short, name)) = word.trim_end_matches(['.', ':']).split_once('/') else { continue };
        let Some((_, kind)) = KINDS.iter().find(|(known, _)| *known == short) else { continue };
        let is_here = objects.iter().any(|object| object.kind() == *kind && object.name() == name);
        // The claims of the orchestrator belong to the extractor. The claims of jobs are in the configuration of pods.
        let is_elsewhere = *kind == "PersistentVolumeClaim" && (claims.contains(&name) || name == "fl-log-claim");
        if !is_here && !is_elsewhere && !mentions(values, name) {
            found.push(format!("the notes name {short}/{name}, which isn't there"));
        }
    }
    if notes.trim().is_empty() {
        found.push("the notes say nothing".to_owned());
    }
    // Helm's marks of a missing value, Go's of a wrong format, and a template's own braces.
    for wrong in ["<no value>", "%!", "<nil>", "{{"] {
        if notes.contains(wrong) {
            found.push(format!("the notes have `{wrong}`"));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::charts::objects;

    #[test]
    fn references_to_missing_objects_are_found() {
        let objects = objects::read("kind: Job\nmetadata: { name: a }\n").unwrap();
        let check = |notes: &str| check(notes, &objects, "token: { secretName: mine }").len();
        assert_eq!(check("kubectl logs job/a, and secret/mine."), 0);
        assert_eq!(check("see http://localhost/ or a/b"), 0);
        assert_eq!(check("kubectl logs job/b"), 1);
        assert_eq!(check("kubectl logs deployment/a"), 1);
        assert_eq!(check("stream <no value> of job/a"), 1);
        assert_eq!(check(" "), 1);
    }
}

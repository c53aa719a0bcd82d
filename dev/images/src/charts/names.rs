//! The rules for names: they are valid whatever the release is called, and no two releases have one in common.

use std::collections::BTreeSet;

use serde_json::Value as Json;

use super::{
    helm::{Helm, NAMESPACE, RELEASE},
    objects::{Object, mentions},
    references, restricted,
    sets::ValueSet,
};

/// The longest allowed name: most names become parts of pod names and labels.
const LENGTH_MAX: usize = 63;
/// The longest allowed name of a cluster-wide object, which contains the namespace.
const LENGTH_IN_CLUSTER_MAX: usize = 253;

/// Claims that releases in a namespace share on purpose.
const SHARED: [&str; 3] =
    ["PersistentVolumeClaim/fl-data-claim", "PersistentVolumeClaim/fl-log-claim", "PersistentVolumeClaim/fl-server-claim"];

/// The longest name that helm allows for a release, one that begins with a digit, and two that differ only in a dot.
const RELEASES: [&str; 4] = ["release-with-the-longest-name-that-helm-lets-it-have1", "1st", "a.b", "a-b"];

/// A namespace that YAML reads as a number unless it is quoted.
const NUMBER: &str = "2025";

/// Returns the objects in [`NUMBER`] whose namespace isn't the string.
fn of_number(objects: &[Object]) -> Vec<String> {
    let is_wrong = |value: &Json| !value.is_null() && value != NUMBER;
    let subjects = |object: &Object| object.json["subjects"].as_array().cloned().unwrap_or_default();
    let is_object_wrong = |object: &&Object| {
        is_wrong(&object.json["metadata"]["namespace"]) || subjects(object).iter().any(|subject| is_wrong(&subject["namespace"]))
    };
    objects.iter().filter(is_object_wrong).map(|object| format!("{}: its namespace is no text", object.describe())).collect()
}

/// Returns the problems with the names of one set of values.
pub fn of_one(objects: &[Object]) -> Vec<String> {
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    for object in objects {
        let name = object.name();
        let mut find = |problem: &str| found.push(format!("{}: {problem}", object.describe()));
        let (max, more) = if object.is_of_the_cluster() { (LENGTH_IN_CLUSTER_MAX, ".:") } else { (LENGTH_MAX, "") };
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || more.contains(c);
        let starts = name.starts_with(|c: char| c.is_ascii_lowercase());
        if name.len() > max || !starts || name.ends_with('-') || !name.chars().all(fits) {
            find("that is no name");
        }
        let namespace = super::objects::text(&object.json["metadata"]["namespace"]);
        if object.is_of_the_cluster() {
            if !namespace.is_empty() {
                find("it's of the whole cluster, and names a namespace");
            }
            if !name.contains(NAMESPACE) {
                find("it's of the whole cluster, and the same in every namespace");
            }
        } else if namespace.is_empty() {
            find("it names no namespace");
        }
        if object.labels().iter().any(|(_, value)| value.len() > LENGTH_MAX) {
            find("a label is too long");
        }
        if !seen.insert(object.describe()) {
            find("it is there twice");
        }
    }
    found
}

/// Returns the names that two releases of any set of values have in common.
pub fn check(helm: &Helm, sets: &[ValueSet]) -> anyhow::Result<Vec<String>> {
    let mut found = Vec::new();
    for set in sets {
        let (mut arguments, values) = (set.arguments(), set.text()?);
        // This clears an explicit name: releases that are given the same one do clash, as the user asked for.
        arguments.extend(["--set".to_owned(), format!("{}.name=", set.chart)]);
        let names = |release: &str, namespace: &str, only_cluster: bool| -> anyhow::Result<BTreeSet<String>> {
            let objects = helm.render(set.chart, release, namespace, &arguments)?.objects;
            Ok(objects.iter().filter(|object| !only_cluster || object.is_of_the_cluster()).map(Object::describe).collect())
        };
        let here = names(RELEASE, NAMESPACE, false)?;
        let (beside, elsewhere) = (names("other", NAMESPACE, false)?, names(RELEASE, "elsewhere", true)?);
        let dots = (names("a.b", NAMESPACE, false)?, names("a-b", NAMESPACE, false)?);
        found.extend(
            here.intersection(&beside).filter(|name| !is_shared(name, &values)).map(|name| format!("{set}: two releases have {name}")),
        );
        found.extend(here.intersection(&elsewhere).map(|name| format!("{set}: two namespaces have {name}")));
        found.extend(
            dots.0.intersection(&dots.1).filter(|name| !is_shared(name, &values)).map(|name| format!("{set}: `a.b` and `a-b` have {name}")),
        );
        let numbered = helm.render(set.chart, RELEASE, NUMBER, &arguments)?.objects;
        found.extend(of_number(&numbered).into_iter().map(|problem| format!("{set}, in namespace `{NUMBER}`: {problem}")));
        for release in RELEASES {
            let objects = helm.render(set.chart, release, NAMESPACE, &arguments)?.objects;
            let mut wrong = of_one(&objects);
            wrong.extend(references::check(&objects, &values));
            wrong.extend(restricted::check(&objects));
            found.extend(wrong.into_iter().map(|problem| format!("{set}, as release `{release}`: {problem}")));
        }
    }
    Ok(found)
}

/// True for a claim that releases in a namespace share, by default or because `values` name it, and for its volume.
fn is_shared(name: &str, values: &str) -> bool {
    let volume = |claim: &str| format!("PersistentVolume/fltk.{NAMESPACE}.{}", claim.rsplit('/').next().unwrap_or_default());
    let is_chosen = name.strip_prefix("PersistentVolumeClaim/").is_some_and(|claim| mentions(values, claim));
    is_chosen || SHARED.iter().any(|claim| name == *claim || name == volume(claim))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::charts::objects;

    #[test]
    fn invalid_object_names_are_found() {
        let check = |kind: &str, name: &str, namespace: &str| {
            of_one(&objects::read(&format!("kind: {kind}\nmetadata: {{ name: \"{name}\", namespace: \"{namespace}\" }}\n")).unwrap()).len()
        };
        assert_eq!(check("Job", "a-1", "n"), 0);
        for wrong in ["1a", "a.b", "a-", "A", "", &"a".repeat(64)] {
            assert_eq!(check("Job", wrong, "n"), 1, "{wrong}");
        }
        assert_eq!(check("Job", "a", ""), 1);
        assert_eq!(check("ClusterRole", "fltk:fltk-test:a", ""), 0);
        assert_eq!(check("ClusterRole", "fltk-a", ""), 1);
        assert_eq!(
            of_one(
                &objects::read("kind: Job\nmetadata: { name: a, namespace: ns }\n---\nkind: Job\nmetadata: { name: a, namespace: ns }\n")
                    .unwrap()
            )
            .len(),
            1
        );
    }

    #[test]
    fn namespaces_that_are_numbers_are_found() {
        let check = |text: &str| of_number(&objects::read(text).unwrap()).len();
        assert_eq!(check("kind: Job\nmetadata: { name: a, namespace: \"2025\" }\n"), 0);
        assert_eq!(check("kind: Job\nmetadata: { name: a, namespace: 2025 }\n"), 1);
        let binding = "kind: RoleBinding\nmetadata: { name: a, namespace: \"2025\" }\nsubjects: [{ name: a, namespace: 2025 }]\n";
        assert_eq!(check(binding), 1);
    }

    #[test]
    fn release_names_have_the_length_limit_of_helm() {
        assert_eq!(RELEASES[0].len(), 53);
    }
}

//! The values of a run that every API server refuses, by the rules of `k8s.io/apimachinery/pkg/util/validation`: labels, annotations, names.
//!
//! This module doesn't check whether the named objects exist.

use fltk_core::name::{NAME_CHARS_MAX, is_dns_label, is_label_value};

use super::{RUN_LABEL, RunContext};

/// The maximum length of any other object's name, and of the part before the `/` of a label's name.
const SUBDOMAIN_CHARS_MAX: usize = 253;

/// The reasons to refuse the run, each a sentence.
pub fn refusals(context: &RunContext) -> Vec<String> {
    let config = &context.config;
    let mut refusals = Vec::new();
    let mut check = |is_legal: bool, what: &str, text: &str, rule: &str| {
        if !is_legal {
            let shown: String = text.chars().take(2 * NAME_CHARS_MAX).collect();
            refusals.push(format!("{what} can't be `{}`: {rule}", shown.escape_debug()));
        }
    };
    const VALUE: &str = "letters, digits, and `-`, `_`, `.` between them, at most 63";
    const KEY: &str = "letters, digits, and `-`, `_`, `.` between them, at most 63, after a domain and `/` if there is one";
    const DOMAIN: &str = "lower-case letters, digits, and `-`, `.` between them, at most 253";
    check(is_label_value(&context.run), &format!("the label `{RUN_LABEL}`"), &context.run, VALUE);
    check(
        is_dns_label(&context.namespace),
        "the namespace",
        &context.namespace,
        "lower-case letters, digits, and `-` between them, at most 63",
    );
    for (what, labels) in [("labels", &config.labels), ("node_selector", &config.node_selector)] {
        for (key, value) in labels {
            check(is_key(key), &format!("a key of `{what}`"), key, KEY);
            check(value.is_empty() || is_label_value(value), &format!("`{key}` of `{what}`"), value, VALUE);
        }
    }
    // Annotation keys may have capitals before the `/`.
    config.annotations.keys().for_each(|key| check(is_key(&key.to_lowercase()), "a key of `annotations`", key, KEY));
    for resources in [&config.resources.master, &config.resources.worker] {
        resources.keys().for_each(|name| check(is_key(name), "a name in `resources`", name, KEY));
    }
    let named = [
        ("`log_claim`", &config.log_claim),
        ("`data_claim`", &config.data_claim),
        ("`service_account`", &config.service_account),
        ("`priority_class`", &config.priority_class),
    ];
    for (what, name) in named.into_iter().filter_map(|(what, name)| Some((what, name.as_ref()?))) {
        check(is_subdomain(name), what, name, DOMAIN);
    }
    config.image_pull_secrets.iter().for_each(|name| check(is_subdomain(name), "a name in `image_pull_secrets`", name, DOMAIN));
    for variable in &config.env {
        let is_legal = !variable.name.is_empty() && variable.name.bytes().all(|c| (b' '..=b'~').contains(&c) && c != b'=');
        check(is_legal, "a name in `env`", &variable.name, "printable ASCII characters, without `=`");
    }
    refusals
}

/// True if the text is a key of a label, an annotation or a resource.
fn is_key(text: &str) -> bool {
    match text.split_once('/') {
        Some((domain, name)) => is_subdomain(domain) && is_label_value(name),
        None => is_label_value(text),
    }
}

fn is_subdomain(text: &str) -> bool {
    let is_edge = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    let is_part = |part: &str| has_edges(part, is_edge) && part.bytes().all(|c| is_edge(c) || c == b'-');
    text.len() <= SUBDOMAIN_CHARS_MAX && text.split('.').all(is_part)
}

/// True if `is_edge` holds for the first and the last byte; false for an empty text.
fn has_edges(text: &str, is_edge: impl Fn(u8) -> bool) -> bool {
    [text.bytes().next(), text.bytes().last()].into_iter().all(|c| c.is_some_and(&is_edge))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_valid_for_the_api_server() {
        for right in ["a", "A_b.c-9", &"x".repeat(63)] {
            assert!(is_label_value(right) && is_key(right), "{right}");
        }
        for wrong in ["", "_a", "a-", ".a", "a b", "ä", &"x".repeat(64)] {
            assert!(!is_label_value(wrong) && !is_key(wrong), "{wrong}");
        }
        for right in ["fltk.node/run", "a/b", "nvidia.com/gpu"] {
            assert!(is_key(right), "{right}");
        }
        for wrong in ["a/", "/a", "A/a", "a/b/c", "-a.b/c", "a..b/c", &format!("{}/a", "x".repeat(254))] {
            assert!(!is_key(wrong), "{wrong}");
        }
        assert!(is_subdomain("a.b-c") && !is_subdomain("a.") && !is_subdomain("a_b") && !is_subdomain(""));
    }
}

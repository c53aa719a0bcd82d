//! Keys that KFLTK ignored, with the equivalent in fltk's own format.

use fltk_catalogue::catalogues;
use fltk_experiment::{SourceFile, parse};

/// A federated arrival file with a key that KFLTK didn't know.
const FILE: &str = include_str!("../cases/kfltk/x_seed.json");

/// Returns the warnings for a file with the unknown key `key`.
fn warnings(key: &str) -> String {
    assert!(FILE.contains("\"seed\": 23"));
    let text = FILE.replace("\"seed\": 23", &format!("\"{key}\": 23"));
    let parsed = parse(&[SourceFile { name: "arrival.json".into(), text }], &[], catalogues());
    parsed.unwrap_or_else(|report| panic!("{report}")).warnings.render(false)
}

/// Returns the hint that follows the warning about `key`.
fn hint(key: &str) -> Option<String> {
    let said = warnings(key);
    let begin = said.find(&format!("warning: `{key}` isn't a key of")).unwrap_or_else(|| panic!("{said}"));
    let problem = said[begin..].split("\n\n").next()?;
    problem.split_once("= hint: ").map(|(_, hint)| hint.split_whitespace().collect::<Vec<_>>().join(" "))
}

#[test]
fn unknown_keys_get_hints_in_any_spelling() {
    let check = |key: &str, expected: &str| {
        let said = hint(key).unwrap_or_default();
        assert!(said.contains(expected), "{key}: {said}");
    };
    check("weight_decay", "`weight_decay` of an optimizer");
    check("weightDecay", "`weight_decay` of an optimizer");
    check("seed", "`seeds`");
    check("available_workers", "`admission`");
    check("scaling_config", "`admission`");
    check("scheduler", "fair_share");
    check("pipelines", "max_concurrent");
    check("nesterov", "`tasks.train.optimizer`");
    check("evaluateEvery", "`evaluate_every` in `tasks.federated`");
    assert_eq!(hint("elasticsearchIndex"), None);
}

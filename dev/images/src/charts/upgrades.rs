//! The rule that `helm upgrade` always works: an object that can't be changed gets a new name when its content changes. And a stream
//! continues exactly if it is the same.

use std::collections::BTreeMap;

use super::{
    helm::{Helm, NAMESPACE, RELEASE, Rendered},
    objects::text,
};

const EXPERIMENT: [&str; 4] = ["--set", IMAGE, "--set-string", r"orchestrator.experiment=\{ name: a\, tasks: [] \}"];
const IMAGE: &str = "provider.domain=localhost,provider.imageName=fltk:1";

/// The parts of an orchestrator's release that may change.
const PARTS: [&str; 4] = ["stream", "job", "files", "account"];

/// Changed values of the orchestrator, and the parts that must change with them.
const CHANGES: [(&[&str], &[&str]); 9] = [
    (&[], &[]),
    (&["--set", "orchestrator.backoffLimit=3"], &["job"]),
    (&["--set", "orchestrator.memory=1Gi"], &["job"]),
    (&["--set-string", "orchestrator.podAnnotations.a=b"], &["job"]),
    (&["--set-string", r"orchestrator.experiment=\{ name: b\, tasks: [] \}"], &["stream", "job", "files"]),
    (&["--set-string", r"orchestrator.configuration=\{\}"], &["stream", "job", "files"]),
    (&["--set", "orchestrator.kubernetes.concurrency=4"], &["stream", "job", "files"]),
    (&["--set", "provider.imageName=fltk:2"], &["stream", "job", "files"]),
    (&["--set", "orchestrator.extraArgs={--seed=1}"], &["stream", "job"]),
];

/// Returns the violations.
pub fn check(helm: &Helm) -> anyhow::Result<Vec<String>> {
    let mut found = Vec::new();
    let orchestrator = |more: &[&str]| -> anyhow::Result<BTreeMap<&'static str, String>> {
        let arguments: Vec<&str> = EXPERIMENT.iter().chain(more).copied().collect();
        Ok(parts(&helm.render("orchestrator", RELEASE, NAMESPACE, &arguments)?))
    };
    let before = orchestrator(&[])?;
    for (more, expected) in CHANGES {
        let after = orchestrator(more)?;
        for part in PARTS {
            let changed = before.get(part) != after.get(part);
            if changed != expected.contains(&part) {
                found.push(format!("charts/orchestrator with {more:?}: its {part} {}", if changed { "changes" } else { "stays" }));
            }
        }
    }
    let data_job = |sets: &str| -> anyhow::Result<Vec<String>> {
        let rendered =
            helm.render("extractor", RELEASE, NAMESPACE, &["--set", IMAGE, "--set", &format!("extractor.data.sets={{{sets}}}")])?;
        Ok(rendered.objects.iter().filter(|object| object.kind() == "Job").map(super::objects::Object::describe).collect())
    };
    if data_job("mnist")?.is_empty() || data_job("mnist")? != data_job("mnist")? || data_job("mnist")? == data_job("mnist,cifar10")? {
        found.push("charts/extractor: the job that fetches data sets isn't another exactly if these are".to_owned());
    }
    Ok(found)
}

fn parts(rendered: &Rendered) -> BTreeMap<&'static str, String> {
    let mut parts = BTreeMap::new();
    for object in &rendered.objects {
        let part = match object.kind() {
            "Job" => "job",
            "ConfigMap" => "files",
            "ServiceAccount" => "account",
            _ => continue,
        };
        parts.insert(part, object.name().to_owned());
        if part == "job" {
            parts.insert("stream", text(&object.json["metadata"]["labels"]["fltk.node/run"]).to_owned());
        }
    }
    parts
}

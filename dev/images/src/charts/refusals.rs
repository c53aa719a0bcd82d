//! The rule that invalid values are refused before anything is created, with a message that says what to do.

use super::helm::Helm;

const FILE: &str = r"orchestrator.experiment=\{ name: a\, tasks: [] \}";

/// The location of the image, so that something else is refused.
const IMAGE: [&str; 2] = ["--set", "provider.domain=localhost,provider.imageName=fltk:1"];

/// Like [`REFUSALS`], for images. Empty values must not select anybody's registry.
const IMAGES: [(&str, &[&str], &[&str]); 6] = [
    ("extractor", &[], &["provider.imageName is missing", "cargo xtask image"]),
    ("orchestrator", &["--set-string", FILE], &["provider.imageName is missing", "cargo xtask image"]),
    (
        "extractor",
        &["--set", "provider.imageName=fltk:1"],
        &["provider.domain is missing", "image fltk:1 in a public registry", "`localhost`"],
    ),
    (
        "orchestrator",
        &["--set-string", FILE, "--set", "provider.projectName=me,provider.imageName=fltk:1"],
        &["provider.domain is missing", "image me/fltk:1 in a public registry"],
    ),
    (
        "orchestrator",
        &["--set-string", FILE, "--set", "provider.domain=localhost,provider.orchestratorImageName=a:1"],
        &["provider.imageName is missing"],
    ),
    (
        "extractor",
        &["--set", "provider.domain=registry.example,provider.imageName=fltk@sha256:0"],
        &["provider.tensorboardImageName is missing", "extractor.tensorboard.enabled=false"],
    ),
];

/// Charts, values, and words that helm's message must contain.
const REFUSALS: [(&str, &[&str], &[&str]); 27] = [
    ("orchestrator", &[], &["orchestrator.experiment is missing", "--set-file orchestrator.experiment=FILE"]),
    ("orchestrator", &["--set", "orchestrator.experiment="], &["orchestrator.experiment is missing"]),
    ("orchestrator", &["--set-string", FILE, "--set", "orchestrator.cpus=2"], &["'/orchestrator'", "'cpus' not allowed"]),
    ("orchestrator", &["--set-string", FILE, "--set", "orchestator.cpu=2"], &["'orchestator' not allowed"]),
    ("orchestrator", &["--set-string", FILE, "--set", "orchestrator.memory=500MB"], &["'/orchestrator/memory'"]),
    ("orchestrator", &["--set-string", FILE, "--set", "orchestrator.kind=Pod"], &["'/orchestrator/kind'"]),
    ("orchestrator", &["--set-string", FILE, "--set", "orchestrator.id=-a"], &["'/orchestrator/id'"]),
    ("orchestrator", &["--set-string", FILE, "--set", "fltk.outputDir=../etc"], &["'/fltk/outputDir'"]),
    ("orchestrator", &["--set-string", FILE, "--set", "orchestrator.kubernetes.tolerations[0].kye=a"], &["'kye' not allowed"]),
    (
        "orchestrator",
        &["--set-string", FILE, "--set", "orchestrator.kubernetes.namespace=other"],
        &["in its own only", "--namespace other"],
    ),
    ("orchestrator", &["--set-string", FILE, "--set-string", "orchestrator.kubernetes=a: b"], &["isn't a file with a `kubernetes` block"]),
    ("orchestrator", &["--set", "orchestrator.experiment.name=a"], &["'/orchestrator/experiment'", "'tasks'"]),
    (
        "orchestrator",
        &["--set-string", FILE, "--set-string", r"orchestrator.files.kubernetes\.yaml=a"],
        &["orchestrator.files has kubernetes.yaml"],
    ),
    (
        "orchestrator",
        &["--set-string", FILE, "--set-string", "orchestrator.configuration=a,orchestrator.runtime.configurationFile=experiment.fltk.json"],
        &["two files are called experiment.fltk.json"],
    ),
    (
        "orchestrator",
        &["--set-string", FILE, "--set", "orchestrator.removeJobsOnUninstall=true,orchestrator.rbac.create=false"],
        &["needs rights", "orchestrator.serviceAccount.create=false"],
    ),
    (
        "orchestrator",
        &["--set-string", FILE, "--set", "orchestrator.serviceAccount.create=false"],
        &["rights to the account `default`", "orchestrator.serviceAccount.name"],
    ),
    ("extractor", &["--set", "extractor.data.sets={imagenet}"], &["'/extractor/data/sets/0'"]),
    ("extractor", &["--set", "extractor.data.certificates.key=../a"], &["'/extractor/data/certificates/key'"]),
    (
        "extractor",
        &["--set", r"extractor.data.sets={mnist},extractor.data.certificates.configMapName=a,extractor.data.env[0].name=SSL_CERT_FILE"],
        &["extractor.data.certificates sets SSL_CERT_FILE", "leave one of both out"],
    ),
    ("extractor", &["--set", "storage.accessMode=ReadWriteOften"], &["'/storage/accessMode'"]),
    ("extractor", &["--set", "storage.hostPath=srv"], &["'/storage/hostPath'"]),
    ("extractor", &["--set", "extractor.ingress.enabled=true,extractor.ingress.host=a"], &["TensorBoard", "extractor.ingress.auth"]),
    (
        "extractor",
        &["--set", "extractor.ingress.enabled=true,extractor.ingress.host=a,extractor.tensorboard.enabled=false"],
        &["all records", "extractor.serve.token.secretName"],
    ),
    (
        "extractor",
        &["--set", "extractor.ingress.enabled=true,extractor.ingress.allowAnonymous=true"],
        &["extractor.ingress.host is missing"],
    ),
    ("extractor", &["--set", "extractor.service.type=LoadBalancer"], &["TensorBoard", "extractor.service.allowAnonymous"]),
    (
        "extractor",
        &["--set", "extractor.service.type=NodePort,extractor.serve.token.secretName=a"],
        &["TensorBoard", "extractor.tensorboard.enabled=false"],
    ),
    (
        "extractor",
        &["--set", "extractor.service.type=NodePort,extractor.tensorboard.enabled=false,extractor.networkPolicy.enabled=true"],
        &["all records", "extractor.serve.token.secretName"],
    ),
];

/// Returns the values that aren't refused, or not in those words.
pub fn check(helm: &Helm) -> anyhow::Result<Vec<String>> {
    let mut found = Vec::new();
    let others = REFUSALS.into_iter().map(|(chart, arguments, words)| (chart, [&IMAGE[..], arguments].concat(), words));
    let images = IMAGES.into_iter().map(|(chart, arguments, words)| (chart, arguments.to_vec(), words));
    for (chart, arguments, words) in others.chain(images) {
        match helm.refusal(chart, &arguments) {
            Ok(said) => {
                if let Some(missing) = words.iter().find(|word| !said.contains(**word)) {
                    found.push(format!("charts/{chart} with {arguments:?}: helm doesn't say `{missing}`: {said}"));
                }
            }
            Err(error) => found.push(format!("charts/{chart} with {arguments:?}: {error}")),
        }
    }
    let long = format!("orchestrator.files.a={}", "x".repeat(100_000));
    // A single argument of a command line can't be this long, so the text is given in parts.
    let many: Vec<String> = (0..11).flat_map(|n| ["--set-string".to_owned(), long.replacen(".a=", &format!(".a{n}="), 1)]).collect();
    let arguments: Vec<&str> = IMAGE.into_iter().chain(["--set-string", FILE]).chain(many.iter().map(String::as_str)).collect();
    match helm.refusal("orchestrator", &arguments) {
        Ok(said) if said.contains("more than the 1000000 that fit a ConfigMap") => {}
        Ok(said) => found.push(format!("charts/orchestrator with large files: helm says {said}")),
        Err(error) => found.push(format!("charts/orchestrator with large files: {error}")),
    }
    Ok(found)
}

//! The rule that KFLTK's own values work unchanged, and that the defects of its charts are fixed here.

use serde_json::{Value as Json, json};

use super::{
    helm::{Helm, NAMESPACE, RELEASE, Rendered},
    objects::{Object, list, text},
};

/// KFLTK's `fltk-values.yaml`, and the values that it sets for each chart.
const VALUES: &[&str] = &[
    "--set",
    "fltk.outputDir=output,fltk.configDir=config,fltk.workDir=/opt/federation-lab",
    "--set",
    "provider.domain=gcr.io,provider.projectName=test-bed-fltk,provider.imageName=fltk:latest",
    "--set",
    "extractor.logging.size=3Gi,extractor.output.size=4Gi",
    "--set",
    "orchestrator.cpu=500m,orchestrator.memory=500Mi",
    "--set",
    "orchestrator.runtime.configurationFile=c.json,orchestrator.runtime.experimentFile=e.json",
    "--set",
    "orchestrator.provided.configurationFile=configs/c.json,orchestrator.provided.experimentFile=configs/e.json",
    "--set-string",
    r"orchestrator.configuration=\{\},orchestrator.experiment=\{ trainTasks: [] \}",
];

/// Values from 2021: keys of the templates of that time, including some that nothing ever read.
const VALUES_OF_2021: &[&str] = &[
    "--set",
    "fltk.config=cloud_experiment.yaml,image.tag=latest",
    "--set",
    "provider.domain=gcr.io,provider.projectName=my-project,provider.imageName=fltk:latest,provider.imagePullPolicy=Never",
    "--set",
    "extractor.dataset.size=5Gi",
    "--set",
    "orchestrator.configurationFile=./configs/c.json,orchestrator.experimentFile=./configs/e.json",
    "--set",
    "orchestrator.runtime.configurationFile=configs/c.json,orchestrator.runtime.experimentFile=./configs/e.json",
];
/// The files that KFLTK had in its image, which are values here.
const EXPERIMENT: [&str; 2] = ["--set-string", r"orchestrator.configuration=\{\},orchestrator.experiment=\{ trainTasks: [] \}"];

/// Returns the violations.
pub fn check(helm: &Helm) -> anyhow::Result<Vec<String>> {
    let mut found = of_2021(helm)?;
    let extractor = helm.render("extractor", RELEASE, NAMESPACE, VALUES)?;
    let orchestrator = helm.render("orchestrator", RELEASE, NAMESPACE, VALUES)?;
    let mut checks = of_extractor(&extractor);
    checks.extend(of_orchestrator(&orchestrator));
    found.extend(checks.into_iter().filter(|(_, holds)| !holds).map(|(rule, _)| format!("KFLTK's values: not so: {rule}")));
    Ok(found)
}

fn of_2021(helm: &Helm) -> anyhow::Result<Vec<String>> {
    let extractor = helm.render("extractor", RELEASE, NAMESPACE, VALUES_OF_2021)?;
    let orchestrator = helm.render("orchestrator", RELEASE, NAMESPACE, &[VALUES_OF_2021, &EXPERIMENT].concat())?;
    let by_its_own_name = [VALUES_OF_2021, &EXPERIMENT, &["--set", "provider.imagePullPolicy=,orchestrator.pullPolicy=Always"]].concat();
    let by_its_own_name = helm.render("orchestrator", RELEASE, NAMESPACE, &by_its_own_name)?;
    let is_pulled =
        |rendered: &Rendered, when: &str| list(&pod(rendered)["containers"]).iter().all(|container| container["imagePullPolicy"] == when);
    let command = pod(&orchestrator)["containers"][0]["args"].to_string();
    let without_experiment = helm.refusal("orchestrator", VALUES_OF_2021)?;
    let checks = [
        ("provider.imagePullPolicy says when images are pulled", is_pulled(&extractor, "Never") && is_pulled(&orchestrator, "Never")),
        ("orchestrator.pullPolicy does so of its own", is_pulled(&by_its_own_name, "Always")),
        (
            "files whose names are paths are called by their last parts",
            command.contains("config/c.json") && command.contains("config/e.json"),
        ),
        ("the image's file is asked for by its name", without_experiment.contains("--set-file orchestrator.experiment=./configs/e.json")),
        (
            "the extractor's notes say what isn't read",
            extractor.notes.contains("Given, and not read, here as in KFLTK's charts: extractor.dataset, fltk.config, image."),
        ),
        (
            "the orchestrator's notes say what isn't read",
            orchestrator.notes.contains(": fltk.config, image, orchestrator.configurationFile, orchestrator.experimentFile."),
        ),
    ];
    Ok(checks.into_iter().filter(|(_, holds)| !holds).map(|(rule, _)| format!("KFLTK's values of 2021: not so: {rule}")).collect())
}

fn of_extractor(rendered: &Rendered) -> Vec<(&'static str, bool)> {
    let claim = |name: &str| named(rendered, "PersistentVolumeClaim", name);
    let is_claim = |name: &str, size: &str| {
        let claim = claim(name);
        claim["spec"]["accessModes"] == json!(["ReadWriteMany"])
            && claim["spec"]["storageClassName"] == "nfs"
            && claim["spec"]["resources"]["requests"]["storage"] == size
    };
    let keeps = |name: &str| claim(name)["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep";
    let pod = pod(rendered);
    let containers = list(&pod["containers"]);
    vec![
        ("claims are shared, of class nfs, of the sizes given", is_claim("fl-log-claim", "3Gi") && is_claim("fl-server-claim", "4Gi")),
        ("results outlive the release", keeps("fl-log-claim") && keeps("fl-server-claim")),
        ("there is a service", rendered.objects.iter().any(|object| object.kind() == "Service")),
        ("containers say what they need", containers.iter().all(|container| !container["resources"]["requests"]["cpu"].is_null())),
        ("none has a hook that can't be run", containers.iter().all(|container| container["lifecycle"].is_null())),
        (
            "volumes of records can't be written to",
            containers
                .iter()
                .flat_map(|container| list(&container["volumeMounts"]))
                .all(|mount| text(&mount["name"]) == "tmp" || mount["readOnly"] == true),
        ),
    ]
}

fn of_orchestrator(rendered: &Rendered) -> Vec<(&'static str, bool)> {
    let pod = pod(rendered);
    let container = &pod["containers"][0];
    let arguments: Vec<&str> = list(&container["args"]).iter().map(text).collect();
    let output = list(&container["volumeMounts"]).iter().find(|mount| mount["mountPath"] == "/opt/federation-lab/output");
    let resources = json!({ "cpu": "500m", "memory": "500Mi" });
    let config_maps: Vec<&Object> = rendered.objects.iter().filter(|object| object.kind() == "ConfigMap").collect();
    let has_files = |name: &str| config_maps.iter().any(|object| object.json["data"][name].is_string());
    vec![
        ("the image is domain/projectName/imageName", container["image"] == "gcr.io/test-bed-fltk/fltk:latest"),
        ("cores and memory are what was asked for", container["resources"] == json!({ "requests": resources, "limits": resources })),
        ("it can write its journal", output.is_some_and(|mount| mount["readOnly"] != true)),
        ("it's no bare pod", rendered.objects.iter().all(|object| object.kind() != "Pod")),
        ("it has an account of its own", !["", "default"].contains(&text(&pod["serviceAccountName"]))),
        ("it has no rights in other namespaces", rendered.objects.iter().all(|object| !object.is_of_the_cluster())),
        ("files are called as they should be", has_files("c.json") && has_files("e.json")),
        (
            "both files are given",
            arguments.contains(&"/opt/federation-lab/config/c.json") && arguments.contains(&"/opt/federation-lab/config/e.json"),
        ),
        ("their namespace is the release's", arguments.contains(&"--namespace=fltk-test")),
        ("nothing is called the same in every release", rendered.objects.iter().all(|object| object.name().contains(RELEASE))),
    ]
}

fn named<'a>(rendered: &'a Rendered, kind: &str, name: &str) -> &'a Json {
    let object = rendered.objects.iter().find(|object| object.kind() == kind && object.name() == name);
    object.map_or(&Json::Null, |object| &object.json)
}

/// Returns the pod template of the chart's only workload.
fn pod(rendered: &Rendered) -> &Json {
    rendered.objects.iter().find_map(Object::pod).map_or(&Json::Null, |pod| pod.spec())
}

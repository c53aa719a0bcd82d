//! Lenient reading, as in KFLTK: unknown keys are ignored, with a warning for each, and numbers may be in quotes.

use serde_json::Value as Json;

use super::super::{experiment_schema, report::Problem, shape, shape::Reading, source::quote, tree::Node};
use fltk_core::catalogue::Catalogues;

/// Keys that forks added and users wished for, in lower case without separators, with the equivalent here.
const WISHES: [(&[&str], &str); 8] = [
    (
        &["weightdecay", "l2", "regularization"],
        "here it's `weight_decay` of an optimizer: `--set tasks.0.train.optimizer.weight_decay=0.1`, or in what `fltk convert` writes",
    ),
    (
        &["seed", "seeds", "randomseed", "rngseed", "torchseed", "replication", "replications", "repetitions", "repeats", "runs"],
        "here they are the `seeds` of an experiment, one run each: `reproducibility.seeds` of the cluster file, or `--set seeds=[1,2,3]`",
    ),
    (
        &[
            "availableworkers",
            "maxworkers",
            "numworkers",
            "maxnodes",
            "minnodes",
            "numnodes",
            "numberofnodes",
            "nodes",
            "scaling",
            "scalingconfig",
            "autoscaling",
        ],
        "here `admission` limits what runs at once: `--set 'stream.admission={ type: capacity }'` counts what nodes have left, \
         `{ type: max_concurrent, jobs: 4 }` counts jobs",
    ),
    (
        &["pipelines", "numpipelines", "maxpipelines", "maxconcurrent", "maxjobs", "maxparallel", "concurrency", "concurrentjobs"],
        "here it's `admission`: `--set 'stream.admission={ type: max_concurrent, jobs: 4 }'`",
    ),
    (
        &["scheduler", "schedulertype", "schedulingpolicy", "schedulerpolicy", "scheduling", "schedulingalgorithm", "policy"],
        "here it's the `policy` of a stream: `--set stream.policy=fair_share`, or `fifo`, `priority`, `shortest_first`",
    ),
    (
        &["gpu", "gpus", "numgpus", "nodeselector", "nodepool", "affinity", "tolerations", "tolerance", "imagepullpolicy", "pullpolicy"],
        "here it's in a file with a `kubernetes` block, given together with this one: see `fltk schema --kubernetes`",
    ),
    (
        &[
            "layers",
            "numlayers",
            "convolutionallayers",
            "convolutionalfilters",
            "linearlayers",
            "linearlayerparameters",
            "dropout",
            "model",
        ],
        "for a net of your own: `--set 'tasks.0.network={ torchscript: net.pt }'`, saved with `torch.jit.script(net).save(\"net.pt\")`",
    ),
    (
        &["algorithmname", "offloadstategy", "offloadstrategy", "clientselection", "selectionmethod", "selection"],
        "fltk chooses the clients of a round at random, and waits for all of them",
    ),
];

/// Checks a file of KFLTK against its schema. `why` says what happened to unknown keys.
pub(super) fn check(schema: &Json, root: &mut Node, name: &str, why: &str, catalogues: &Catalogues, problems: &mut Vec<Problem>) {
    shape::check_as(Reading::Lenient { why, wish: &|key| wish(key, catalogues) }, schema, schema, root, name, problems);
}

/// The message about keys that KFLTK didn't know.
pub(super) const IGNORED: &str = "KFLTK ignored it, and so does fltk";

fn wish(key: &str, catalogues: &Catalogues) -> Option<String> {
    let plain: String = key.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    if let Some((_, hint)) = WISHES.iter().find(|(keys, _)| keys.contains(&plain.as_str())) {
        return Some((*hint).to_owned());
    }
    let ours = snake_case(key);
    let home = shape::home_of(experiment_schema::experiment(catalogues), &ours, &[])?;
    Some(format!("fltk's own format has {} {home}: `fltk convert` writes it", quote(&ours)))
}

fn snake_case(key: &str) -> String {
    key.chars()
        .flat_map(|c| if c.is_uppercase() { format!("_{}", c.to_lowercase()) } else { c.to_string() }.chars().collect::<Vec<_>>())
        .collect()
}

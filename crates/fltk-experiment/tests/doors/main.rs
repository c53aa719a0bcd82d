//! The door for users: a net, a partitioner, a strategy or a selection is one file and one line in a list. The parser, the schema and the hints
//! know the entries of this test as well as fltk's own.

mod net;
mod partitioner;
mod selection;
mod strategy;

use std::sync::LazyLock;

use fltk_catalogue::entries;
use fltk_core::{
    catalogue::{Catalogues, Choice},
    experiment::{Experiment, FederatedConfig, NetworkConfig, Setting},
};
use fltk_experiment::{SourceFile, json_schema, parse, parse_partition, to_yaml};
use serde_json::{Value as Json, json};

/// The catalogues of fltk, with one line for each entry of this test.
static CATALOGUES: LazyLock<Catalogues> = LazyLock::new(|| {
    let mut entries = entries();
    entries.nets.push(&net::ENTRY);
    entries.partitioners.push(&partitioner::ENTRY);
    entries.strategies.push(&strategy::ENTRY);
    entries.selections.push(&selection::ENTRY);
    Catalogues::new(entries)
});

/// An experiment that names all of them.
const FILE: &str = "\
name: doors
tasks:
  - kind: federated
    network: { type: Perceptron, width: 32 }
    dataset: mnist
    federated:
      clients: 10
      clients_per_round: 2
      rounds: 3
      partition: { type: home_class, share: 0.8 }
      selection: { type: in_turn, most: 5 }
      strategy: { type: FedOpt, server: { type: yogi, rate: 0.5 } }
";

/// Returns the experiment, or the report as it is shown to a user.
fn read(text: &str) -> Result<Experiment, String> {
    let file = SourceFile { name: "doors.yaml".into(), text: text.into() };
    parse(&[file], &[], &CATALOGUES).map(|parsed| parsed.experiment).map_err(|report| report.render(false))
}

fn federated(experiment: &Experiment) -> &FederatedConfig {
    match &experiment.tasks[0].training().expect("it trains").setting {
        Setting::Federated(config) => config,
        Setting::Distributed(config) => panic!("{config:?}"),
    }
}

#[test]
fn experiments_with_user_entries_are_read() {
    let experiment = read(FILE).unwrap_or_else(|report| panic!("{report}"));
    let net = Choice::new("Perceptron").with("width", 32).with("dropout", 0.0);
    assert_eq!(experiment.tasks[0].training().expect("it trains").network, NetworkConfig::Named(net.clone()));
    assert_eq!((net::WIDTH.of(&net), net::DROPOUT.of(&net)), (32, 0.0));
    let config = federated(&experiment);
    assert_eq!((config.partition.name(), partitioner::SHARE.of(&config.partition)), ("home_class", 0.8));
    assert_eq!(config.selection, Choice::new("in_turn").with("fewest", 1).with("most", 5));
    let server = Choice::new("yogi").with("rate", 0.5).with("betas", [0.9, 0.99]);
    assert_eq!(config.strategy, Choice::new("FedOpt").with("server", server.clone()).with("weighted", true));
    assert_eq!(strategy::SERVER.of(&config.strategy), server);
    assert_eq!((strategy::RATE.of(&server), strategy::BETAS.of(&server)), (0.5, [0.9, 0.99]));
    assert!(strategy::WEIGHTED.of(&config.strategy));
    // The name of a net alone means its defaults.
    let named = read(&FILE.replace("{ type: Perceptron, width: 32 }", "Perceptron")).unwrap_or_else(|report| panic!("{report}"));
    assert_eq!(named.tasks[0].training().expect("it trains").network, NetworkConfig::named("Perceptron"));
    assert_eq!(named.tasks[0].training().expect("it trains").network.net().map(|net| net::WIDTH.of(net)), Some(64));
}

#[test]
fn flags_accept_user_entries() {
    let partition = parse_partition("{type: home_class, share: 1}", &CATALOGUES).unwrap_or_else(|report| panic!("{report}"));
    assert_eq!(partitioner::SHARE.of(&partition), 1.0);
}

#[test]
fn changed_defaults_depend_on_the_origin_of_the_file() {
    let experiment = read(FILE).unwrap_or_else(|report| panic!("{report}"));
    let rounding = |experiment: Experiment| partitioner::ROUNDING.of(&federated(&experiment).partition);
    assert_eq!(rounding(experiment.clone().with_newest_defaults()), 2);
    assert_eq!(rounding(experiment.with_earliest_defaults()), 1);
}

#[test]
fn experiments_are_written_with_every_parameter_and_read_back() {
    let experiment = read(FILE).unwrap_or_else(|report| panic!("{report}"));
    let text = to_yaml(&experiment);
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    for line in ["type: Perceptron", "width: 32", "dropout: 0.0", "rounding: 2", "fewest: 1", "type: yogi", "weighted: true"] {
        assert!(lines.contains(&line), "{line}\n{text}");
    }
    assert_eq!(read(&text).unwrap_or_else(|report| panic!("{report}\n{text}")), experiment.with_newest_defaults(), "{text}");
}

#[test]
fn schema_has_user_entries_with_parameters_and_defaults() {
    let schema = json_schema(&CATALOGUES);
    let variant = |alternatives: &Json, name: &str| -> Json {
        let variants = alternatives.as_array().into_iter().flatten();
        let mut found = variants.filter(|variant| variant["properties"]["type"]["const"] == name);
        found.next().unwrap_or_else(|| panic!("{name} isn't in {alternatives}")).clone()
    };
    let definitions = &schema["$defs"];
    assert_eq!(
        variant(&definitions["strategy"]["anyOf"][0]["oneOf"], "FedOpt"),
        json!({
            "type": "object",
            "properties": {
                "type": { "type": "string", "const": "FedOpt" },
                "server": { "$ref": "#/$defs/server_optimizer", "description": "The optimizer of the server." },
                "weighted": { "type": "boolean", "description": "True if clients count by their samples.", "default": true },
            },
            "required": ["type", "server"],
            "additionalProperties": false,
            "description": "The server takes a step along the mean of the clients' updates.\n\nReddi et al. 2021, arXiv:2003.00295.",
        })
    );
    let betas = &variant(&definitions["server_optimizer"]["oneOf"], "yogi")["properties"]["betas"];
    assert_eq!((&betas["default"], &betas["minItems"], &betas["maxItems"]), (&json!([0.9, 0.99]), &json!(2), &json!(2)));
    assert_eq!(betas["items"], json!({ "type": "number", "format": "double", "minimum": 0.0, "exclusiveMaximum": 1.0 }));
    let partition = variant(&definitions["partition"]["oneOf"], "home_class");
    assert_eq!(partition["required"], json!(["type", "share"]));
    let (share, rounding) = (&partition["properties"]["share"], &partition["properties"]["rounding"]);
    assert_eq!((&share["minimum"], &share["maximum"], share.get("default")), (&json!(0.0), &json!(1.0), None));
    assert_eq!((&rounding["type"], &rounding["maximum"], rounding.get("default")), (&json!(["integer", "null"]), &json!(2), None));
    let selection = variant(&definitions["selection"]["oneOf"], "in_turn");
    assert_eq!(selection["properties"]["fewest"]["default"], json!(1));
    // A net is known by its name alone, and as a block.
    let names = definitions["net"]["oneOf"].as_array().expect("a list of names");
    assert!(names.iter().any(|name| name["const"] == "Perceptron" && name["description"] == "One hidden layer.\n\nRosenblatt 1958."));
    let blocks = definitions["network"]["anyOf"].as_array().expect("a list of forms").iter().find(|form| form.get("oneOf").is_some());
    let net = variant(&blocks.expect("blocks with a `type`")["oneOf"], "Perceptron");
    assert_eq!(net["properties"]["width"]["default"], json!(64));
}

/// Checks that the file in which `from` is replaced by `to` has one problem, and how its report begins. The names of all entries may follow.
fn check(from: &str, to: &str, expected: &str) {
    assert!(FILE.contains(from), "{from}");
    let report = read(&FILE.replace(from, to)).expect_err(to);
    assert!(report.starts_with(expected.trim_start()), "{report}\n\n{expected}");
    assert_eq!(report.matches("error: ").count(), 1, "{report}");
}

#[test]
fn out_of_range_values_are_refused_at_their_location() {
    let expected = "
error: `share` must be at most 1, not `1.5`
  --> doors.yaml:10:45
   |
10 |       partition: { type: home_class, share: 1.5 }
   |                                             ^^^";
    check("share: 0.8", "share: 1.5", expected);
    let expected = "
error: `width` must be at least 1, not `0`
 --> doors.yaml:4:41
  |
4 |     network: { type: Perceptron, width: 0 }
  |                                         ^";
    check("width: 32", "width: 0", expected);
    let expected = "
error: `betas[1]` must be below 1, not `1`
  --> doors.yaml:12:68
   |
12 |       strategy: { type: FedOpt, server: { type: yogi, betas: [0.9, 1] } }
   |                                                                    ^";
    check("rate: 0.5", "betas: [0.9, 1]", expected);
    let expected = "
error: `most` must be a whole number, not the text `few`
  --> doors.yaml:11:41
   |
11 |       selection: { type: in_turn, most: few }
   |                                         ^^^";
    check("most: 5", "most: few", expected);
}

#[test]
fn misspelled_keys_are_explained() {
    let expected = "
error: `mots` isn't a key of `selection: in_turn`
  --> doors.yaml:11:35
   |
11 |       selection: { type: in_turn, mots: 5 }
   |                                   ^^^^
   |
   = hint: did you mean `most`?";
    check("most: 5", "mots: 5", expected);
    let expected = "
error: `wdith` isn't a key of `network: Perceptron`
 --> doors.yaml:4:34
  |
4 |     network: { type: Perceptron, wdith: 32 }
  |                                  ^^^^^
  |
  = hint: did you mean `width`?";
    check("width: 32", "wdith: 32", expected);
    let expected = "
error: `most` isn't a key of `server: yogi`
  --> doors.yaml:12:55
   |
12 |       strategy: { type: FedOpt, server: { type: yogi, most: 0.5 } }
   |                                                       ^^^^
   |
   = hint: `most` belongs in `tasks.federated.selection`";
    check("rate: 0.5", "most: 0.5", expected);
}

#[test]
fn misspelled_names_are_explained() {
    let expected = "
error: `FedOpd` isn't a known `strategy.type`
  --> doors.yaml:12:25
   |
12 |       strategy: { type: FedOpd, server: { type: yogi, rate: 0.5 } }
   |                         ^^^^^^
   |
   = hint: did you mean `FedOpt`? known: `";
    check("FedOpt", "FedOpd", expected);
    let expected = "
error: `homeclass` isn't a known `partition.type`
  --> doors.yaml:10:26
   |
10 |       partition: { type: homeclass, share: 0.8 }
   |                          ^^^^^^^^^
   |
   = hint: did you mean `home_class`? known: `";
    check("home_class", "homeclass", expected);
    let expected = "
error: `Perceptrom` isn't a known `network`
 --> doors.yaml:4:14
  |
4 |     network: Perceptrom
  |              ^^^^^^^^^^
  |
  = hint: did you mean `Perceptron`? known: `";
    check("{ type: Perceptron, width: 32 }", "Perceptrom", expected);
    let expected = "
error: `Yogi` isn't a known `server.type`
  --> doors.yaml:12:49
   |
12 |       strategy: { type: FedOpt, server: { type: Yogi, rate: 0.5 } }
   |                                                 ^^^^
   |
   = hint: case matters: it's `yogi`";
    check("type: yogi", "type: Yogi", expected);
    let expected = "
error: `FedOpt` isn't a known `selection.type`
  --> doors.yaml:11:26
   |
11 |       selection: { type: FedOpt }
   |                          ^^^^^^
   |
   = hint: `FedOpt` is a `strategy`; here it's one of `";
    check("in_turn, most: 5", "FedOpt", expected);
}

#[test]
fn misspelled_name_of_a_configured_net_is_one_problem() {
    let expected = "
error: `Perceptrom` isn't a known `network.type`
 --> doors.yaml:4:22
  |
4 |     network: { type: Perceptrom, width: 32 }
  |                      ^^^^^^^^^^
  |
  = hint: did you mean `Perceptron`? known: `";
    check("type: Perceptron", "type: Perceptrom", expected);
}

#[test]
fn missing_parameters_are_named_with_their_documentation() {
    let expected = "
error: `partition: home_class` has no `share`
  --> doors.yaml:10:7
   |
10 |       partition: { type: home_class, rounding: 1 }
   |       ^^^^^^^^^
   |
   = hint: add `share`: the part of a client's samples that is of its own class";
    check("share: 0.8", "rounding: 1", expected);
}

#[test]
fn conflicting_parameters_are_refused_with_the_entrys_message() {
    let expected = "
error: `fewest` is 7, above `most`, which is 5
  --> doors.yaml:11:43
   |
11 |       selection: { type: in_turn, fewest: 7, most: 5 }
   |                                           ^
   |
   = hint: at most 5, or raise `most`";
    check("most: 5", "fewest: 7, most: 5", expected);
}

#[test]
fn parameters_of_nested_choices_are_checked_together() {
    let expected = "
error: `rate` is 3, too large for Yogi
  --> doors.yaml:12:61
   |
12 |       strategy: { type: FedOpt, server: { type: yogi, rate: 3 } }
   |                                                             ^
   |
   = hint: at most 2";
    check("rate: 0.5", "rate: 3", expected);
}

#[test]
fn mismatched_data_sets_are_refused_by_the_entries() {
    let expected = "
error: `Perceptron` takes images of 1x28x28 in 10 classes, and `cifar10` has images of 3x32x32 in 10 classes
 --> doors.yaml:4:22
  |
4 |     network: { type: Perceptron, width: 32 }
  |                      ^^^^^^^^^^
5 |     dataset: cifar10
  |              ------- images of 3x32x32 in 10 classes
  |
  = hint: for `cifar10`: `";
    check("dataset: mnist", "dataset: cifar10", expected);
    let expected = "
error: `home_class` needs clients to be a multiple of the 10 classes, and there are 15
 --> doors.yaml:7:16
  |
7 |       clients: 15
  |                ^^
  |
  = hint: try 10 or 20 clients";
    check("clients: 10", "clients: 15", expected);
}

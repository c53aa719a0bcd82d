//! Blocks of an experiment file as values on the command line: the same keys, checks and defaults.

use serde::de::DeserializeOwned;

use super::{OptimizerConfig, PartitionConfig, Report, SourceFile, parse::or_unreadable, schema, shape, tree};

/// Returns the partition that `text` describes, in YAML or JSON, as under `partition` in an experiment file.
///
/// # Errors
/// Every problem in the text.
pub fn parse_partition(text: &str) -> Result<PartitionConfig, Report> {
    parse(text, "--partition", "partition")
}

/// Returns the optimizer that `text` describes, in YAML or JSON, as under `optimizer` in an experiment file.
///
/// # Errors
/// Every problem in the text.
pub fn parse_optimizer(text: &str) -> Result<OptimizerConfig, Report> {
    parse(text, "--optimizer", "optimizer")
}

/// Parses a block. `flag` is the name of the text in reports, `definition` its block in the schema.
fn parse<T: DeserializeOwned>(text: &str, flag: &str, definition: &str) -> Result<T, Report> {
    let mut problems = Vec::new();
    let value = match tree::read(text, 0, &mut problems) {
        Ok(mut node) => {
            let root = schema::experiment();
            shape::check(root, &root["$defs"][definition], &mut node, definition, &mut problems);
            serde_json::from_value(node.to_json()).ok()
        }
        Err(problem) => {
            problems.push(*problem);
            None
        }
    };
    let report = Report::new(vec![SourceFile { name: flag.to_owned(), text: text.to_owned() }], problems);
    match value {
        Some(value) if !report.has_errors() => Ok(value),
        _ => Err(or_unreadable(report)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_read_as_in_a_file() {
        assert_eq!(parse_partition("{type: n_labels, n: 2}").ok(), Some(PartitionConfig::NLabels { n: 2, version: None }));
        assert_eq!(
            parse_partition(r#"{"type":"dirichlet","alpha":0.5}"#).ok(),
            Some(PartitionConfig::Dirichlet { alpha: 0.5, min_samples: 1, version: None })
        );
        let sgd = parse_optimizer(r#"{"type":"SGD","learning_rate":0.05,"momentum":0.9}"#).unwrap();
        assert_eq!(sgd, OptimizerConfig::SGD { learning_rate: 0.05, momentum: 0.9, weight_decay: 0.0, nesterov: false });
    }

    #[test]
    fn slips_are_explained() {
        let said = parse_partition("{type: dirichlett, alpha: 0.5}").unwrap_err().render(false);
        assert!(said.contains("--partition:1:8") && said.contains("did you mean `dirichlet`"), "{said}");
        let said = parse_optimizer("{type: SGD}").unwrap_err().render(false);
        assert!(said.contains("learning_rate"), "{said}");
    }
}

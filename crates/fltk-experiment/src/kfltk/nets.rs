//! Names of nets that forks of KFLTK added and that match one of our nets.

use super::super::{
    report::{Problem, Severity},
    source::quote,
    tree::{Node, Value},
};

/// Replaces a fork's name by ours, wherever one of `keys` is in `node`.
pub(super) fn rename(node: &mut Node, keys: &[&str], problems: &mut Vec<Problem>) {
    match &mut node.value {
        Value::Map(entries) => {
            for entry in entries {
                match &mut entry.node.value {
                    Value::Text(name) if keys.contains(&entry.key.as_str()) && is_lenet5(name) => {
                        if name != LENET5 {
                            let message = format!("{} is read as `{LENET5}`, fltk's LeNet-5", quote(name));
                            let problem = Problem::new(Severity::Note, Some(entry.node.span), message);
                            problems.push(problem.hint("forks of KFLTK added it under several names, and perhaps with other layers"));
                            LENET5.clone_into(name);
                        }
                    }
                    _ => rename(&mut entry.node, keys, problems),
                }
            }
        }
        Value::List(items) => items.iter_mut().for_each(|item| rename(item, keys, problems)),
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Text(_) => {}
    }
}

const LENET5: &str = "LeNet5";

/// True for `LeNet`, `LeNet-5`, `MNISTLeNet5`, `LENET5MNIST` and the like; false for LeNets for other data or with other layers.
fn is_lenet5(name: &str) -> bool {
    let plain: String = name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    let rest = plain.replacen("lenet", "", 1);
    let rest = rest.strip_prefix('5').or_else(|| rest.strip_suffix('5')).unwrap_or(&rest);
    plain.contains("lenet") && matches!(rest, "" | "mnist" | "fashionmnist" | "fmnist")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_lenet5_in_forks_are_known() {
        for name in
            ["LeNet5", "LeNet", "Lenet", "LENET5", "LeNet-5", "lenet_5", "MNISTLeNet5", "MNISTLeNet", "LENET5MNIST", "FashionMNISTLeNet5"]
        {
            assert!(is_lenet5(name), "{name}");
        }
        for name in ["MNISTCNN", "Cifar10LeNet5", "LeNet300100", "AlexNet", "FashionMNISTCNN", "SqueezeNet", "5"] {
            assert!(!is_lenet5(name), "{name}");
        }
    }
}

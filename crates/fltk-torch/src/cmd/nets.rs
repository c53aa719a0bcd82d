//! `fltk nets list|show|init`: the catalog of nets.

use std::path::Path;

use anyhow::Context as _;
use fltk::{
    cli::{Cli, NetsCommand, Output},
    output,
};
use fltk_core::{
    catalogue::SampleKinds,
    experiment::NetworkConfig,
    model_state::{TensorRole, TensorSpec},
    seed::Seed,
};
use fltk_train::{
    Device, Model,
    nets::{self, Description, InputShape},
    parameters_sha256, state_to_safetensors,
};
use serde::{Serialize, Serializer};

/// Runs `command`.
///
/// # Errors
/// If there is no such net, or the weights can't be written.
pub fn run(cli: &Cli, command: &NetsCommand) -> anyhow::Result<()> {
    match command {
        NetsCommand::List => list(cli),
        NetsCommand::Show { name } => show(cli, &nets::describe(find(name)?)?),
        NetsCommand::Init { name, seed, out } => init(cli, find(name)?, Seed(*seed), out),
    }
}

/// Returns the net named `name` on the command line.
pub fn find(name: &str) -> anyhow::Result<&'static str> {
    let known = nets::names();
    known.iter().copied().find(|net| *net == name).with_context(|| {
        let like = known.iter().find(|net| net.eq_ignore_ascii_case(name));
        let hint = like.map_or_else(|| known.join(", "), |net| format!("did you mean `{net}`?"));
        format!("there is no net `{name}`\nhint: {hint}")
    })
}

#[derive(Serialize)]
struct Summary {
    name: &'static str,
    summary: &'static str,
    #[serde(serialize_with = "as_text")]
    takes: SampleKinds,
    input: InputShape,
    trainable: usize,
}

fn as_text<S: Serializer>(takes: &SampleKinds, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(takes)
}

fn list(cli: &Cli) -> anyhow::Result<()> {
    let mut summaries = Vec::new();
    for name in nets::names() {
        let Description { name, summary, takes, input, trainable, .. } = nets::describe(name)?;
        summaries.push(Summary { name, summary, takes, input, trainable });
    }
    if cli.output == Output::Json {
        return output::json(&summaries);
    }
    let mut table = output::table(&["net", "input", "classes", "trainable", ""], &[2, 3]);
    for net in summaries {
        let (input, classes) = input_cells(net.takes, net.input);
        table.add_row([net.name.to_owned(), input, classes, output::thousands(net.trainable as u64), net.summary.to_owned()]);
    }
    output::text(&format!("{table}\n\n* The net takes other images too, and has the size that fits them."))
}

fn input_cells(takes: SampleKinds, input: InputShape) -> (String, String) {
    let mark = if matches!(takes, SampleKinds::Images { .. }) { " *" } else { "" };
    match input {
        InputShape::Images { shape: [c, h, w], classes } => (format!("{c}x{h}x{w}{mark}"), format!("{classes}{mark}")),
        InputShape::Tokens { vocabulary } => ("tokens".to_owned(), format!("{} words", output::thousands(vocabulary as u64))),
    }
}

#[derive(Serialize)]
struct Shown<'a> {
    name: &'static str,
    summary: &'static str,
    #[serde(serialize_with = "as_text")]
    takes: SampleKinds,
    input: InputShape,
    trainable: usize,
    tensors: Vec<Tensor<'a>>,
}

#[derive(Serialize)]
struct Tensor<'a> {
    name: &'a str,
    shape: &'a [usize],
    role: TensorRole,
    count: usize,
}

fn tensor_row(spec: &TensorSpec) -> Tensor<'_> {
    Tensor { name: &spec.name, shape: &spec.shape, role: spec.role, count: spec.num_elements() }
}

fn show(cli: &Cli, net: &Description) -> anyhow::Result<()> {
    let tensors: Vec<_> = net.tensors.iter().map(tensor_row).collect();
    if cli.output == Output::Json {
        let Description { name, summary, takes, input, trainable, .. } = *net;
        return output::json(&Shown { name, summary, takes, input, trainable, tensors });
    }
    let mut table = output::table(&["tensor", "shape", "role", "count"], &[3]);
    for tensor in &tensors {
        let role = format!("{:?}", tensor.role).to_lowercase();
        table.add_row([tensor.name.to_owned(), format!("{:?}", tensor.shape), role, output::thousands(tensor.count as u64)]);
    }
    let trainable = output::thousands(net.trainable as u64);
    let size = size_note(net).unwrap_or_default();
    output::text(&format!("{}: {}\n\n{table}\n\n{trainable} trainable parameters{size}", net.name, net.summary))
}

/// Says for which samples the net has the size that is shown, if it depends on the data set.
fn size_note(net: &Description) -> Option<String> {
    match (net.takes, net.input) {
        (SampleKinds::Images { typical, .. }, _) => Some(format!(" for {typical}; the net takes {}", net.takes)),
        (_, InputShape::Tokens { vocabulary }) => Some(format!(" for a vocabulary of {}", output::thousands(vocabulary as u64))),
        (SampleKinds::One(_), InputShape::Images { .. }) => None,
    }
}

#[derive(Serialize)]
struct Written<'a> {
    net: &'static str,
    seed: Seed,
    out: &'a Path,
    parameters_sha256: String,
}

fn init(cli: &Cli, net: &'static str, seed: Seed, out: &Path) -> anyhow::Result<()> {
    fltk_train::init(1);
    let input = nets::describe(net)?.input;
    let state = Model::new(&NetworkConfig::named(net), Path::new(""), input, seed, Device::Cpu)?.state()?;
    output::write_file(out, &state_to_safetensors(&state)?)?;
    let parameters_sha256 = parameters_sha256(&state);
    if cli.output == Output::Json {
        return output::json(&Written { net, seed, out, parameters_sha256 });
    }
    output::text(&format!("{}: {net}, seed {}, sha256 {parameters_sha256}", out.display(), seed.0))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

    use std::path::Path;

    use fltk_core::{catalogue::Choice, experiment::NetworkConfig, seed::Seed};
    use fltk_train::{Device, Model, losses, nets, optimizer};

    /// These entries are compiled twice: with libtorch, beside what computes, and without it, for the program that doesn't.
    #[test]
    fn the_program_without_libtorch_knows_the_same_entries() {
        let known = fltk::catalogues();
        assert!(known.nets.iter().eq(nets::entries()));
        assert!(known.optimizers.iter().eq(optimizer::entries()));
        assert!(known.losses.iter().eq(losses::entries()));
    }

    /// These facts decide which strategies a file may name with a net.
    #[test]
    fn nets_have_the_layers_and_batch_norms_that_their_entries_say() {
        fltk_train::init(1);
        let described = |settings: &Choice| {
            let input = nets::describe(settings.name()).unwrap().input;
            let network = NetworkConfig::Named(settings.clone());
            let layout = Model::new(&network, Path::new(""), input, Seed(1), Device::Cpu).unwrap().state_layout();
            let entry = nets::entries().into_iter().find(|net| net.entry.name == settings.name()).unwrap();
            assert_eq!(entry.facts(settings), fltk_fed::strategy::facts(&layout), "{settings:?}");
        };
        for net in nets::entries() {
            described(&Choice::new(net.entry.name));
        }
        described(&Choice::new("MLP").with("hidden", [0_u32; 0]));
        described(&Choice::new("MLP").with("hidden", vec![7]));
        described(&Choice::new("MLP").with("hidden", vec![7, 8, 9]));
        described(&Choice::new("RedditLSTM").with("tied", true).with("layers", 3));
    }

    #[test]
    fn every_strategy_and_selection_is_there() {
        let known = fltk::catalogues();
        assert!(known.strategies.names().all(|name| fltk_fed::strategy::by_name(name).is_some()));
        assert!(known.attacks.names().all(|name| fltk_fed::attack::by_name(name).is_some()));
        assert!(known.selections.names().all(|name| fltk_fed::selection::by_name(name).is_some()));
    }
}

//! `fltk data show NAME`: sizes and class counts of a data set, and the heterogeneity of a split over clients.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use fltk_core::{
    experiment::{DatasetConfig, FOUND_OUT},
    seed::Seed,
};
use fltk_data::{
    Dataset, SAMPLES_MADE_MAX, Split, heterogeneity,
    heterogeneity::{Heterogeneity, Summary},
    sources,
};
use fltk_experiment::{parse_dataset, parse_partition};
use serde::Serialize;

use super::dataset;
use crate::{
    cli::{Cli, DataShowArgs, Output},
    exit::{Exit, OrExit as _, failure},
    inputs, output,
    split::divide,
    work::Work,
};

#[derive(Serialize)]
struct Shown<'a> {
    name: &'a str,
    source: String,
    official: bool,
    /// The normalization that was computed from the training part; absent for the known data sets, whose is fixed.
    #[serde(skip_serializing_if = "Option::is_none")]
    normalization: Option<&'a str>,
    /// The SHA-256 of the files that were read, by name.
    files: BTreeMap<&'a str, &'a str>,
    /// The number of natural clients with training samples; absent if there are none, or if samples are made.
    #[serde(skip_serializing_if = "Option::is_none")]
    natural_clients: Option<usize>,
    train_samples: usize,
    test_samples: usize,
    image_shape: Option<[usize; 3]>,
    classes: &'a [String],
    /// `None` if the samples are made and there are too many to count.
    train_counts: Option<Vec<u64>>,
    test_counts: Vec<u64>,
    partition: Option<Heterogeneity>,
}

/// Prints a summary of the data set.
///
/// # Errors
/// If the data set is missing or damaged, the partition is impossible, or the picture can't be written.
pub fn run(cli: &Cli, args: &DataShowArgs) -> anyhow::Result<()> {
    let locations = inputs::locations(&args.locations);
    let config = config(args)?;
    let work = Work::wait(format!("reading `{}`", config.name()));
    let data = fltk_data::load(&config, Path::new(""), &locations).or_exit(Exit::Data)?;
    let partition = args.partition.as_deref().map(|text| measure(&data, text, args)).transpose()?;
    if let (Some(path), Some(measured)) = (&args.svg, &partition) {
        let title = format!("{}, {} clients, {}", config.name(), args.clients, args.partition.as_deref().unwrap_or_default());
        let svg = heterogeneity::svg(measured, &data.label_names(), &title);
        output::write_file(path, svg.as_bytes())?;
    }
    let classes = data.label_names();
    let shown = Shown {
        name: config.name(),
        source: data.provenance.to_string(),
        official: data.provenance.is_official(),
        normalization: data.provenance.normalization.as_deref(),
        files: data.provenance.files.iter().map(|file| (file.name.as_str(), file.sha256.as_str())).collect(),
        natural_clients: (!matches!(data.train, Split::Synthetic(_)))
            .then(|| data.train.natural_clients())
            .flatten()
            .map(|of| num_distinct(&of)),
        train_samples: data.train.len(),
        test_samples: data.test.len(),
        image_shape: data.image_shape(),
        classes: &classes,
        train_counts: (!data.is_too_large_to_make()).then(|| counts(&data.train, data.num_labels())),
        test_counts: counts(&data.test, data.num_labels()),
        partition,
    };
    drop(work);
    if cli.output == Output::Json { output::json(&shown) } else { output::text(&to_text(&shown, &data)) }
}

/// Returns the data set that the command line names, describes by a block, or whose path it gives.
fn config(args: &DataShowArgs) -> anyhow::Result<DatasetConfig> {
    let mut config = if args.name.trim_start().starts_with('{') {
        parse_dataset(&args.name, "NAME", crate::catalogues())
            .map_err(|report| failure(Exit::Experiment, report.render(output::color_stderr())))?
    } else if sources::by_name(&args.name).is_none() && (args.name.contains(['/', '\\']) || Path::new(&args.name).exists()) {
        // A path is data of one's own, whose format is found out.
        DatasetConfig::own(FOUND_OUT, &args.name)
    } else {
        DatasetConfig::named(dataset(&args.name)?.name())
    };
    config.path = args.path.clone().or(config.path);
    Ok(config)
}

fn measure(data: &Dataset, text: &str, args: &DataShowArgs) -> anyhow::Result<Heterogeneity> {
    let config =
        parse_partition(text, crate::catalogues()).map_err(|report| failure(Exit::Experiment, report.render(output::color_stderr())))?;
    if data.is_too_large_to_make() {
        let message = format!(
            "the heterogeneity of {} samples can't be shown: they are made when they are used, and at most {SAMPLES_MADE_MAX} are kept\nhint: use fewer `clients` of the data set",
            data.train.len()
        );
        return Err(failure(Exit::Experiment, message));
    }
    let parts = divide(data, args.clients, &config, Seed(args.seed), Path::new(""))?;
    Ok(heterogeneity::measure(&data.train.labels(), data.num_labels(), &parts.into_lists()))
}

fn counts(split: &Split, num_labels: usize) -> Vec<u64> {
    let mut counts = vec![0; num_labels];
    for &label in split.labels().iter() {
        if let Some(count) = counts.get_mut(usize::from(label)) {
            *count += 1;
        }
    }
    counts
}

fn num_distinct(clients: &[u32]) -> usize {
    clients.iter().collect::<BTreeSet<_>>().len()
}

fn to_text(shown: &Shown<'_>, data: &Dataset) -> String {
    let shape = match shown.image_shape {
        None => "text".to_owned(),
        Some([numbers, 1, 1]) => format!("vectors of {numbers} numbers"),
        Some([c, h, w]) => format!("images of {c}x{h}x{w}"),
    };
    let mut text = format!("{}: {shape}, {} training and {} test samples\n", shown.name, shown.train_samples, shown.test_samples);
    text.push_str(&format!("source: {}\n", shown.source));
    if let Some(normalization) = shown.normalization {
        text.push_str(&format!("normalization, from the training part: {normalization}\n"));
    }
    if let (Some(clients), false) = (shown.natural_clients, matches!(data.train, Split::Text(_))) {
        text.push_str(&format!("natural clients: {clients}\n"));
    }
    text.push('\n');
    match &data.train {
        Split::Images(_) | Split::Vectors(_) | Split::Synthetic(_) => {
            let mut table = output::table(&["class", "name", "train", "test"], &[0, 2, 3]);
            for (class, name) in shown.classes.iter().enumerate() {
                table.add_row([
                    class.to_string(),
                    name.clone(),
                    shown.train_counts.as_ref().map_or_else(|| "-".to_owned(), |counts| counts[class].to_string()),
                    shown.test_counts[class].to_string(),
                ]);
            }
            text.push_str(&table.to_string());
        }
        Split::Text(_) => text.push_str(&format!("{} characters of vocabulary, {} natural clients", data.num_classes(), data.num_labels())),
    }
    if let Some(measured) = &shown.partition {
        text.push_str("\n\n");
        text.push_str(&partition_table(measured));
    }
    text
}

fn partition_table(measured: &Heterogeneity) -> String {
    let header = ["client", "samples", "classes", "label entropy (bits)", "EMD (L1)", "total variation"];
    let mut table = output::table(&header, &[0, 1, 2, 3, 4, 5]);
    let number = |number: Option<f64>| number.map_or_else(|| "-".to_owned(), |number| format!("{number:.3}"));
    for client in &measured.clients {
        table.add_row([
            client.client.to_string(),
            client.size.to_string(),
            client.num_classes.to_string(),
            number(client.entropy_bits),
            number(client.l1),
            number(client.total_variation),
        ]);
    }
    let figures = [measured.size, measured.num_classes, measured.entropy_bits, measured.l1, measured.total_variation];
    let mut add = |name: &str, figure: fn(&Summary) -> f64| {
        let cells = figures.iter().map(|summary| format!("{:.3}", figure(summary)));
        table.add_row(std::iter::once(name.to_owned()).chain(cells));
    };
    add("mean", |summary| summary.mean);
    add("least", |summary| summary.min);
    add("greatest", |summary| summary.max);
    let unassigned = if measured.unassigned > 0 { format!("\n{} samples belong to no client", measured.unassigned) } else { String::new() };
    format!("{table}\nthe whole training set has a label entropy of {:.3} bits{unassigned}", measured.global_entropy_bits)
}

//! `fltk runs nodes RUN`.

use fltk_records::{RunRef, history::NodeStay};

use crate::{
    cli::{Cli, Output},
    output,
};

/// Prints the nodes of `run`, in the order in which they joined.
///
/// # Errors
/// If standard output is closed.
pub fn run(cli: &Cli, run: &RunRef) -> anyhow::Result<()> {
    let nodes = run.history.nodes();
    if cli.output == Output::Json {
        return output::json(&nodes);
    }
    if nodes.is_empty() {
        tracing::info!(
            "the run had no nodes: its clients trained in its own process\nhint: `federated.nodes` or `fltk federate` has nodes train them"
        );
        return Ok(());
    }
    let mut header =
        vec!["node", "name", "workers", "joined", "left", "updates", "busy s", "idle s", "received MB", "sent MB", "processor", "reason"];
    let mut numbers = vec![2, 5, 6, 7, 8, 9];
    // Only where clients have data of their own.
    let has_samples = nodes.iter().any(|stay| stay.num_samples.is_some());
    if has_samples {
        numbers.push(header.len());
        header.push("samples");
    }
    let mut table = output::table(&header, &numbers);
    for stay in nodes {
        let mut cells = row(stay);
        if has_samples {
            cells.push(stay.num_samples.map_or_else(|| "-".to_owned(), |samples| samples.to_string()));
        }
        table.add_row(cells);
    }
    output::text(&table.to_string())
}

fn row(stay: &NodeStay) -> Vec<String> {
    let NodeStay { node, name, processor, workers, joined_at, end, .. } = stay;
    let mut cells = vec![node.clone(), name.clone(), workers.to_string(), joined_at.strftime("%F %T").to_string()];
    match end {
        None => {
            cells.push("is there".to_owned());
            cells.extend(["-"; 5].map(str::to_owned));
            cells.extend([processor.clone(), String::new()]);
        }
        Some(end) => {
            // Of a federator that was killed, nobody recorded what its nodes did.
            let figure = |figure: String| if end.left_at.is_some() { figure } else { "-".to_owned() };
            let idle = end.left_at.map(|left| {
                let there = left.duration_since(*joined_at).as_secs_f64() * f64::from(*workers);
                format!("{:.1}", (there - end.busy_seconds).max(0.0))
            });
            cells.push(end.left_at.map_or_else(|| "?".to_owned(), |left| left.strftime("%F %T").to_string()));
            cells.push(figure(end.num_updates.to_string()));
            cells.push(figure(format!("{:.1}", end.busy_seconds)));
            cells.push(idle.unwrap_or_else(|| "-".to_owned()));
            cells.push(figure(megabytes(end.bytes_received)));
            cells.push(figure(megabytes(end.bytes_sent)));
            cells.extend([processor.clone(), end.reason.clone().unwrap_or_default()]);
        }
    }
    cells
}

#[expect(clippy::cast_precision_loss, reason = "a figure of one decimal")]
fn megabytes(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / 1e6)
}

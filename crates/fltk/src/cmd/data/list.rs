//! `fltk data list`: the data sets that the program knows, and those on this machine.

use fltk_data::{load::locate, sources};
use serde::Serialize;

use crate::{
    cli::{Cli, LocationArgs, Output},
    inputs, output,
};

#[derive(Serialize)]
struct Row {
    name: &'static str,
    title: &'static str,
    license: &'static str,
    reference: &'static str,
    download_bytes: u64,
    /// The location of the data set; `None` if it has to be fetched.
    origin: Option<fltk_data::Origin>,
}

/// Prints every data set.
///
/// # Errors
/// If standard output is closed.
pub fn run(cli: &Cli, locations: &LocationArgs) -> anyhow::Result<()> {
    let locations = inputs::locations(locations);
    let rows: Vec<Row> = sources::ALL
        .iter()
        .map(|source| Row {
            name: source.name(),
            title: source.title,
            license: source.license,
            reference: source.reference,
            download_bytes: source.files.iter().map(|file| file.bytes).sum(),
            origin: locate(source, &locations),
        })
        .collect();
    if cli.output == Output::Json {
        return output::json(&rows);
    }
    let mut table = output::table(&["name", "data set", "license", "download", "on this machine"], &[3]);
    for row in rows {
        let here = match row.origin {
            Some(fltk_data::Origin::Embedded) => "in the program".to_owned(),
            Some(fltk_data::Origin::Made) => "made when it is used".to_owned(),
            Some(fltk_data::Origin::Folder(path) | fltk_data::Origin::Archive(path) | fltk_data::Origin::Own(path)) => {
                path.display().to_string()
            }
            Some(fltk_data::Origin::Clients) | None => format!("no: fltk data fetch {}", row.name),
        };
        let download = if row.download_bytes == 0 { String::new() } else { format!("{:.1} MB", megabytes(row.download_bytes)) };
        table.add_row([row.name.to_owned(), row.title.to_owned(), row.license.to_owned(), download, here]);
    }
    output::text(&table.to_string())
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
pub fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

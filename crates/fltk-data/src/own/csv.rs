//! CSV files of numbers, a row for each sample, with a column of labels; plain or gzip.

use ::csv::{ByteRecord, Reader, ReaderBuilder, Trim};
use fltk_core::catalogue::{Choice, DatasetEntry, Entry, Text, Word};

use super::{
    error::OwnError,
    format::{Format, NORMALIZE, TEST_FRACTION},
    parts,
    place::{Place, digests, has_ending},
    samples::{Content, Part, Read},
    table::{self, Interned, LABELS, LabelsRead, SHAPE},
};

/// The largest number of columns: an image of 3x256x256 pixels has fewer.
const COLUMNS_MAX: usize = 200_000;
/// The largest number of numbers of a part, which take 16 GiB.
const NUMBERS_MAX: usize = 4 << 30;

const LABEL: Text = Text::new(
    "label",
    "",
    "The column of the labels: its name, or its number from 1. Without it, it is the only one called `label`, `class`, `target` or `y`; without a header, the last.",
);
const CLIENT: Text = Text::new("client", "", "The column that names the natural client of each sample, by its name or its number from 1.");
const HEADER: Word = Word::new(
    "header",
    &["found_out", "yes", "no"],
    "`yes` if the first row has the names of the columns. Found out, it does if none of its cells is a number.",
);
const DELIMITER: Word = Word::new("delimiter", &["comma", "semicolon", "tab", "space"], "The character between cells.");

/// The format `csv`.
pub(super) const FORMAT: Format = Format {
    entry: DatasetEntry::format(
        Entry::new(
            "csv",
            "CSV of numbers, a row for each sample with its label, plain or gzip. The part is told by `train` or `test` in a file's name; of several files of a part, rows \
             follow each other.",
        )
        .parameters(
            const {
                &[
                    LABEL.parameter(),
                    CLIENT.parameter(),
                    HEADER.parameter(),
                    DELIMITER.parameter(),
                    SHAPE.parameter(),
                    TEST_FRACTION.parameter(),
                    NORMALIZE.parameter(),
                ]
            },
        ),
        true,
    ),
    detects: |names| names.iter().any(|name| has_ending(name, ENDINGS)),
    is_last_resort: false,
    read,
};

const ENDINGS: &[&str] = &[".csv", ".tsv", ".data"];

fn read(place: &Place, settings: &Choice) -> Result<Read, OwnError> {
    let names = match place.names() {
        // A file that the path names is read whatever its name.
        [only] => vec![only.as_str()],
        _ => place.ending(ENDINGS),
    };
    if names.is_empty() {
        return Err(place.error("it has no CSV file".to_owned()));
    }
    let parts = parts::divide(&names, place)?;
    let mut files = Vec::new();
    // Both parts have the same columns.
    let mut columns = None;
    let train = part(place, &parts.train, settings, &mut columns, &mut files)?;
    let test = match parts.test.is_empty() {
        true => None,
        false => Some(part(place, &parts.test, settings, &mut columns, &mut files)?),
    };
    Ok(Read { content: Content::Labeled { train, test, class_names: None }, digests: digests(files) })
}

/// The content of the rows of all files of a part.
#[derive(Default)]
struct Rows {
    numbers: Vec<f32>,
    labels: LabelsRead,
    clients: Interned,
    /// The columns of the first file, and its name.
    columns: Option<(Columns, String)>,
}

/// The columns of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Columns {
    /// Their names; of a file without a header, none.
    names: Vec<String>,
    num: usize,
    label: usize,
    client: Option<usize>,
}

impl Columns {
    /// Returns a column in words.
    fn describe(&self, column: usize) -> String {
        match self.names.get(column) {
            Some(name) => format!("column `{name}`"),
            None => format!("column {}", column + 1),
        }
    }
}

fn part(
    place: &Place,
    names: &[&str],
    settings: &Choice,
    known: &mut Option<(Columns, String)>,
    files: &mut Vec<(String, String)>,
) -> Result<Part, OwnError> {
    let mut rows = Rows { columns: known.take(), ..Rows::default() };
    for name in names {
        let file = place.read_unpacked(name)?;
        files.push(((*name).to_owned(), file.sha256));
        read_file(place, name, &file.bytes, settings, &mut rows)?;
    }
    let Some((columns, name)) = rows.columns.filter(|_| rows.labels.len() > 0) else {
        return Err(place.error_in(names.first().copied().unwrap_or_default(), "it has no rows of numbers"));
    };
    *known = Some((columns.clone(), name.clone()));
    let len = columns.num - 1 - usize::from(columns.client.is_some());
    let samples = table::samples(rows.numbers, len, settings).map_err(|(at, problem)| {
        let error = place.error_in(&name, problem);
        match at {
            Some(at) => error.at(format!("sample {}, number {}", at / len, at % len + 1)),
            None => error,
        }
    })?;
    let clients = columns.client.map(|_| rows.clients.finish());
    Ok(Part { samples, labels: rows.labels.finish(), clients })
}

fn read_file(place: &Place, name: &str, bytes: &[u8], settings: &Choice, rows: &mut Rows) -> Result<(), OwnError> {
    let delimiter = match DELIMITER.of(settings) {
        "semicolon" => b';',
        "tab" => b'\t',
        "space" => b' ',
        _ if has_ending(name, &[".tsv"]) => b'\t',
        _ => b',',
    };
    let mut reader = ReaderBuilder::new().has_headers(false).delimiter(delimiter).trim(Trim::All).from_reader(bytes);
    let mut record = ByteRecord::new();
    let next = |reader: &mut Reader<&[u8]>, record: &mut ByteRecord| {
        reader.read_byte_record(record).map_err(|error| {
            let problem = match error.kind() {
                ::csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
                    format!("the row has {len} cells, and the first has {expected_len}")
                }
                _ => error.to_string(),
            };
            let line = error.position().map_or_else(|| reader.position().line(), ::csv::Position::line);
            place.error_in(name, problem).at(format!("line {line}"))
        })
    };
    if !next(&mut reader, &mut record)? {
        return Err(place.error_in(name, "it is empty"));
    }
    let has_header = match HEADER.of(settings) {
        "yes" => true,
        "no" => false,
        _ => {
            let has_numbers = record.iter().any(|cell| number(cell).is_some());
            let label = record.iter().find(|cell| str::from_utf8(cell).is_ok_and(|cell| LABELS.contains(&cell.to_lowercase().as_str())));
            if let Some(label) = label.filter(|_| has_numbers) {
                let problem = format!("the first row has numbers and `{}`: it may be a header or a sample", String::from_utf8_lossy(label));
                return Err(place.error_in(name, problem).at("line 1").hint("`header: yes` or `header: no` says which"));
            }
            !has_numbers
        }
    };
    let columns = columns(place, name, &record, has_header, settings)?;
    match &rows.columns {
        Some((first, first_name)) if *first != columns => {
            return Err(place.error_in(name, format!("its columns aren't those of `{first_name}`")).at("line 1"));
        }
        Some(_) => {}
        None => rows.columns = Some((columns.clone(), name.to_owned())),
    }
    let mut is_row = !has_header || next(&mut reader, &mut record)?;
    while is_row {
        let line = record.position().map_or(0, ::csv::Position::line);
        for (column, cell) in record.iter().enumerate() {
            let wrong = |problem: String| place.error_in(name, problem).at(format!("line {line}, {}", columns.describe(column)));
            let text = || str::from_utf8(cell).map_err(|_| wrong("the cell is not UTF-8".to_owned()));
            if column == columns.label {
                match text()? {
                    "" => return Err(wrong("the label is empty".to_owned())),
                    label => rows.labels.push(label),
                }
            } else if Some(column) == columns.client {
                rows.clients.push(text()?);
            } else {
                let shown = || String::from_utf8_lossy(cell).chars().take(40).collect::<String>();
                let number = number(cell).ok_or_else(|| match cell.is_empty() {
                    true => wrong("the cell is empty".to_owned()),
                    false => wrong(format!("`{}` isn't a finite number", shown())).hint("`label` names the column of labels"),
                })?;
                rows.numbers.push(number);
            }
        }
        if rows.numbers.len() > NUMBERS_MAX {
            return Err(place.error_in(name, format!("there are more than {NUMBERS_MAX} numbers")));
        }
        is_row = next(&mut reader, &mut record)?;
    }
    Ok(())
}

/// Returns a cell as a finite number of 32 bits.
fn number(cell: &[u8]) -> Option<f32> {
    let number: f64 = str::from_utf8(cell).ok()?.parse().ok()?;
    #[expect(clippy::cast_possible_truncation, reason = "numbers of samples have 32 bits")]
    Some(number as f32).filter(|number| number.is_finite())
}

fn columns(place: &Place, name: &str, first: &ByteRecord, has_header: bool, settings: &Choice) -> Result<Columns, OwnError> {
    let num = first.len();
    let wrong = |problem: String| place.error_in(name, problem).at("line 1");
    if num > COLUMNS_MAX {
        return Err(wrong(format!("it has {num} columns, more than {COLUMNS_MAX}")));
    }
    let names: Vec<String> = match has_header {
        true => first.iter().map(|cell| String::from_utf8_lossy(cell).into_owned()).collect(),
        false => Vec::new(),
    };
    let find = |setting: &Text| -> Result<Option<usize>, OwnError> {
        let wanted = setting.of(settings);
        if wanted.is_empty() {
            return Ok(None);
        }
        let numbered = || wanted.parse::<usize>().ok().and_then(|number| number.checked_sub(1)).filter(|column| *column < num);
        let found = names.iter().position(|name| *name == wanted).or_else(numbered);
        let hint = match has_header {
            true => format!("the columns are {}", names.iter().take(20).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")),
            false => format!("there are {num} columns and no header, so it is a number from 1 to {num}"),
        };
        found.map(Some).ok_or_else(|| wrong(format!("there is no column `{wanted}` for `{}`", setting.name())).hint(hint))
    };
    let label = match find(&LABEL)? {
        Some(label) => label,
        None if !has_header => num.saturating_sub(1),
        None => {
            let mut called = (0..num).filter(|&column| LABELS.contains(&names[column].to_lowercase().as_str()));
            match (called.next(), called.next()) {
                (Some(label), None) => label,
                (None, _) => {
                    return Err(wrong("no column is called `label`, `class`, `target` or `y`".to_owned())
                        .hint("`label` names the column of labels"));
                }
                (Some(_), Some(_)) => {
                    return Err(wrong("several columns may be the labels".to_owned()).hint("`label` names the column of labels"));
                }
            }
        }
    };
    let client = find(&CLIENT)?;
    if client == Some(label) {
        return Err(wrong("the labels and the clients are the same column".to_owned()));
    }
    if num < 2 + usize::from(client.is_some()) {
        return Err(
            wrong("it has no column of numbers beside that of the labels".to_owned()).hint("`delimiter` says what is between cells")
        );
    }
    Ok(Columns { names, num, label, client })
}

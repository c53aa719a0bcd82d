//! Parquet files, as the Hugging Face hub stores data sets: a row for each sample, with an image, a list of numbers, or columns of numbers.

use ::parquet::{
    errors::ParquetError,
    file::reader::{FileReader as _, SerializedFileReader},
    record::{Field, Row},
};
use fltk_core::catalogue::{Choice, DatasetEntry, Entry, Text};

use super::{
    error::OwnError,
    format::{Format, NORMALIZE, TEST_FRACTION},
    images::Decoder,
    parts,
    place::{Place, digests, has_ending},
    samples::{Content, Part, Read, Samples},
    table::{self, Interned, LABELS, LabelsRead, SHAPE},
};

/// The largest number of columns.
const COLUMNS_MAX: usize = 100_000;
/// The largest memory for the samples of a part, in bytes.
const SAMPLES_MAX: usize = 64 << 30;

const LABEL: Text = Text::new(
    "label",
    "",
    "The column of the labels. Without it, it is the only one called `label`, `class`, `target` or `y`. Of a column for which the hub's data sets give names of classes, these \
     are the classes.",
);
const CLIENT: Text = Text::new("client", "", "The column that names the natural client of each sample.");
const X: Text = Text::new("x", "", "The column of the samples, if there are several images or lists.");

/// The format `parquet`.
pub(super) const FORMAT: Format = Format {
    entry: DatasetEntry::format(
        Entry::new(
            "parquet",
            "Parquet files as the Hugging Face hub stores data sets: a column of labels, and a column of PNG or JPEG images, a column of lists of numbers, or columns of \
             numbers. Compressed with Snappy or gzip, or not. The part is told by `train` or `test` in a file's name.",
        )
        .parameters(
            const {
                &[
                    LABEL.parameter(),
                    CLIENT.parameter(),
                    X.parameter(),
                    Decoder::SIZE.parameter(),
                    Decoder::CHANNELS.parameter(),
                    SHAPE.parameter(),
                    TEST_FRACTION.parameter(),
                    NORMALIZE.parameter(),
                ]
            },
        ),
        true,
    ),
    detects: |names| names.iter().any(|name| has_ending(name, &[".parquet"])),
    is_last_resort: false,
    read,
};

fn read(place: &Place, settings: &Choice) -> Result<Read, OwnError> {
    let names = place.ending(&[".parquet"]);
    if names.is_empty() {
        return Err(place.error("it has no Parquet file".to_owned()));
    }
    let parts = parts::divide(&names, place)?;
    let (mut files, mut class_names) = (Vec::new(), None);
    // Both parts have the same columns.
    let mut columns = None;
    let train = part(place, &parts.train, settings, &mut columns, &mut files, &mut class_names)?;
    let test = match parts.test.is_empty() {
        true => None,
        false => Some(part(place, &parts.test, settings, &mut columns, &mut files, &mut class_names)?),
    };
    Ok(Read { content: Content::Labeled { train, test, class_names }, digests: digests(files) })
}

/// The content of the rows of all files of a part.
#[derive(Default)]
struct Rows {
    columns: Option<Columns>,
    pixels: Vec<u8>,
    shape: Option<[usize; 3]>,
    numbers: Vec<f32>,
    len: Option<usize>,
    labels: LabelsRead,
    clients: Interned,
}

/// The columns, by position.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Columns {
    names: Vec<String>,
    label: usize,
    client: Option<usize>,
    /// The column of images or lists; `None` if samples are the other columns, each a number.
    x: Option<usize>,
}

fn part(
    place: &Place,
    names: &[&str],
    settings: &Choice,
    known: &mut Option<Columns>,
    files: &mut Vec<(String, String)>,
    class_names: &mut Option<Vec<String>>,
) -> Result<Part, OwnError> {
    let mut rows = Rows { columns: known.take(), ..Rows::default() };
    for name in names {
        let file = place.read(name)?;
        files.push(((*name).to_owned(), file.sha256));
        place.guarded(name, || read_file(place, name, file.bytes, settings, &mut rows, class_names))?;
    }
    let first = names.first().copied().unwrap_or_default();
    let Rows { columns, pixels, shape, numbers, len, labels, clients } = rows;
    known.clone_from(&columns);
    let samples = match (shape, len) {
        (Some(shape), _) => Samples::Images { pixels, shape },
        (None, Some(len)) => table::samples(numbers, len, settings).map_err(|(at, problem)| {
            let error = place.error_in(first, problem);
            match at {
                Some(at) => error.at(format!("sample {}, number {}", at / len, at % len + 1)),
                None => error,
            }
        })?,
        (None, None) => return Err(place.error_in(first, "it has no rows")),
    };
    let clients = columns.and_then(|columns| columns.client).map(|_| clients.finish());
    Ok(Part { samples, labels: labels.finish(), clients })
}

fn read_file(
    place: &Place,
    name: &str,
    bytes: Vec<u8>,
    settings: &Choice,
    rows: &mut Rows,
    class_names: &mut Option<Vec<String>>,
) -> Result<(), OwnError> {
    let damaged = |error: ParquetError| place.error_in(name, format!("it can't be read: {error}"));
    let reader = SerializedFileReader::new(bytes::Bytes::from(bytes)).map_err(damaged)?;
    let metadata = reader.metadata().file_metadata();
    if metadata.schema_descr().num_columns() > COLUMNS_MAX {
        return Err(place.error_in(name, format!("it has more than {COLUMNS_MAX} columns")));
    }
    let hub =
        metadata.key_value_metadata().into_iter().flatten().find(|entry| entry.key == "huggingface").and_then(|entry| entry.value.clone());
    let decoder = Decoder::new(settings);
    let mut columns = rows.columns.clone();
    for (index, row) in reader.get_row_iter(None).map_err(damaged)?.enumerate() {
        let row = row.map_err(|error| damaged(error).at(format!("row {index}")))?;
        let columns = match &columns {
            Some(columns) => columns,
            None => columns.insert(columns_of(place, name, &row, settings)?),
        };
        add(place, name, index, &row, columns, &decoder, rows)?;
    }
    if let Some(columns) = &columns
        && class_names.is_none()
        && let Some(hub) = hub
    {
        *class_names = names_of_classes(&hub, &columns.names[columns.label]);
    }
    rows.columns = columns;
    Ok(())
}

/// Returns the names of the classes that the hub gives for a column, in its metadata of a data set.
fn names_of_classes(hub: &str, column: &str) -> Option<Vec<String>> {
    let hub: serde_json::Value = serde_json::from_str(hub).ok()?;
    let names = hub.get("info")?.get("features")?.get(column)?.get("names")?.as_array()?;
    names.iter().map(|name| name.as_str().map(str::to_owned)).collect()
}

fn columns_of(place: &Place, name: &str, row: &Row, settings: &Choice) -> Result<Columns, OwnError> {
    let names: Vec<String> = row.get_column_iter().map(|(name, _)| name.clone()).collect();
    let all = names.iter().take(20).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let find = |setting: &Text| -> Result<Option<usize>, OwnError> {
        let wanted = setting.of(settings);
        if wanted.is_empty() {
            return Ok(None);
        }
        let found = names.iter().position(|name| *name == wanted);
        let missing = || {
            place.error_in(name, format!("there is no column `{wanted}` for `{}`", setting.name())).hint(format!("the columns are {all}"))
        };
        found.map(Some).ok_or_else(missing)
    };
    let only = |found: Vec<usize>, setting: &str, what: &str| match found[..] {
        [one] => Ok(one),
        [] => Err(place
            .error_in(name, format!("no column has a name of {what}"))
            .hint(format!("`{setting}` names it; the columns are {all}"))),
        _ => {
            Err(place.error_in(name, format!("several columns may be {what}")).hint(format!("`{setting}` names it; the columns are {all}")))
        }
    };
    let label = match find(&LABEL)? {
        Some(label) => label,
        None => {
            only((0..names.len()).filter(|&at| LABELS.contains(&names[at].to_lowercase().as_str())).collect(), LABEL.name(), "the labels")?
        }
    };
    let client = find(&CLIENT)?;
    let x = match find(&X)? {
        Some(x) => Some(x),
        None => {
            let is_whole = |field: &Field| matches!(field, Field::Group(_) | Field::Bytes(_) | Field::ListInternal(_));
            let whole: Vec<usize> = row
                .get_column_iter()
                .enumerate()
                .filter(|(at, (_, field))| *at != label && Some(*at) != client && is_whole(field))
                .map(|(at, _)| at)
                .collect();
            if whole.is_empty() { None } else { Some(only(whole, X.name(), "the samples")?) }
        }
    };
    Ok(Columns { names, label, client, x })
}

fn add(place: &Place, name: &str, index: usize, row: &Row, columns: &Columns, decoder: &Decoder, rows: &mut Rows) -> Result<(), OwnError> {
    let wrong = |column: usize, problem: String| {
        place.error_in(name, problem).at(format!("row {index}, column `{}`", columns.names.get(column).map_or("", |name| name)))
    };
    let first_number = rows.numbers.len();
    if row.get_column_iter().count() != columns.names.len() {
        return Err(place.error_in(name, "its columns aren't those of the first file".to_owned()));
    }
    for (at, (column, field)) in row.get_column_iter().enumerate() {
        if columns.names.get(at) != Some(column) {
            return Err(place.error_in(name, "its columns aren't those of the first file".to_owned()));
        }
        if at == columns.label {
            rows.labels.push(
                &text_of(field).ok_or_else(|| wrong(at, format!("the label is neither a whole number nor a text: {}", shown(field))))?,
            );
        } else if Some(at) == columns.client {
            rows.clients.push(
                &text_of(field).ok_or_else(|| wrong(at, format!("the client is neither a whole number nor a text: {}", shown(field))))?,
            );
        } else if columns.x.is_none() {
            let number = number(field).ok_or_else(|| wrong(at, format!("it isn't a finite number: {}", shown(field))))?;
            rows.numbers.push(number);
        } else if columns.x == Some(at) {
            match encoded(field) {
                Some(bytes) => {
                    let (shape, pixels) = decoder.decode(bytes).map_err(|problem| wrong(at, problem))?;
                    let expected = *rows.shape.get_or_insert(shape);
                    if shape != expected {
                        let problem = format!("the image has the shape {shape:?} (channels, height, width), and the first {expected:?}");
                        return Err(wrong(at, problem).hint("`size` and `channels` say what to convert all of them to"));
                    }
                    rows.pixels.extend(pixels);
                }
                None => flatten(field, &mut rows.numbers).map_err(|problem| wrong(at, problem))?,
            }
        }
    }
    if rows.shape.is_none() {
        let num = rows.numbers.len() - first_number;
        let expected = *rows.len.get_or_insert(num);
        if num != expected || num == 0 {
            return Err(place.error_in(name, format!("the sample has {num} numbers, and the first {expected}")).at(format!("row {index}")));
        }
    } else if rows.numbers.len() > first_number || !rows.numbers.is_empty() {
        return Err(place.error_in(name, "some samples are images, and others numbers").at(format!("row {index}")));
    }
    if rows.pixels.len().max(rows.numbers.len().saturating_mul(4)) > SAMPLES_MAX {
        return Err(place.error_in(name, format!("its samples have more than {SAMPLES_MAX} bytes")));
    }
    Ok(())
}

/// Returns the bytes of an image: those of the column, or of `bytes` in it.
fn encoded(field: &Field) -> Option<&[u8]> {
    match field {
        Field::Bytes(bytes) => Some(bytes.data()),
        Field::Group(row) => row.get_column_iter().find(|(name, _)| *name == "bytes").and_then(|(_, field)| encoded(field)),
        _ => None,
    }
}

/// Adds the numbers of a list, also of lists in it.
fn flatten(field: &Field, numbers: &mut Vec<f32>) -> Result<(), String> {
    match field {
        Field::ListInternal(list) => list.elements().iter().try_for_each(|field| flatten(field, numbers)),
        field => {
            numbers.push(number(field).ok_or_else(|| format!("it is neither an image nor a list of finite numbers: {}", shown(field)))?);
            Ok(())
        }
    }
}

fn shown(field: &Field) -> String {
    format!("`{}`", field.to_string().chars().take(40).collect::<String>())
}

/// Returns a whole number or a text as a text.
fn text_of(field: &Field) -> Option<String> {
    match field {
        Field::Str(text) => Some(text.clone()),
        Field::Bytes(bytes) => String::from_utf8(bytes.data().to_vec()).ok(),
        Field::Bool(bit) => Some(u8::from(*bit).to_string()),
        Field::Null => None,
        field => {
            let number = wide(field)?;
            table::whole_of(number).map(|whole| whole.to_string())
        }
    }
}

fn number(field: &Field) -> Option<f32> {
    #[expect(clippy::cast_possible_truncation, reason = "numbers of samples have 32 bits")]
    wide(field).map(|number| number as f32).filter(|number| number.is_finite())
}

#[expect(clippy::cast_precision_loss, reason = "numbers of samples have 32 bits, and larger labels are refused")]
fn wide(field: &Field) -> Option<f64> {
    Some(match field {
        Field::Bool(bit) => f64::from(u8::from(*bit)),
        Field::Byte(number) => f64::from(*number),
        Field::Short(number) => f64::from(*number),
        Field::Int(number) => f64::from(*number),
        Field::Long(number) => *number as f64,
        Field::UByte(number) => f64::from(*number),
        Field::UShort(number) => f64::from(*number),
        Field::UInt(number) => f64::from(*number),
        Field::ULong(number) => *number as f64,
        Field::Float16(number) => f64::from(f32::from(*number)),
        Field::Float(number) => f64::from(*number),
        Field::Double(number) => *number,
        _ => return None,
    })
}

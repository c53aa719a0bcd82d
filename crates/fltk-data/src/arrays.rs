//! A data set and its division as NumPy arrays in a folder, for nodes in Python, which map them: `fltk data arrays`.
//!
//! | file | what it has |
//! |---|---|
//! | `arrays.json` | the kind, the digest of the training samples, the seed of the division |
//! | `train-inputs.npy`, `test-inputs.npy` | pixels `[N, C, H, W]` as bytes, numbers `[N, F]`, or the tokens of a text |
//! | `train-labels.npy`, `test-labels.npy` | the class of each sample; `-starts.npy` for a text: the first token of each |
//! | `table.npy` | for images, the normalized float of each pixel value, `[C, 256]` |
//! | `parts.npy`, `ends.npy` | the samples of all clients, one client after another, and where each client's end |

use std::{
    borrow::Cow,
    fs::File,
    io::{self, BufWriter, Write},
    path::Path,
};

use fltk_core::seed::Seed;
use serde_json::json;

use crate::{Dataset, Division, Split, digest::training_digest, sources::Augmentation, transform::Transform};

/// The form of the folder. It is raised when readers have to change.
const FORMAT: u32 = 1;

/// The alignment of an array's numbers in its file, as NumPy itself has it.
const ALIGNMENT: usize = 64;

/// Writes `dataset` and the samples that each client trains on into `folder`, which is there and empty. `own` is the name of the client if the data set
/// is that of one alone.
///
/// # Errors
/// If a file can't be written, or the samples are too many to make.
pub fn write(folder: &Path, dataset: &Dataset, parts: &Division, seed: Seed, own: Option<&str>) -> io::Result<()> {
    if dataset.is_too_large_to_make() {
        return Err(io::Error::other(format!("{} samples are made when they are used, and too many to write", dataset.train.len())));
    }
    let kind = match &dataset.train {
        Split::Images(_) => "images",
        Split::Vectors(_) | Split::Synthetic(_) => "vectors",
        Split::Text(_) => "text",
    };
    for (name, split) in [("train", &dataset.train), ("test", &dataset.test)] {
        write_split(folder, name, split)?;
    }
    if let Split::Images(set) = &dataset.train {
        let transform = Transform::plain(&dataset.preparation, set.shape);
        let table: Vec<f32> = transform.table().iter().flatten().copied().collect();
        write_array(folder, "table", &[set.shape[0], 256], &table)?;
    }
    let (mut places, mut ends) = (Vec::new(), Vec::with_capacity(parts.num_clients()));
    for client in 0..parts.num_clients() {
        places.extend_from_slice(&parts.of(client));
        ends.push(places.len() as u64);
    }
    write_array(folder, "parts", &[places.len()], &places)?;
    write_array(folder, "ends", &[ends.len()], &ends)?;
    let window = if let Split::Text(set) = &dataset.train { Some(set.window) } else { None };
    let description = json!({
        "format": FORMAT,
        "kind": kind,
        "num_classes": dataset.num_classes(),
        "window": window,
        "augmentation": match dataset.preparation.augmentation { Augmentation::None => "none", Augmentation::FlipAndCrop => "flip_and_crop" },
        "data": hex::encode(training_digest(dataset)),
        "seed": seed.0,
        "client": own,
    });
    // It comes last: a folder that has it is complete.
    std::fs::write(folder.join("arrays.json"), format!("{description:#}\n"))
}

fn write_split(folder: &Path, name: &str, split: &Split) -> io::Result<()> {
    let [inputs, labels, starts] = ["inputs", "labels", "starts"].map(|what| format!("{name}-{what}"));
    match split {
        Split::Images(set) => {
            let [channels, height, width] = set.shape;
            write_array(folder, &inputs, &[set.labels.len(), channels, height, width], &set.pixels)?;
            write_array(folder, &labels, &[set.labels.len()], &set.labels)
        }
        Split::Text(set) => {
            write_array(folder, &inputs, &[set.tokens.len()], &set.tokens)?;
            write_array(folder, &starts, &[set.starts.len()], &set.starts)
        }
        Split::Vectors(_) | Split::Synthetic(_) => {
            let set = match split {
                Split::Synthetic(made) => Cow::Owned(made.gather(&(0..u32::try_from(made.len()).unwrap_or(u32::MAX)).collect::<Vec<_>>())),
                Split::Vectors(set) => Cow::Borrowed(set),
                Split::Images(_) | Split::Text(_) => return Ok(()),
            };
            write_array(folder, &inputs, &[set.labels().len(), set.vector_len()], set.numbers())?;
            write_array(folder, &labels, &[set.labels().len()], set.labels())
        }
    }
}

/// A number of an array.
trait Element: Copy {
    /// NumPy's name of the type.
    const TYPE: &'static str;
    /// Writes it as little-endian bytes.
    fn write(self, to: &mut impl Write) -> io::Result<()>;
}

impl Element for u8 {
    const TYPE: &'static str = "|u1";
    fn write(self, to: &mut impl Write) -> io::Result<()> {
        to.write_all(&[self])
    }
}

impl Element for u16 {
    const TYPE: &'static str = "<u2";
    fn write(self, to: &mut impl Write) -> io::Result<()> {
        to.write_all(&self.to_le_bytes())
    }
}

impl Element for u32 {
    const TYPE: &'static str = "<u4";
    fn write(self, to: &mut impl Write) -> io::Result<()> {
        to.write_all(&self.to_le_bytes())
    }
}

impl Element for u64 {
    const TYPE: &'static str = "<u8";
    fn write(self, to: &mut impl Write) -> io::Result<()> {
        to.write_all(&self.to_le_bytes())
    }
}

impl Element for f32 {
    const TYPE: &'static str = "<f4";
    fn write(self, to: &mut impl Write) -> io::Result<()> {
        to.write_all(&self.to_le_bytes())
    }
}

/// Writes an array in NumPy's format, version 1.0.
fn write_array<T: Element>(folder: &Path, name: &str, shape: &[usize], values: &[T]) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(folder.join(format!("{name}.npy")))?);
    let sides: String = shape.iter().map(|side| format!("{side},")).collect();
    let header = format!("{{'descr': '{}', 'fortran_order': False, 'shape': ({sides}), }}", T::TYPE);
    // Magic, version, and the length of the header, which is padded and ends its line.
    let before = 10;
    let padded = (before + header.len() + 1).next_multiple_of(ALIGNMENT) - before;
    let length = u16::try_from(padded).map_err(io::Error::other)?;
    file.write_all(b"\x93NUMPY\x01\x00")?;
    file.write_all(&length.to_le_bytes())?;
    writeln!(file, "{header:<width$}", width = padded - 1)?;
    values.iter().try_for_each(|value| value.write(&mut file))?;
    file.flush()
}

#[cfg(test)]
mod tests {
    use fltk_core::experiment::DatasetConfig;

    use super::*;
    use crate::{Locations, load};

    #[test]
    fn arrays_are_numpys_and_have_all_samples() {
        let dataset = load(&DatasetConfig::named("fashion-mnist-mini"), Path::new(""), &Locations { cache: None, local: vec![] }).unwrap();
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &dataset, &vec![vec![3, 1], vec![], vec![7]].into(), Seed(9), Some("clinic")).unwrap();
        let read = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
        let Split::Images(set) = &dataset.train else { panic!("images") };
        let pixels = read("train-inputs.npy");
        let begin = pixels.len() - set.pixels.len();
        assert!(pixels[begin..] == set.pixels && begin % ALIGNMENT == 0);
        let shape = format!("'shape': ({},1,28,28,), }}", set.labels.len());
        assert!(String::from_utf8_lossy(&pixels[..begin]).trim_end().ends_with(&shape), "{:?}", String::from_utf8_lossy(&pixels[..begin]));
        assert!(read("parts.npy").ends_with(&[3, 0, 0, 0, 1, 0, 0, 0, 7, 0, 0, 0]));
        let ends: Vec<u8> = [2u64, 2, 3].iter().flat_map(|end| end.to_le_bytes()).collect();
        assert!(read("ends.npy").ends_with(&ends));
        let description: serde_json::Value = serde_json::from_slice(&read("arrays.json")).unwrap();
        assert_eq!((&description["kind"], &description["seed"]), (&json!("images"), &json!(9)));
        assert_eq!(description["client"], json!("clinic"));
        assert_eq!(description["data"], json!(hex::encode(training_digest(&dataset))));
    }
}

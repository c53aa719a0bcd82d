//! Loading a data set from local storage. This never uses the network: downloads are made by [`fetch`](crate::fetch), on request.

use std::path::{Path, PathBuf};

use fltk_core::{catalogue::SampleKind, experiment::DatasetConfig};

use crate::{
    dataset::{Dataset, Origin, Provenance},
    embedded,
    error::DataError,
    files::{self, Contents, Found, find, format_error, not_here},
    formats::{cifar, idx, text},
    own,
    samples::{ImageSet, Split},
    sources::{self, Format, Source, synthetic},
};

/// The places where data sets are searched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Locations {
    /// The folder into which [`fetch`](crate::fetch::fetch) puts files: `CACHE/NAME/FILE`. `None` if it is unknown, which is an error only
    /// if it is needed.
    pub cache: Option<PathBuf>,
    /// More folders. Each is tried as `FOLDER/NAME` and with the sub-folders that common tools make; for data sets whose file names are unique
    /// (all but MNIST and Fashion-MNIST), the folder itself is tried too.
    pub local: Vec<PathBuf>,
}

impl Locations {
    /// Returns the cache's folder of one data set.
    #[must_use]
    pub fn cache_of(&self, source: &Source) -> Option<PathBuf> {
        self.cache.as_ref().map(|cache| cache.join(source.name()))
    }

    /// Returns every place where `source` is searched, in order.
    fn candidates(&self, source: &Source) -> Vec<PathBuf> {
        let mut places: Vec<PathBuf> = self.cache_of(source).into_iter().collect();
        for folder in &self.local {
            places.push(folder.join(source.name()));
            places.extend(source.subfolders.iter().map(|sub| folder.join(sub)));
            if !matches!(source.format, Format::Idx { .. }) {
                places.push(folder.clone());
            }
        }
        places.extend(source.system_folders.iter().map(PathBuf::from));
        places
    }
}

/// Loads a data set: from `config.path` (relative to `base`, the experiment file's folder) if it is given, otherwise from the first place that has it among the
/// cache, the local folders and the system's own. An embedded data set needs none of them.
///
/// A copy whose digests are not the published ones is loaded too, if it is valid; its [`Provenance`] says so.
///
/// # Errors
/// [`DataError::Unknown`] if no data set has that name, [`DataError::Missing`] or [`DataError::NoCache`] if the data set is nowhere,
/// [`DataError::Absent`] and [`DataError::NotHere`] if `config.path` is missing or lacks it, [`DataError::Format`] if a file is truncated, too
/// large or otherwise invalid, [`DataError::OtherDataset`] if it is another data set; of data of one's own, [`DataError::Own`], [`DataError::NoPath`] or
/// [`DataError::UnknownFormat`].
pub fn load(config: &DatasetConfig, base: &Path, locations: &Locations) -> Result<Dataset, DataError> {
    if config.is_own() {
        return own::load(config, base);
    }
    let source = sources::find(config.name())?;
    if source.format == Format::Made {
        return made(config);
    }
    let found = match &config.path {
        Some(path) => {
            let path = base.join(path);
            match path.try_exists() {
                Ok(true) => {}
                Ok(false) => return Err(DataError::Absent { name: source.name(), path }),
                Err(error) => return Err(DataError::Io { path, source: error }),
            }
            find(source, &path).ok_or_else(|| not_here(source, &path))?
        }
        None if !source.embedded.is_empty() => return dataset(source, embedded::read(source)?),
        None => find_anywhere(source, locations)?,
    };
    let contents = files::read(source, &found)?;
    dataset(source, contents)
}

/// Returns a data set without samples: what is known in advance of one that clients have at their nodes. `None` if its shape or classes aren't known before it is read, or nobody has it
/// in files.
///
/// # Errors
/// [`DataError::Unknown`] if no data set has that name.
pub fn of_clients(name: &str) -> Result<Option<Dataset>, DataError> {
    let source = sources::find(name)?;
    let SampleKind::Images { channels, pixels, .. } = source.entry.gives else { return Ok(None) };
    if !source.entry.has_files {
        return Ok(None);
    }
    let shape = [channels as usize, pixels as usize, pixels as usize];
    let none = || Split::Images(ImageSet { pixels: Vec::new(), labels: Vec::new(), shape, clients: None });
    let class_names = source.class_names.iter().map(|&name| name.to_owned()).collect();
    let provenance = Provenance { origin: Origin::Clients, files: Vec::new(), normalization: None };
    Ok(Some(Dataset { preparation: source.preparation(), class_names, train: none(), test: none(), provenance }))
}

/// Returns the place from which [`load`] would take a data set without a `config.path`; `None` if it would have to be fetched first. Reads
/// no file.
#[must_use]
pub fn locate(source: &Source, locations: &Locations) -> Option<Origin> {
    if !source.embedded.is_empty() {
        return Some(Origin::Embedded);
    }
    if source.format == Format::Made {
        return Some(Origin::Made);
    }
    find_anywhere(source, locations).ok().map(|found| match found {
        Found::Folder { folder, .. } => Origin::Folder(folder),
        Found::Archive(path) => Origin::Archive(path),
    })
}

/// Returns the place from which [`load`] would take a data set without a `config.path`, with the digest of every file there; `None` if it
/// is nowhere.
///
/// # Errors
/// As [`load`], if a file can't be read or belongs to another data set. The content of a readable copy is not checked further.
pub fn inspect(source: &Source, locations: &Locations) -> Result<Option<Provenance>, DataError> {
    if !source.embedded.is_empty() {
        return Ok(Some(Provenance { origin: Origin::Embedded, files: Vec::new(), normalization: None }));
    }
    if source.format == Format::Made {
        return Ok(Some(Provenance { origin: Origin::Made, files: Vec::new(), normalization: None }));
    }
    let Ok(found) = find_anywhere(source, locations) else { return Ok(None) };
    let Contents { digests, origin, .. } = files::read(source, &found)?;
    Ok(Some(Provenance { origin, files: digests, normalization: None }))
}

fn find_anywhere(source: &Source, locations: &Locations) -> Result<Found, DataError> {
    let searched = locations.candidates(source);
    let found = searched.iter().find_map(|path| find(source, path));
    let missing = match locations.cache {
        Some(_) => DataError::Missing { name: source.name(), searched },
        None => DataError::NoCache { name: source.name() },
    };
    found.ok_or(missing)
}

/// Makes a data set that isn't read from files.
fn made(config: &DatasetConfig) -> Result<Dataset, DataError> {
    let name = synthetic::SOURCE.name();
    if let Some(path) = &config.path {
        return Err(DataError::NoFiles { name, path: path.clone() });
    }
    let settings = config.data.clone().settled(&synthetic::SOURCE.entry.entry);
    let settings = settings.map_err(|error| DataError::Settings { name, problem: error.to_string() })?;
    synthetic::make(&settings).ok_or_else(|| DataError::Settings { name, problem: "it would have 2^32 samples or more".to_owned() })
}

/// Turns the parts' bytes into arrays.
fn dataset(source: &'static Source, contents: Contents) -> Result<Dataset, DataError> {
    let Contents { parts, digests, origin } = contents;
    let provenance = Provenance { origin, files: digests, normalization: None };
    let (paths, mut bytes): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
    let num_classes = source.class_names.len();
    let class_names: Vec<String> = source.class_names.iter().map(|&name| name.to_owned()).collect();
    let split = match source.format {
        Format::Idx { side } => {
            let mut pair = |first: usize| {
                let images = std::mem::take(&mut bytes[first]);
                idx::image_set(images, &bytes[first + 1], side, num_classes)
                    .map(Split::Images)
                    .map_err(|(part, problem)| (first + part, problem))
            };
            pair(0).and_then(|train| Ok((train, pair(2)?, class_names)))
        }
        Format::Cifar { labels, train, .. } => {
            let test = bytes.split_off(train.len());
            cifar::image_set(bytes, labels, num_classes).and_then(|train_set| {
                let test = cifar::image_set(test, labels, num_classes).map_err(|(part, problem)| (train.len() + part, problem))?;
                Ok((Split::Images(train_set), Split::Images(test), class_names))
            })
        }
        Format::Text { .. } => text::read(&bytes[0])
            .map_err(|problem| (0, problem))
            .map(|play| (Split::Text(play.train), Split::Text(play.test), play.vocabulary)),
        Format::Made => unreachable!("it has no files"),
    };
    let (train, test, class_names) = split.map_err(|(part, problem)| format_error(source, &paths[part], problem))?;
    Ok(Dataset { preparation: source.preparation(), class_names, train, test, provenance })
}

//! The packages installed in a folder of Python packages, according to the metadata in wheels.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, ensure};

/// An installed package.
#[derive(Debug, PartialEq, Eq)]
pub struct Distribution {
    /// The name, as PyPI writes it.
    pub name: String,
    /// The version.
    pub version: String,
    /// The license, in the words of the authors.
    pub license: Option<String>,
    /// The files, relative to the folder of packages.
    pub files: Vec<PathBuf>,
    /// The folder with its metadata.
    pub folder: PathBuf,
}

/// True if packages are installed in `folder`.
pub fn is_packages(folder: &Path) -> bool {
    metadata_folders(folder).is_ok_and(|folders| !folders.is_empty())
}

/// Returns the packages in `folder`, sorted by name.
pub fn distributions(folder: &Path) -> anyhow::Result<Vec<Distribution>> {
    metadata_folders(folder)?.iter().map(|folder| distribution(folder)).collect()
}

fn metadata_folders(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("can't list `{}`", folder.display()))?;
    let mut folders = entries.map(|entry| Ok(entry?.path())).collect::<anyhow::Result<Vec<_>>>()?;
    folders.retain(|path| path.extension().is_some_and(|extension| extension == "dist-info"));
    folders.sort();
    Ok(folders)
}

fn distribution(folder: &Path) -> anyhow::Result<Distribution> {
    let file = folder.join("METADATA");
    let text = fs::read_to_string(&file).with_context(|| format!("can't read `{}`", file.display()))?;
    // The description follows after an empty line.
    let headers = || text.lines().take_while(|line| !line.is_empty());
    let header = |name: &str| {
        let value = headers().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).map(str::trim);
        value.filter(|value| !value.is_empty() && *value != "UNKNOWN").map(str::to_owned)
    };
    let (name, version) = (header("Name"), header("Version"));
    ensure!(name.is_some() && version.is_some(), "`{}` has no name or no version", file.display());
    let mut files = Vec::new();
    let record = folder.join("RECORD");
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .from_path(&record)
        .with_context(|| format!("can't read `{}`", record.display()))?;
    for row in reader.records() {
        files.extend(row.with_context(|| format!("can't read `{}`", record.display()))?.get(0).map(PathBuf::from));
    }
    Ok(Distribution {
        name: name.unwrap_or_default(),
        version: version.unwrap_or_default(),
        license: header("License-Expression").or_else(|| header("License")),
        files,
        folder: folder.to_path_buf(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_recognized_by_their_metadata() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!is_packages(folder.path()));
        let info = folder.path().join("a_b-1.0.dist-info");
        fs::create_dir(&info).unwrap();
        let metadata = "Metadata-Version: 2.4\nName: a-b\nVersion: 1.0\nLicense-Expression: MIT\n\nVersion: of the description\n";
        fs::write(info.join("METADATA"), metadata).unwrap();
        assert!(distributions(folder.path()).is_err(), "no RECORD");
        fs::write(info.join("RECORD"), "a_b/x.so,sha256=abc,12\n\"a_b/y,z.py\",,\n").unwrap();
        assert!(is_packages(folder.path()));
        let expected = Distribution {
            name: "a-b".into(),
            version: "1.0".into(),
            license: Some("MIT".into()),
            files: vec!["a_b/x.so".into(), "a_b/y,z.py".into()],
            folder: info.clone(),
        };
        assert_eq!(distributions(folder.path()).unwrap(), [expected]);
        fs::write(info.join("METADATA"), "Name: a-b\n\nVersion: 1\n").unwrap();
        assert!(distributions(folder.path()).unwrap_err().to_string().contains("no version"));
    }
}

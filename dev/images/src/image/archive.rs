//! Reading an image archive (docker-archive) back, to see the result as it is when loaded.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs::File,
    io::{BufReader, Read as _},
    path::Path,
};

use anyhow::{Context as _, ensure};
use serde::{Deserialize, Serialize};

use super::context::Layer;

/// The largest list at an archive's top level, in bytes; it names a handful of layers.
const MANIFEST_BYTES_MAX: u64 = 1 << 20;

/// The contents of an archive.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contents {
    /// The digest of the image's configuration, which names all layers: the same contents have the same digest.
    pub digest: String,
    /// The digest and size in bytes of each layer, uncompressed.
    pub layers: Vec<(String, u64)>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Manifest {
    config: String,
    layers: Vec<String>,
}

impl Contents {
    /// Returns the total bytes of all layers.
    pub fn size(&self) -> u64 {
        self.layers.iter().map(|(_, size)| size).sum()
    }

    /// Describes the contents for a person.
    pub fn describe(&self, name: &str) -> String {
        let mut text = format!("{name}  {:.1} MB  sha256:{}\n", self.size() as f64 / 1e6, self.digest);
        for (index, (digest, size)) in self.layers.iter().enumerate() {
            let layer = Layer::ALL.get(index).map_or("", |layer| layer.folder());
            // Writing to a string can't fail.
            let _ = writeln!(text, "  {layer:8} {:8.1} MB  sha256:{digest}", *size as f64 / 1e6);
        }
        text
    }
}

/// Reads the archive `path` of one image.
pub fn read(path: &Path) -> anyhow::Result<Contents> {
    contents(path).with_context(|| format!("`{}` is not an archive of an image", path.display()))
}

fn contents(path: &Path) -> anyhow::Result<Contents> {
    let mut archive = tar::Archive::new(BufReader::new(File::open(path)?));
    let (mut sizes, mut manifest) = (BTreeMap::new(), String::new());
    for entry in archive.entries_with_seek()? {
        let entry = entry?;
        let name = entry.path()?.to_string_lossy().into_owned();
        let size = entry.size();
        if name == "manifest.json" {
            entry.take(MANIFEST_BYTES_MAX).read_to_string(&mut manifest)?;
        }
        sizes.insert(name, size);
    }
    let manifests: Vec<Manifest> = serde_json::from_str(&manifest).context("its `manifest.json`")?;
    ensure!(manifests.len() == 1, "it holds {} images in place of one", manifests.len());
    let digest = |name: &str| name.split_once('.').map_or(name, |(digest, _)| digest).to_owned();
    let layer = |name: &String| Ok((digest(name), *sizes.get(name).with_context(|| format!("it has no `{name}`"))?));
    let layers = manifests[0].layers.iter().map(layer).collect::<anyhow::Result<_>>()?;
    Ok(Contents { digest: digest(&manifests[0].config), layers })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(files: &[(&str, &[u8])]) -> anyhow::Result<Contents> {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut builder = tar::Builder::new(file.reopen().unwrap());
        for (name, data) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(data.len() as u64);
            header.set_mode(0o644);
            builder.append_data(&mut header, name, *data).unwrap();
        }
        builder.finish().unwrap();
        read(file.path())
    }

    #[test]
    fn sizes_and_digests_are_read_from_an_archive() {
        let manifest = br#"[{"Config":"c0.json","RepoTags":["a:b"],"Layers":["aa.tar","bb.tar"]}]"#;
        let contents = archive(&[("aa.tar", &[0; 10]), ("bb.tar", &[0; 5]), ("manifest.json", manifest)]).unwrap();
        assert_eq!(contents, Contents { digest: "c0".into(), layers: vec![("aa".into(), 10), ("bb".into(), 5)] });
        assert_eq!(contents.size(), 15);
        let text = contents.describe("a:b");
        assert!(text.contains("a:b  0.0 MB  sha256:c0\n") && text.contains("  system ") && text.contains("sha256:bb"), "{text}");
    }

    #[test]
    fn invalid_archive_is_an_error() {
        let refused = |files: &[(&str, &[u8])], words: &str| {
            let error = format!("{:#}", archive(files).unwrap_err());
            assert!(error.contains(words), "{error}");
        };
        refused(&[], "its `manifest.json`");
        refused(&[("manifest.json", b"[]")], "0 images");
        refused(&[("manifest.json", br#"[{"Config":"c0.json","Layers":["aa.tar"]}]"#)], "no `aa.tar`");
    }
}

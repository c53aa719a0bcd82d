//! The components of an image, in CycloneDX format: crates, shared libraries, packages, data. The same image has the same document, without a time
//! and without a random serial number.

mod crates;
mod origin;

use std::{
    io::Read as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use cyclonedx_bom::models::{
    component::Classification,
    dependency::{Dependencies, Dependency},
    hash::{Hash, HashAlgorithm, HashValue, Hashes},
    license::{LicenseChoice, Licenses},
    property::{Properties, Property},
};
use cyclonedx_bom::prelude::{Bom, Component, Components, Metadata, NormalizedString, Purl, SpdxExpression, SpecVersion, Validate as _};
use sha2::{Digest as _, Sha256};

use self::origin::{Origin, Origins};
use super::{
    Kind,
    context::{Context, Layer},
    distributions::distributions,
    tensorboard,
};
use crate::checkout::Checkout;

const SPECIFICATION: SpecVersion = SpecVersion::V1_5;

/// The size of the pieces in which files are read: some libraries have half a gigabyte.
const PIECE_BYTES: usize = 1 << 20;

/// Returns the document for the files in `context`; `sources` maps files of the image to the files of this machine that they were copied
/// from.
pub fn of(checkout: &Checkout, context: &Context, kind: Kind, sources: &[(PathBuf, PathBuf)]) -> anyhow::Result<Vec<u8>> {
    let (mut components, mut dependencies) = (Vec::new(), Vec::new());
    let mut subject = Component::new(Classification::Container, kind.target(), env!("CARGO_PKG_VERSION"), Some("image".to_owned()));
    subject.licenses = licenses(env!("CARGO_PKG_LICENSE"));
    if let Some(package) = kind.package() {
        let crates = crates::of(checkout, package)?;
        dependencies.push(Dependency { dependency_ref: "image".to_owned(), dependencies: vec![crates.root] });
        components.extend(crates.components);
        dependencies.extend(crates.dependencies);
    }
    let mut origins = Origins::default();
    let mut sources = sources.to_vec();
    sources.sort();
    for (to, from) in &sources {
        let mut component = file(context, Layer::System, to, Classification::Library)?;
        describe(&mut component, origins.of(from)?);
        components.push(component);
    }
    for (layer, path) in context.files()? {
        match layer {
            Layer::Data => {
                let mut component = file(context, layer, &path, Classification::Data)?;
                describe(&mut component, origins.of(&path)?);
                components.push(component);
            }
            Layer::System if path.starts_with("/etc/ssl") => {
                let mut component = file(context, layer, &path, Classification::File)?;
                describe(&mut component, origins.package("ca-certificates")?);
                components.push(component);
            }
            Layer::System | Layer::Home | Layer::Program => {}
        }
    }
    if kind == Kind::Tensorboard {
        for package in tensorboard::debian_packages()? {
            let mut component = Component::new(Classification::Application, &package, "", Some(format!("deb:{package}")));
            describe(&mut component, origins.package(&package)?);
            components.push(component);
        }
        for distribution in distributions(&context.at(Layer::Program, tensorboard::PACKAGES))? {
            let reference = format!("pypi:{}", distribution.name);
            let mut component = Component::new(Classification::Library, &distribution.name, &distribution.version, Some(reference));
            component.licenses = distribution.license.as_deref().and_then(licenses);
            describe(&mut component, Origin::Wheel { name: distribution.name, version: distribution.version });
            components.push(component);
        }
    }
    document(subject, components, dependencies)
}

/// Returns the text of a document, which is checked against the specification.
fn document(subject: Component, components: Vec<Component>, dependencies: Vec<Dependency>) -> anyhow::Result<Vec<u8>> {
    let bom = Bom {
        version: 1,
        // Unless it is left out, this would be random and depend on the clock.
        serial_number: None,
        metadata: Some(Metadata { component: Some(subject), ..Metadata::default() }),
        components: Some(Components(components)),
        dependencies: Some(Dependencies(dependencies)),
        spec_version: SPECIFICATION,
        ..Bom::default()
    };
    let problems = bom.validate_version(SPECIFICATION);
    if problems.has_errors() {
        let problems: Vec<_> = problems.errors().collect();
        bail!("the list of what the image is made of is not CycloneDX: {problems:?}");
    }
    let mut text = Vec::new();
    bom.output_as_json(&mut text, SPECIFICATION).context("can't write the list of what the image is made of")?;
    text.push(b'\n');
    Ok(text)
}

/// Returns a file of the image, with its path and digest.
fn file(context: &Context, layer: Layer, path: &Path, classification: Classification) -> anyhow::Result<Component> {
    let from = context.at(layer, path);
    let mut open = std::fs::File::open(&from).with_context(|| format!("can't open `{}`", from.display()))?;
    let (mut digest, mut piece) = (Sha256::new(), vec![0; PIECE_BYTES]);
    loop {
        match open.read(&mut piece).with_context(|| format!("can't read `{}`", from.display()))? {
            0 => break,
            read => digest.update(&piece[..read]),
        }
    }
    let path = path.to_str().context("a file whose name is not UTF-8")?;
    let name = path.rsplit('/').next().unwrap_or(path);
    let mut component = Component::new(classification, name, "", Some(path.to_owned()));
    component.version = None;
    component.hashes = Some(sha256(&hex::encode(digest.finalize())));
    component.properties = Some(Properties(vec![Property::new("fltk:path", path)]));
    Ok(component)
}

/// Adds the origin to `component`.
fn describe(component: &mut Component, origin: Origin) {
    let version = match &origin {
        Origin::Debian { version, .. } | Origin::Wheel { version, .. } | Origin::Libtorch { version } => Some(version.as_str()),
        Origin::Unknown => None,
    };
    component.version = version.map(NormalizedString::new);
    component.purl = origin.purl().map(|purl| purl.parse::<Purl>().unwrap_or_else(|()| unreachable!("any text is taken")));
}

fn sha256(hex: &str) -> Hashes {
    Hashes(vec![Hash { alg: HashAlgorithm::SHA_256, content: HashValue(hex.to_owned()) }])
}

/// Returns an SPDX expression if the text is one.
fn licenses(text: &str) -> Option<Licenses> {
    let text = text.trim();
    let choice = match SpdxExpression::parse_lax(text.to_owned()) {
        _ if text.is_empty() => return None,
        Ok(expression) => LicenseChoice::Expression(expression),
        Err(_) => LicenseChoice::license(text),
    };
    Some(Licenses(vec![choice]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn document_is_read_back_without_time_and_serial_number() {
        let folder = tempfile::tempdir().unwrap();
        let context = Context::new(folder.path(), "").unwrap();
        context.write(Layer::Data, "/var/lib/fltk/data/a b/c", b"").unwrap();
        let mut data = file(&context, Layer::Data, Path::new("/var/lib/fltk/data/a b/c"), Classification::Data).unwrap();
        let system = origin::System { id: "debian".into(), release: "12".into() };
        describe(&mut data, Origin::Debian { package: "c++".into(), version: "1:2~3".into(), architecture: "all".into(), system });
        let subject = Component::new(Classification::Container, "training", "0.1.0", Some("image".into()));
        let make = || document(subject.clone(), vec![data.clone()], vec![]).unwrap();
        let text = make();
        assert_eq!(text, make());
        let read = Bom::parse_from_json(text.as_slice()).unwrap();
        assert!(read.validate_version(SPECIFICATION).passed());
        assert!(read.serial_number.is_none() && read.metadata.unwrap().timestamp.is_none());
        let component = read.components.unwrap().0.remove(0);
        assert_eq!(component.purl.unwrap().as_ref(), "pkg:deb/debian/c%2B%2B@1:2~3?arch=all&distro=debian-12");
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(component.hashes.unwrap().0[0].content.0, empty);
    }

    #[test]
    fn fields_outside_the_specification_are_refused() {
        let mut subject = Component::new(Classification::Container, "training", "0.1.0", None);
        subject.purl = Some("training".parse().unwrap());
        assert!(document(subject, vec![], vec![]).unwrap_err().to_string().contains("not CycloneDX"));
    }

    #[test]
    fn licenses_are_expressions_where_possible() {
        let check = |text: &str, expression: Option<&str>| match licenses(text).unwrap().0.remove(0) {
            LicenseChoice::Expression(found) => assert_eq!(Some(found.to_string().as_str()), expression),
            LicenseChoice::License(_) => assert_eq!(expression, None),
        };
        check("MIT/Apache-2.0", Some("MIT OR Apache-2.0"));
        check("(MIT OR Apache-2.0) AND Unicode-3.0", Some("(MIT OR Apache-2.0) AND Unicode-3.0"));
        check("Apache 2.0 license", None);
        assert!(licenses(" ").is_none());
    }
}

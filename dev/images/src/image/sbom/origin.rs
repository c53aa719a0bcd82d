//! The origin of a file of this machine: a Debian package, or a Python wheel.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::Context as _;

use crate::{
    image::distributions::{distributions, is_packages},
    setup::libtorch,
    sh,
};

/// The origin of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A package of Debian, or of a system derived from it.
    Debian {
        /// The name.
        package: String,
        /// The version.
        version: String,
        /// The architecture.
        architecture: String,
        /// The system.
        system: System,
    },
    /// A wheel from PyPI.
    Wheel {
        /// The name.
        name: String,
        /// The version.
        version: String,
    },
    /// A libtorch that the user downloaded.
    Libtorch {
        /// The version.
        version: String,
    },
    /// Unknown.
    Unknown,
}

/// A system with packages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct System {
    /// The name that it gives itself: `debian`, `ubuntu`.
    pub id: String,
    /// The release, such as `12`; empty if it has none.
    pub release: String,
}

impl System {
    /// Reads the system from `text`, the content of an `os-release` file.
    fn of(text: &str) -> Self {
        let value = |key: &str| {
            text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('=')).map(|value| value.trim_matches('"').to_owned())
        };
        Self { id: value("ID").unwrap_or_else(|| "debian".to_owned()), release: value("VERSION_ID").unwrap_or_default() }
    }

    /// Returns the system of this machine.
    fn here() -> Self {
        Self::of(&std::fs::read_to_string("/etc/os-release").unwrap_or_default())
    }
}

impl Origin {
    /// Returns the package URL.
    pub fn purl(&self) -> Option<String> {
        match self {
            Self::Debian { package, version, architecture, system: System { id, release } } => {
                let distro = if release.is_empty() { String::new() } else { format!("&distro={id}-{release}") };
                Some(format!("pkg:deb/{id}/{}@{}?arch={architecture}{distro}", escaped(package), escaped(version)))
            }
            Self::Wheel { name, version } => Some(format!("pkg:pypi/{}@{}", normal(name), escaped(version))),
            Self::Libtorch { version } => Some(format!("pkg:generic/libtorch@{}", escaped(version))),
            Self::Unknown => None,
        }
    }
}

/// Returns a project's name in the form that PyPI compares and package URLs use: `typing_extensions` is `typing-extensions`.
fn normal(name: &str) -> String {
    let words: Vec<&str> = name.split(['-', '_', '.']).filter(|word| !word.is_empty()).collect();
    words.join("-").to_lowercase()
}

/// Escapes plus signs, the only character in names and versions of packages that a package URL can't contain.
fn escaped(text: &str) -> String {
    text.replace('+', "%2B")
}

/// A cache of earlier answers.
#[derive(Default)]
pub struct Origins {
    /// For each folder of Python packages, the files, relative to it, with their origins.
    wheels: BTreeMap<PathBuf, BTreeMap<PathBuf, Origin>>,
    packages: BTreeMap<String, Origin>,
}

impl Origins {
    /// Returns the origin of `file`.
    pub fn of(&mut self, file: &Path) -> anyhow::Result<Origin> {
        let real = file.canonicalize().unwrap_or_else(|_| file.to_path_buf());
        if let Some(origin) = self.of_wheel(&real)? {
            return Ok(origin);
        }
        if let Some(folder) = real.parent().and_then(Path::parent)
            && let Ok(version) = std::fs::read_to_string(folder.join(libtorch::BUILD_VERSION))
        {
            return Ok(Origin::Libtorch { version: version.trim().to_owned() });
        }
        for path in [file.to_path_buf(), real.clone(), merged(file), merged(&real)] {
            if let Some(package) = package_of(&path) {
                return self.package(&package);
            }
        }
        Ok(Origin::Unknown)
    }

    /// Returns the origin of an installed Debian package.
    pub fn package(&mut self, package: &str) -> anyhow::Result<Origin> {
        if let Some(known) = self.packages.get(package) {
            return Ok(known.clone());
        }
        let mut command = Command::new("dpkg-query");
        command
            .args(["--show", "--showformat", "${Package} ${Version} ${Architecture}\n", package])
            .stdin(Stdio::null())
            .stderr(Stdio::null());
        let origin = match sh::quiet_output(&mut command, sh::LOOKUP_LIMIT) {
            Ok(answer) => {
                let mut words = answer.split_whitespace().map(str::to_owned);
                let mut next = || words.next().with_context(|| format!("dpkg says `{answer}` of `{package}`"));
                Origin::Debian { package: next()?, version: next()?, architecture: next()?, system: System::here() }
            }
            // This is another system.
            Err(_) => Origin::Unknown,
        };
        self.packages.insert(package.to_owned(), origin.clone());
        Ok(origin)
    }

    fn of_wheel(&mut self, file: &Path) -> anyhow::Result<Option<Origin>> {
        for folder in file.ancestors().skip(1).filter(|folder| is_packages(folder)) {
            if !self.wheels.contains_key(folder) {
                let mut files = BTreeMap::new();
                for distribution in distributions(folder)? {
                    let origin = Origin::Wheel { name: distribution.name, version: distribution.version };
                    files.extend(distribution.files.into_iter().map(|file| (file, origin.clone())));
                }
                self.wheels.insert(folder.to_path_buf(), files);
            }
            if let Some(origin) = self.wheels[folder].get(file.strip_prefix(folder)?) {
                return Ok(Some(origin.clone()));
            }
        }
        Ok(None)
    }
}

/// Returns the other path of the same file, if `/lib` is a link to `/usr/lib`.
fn merged(path: &Path) -> PathBuf {
    path.strip_prefix("/usr")
        .map_or_else(|_| Path::new("/usr").join(path.strip_prefix("/").unwrap_or(path)), |rest| Path::new("/").join(rest))
}

/// Returns the package that installed `path`.
fn package_of(path: &Path) -> Option<String> {
    let mut command = Command::new("dpkg-query");
    command.arg("--search").arg(path).stdin(Stdio::null()).stderr(Stdio::null());
    let answer = sh::quiet_output(&mut command, sh::LOOKUP_LIMIT).ok()?;
    // The format is `libc6:amd64: /lib/x86_64-linux-gnu/libc.so.6`; of several packages, the first is taken.
    let (packages, _) = answer.lines().find(|line| !line.starts_with("diversion by "))?.split_once(": ")?;
    Some(packages.split(", ").next()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_wheels_are_recognized_by_the_record() {
        let folder = tempfile::tempdir().unwrap();
        let packages = folder.path().canonicalize().unwrap();
        std::fs::create_dir_all(packages.join("torch/lib")).unwrap();
        std::fs::create_dir_all(packages.join("torch-2.13.0.dist-info")).unwrap();
        std::fs::write(packages.join("torch-2.13.0.dist-info/RECORD"), "torch/lib/a.so,sha256=x,1\n\"torch/b,c.py\",,\n").unwrap();
        std::fs::write(
            packages.join("torch-2.13.0.dist-info/METADATA"),
            "Metadata-Version: 2.4\nName: torch\nVersion: 2.13.0\n\nName: no\n",
        )
        .unwrap();
        for file in ["a.so", "b.so"] {
            std::fs::write(packages.join("torch/lib").join(file), "").unwrap();
        }
        let mut origins = Origins::default();
        let torch = Origin::Wheel { name: "torch".into(), version: "2.13.0".into() };
        assert_eq!(torch.purl().unwrap(), "pkg:pypi/torch@2.13.0");
        let other = Origin::Wheel { name: "Typing__Extensions".into(), version: "4.15.0+a".into() };
        assert_eq!(other.purl().unwrap(), "pkg:pypi/typing-extensions@4.15.0%2Ba");
        assert_eq!(origins.of(&packages.join("torch/lib/a.so")).unwrap(), torch);
        assert_eq!(origins.of(&packages.join("torch/lib/b.so")).unwrap(), Origin::Unknown);
    }

    #[test]
    fn packages_belong_to_a_system() {
        let check = |os_release: &str, purl: &str| {
            let (package, version, architecture) = ("libstdc++6".to_owned(), "12.2.0-14".to_owned(), "amd64".to_owned());
            let origin = Origin::Debian { package, version, architecture, system: System::of(os_release) };
            assert_eq!(origin.purl().unwrap(), purl);
        };
        check("NAME=\"Debian\"\nVERSION_ID=\"12\"\nID=debian\n", "pkg:deb/debian/libstdc%2B%2B6@12.2.0-14?arch=amd64&distro=debian-12");
        check("ID=ubuntu\nVERSION_ID=\"24.04\"\n", "pkg:deb/ubuntu/libstdc%2B%2B6@12.2.0-14?arch=amd64&distro=ubuntu-24.04");
        check("", "pkg:deb/debian/libstdc%2B%2B6@12.2.0-14?arch=amd64");
    }

    #[test]
    fn system_libraries_belong_to_packages() {
        if !sh::is_there("dpkg-query") {
            eprintln!("skipped: this is not Debian");
            return;
        }
        let loader = super::super::super::libraries::of(&std::env::current_exe().unwrap(), &[]).unwrap().loader.unwrap();
        let Origin::Debian { package, version, .. } = Origins::default().of(&loader).unwrap() else { panic!("{}", loader.display()) };
        assert!(package == "libc6" && !version.is_empty());
    }
}

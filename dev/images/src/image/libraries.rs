//! The shared libraries with which a program starts, as the dynamic loader finds them on this machine.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, bail};

use crate::sh;

/// A library of NVIDIA's driver, which belongs to the machine with the GPU and is put into containers there.
pub const DRIVER: &str = "libcuda.so.1";

/// The libraries that a program is linked with.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Linked {
    /// The dynamic loader that the program asks for; `None` if it needs none.
    pub loader: Option<PathBuf>,
    /// All libraries, including those of libraries: the name by which each is requested, and its file.
    pub libraries: Vec<(String, PathBuf)>,
}

/// Asks the loader which libraries `program`, or a library, is linked with, if it looks in `folders` first. `Err` if something isn't found.
pub fn of(program: &Path, folders: &[PathBuf]) -> anyhow::Result<Linked> {
    let path = std::env::join_paths(folders).context("a folder of libraries whose name has a colon")?;
    let listing = sh::quiet_output(Command::new("ldd").arg(program).env("LD_LIBRARY_PATH", path), sh::LOOKUP_LIMIT)?;
    parse(&listing).with_context(|| format!("can't tell the libraries of `{}`", program.display()))
}

fn parse(listing: &str) -> anyhow::Result<Linked> {
    let mut linked = Linked::default();
    for line in listing.lines().map(str::trim).filter(|line| !line.is_empty()) {
        // The rest of the line is the address at which the library was loaded.
        let entry = line.rsplit_once(" (0x").map_or(line, |(entry, _)| entry);
        match entry.split_once(" => ") {
            Some((DRIVER, "not found")) => {}
            Some((name, "not found")) => bail!("`{name}` is not found"),
            Some((name, path)) if !name.contains('/') => linked.libraries.push((name.to_owned(), path.into())),
            None if is_loader(entry) => linked.loader = Some(entry.into()),
            // This is a part of the kernel.
            None if entry.starts_with("linux-vdso") || entry == "statically linked" => {}
            _ => bail!("ldd says `{line}`"),
        }
    }
    Ok(linked)
}

fn is_loader(entry: &str) -> bool {
    entry.starts_with('/') && entry.rsplit('/').next().is_some_and(|name| name.starts_with("ld-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listing_has_the_loader_and_libraries_by_their_requested_names() {
        let listing = "\tlinux-vdso.so.1 (0x00007ffd5a5f2000)
\tlibtorch_cpu.so => /opt/libtorch/lib/libtorch_cpu.so (0x00007f35d8c00000)
\tlibgomp.so.1 => /opt/libtorch/lib/libgomp-a34b3233.so.1 (0x00007f35d8a00000)
\t/lib64/ld-linux-x86-64.so.2 (0x00007f35f0c4d000)
";
        let library = |name: &str, path: &str| (name.to_owned(), PathBuf::from(path));
        let expected = Linked {
            loader: Some("/lib64/ld-linux-x86-64.so.2".into()),
            libraries: vec![
                library("libtorch_cpu.so", "/opt/libtorch/lib/libtorch_cpu.so"),
                library("libgomp.so.1", "/opt/libtorch/lib/libgomp-a34b3233.so.1"),
            ],
        };
        assert_eq!(parse(listing).unwrap(), expected);
        assert_eq!(parse("\tstatically linked\n").unwrap(), Linked::default());
    }

    #[test]
    fn missing_libraries_and_unknown_lines_are_errors() {
        let refused = |listing: &str, words: &str| assert!(parse(listing).unwrap_err().to_string().contains(words));
        assert_eq!(parse("\tlibcuda.so.1 => not found\n").unwrap(), Linked::default());
        refused("\tlibcudart.so.13 => not found\n", "`libcudart.so.13` is not found");
        refused("\t/opt/somewhere/libx.so (0x00007f35f0c4d000)\n", "libx.so");
    }
}

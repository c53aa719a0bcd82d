//! The image `cuda` on a machine without a GPU: all of its libraries are found, and the program trains with them to the same bits as without. The test
//! doesn't show whether the image works on a GPU.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, ensure};

use super::podman::Podman;
use crate::{
    checkout::Checkout,
    demo,
    image::{self, Buildah, DRIVER, Inputs, Kind, LIBRARIES, Layer, TORCH, cuda::LOADED_LATER},
    outcome::Outcome,
    result::RunResult,
    sh,
};

/// The time limit of one round, which takes two seconds.
const RUN_LIMIT: Duration = Duration::from_secs(5 * 60);

/// The arguments for one round of the demo.
const ONE_ROUND: [&str; 5] = ["--quiet", "--set", "tasks.0.federated.rounds=1", "--output", "json"];

/// Builds the image without its libraries, which are mounted in their place. As a layer, 3.5 GB would be copied into buildah's store, the archive and
/// podman's store, which takes buildah two minutes on two busy cores, and would show nothing that the layers of the other images don't.
pub fn run(checkout: &Checkout, program: &Path) -> anyhow::Result<Outcome> {
    let work = tempfile::tempdir_in(&checkout.target)?;
    let data = work.path().join("data");
    fs::create_dir(&data)?;
    fs::write(data.join("own.txt"), "of one's own")?;
    let context = image::stage(checkout, Kind::Cuda, Inputs { program: Some(program), data: Some(&data) }, work.path())?;
    let size = context.size()?;
    let (libraries, archive) = (work.path().join("libraries"), work.path().join("cuda.tar"));
    fs::rename(context.at(Layer::System, LIBRARIES), &libraries)?;
    let buildah = Buildah::new(work.path())?;
    buildah.build(context.folder(), Kind::Cuda.target(), Kind::Cuda.name())?;
    buildah.write(Kind::Cuda.name(), &archive)?;
    let podman = Podman::load(work.path(), Kind::Cuda, &archive)?;
    let libraries = Libraries { podman: &podman, volume: format!("{}:{LIBRARIES}:ro", libraries.display()), names: names(&libraries)? };
    libraries.are_found()?;
    let version = libraries.run(&[], &["--version"])?;
    ensure!(version.starts_with("fltk "), "the program says `{version}`");
    let experiment = checkout.root.join(demo::EXPERIMENT);
    let volume = format!("{}:/experiment.yaml:ro", experiment.display());
    let arguments = [&["run", "/experiment.yaml", "--runs", "/tmp/runs"], &ONE_ROUND[..]].concat();
    let inside = RunResult::parse(&libraries.run(&["--volume", &volume], &arguments)?)?;
    let mut outside = Command::new(program);
    outside.arg("run").arg(&experiment).args(ONE_ROUND).arg("--runs").arg(work.path().join("runs")).stdin(Stdio::null());
    let outside = RunResult::parse(&sh::quiet_output(&mut outside, RUN_LIMIT)?)?;
    ensure!(inside == outside, "with CUDA's libraries a round ends otherwise: {inside:?} and {outside:?}");
    Ok(Outcome::Passed(format!("{:.0} MB, {} libraries; untested on a GPU", size as f64 / 1e6, libraries.names.len())))
}

/// The libraries that are mounted at [`LIBRARIES`].
struct Libraries<'a> {
    podman: &'a Podman,
    volume: String,
    names: Vec<String>,
}

impl Libraries<'_> {
    fn run(&self, options: &[&str], arguments: &[&str]) -> anyhow::Result<String> {
        self.podman.run_with(&[&["--volume", &self.volume], options].concat(), arguments)
    }

    /// Asks the loader of the image, which lists what it would load instead of starting the program (ld.so(8)).
    fn are_found(&self) -> anyhow::Result<()> {
        const LIST: [&str; 4] = ["--entrypoint", TORCH, "--env", "LD_TRACE_LOADED_OBJECTS=1"];
        let needed = self.run(&LIST, &[])?;
        let cuda = format!("libtorch_cuda.so => {LIBRARIES}/libtorch_cuda.so ");
        ensure!(needed.contains(&cuda), "the program starts without CUDA's part of libtorch:\n{needed}");
        // This includes the libraries that are loaded later, with their dependencies.
        for beginning in LOADED_LATER {
            ensure!(self.names.iter().any(|name| name.starts_with(beginning)), "there is no `{beginning}*`");
        }
        let all: Vec<_> = self.names.iter().map(|name| format!("{LIBRARIES}/{name}")).collect();
        let all = self.run(&[&LIST[..], &["--env", &format!("LD_PRELOAD={}", all.join(":"))]].concat(), &[])?;
        for name in &self.names {
            ensure!(all.contains(&format!("{LIBRARIES}/{name} ")), "`{name}` is not loaded:\n{all}");
        }
        for listing in [&needed, &all] {
            let strange = not_of_the_image(listing);
            ensure!(strange.is_empty(), "not libraries of the image: {strange:?}");
        }
        Ok(())
    }
}

fn names(folder: &Path) -> anyhow::Result<Vec<String>> {
    let name = |entry: std::io::Result<fs::DirEntry>| entry?.file_name().into_string().ok().context("a library whose name is not UTF-8");
    let mut names = fs::read_dir(folder)?.map(name).collect::<anyhow::Result<Vec<_>>>()?;
    names.sort();
    Ok(names)
}

/// Returns the entries in a loader's list other than files in [`LIBRARIES`], the loader itself and libraries of a machine with a GPU.
fn not_of_the_image(listing: &str) -> Vec<&str> {
    let is_of_the_image = |line: &str| {
        let file = line.rsplit(" => ").next().unwrap_or(line);
        let is_loader = file.rsplit('/').next().is_some_and(|name| name.starts_with("ld-"));
        Path::new(file).starts_with(LIBRARIES) || is_loader || line.starts_with("linux-vdso") || line == format!("{DRIVER} => not found")
    };
    listing.lines().map(str::trim).filter(|line| !is_of_the_image(line)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_and_misplaced_libraries_are_found() {
        let listing = "\tlinux-vdso.so.1 (0x00007fce7497d000)
\t/usr/local/lib/fltk/libc10.so (0x00007fce7464d000)
\tlibz.so.1 => /usr/local/lib/fltk/libz.so.1 (0x00007fce7464e000)
\tlibcuda.so.1 => not found
\t/lib64/ld-linux-x86-64.so.2 (0x00007fce7497f000)
";
        assert!(not_of_the_image(listing).is_empty());
        let elsewhere =
            ["libcudart.so.13 => not found", "libz.so.1 => /lib/libz.so.1 (0x00007fce7464e000)", "/usr/local/lib/fltkx/a.so (0x0)"];
        for line in elsewhere {
            assert_eq!(not_of_the_image(&format!("{listing}\t{line}\n")), [line]);
        }
    }
}

//! The needed parts of PyTorch's wheels, and taking them out of the wheels or of an installed copy.

use std::{
    fs,
    io::{self, Read as _},
    path::{Component, Path, PathBuf},
};

use anyhow::{Context as _, bail};

/// The limit on unpacked bytes: several times the content of the wheels (0.5 GB), so that a damaged archive can't fill the disk.
const UNPACKED_MAX: u64 = 4 << 30;

/// Unpacks the headers and needed libraries of every wheel in `wheels` into `folder`.
pub fn unpack(wheels: &Path, folder: &Path) -> anyhow::Result<()> {
    let mut left = UNPACKED_MAX;
    for entry in fs::read_dir(wheels)? {
        let path = entry?.path();
        unpack_one(&path, folder, &mut left).with_context(|| format!("can't unpack `{}`", path.display()))?;
    }
    Ok(())
}

fn unpack_one(wheel: &Path, folder: &Path, left: &mut u64) -> anyhow::Result<()> {
    let mut archive = zip::ZipArchive::new(io::BufReader::new(fs::File::open(wheel)?))?;
    for index in 0..archive.len() {
        let mut file = archive.by_index(index)?;
        let place = if file.is_file() { place(&file.name()?) } else { None };
        let Some(place) = place else { continue };
        let path = folder.join(place);
        fs::create_dir_all(path.parent().context("a file without a folder")?)?;
        // One byte more than allowed distinguishes too much from just enough.
        let written = io::copy(&mut (&mut file).take(*left + 1), &mut fs::File::create(&path)?)?;
        *left = left.checked_sub(written).with_context(|| format!("it holds more than {UNPACKED_MAX} bytes"))?;
    }
    Ok(())
}

/// Returns the destination of the file `name` in a wheel; `None` if it isn't needed.
fn place(name: &str) -> Option<PathBuf> {
    let path = Path::new(name);
    if !path.components().all(|part| matches!(part, Component::Normal(_))) {
        return None;
    }
    if let Ok(header) = path.strip_prefix("torch/include") {
        return Some(Path::new("include").join(header));
    }
    is_needed(path).then(|| Path::new("lib").join(path.file_name().unwrap_or_default()))
}

/// True if `path`, relative to the folder of packages, is a library that libtorch's CPU part needs.
///
/// That is everything in `torch/lib` except the parts for GPUs or for Python: on aarch64, this includes BLAS and Arm's kernels. From CUDA,
/// it is the two libraries that the profiler needs. CPU-only wheels keep their bundled libraries in `torch.libs`.
fn is_needed(path: &Path) -> bool {
    let (Some(folder), Some(name)) = (path.parent().and_then(Path::to_str), path.file_name().and_then(|name| name.to_str())) else {
        return false;
    };
    if !name.ends_with(".so") && !name.contains(".so.") {
        return false;
    }
    match folder {
        "torch/lib" => {
            let elsewhere = ["cuda", "nvshmem", "nvrtc", "python", "libshm", "global_deps"];
            name != "libtorch.so" && !elsewhere.iter().any(|part| name.contains(part))
        }
        "torch.libs" => true,
        _ => folder.starts_with("nvidia/") && (name.starts_with("libcudart.so.") || name.starts_with("libcupti.so.")),
    }
}

/// Returns the needed libraries of a torch installed in `packages`.
pub fn libraries_in(packages: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut folders = vec![packages.join("torch/lib"), packages.join("torch.libs")];
    if let Ok(vendors) = fs::read_dir(packages.join("nvidia")) {
        for vendor in vendors {
            folders.push(vendor?.path().join("lib"));
        }
    }
    let mut found = Vec::new();
    for folder in folders.iter().filter(|folder| folder.is_dir()) {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.strip_prefix(packages).is_ok_and(is_needed) {
                found.push(path);
            }
        }
    }
    found.sort();
    if found.is_empty() {
        bail!("there are no libraries in `{}`", packages.join("torch/lib").display());
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn only_needed_files_are_placed() {
        let check = |name: &str, expected: Option<&str>| assert_eq!(place(name), expected.map(PathBuf::from), "{name}");
        check("torch/include/ATen/ATen.h", Some("include/ATen/ATen.h"));
        // These are from the x86-64 wheel.
        check("torch/lib/libtorch_cpu.so", Some("lib/libtorch_cpu.so"));
        check("torch/lib/libc10.so", Some("lib/libc10.so"));
        check("torch/lib/libgomp.so.1", Some("lib/libgomp.so.1"));
        for name in ["libc10_cuda.so", "libcaffe2_nvrtc.so", "libshm.so", "libtorch.so", "libtorch_cuda.so", "libtorch_nvshmem.so"] {
            check(&format!("torch/lib/{name}"), None);
        }
        check("torch/lib/libtorch_python.so", None);
        check("torch/lib/libtorch_global_deps.so", None);
        check("torch/_C.cpython-311-x86_64-linux-gnu.so", None);
        check("nvidia/cu13/lib/libcudart.so.13", Some("lib/libcudart.so.13"));
        check("nvidia/cu13/lib/libcupti.so.13", Some("lib/libcupti.so.13"));
        check("nvidia/cu13/lib/libnvperf_host.so", None);
        // These are from the aarch64 wheel.
        check("torch/lib/libarm_compute_graph.so", Some("lib/libarm_compute_graph.so"));
        check("torch/lib/libnvpl_blas_lp64_gomp.so.0", Some("lib/libnvpl_blas_lp64_gomp.so.0"));
        // This is from a CPU-only wheel.
        check("torch.libs/libopenblas-1a2b3c.so.0", Some("lib/libopenblas-1a2b3c.so.0"));
        // These are hostile.
        check("torch/include/../../../etc/passwd", None);
        check("/torch/lib/libc10.so", None);
        check("", None);
    }

    #[test]
    fn wheel_is_unpacked_unless_too_large() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("torch.whl");
        let mut wheel = zip::ZipWriter::new(fs::File::create(&path).unwrap());
        for name in ["torch/lib/libc10.so", "torch/lib/libtorch_cuda.so", "torch/include/torch/script.h"] {
            wheel.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
            wheel.write_all(name.as_bytes()).unwrap();
        }
        wheel.finish().unwrap();
        let out = folder.path().join("out");
        unpack_one(&path, &out, &mut 1000).unwrap();
        assert_eq!(fs::read_to_string(out.join("lib/libc10.so")).unwrap(), "torch/lib/libc10.so");
        assert!(out.join("include/torch/script.h").exists());
        assert!(!out.join("lib/libtorch_cuda.so").exists());
        assert!(unpack_one(&path, &out, &mut 20).unwrap_err().to_string().contains("more than"));
    }
}

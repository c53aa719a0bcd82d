//! libtorch's CUDA part and NVIDIA's libraries, from the PyTorch in the tests' environment. **Nobody has run the image on a GPU.** The
//! tests show that the program starts with them, and works without a GPU.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};

use crate::{
    checkout::Checkout,
    setup::{libtorch, python},
};

/// The library that registers CUDA with libtorch when it is loaded. The program calls none of its functions, so linkers leave it out.
pub const NEEDED: [&str; 1] = ["libtorch_cuda.so"];

/// The prefixes of libraries that others load on first use, so that no list of linked libraries contains them: linear algebra, compiling kernels,
/// and the parts of cuDNN.
pub const LOADED_LATER: [&str; 4] = ["libtorch_cuda_linalg.so", "libcaffe2_nvrtc.so", "libnvrtc-builtins.so.", "libcudnn_"];

/// The places of the libraries.
pub struct Cuda {
    /// The folders that contain them.
    pub folders: Vec<PathBuf>,
    /// The libraries that nothing is linked with.
    pub loaded_later: Vec<PathBuf>,
}

/// Finds the libraries; installs PyTorch in the cache, if it isn't there.
pub fn find(checkout: &Checkout) -> anyhow::Result<Cuda> {
    let python = python::ensure(checkout)?;
    let packages =
        libtorch::installed_torch(&python).with_context(|| format!("`{}` has no PyTorch {}", python.display(), libtorch::VERSION))?;
    in_packages(&packages)
}

fn in_packages(packages: &Path) -> anyhow::Result<Cuda> {
    let mut folders = vec![packages.join("torch/lib")];
    for vendor in fs::read_dir(packages.join("nvidia")).context("this PyTorch is for the CPU alone: it has no CUDA")? {
        folders.push(vendor?.path().join("lib"));
    }
    folders.retain(|folder| folder.is_dir());
    folders[1..].sort();
    let mut loaded_later = Vec::new();
    for folder in &folders {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if LOADED_LATER.iter().any(|beginning| name.starts_with(beginning)) {
                loaded_later.push(path);
            }
        }
    }
    loaded_later.sort();
    for wanted in LOADED_LATER {
        if !loaded_later.iter().any(|path| path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(wanted))) {
            bail!("there is no `{wanted}*` below `{}`: this PyTorch is laid out otherwise", packages.display());
        }
    }
    Ok(Cuda { folders, loaded_later })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dynamically_loaded_libraries_are_found_or_reported_missing() {
        let packages = tempfile::tempdir().unwrap();
        let packages = packages.path();
        assert!(in_packages(packages).is_err_and(|error| error.to_string().contains("for the CPU alone")));
        let files = [
            "torch/lib/libtorch_cuda.so",
            "torch/lib/libtorch_cuda_linalg.so",
            "torch/lib/libcaffe2_nvrtc.so",
            "nvidia/cu13/lib/libnvrtc-builtins.so.13.0",
            "nvidia/cu13/lib/libnvrtc.so.13",
            "nvidia/cudnn/lib/libcudnn_ops.so.9",
        ];
        for file in files {
            assert!(in_packages(packages).is_err(), "{file}");
            let path = packages.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let cuda = in_packages(packages).unwrap();
        assert_eq!(cuda.folders, ["torch/lib", "nvidia/cu13/lib", "nvidia/cudnn/lib"].map(|folder| packages.join(folder)));
        assert_eq!(cuda.loaded_later.len(), 4);
    }
}

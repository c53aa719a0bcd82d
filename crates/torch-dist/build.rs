//! Compiles the C++ shim against libtorch's headers, and makes this package's tests and examples find libtorch at run time.

use std::{
    env,
    path::{Path, PathBuf},
};

fn main() {
    println!("cargo::rerun-if-changed=shim");
    let Some(folder) = libtorch_build::find_and_link() else { return };
    let mut shim = cc::Build::new();
    shim.cpp(true)
        .std("c++20")
        .flag("-Wno-unused-parameter")
        // GCC 12 and 13 see overlapping copies in std::string where there are none (GCC bug 105651).
        .flag_if_supported("-Wno-restrict")
        .define("USE_DISTRIBUTED", None)
        .define("USE_C10D_GLOO", None)
        // libtorch ships without gloo's own headers: these declarations stand in for them.
        .include("shim")
        // These are included as system headers, so that warnings are limited to our own code.
        .flag(format!("-isystem{}", folder.join("include").display()))
        .flag(format!("-isystem{}", folder.join("include/torch/csrc/api/include").display()))
        // The shim only calls libtorch: a higher level would take longer to compile and make nothing faster.
        .opt_level(1)
        .file("shim/all.cpp");
    if env::var_os("CARGO_FEATURE_NCCL").is_some() {
        match cuda_includes() {
            Ok(includes) => add_nccl(&mut shim, &includes, &folder),
            Err(problem) => {
                println!("cargo::error={problem}");
                return;
            }
        }
    }
    // Clippy links nothing. With NCCL, it is the only check that works without a GPU.
    let is_clippy = env::var_os("RUSTC_WORKSPACE_WRAPPER").is_some_and(|wrapper| wrapper.to_string_lossy().contains("clippy"));
    if !is_clippy || env::var_os("CARGO_FEATURE_NCCL").is_some() {
        shim.compile("torch_dist_shim");
    }
    println!("cargo::rustc-link-search=native={}", folder.join("lib").display());
    println!("cargo::rustc-link-lib=torch_cpu");
    println!("cargo::rustc-link-lib=c10");
}

fn add_nccl(shim: &mut cc::Build, includes: &[PathBuf], libtorch: &Path) {
    for folder in includes {
        shim.flag(format!("-isystem{}", folder.display()));
    }
    shim.define("USE_C10D_NCCL", None).file("shim/nccl.cpp");
    // A libtorch without CUDA is enough to check that the code compiles.
    if libtorch.join("lib/libtorch_cuda.so").exists() {
        println!("cargo::rustc-link-arg=-Wl,--no-as-needed");
        println!("cargo::rustc-link-lib=torch_cuda");
        println!("cargo::rustc-link-lib=c10_cuda");
    }
}

/// The folders that contain `cuda_runtime.h` and `nccl.h`.
fn cuda_includes() -> Result<Vec<PathBuf>, String> {
    const ROOTS: [&str; 3] = ["NCCL_HOME", "CUDA_HOME", "CUDA_PATH"];
    for name in ROOTS {
        println!("cargo::rerun-if-env-changed={name}");
    }
    let roots = ROOTS.iter().filter_map(env::var_os).map(|root| PathBuf::from(root).join("include"));
    let roots: Vec<PathBuf> = roots.chain([PathBuf::from("/usr/local/cuda/include"), PathBuf::from("/usr/include")]).collect();
    ["cuda_runtime.h", "nccl.h"]
        .iter()
        .map(|header| {
            let found = roots.iter().find(|root| root.join(header).is_file()).cloned();
            found.ok_or_else(|| format!("the feature `nccl` needs {header}; hint: set CUDA_HOME, and NCCL_HOME if NCCL lies elsewhere"))
        })
        .collect()
}

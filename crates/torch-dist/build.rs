//! Compiles the C++ shim against libtorch's headers, and makes this package's tests and examples find libtorch when they run.

#[path = "../fltk-train/build.rs"]
mod libtorch;

fn main() {
    println!("cargo::rerun-if-changed=../fltk-train/build.rs");
    println!("cargo::rerun-if-changed=shim");
    libtorch::main();
    let Ok(folder) = libtorch::libtorch() else { return };
    cc::Build::new()
        .cpp(true)
        .std("c++20")
        .flag("-Wno-unused-parameter")
        // GCC 12 and 13 see overlapping copies in std::string where there are none (GCC bug 105651).
        .flag_if_supported("-Wno-restrict")
        .define("USE_DISTRIBUTED", None)
        .define("USE_C10D_GLOO", None)
        // gloo's own headers are not shipped with libtorch: declarations that stand in for them.
        .include("shim")
        // As system headers, so that only our own code is warned about.
        .flag(format!("-isystem{}", folder.join("include").display()))
        .flag(format!("-isystem{}", folder.join("include/torch/csrc/api/include").display()))
        .files(["shim/error.cpp", "shim/store.cpp", "shim/group.cpp", "shim/reducer.cpp"])
        .compile("torch_dist_shim");
    println!("cargo::rustc-link-search=native={}", folder.join("lib").display());
    println!("cargo::rustc-link-lib=torch_cpu");
    println!("cargo::rustc-link-lib=c10");
}

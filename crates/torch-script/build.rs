//! Compiles the C++ shim against libtorch's headers, and makes this package's tests find libtorch at run time.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=shim");
    let Some(folder) = libtorch_build::find_and_link() else { return };
    // Clippy links nothing.
    let is_clippy = env::var_os("RUSTC_WORKSPACE_WRAPPER").is_some_and(|wrapper| wrapper.to_string_lossy().contains("clippy"));
    if !is_clippy {
        cc::Build::new()
            .cpp(true)
            .std("c++20")
            .flag("-Wno-unused-parameter")
            // GCC 12 and 13 see overlapping copies in std::string where there are none (GCC bug 105651).
            .flag_if_supported("-Wno-restrict")
            // These are included as system headers, so that warnings are limited to our own code.
            .flag(format!("-isystem{}", folder.join("include").display()))
            .flag(format!("-isystem{}", folder.join("include/torch/csrc/api/include").display()))
            // The shim only calls libtorch: a higher level would take longer to compile and make nothing faster.
            .opt_level(1)
            .file("shim/module.cpp")
            .compile("torch_script_shim");
    }
    println!("cargo::rustc-link-search=native={}", folder.join("lib").display());
    println!("cargo::rustc-link-lib=torch_cpu");
    println!("cargo::rustc-link-lib=c10");
}

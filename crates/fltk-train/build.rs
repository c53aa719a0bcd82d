//! Build script that checks libtorch, and lets this package's tests and examples find it at run time.

fn main() {
    // The files of `catalogue` are also compiled without libtorch.
    println!("cargo::rustc-cfg=libtorch");
    // Without libtorch the build ends with the error that was printed.
    let _ = libtorch_build::find_and_link();
}

//! Makes the program find libtorch when it runs.

#[path = "../fltk-train/build.rs"]
mod libtorch;

fn main() {
    println!("cargo::rerun-if-changed=../fltk-train/build.rs");
    libtorch::main();
}

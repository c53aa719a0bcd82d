//! Build script that lets the program find libtorch at run time.

#[path = "../fltk-train/build.rs"]
mod libtorch;

fn main() {
    println!("cargo::rerun-if-changed=../fltk-train/build.rs");
    libtorch::main();
}

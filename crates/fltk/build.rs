//! Makes the program find libtorch when it runs, if it is built to train at all.

#[path = "../fltk-train/build.rs"]
mod libtorch;

fn main() {
    println!("cargo::rerun-if-changed=../fltk-train/build.rs");
    if std::env::var_os("CARGO_FEATURE_TRAIN").is_some() {
        libtorch::main();
    }
}

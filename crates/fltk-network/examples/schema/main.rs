//! Prints the module of the Python package that has the compiled schema of the protocol: `cargo run -p fltk-network --example schema >
//! python/fltk/src/fltk/node/schema.py`. A test compares it with the file.

mod module;

fn main() {
    print!("{}", module::python(fltk_network::wire::SCHEMA));
}

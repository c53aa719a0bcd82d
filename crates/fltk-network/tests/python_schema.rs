//! The compiled schema in the Python package is that of `proto/`.

use fltk_network::wire::SCHEMA;

#[path = "../examples/schema/module.rs"]
mod module;

#[test]
fn the_python_package_has_the_schema() {
    let committed = concat!(env!("CARGO_MANIFEST_DIR"), "/../../python/fltk/src/fltk/node/schema.py");
    let is = std::fs::read_to_string(committed).expect("the package is in the checkout");
    let current = "`cargo run -p fltk-network --example schema > python/fltk/src/fltk/node/schema.py` brings it up to date";
    assert!(is == module::python(SCHEMA), "{current}");
}

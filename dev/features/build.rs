//! Nothing: the manifest names features of what build scripts and macros are compiled with.

fn main() {}

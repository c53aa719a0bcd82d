//! The meaning of an experiment file: sweeps, defaults, blocks on the command line, hints for KFLTK's files, and the schema.

mod doubtful;
mod flags;
mod left_open;
mod matrix;
mod resources;
mod schema;
mod wishes;

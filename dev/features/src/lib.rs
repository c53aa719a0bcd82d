//! Nothing: its manifest alone is of use.

//! fed

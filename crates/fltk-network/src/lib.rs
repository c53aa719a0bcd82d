//! Federated rounds over a network: nodes, which may be processes, machines or pods, call a federator, take orders from it, and train its clients.
//!
//! ```text
//!   drive ---- orders ----> Hub ---- messages ----> node session ----> threads that train
//!         <--- events ----      <--- messages ----               <----
//!                         (pure)        gRPC            (pure)
//! ```
//!
//! [`wire`] is the protocol, [`object`] what travels by its digest, [`hub`] decides at the federator who does what, and [`node`] at a node. [`errands`] are what nodes do for a federator that can't compute, and [`client_tests`] what they do for one that has no test set. [`metrics`] are what Prometheus sees.
//! Only [`federator`], `node::call` and the server of metrics wait for a network.
//!
//! The result doesn't depend on the nodes: updates are added in client order, and an update is a function of its order.
//!
//! Not for: the rounds themselves and strategies (`fltk-fed`), training (`fltk-train`).

pub mod client_tests;
mod draws;
pub mod errands;
pub mod federator;
pub mod fuzz;
pub mod hub;
pub mod metrics;
pub mod node;
pub mod object;
pub mod pki;
pub mod tls;
pub mod wire;

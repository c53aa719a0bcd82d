//! What a person with a cluster does: the guide as it is written, charts beside each other, an orchestrator whose pod is killed.

mod guide;
mod page;
mod workplace;

pub use self::guide::run as guide;

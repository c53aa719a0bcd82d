//! What can go wrong in training.

use std::path::PathBuf;

use fltk_core::experiment::NetName;

/// Why something could not be computed, loaded or saved.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// libtorch refused; usually shapes or indices that don't fit.
    #[error("libtorch: {0}")]
    Torch(String),
    /// The net's outputs are not the data set's classes.
    #[error(
        "net `{net:?}` tells {net_classes} classes apart, the data set has {data_classes}\nhint: choose a net made for the data set, see `fltk nets list`"
    )]
    Classes {
        /// The net.
        net: NetName,
        /// Its outputs.
        net_classes: usize,
        /// Classes of the data set.
        data_classes: usize,
    },
    /// An image net on text, or a language model on images.
    #[error("net `{net}` reads {net_reads}, the data set has {data_has}")]
    InputKind {
        /// The net.
        net: String,
        /// `images` or `tokens`.
        net_reads: &'static str,
        /// `images` or `tokens`.
        data_has: &'static str,
    },
    /// A batch does not fit the net, or contradicts itself.
    #[error("a batch does not fit: {0}")]
    Batch(String),
    /// A strategy asks for something that this trainer doesn't know.
    #[error("the strategy asks for `{name}`, which is unknown here")]
    Extra {
        /// What it asks for.
        name: String,
    },
    /// A state is not one of this net.
    #[error("the state does not fit the net: {0}")]
    State(String),
    /// A file's bytes are not what they should be.
    #[error("`{file}` is damaged or of another kind: {reason}")]
    File {
        /// Which file.
        file: String,
        /// What is wrong.
        reason: String,
    },
    /// Settings that no optimizer or net can have.
    #[error("{0}")]
    Settings(String),
    /// A TorchScript module that can't be loaded or trained.
    #[error("TorchScript module `{}`: {reason}", path.display())]
    TorchScript {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Whoever wanted the result doesn't any more.
    #[error("asked to stop")]
    Stopped,
    /// The loss is not a number any more.
    #[error("the loss became {loss} at step {step} of the epoch\nhint: lower the learning rate")]
    Diverged {
        /// Optimizer step within the epoch, from 1.
        step: u64,
        /// NaN or infinite.
        loss: f64,
    },
    /// The ranks of a data-parallel training lost each other, or disagree.
    #[error(transparent)]
    Ranks(#[from] torch_dist::Error),
    /// A thread of an evaluation panicked; a bug.
    #[error("a thread of the evaluation panicked")]
    WorkerPanicked,
}

impl TrainError {
    /// Names the step of the epoch, from 1, where the loss was found not to be finite.
    pub(crate) fn at_step(self, step: u64) -> Self {
        match self {
            Self::Diverged { loss, .. } => Self::Diverged { step, loss },
            other => other,
        }
    }
}

impl From<tch::TchError> for TrainError {
    /// Keeps the message and leaves out libtorch's C++ stack trace.
    fn from(error: tch::TchError) -> Self {
        let text = error.to_string();
        let end = text.find("\nException raised from").unwrap_or(text.len());
        Self::Torch(text[..end].trim_start_matches("Internal torch error: ").trim_end().to_owned())
    }
}

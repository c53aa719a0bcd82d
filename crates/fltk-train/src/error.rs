//! The errors of training.

use std::path::PathBuf;

/// The reason why something could not be computed, loaded or saved.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// libtorch reported an error, usually because shapes or indices don't fit.
    #[error("libtorch: {0}")]
    Torch(String),
    /// The number of the net's outputs differs from the data set's number of classes.
    #[error(
        "net `{net}` distinguishes {net_classes} classes, the data set has {data_classes}\nhint: choose a net made for the data set, see `fltk nets list`"
    )]
    Classes {
        /// The net.
        net: &'static str,
        /// The number of its outputs.
        net_classes: usize,
        /// The number of classes in the data set.
        data_classes: usize,
    },
    /// The images are smaller than the net can compute with.
    #[error("net `{net}` takes images of at least {pixels_min}x{pixels_min}, the data set has {shape:?} (channels, height, width)")]
    Pixels {
        /// The net.
        net: &'static str,
        /// The smallest width and height.
        pixels_min: u32,
        /// The shape `[C, H, W]` of the data set's images.
        shape: [usize; 3],
    },
    /// The images can't be padded to those that the net is made for.
    #[error(transparent)]
    Shape(#[from] fltk_data::TransformError),
    /// An image net was given text, or a language model was given images.
    #[error("net `{net}` reads {net_reads}, the data set has {data_has}")]
    InputKind {
        /// The net.
        net: &'static str,
        /// `images` or `tokens`.
        net_reads: &'static str,
        /// `images` or `tokens`.
        data_has: &'static str,
    },
    /// A batch does not fit the net, or contradicts itself.
    #[error("a batch does not fit: {0}")]
    Batch(String),
    /// A state does not belong to this net.
    #[error("the state does not fit the net: {0}")]
    State(String),
    /// The bytes of a file are not as expected.
    #[error("`{file}` is damaged or of another kind: {reason}")]
    File {
        /// The name of the file.
        file: String,
        /// The reason.
        reason: String,
    },
    /// The settings are invalid for every optimizer or net.
    #[error("{0}")]
    Settings(String),
    /// A TorchScript module can't be loaded or trained.
    #[error("TorchScript module `{}`: {reason}", path.display())]
    TorchScript {
        /// The file.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
    /// The caller no longer wants the result.
    #[error("asked to stop")]
    Stopped,
    /// The loss is no longer a finite number.
    #[error("the loss became {loss} at step {step} of the epoch\nhint: lower the learning rate")]
    Diverged {
        /// The optimizer step within the epoch, from 1.
        step: u64,
        /// The loss: NaN or infinite.
        loss: f64,
    },
    /// The ranks of a data-parallel training lost each other, or disagree.
    #[error(transparent)]
    Ranks(#[from] torch_dist::Error),
    /// A thread of an evaluation panicked, which is a bug.
    #[error("a thread of the evaluation panicked")]
    WorkerPanicked,
}

impl TrainError {
    /// Sets the step of the epoch, from 1, in which the loss was found not to be finite.
    pub(crate) fn at_step(self, step: u64) -> Self {
        match self {
            Self::Diverged { loss, .. } => Self::Diverged { step, loss },
            other => other,
        }
    }
}

impl From<tch::TchError> for TrainError {
    /// Keeps the message and drops libtorch's C++ stack trace.
    fn from(error: tch::TchError) -> Self {
        let text = error.to_string();
        let end = text.find("\nException raised from").unwrap_or(text.len());
        Self::Torch(text[..end].trim_start_matches("Internal torch error: ").trim_end().to_owned())
    }
}

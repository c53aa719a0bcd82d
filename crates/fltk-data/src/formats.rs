//! The file formats, as functions from bytes to arrays. They check every byte; nothing here touches a file.

pub mod cifar;
pub mod cifar_python;
pub mod idx;
pub mod pickle;
pub mod text;

use crate::error::FormatError;

/// Checks that every label is below `num_classes`.
fn check_labels(labels: &[u16], num_classes: usize) -> Result<(), FormatError> {
    match labels.iter().position(|&label| usize::from(label) >= num_classes) {
        Some(index) => Err(FormatError::Label { index, label: labels[index], num_classes }),
        None => Ok(()),
    }
}

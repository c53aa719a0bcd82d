//! The requirements on tensors that a group takes.

use tch::{Device, Kind, Tensor};

use crate::Error;

/// Requires contiguous memory: memory is read as it lies, so a strided view would be misread.
pub fn contiguous(tensor: &Tensor, device: Device) -> Result<(), Error> {
    dense(tensor, device)?;
    if tensor.is_contiguous() {
        Ok(())
    } else {
        Err(Error::Argument("a group takes contiguous tensors: call `contiguous()` first".to_owned()))
    }
}

/// Requires a loss that a backward pass can start from.
pub fn differentiable(loss: &Tensor) -> Result<(), Error> {
    if loss.defined() && loss.numel() == 1 && loss.requires_grad() {
        Ok(())
    } else {
        Err(Error::Argument("backward begins from one number that depends on a parameter".to_owned()))
    }
}

/// Requires a tensor that a group on `device` can send.
pub fn dense(tensor: &Tensor, device: Device) -> Result<(), Error> {
    if !tensor.defined() {
        return Err(Error::Argument("the tensor is undefined".to_owned()));
    }
    if tensor.device() != device || tensor.is_sparse() {
        return Err(Error::Argument(format!("this group takes dense tensors on {device:?}")));
    }
    match tensor.kind() {
        Kind::Float | Kind::Double | Kind::Half | Kind::Int8 | Kind::Uint8 | Kind::Int | Kind::Int64 => Ok(()),
        other => Err(Error::Argument(format!("a group takes no tensors of {other:?}"))),
    }
}

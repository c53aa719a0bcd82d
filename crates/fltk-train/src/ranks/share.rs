//! The exchange between ranks of plain data, over their control group: files, and counts that are summed.

use std::collections::BTreeMap;

use tch::{Kind, Tensor};
use torch_dist::{ProcessGroup, ReduceOp};

use crate::TrainError;

/// Gives all ranks of the `control` group the files of rank 0, such as those of a checkpoint, or none if rank 0 has none. The other ranks' `files` are
/// ignored.
///
/// # Errors
/// If a rank is lost.
pub fn share_files(
    control: &ProcessGroup,
    files: Option<&BTreeMap<String, Vec<u8>>>,
) -> Result<Option<BTreeMap<String, Vec<u8>>>, TrainError> {
    let is_first = control.rank() == 0;
    let names: Option<Vec<&String>> = if is_first { files.map(|files| files.keys().collect()) } else { None };
    let names = share_bytes(control, serde_json::to_vec(&names).map_err(|error| TrainError::State(error.to_string()))?)?;
    let names: Option<Vec<String>> = serde_json::from_slice(&names).map_err(|error| TrainError::State(error.to_string()))?;
    let Some(names) = names else { return Ok(None) };
    let mut shared = BTreeMap::new();
    for name in names {
        let own = files.filter(|_| is_first).and_then(|files| files.get(&name)).cloned().unwrap_or_default();
        shared.insert(name, share_bytes(control, own)?);
    }
    Ok(Some(shared))
}

/// Returns every rank's bytes, in the order of ranks. All must have the same length.
///
/// # Errors
/// If the lengths differ, or a rank is lost.
pub fn gather_bytes(control: &ProcessGroup, own: &[u8]) -> Result<Vec<Vec<u8>>, TrainError> {
    let all = control.all_gather(&Tensor::f_from_slice(own)?)?;
    all.iter().map(|bytes| Ok(Vec::<u8>::try_from(bytes)?)).collect()
}

/// Returns the bytes of rank 0.
fn share_bytes(control: &ProcessGroup, own: Vec<u8>) -> Result<Vec<u8>, TrainError> {
    let mut length = Tensor::f_from_slice(&[i64::try_from(own.len()).unwrap_or(i64::MAX)])?;
    control.broadcast(&mut length, 0)?;
    let length = length.f_int64_value(&[0])?;
    if length == 0 {
        return Ok(Vec::new());
    }
    let mut bytes =
        if control.rank() == 0 { Tensor::f_from_slice(&own)? } else { Tensor::f_zeros([length], (Kind::Uint8, control.device()))? };
    control.broadcast(&mut bytes, 0)?;
    Ok(Vec::<u8>::try_from(&bytes)?)
}

/// Sums the matrices of all ranks. A rank without test samples has no matrix, and still has to take part.
pub(super) fn sum_matrices(control: &ProcessGroup, own: Option<Vec<Vec<u64>>>) -> Result<Option<Vec<Vec<u64>>>, TrainError> {
    let mut classes = Tensor::f_from_slice(&[own.as_ref().map_or(0, |matrix| matrix.len() as i64)])?;
    control.all_reduce(&mut classes, ReduceOp::Max)?;
    let classes = usize::try_from(classes.f_int64_value(&[0])?).unwrap_or(0);
    if classes == 0 {
        return Ok(None);
    }
    let own = own.unwrap_or_else(|| vec![vec![0; classes]; classes]);
    let mut counts: Vec<i64> = own.iter().flatten().map(|&count| i64::try_from(count).unwrap_or(i64::MAX)).collect();
    let mut sums = Tensor::f_from_slice(&counts)?;
    control.all_reduce(&mut sums, ReduceOp::Sum)?;
    sums.f_copy_data(&mut counts, sums.numel())?;
    Ok(Some(counts.chunks(classes).map(|row| row.iter().map(|&count| count.unsigned_abs()).collect()).collect()))
}

//! Compression of updates: what a client sends of its model, if it doesn't send all of it. Off unless an experiment asks for it.
//!
//! ```text
//!   node                                            federator
//!     difference = update - base                      base: the model of the order
//!     compress(difference [+ residual]) -- bundle --> decompress
//!     residual: what wasn't sent                      model = base + decompressed difference
//! ```
//!
//! The difference is that of all floats, parameters and buffers, to the model that the client started from. Counters travel as they are. Everything is computed in
//! f32 from numbers that both sides have, so a node that calls [`decompress`] gets the bits that the federator gets.
//!
//! | | bytes per float | what is lost |
//! |---|---|---|
//! | [`Compression::None`] | 4 | nothing: the floats of the update travel, since base + difference would round |
//! | [`Compression::Fp16`] | 2 | bits after the 11th: IEEE 754 binary16, rounded to nearest, ties to even |
//! | [`Compression::Int8`] | 1, and 4 per tensor | less than a step of 1/127 of the tensor's largest element, at random and zero on average |
//! | [`Compression::TopK`] | 8 for each that is sent | nothing for good: what isn't sent is added to the client's next difference |
//!
//! - **fp16.** A difference beyond the largest finite number, 65504, is sent as that number. It would be infinite otherwise, and the federator would refuse an update
//!   in which every number was finite; a shorter step in the same direction is the smaller harm.
//! - **int8** is the stochastic rounding of QSGD (Alistarh et al. 2017, arXiv 1610.02132) with 127 levels and the norm of the maximum, tensor by tensor: scale =
//!   max|x| / 127 and q = floor(x / scale + u), with u uniform in [0, 1) from the stream of client and round, so that the mean of q · scale is x. The scale is
//!   rounded up where f32 doesn't have it, so that no q is beyond 127.
//! - **Top-k** with memory is from "Sparsified SGD with Memory" (Stich et al. 2018, arXiv 1809.07599), and that the memory is what makes it converge from "Error
//!   Feedback Fixes SignSGD and other Gradient Compression Schemes" (Karimireddy et al. 2019, arXiv 1901.09847): the residual is added to the difference, the largest
//!   of the sum are sent, and the rest is the new residual.
//!
//! **Caveats.** A number that isn't finite stays one that isn't, so that the federator refuses the update as it refuses one that isn't compressed. The papers'
//! workers send something at every step; a client that is rarely selected adds a residual that belongs to an old model. Buffers are compressed like parameters,
//! so with int8 and top-k a running variance near zero may become negative: batch norms then give numbers that aren't finite.
//!
//! Not for: when and where updates are compressed, and where residuals stay between rounds (the node and the federator).

mod bundle;
mod fp16;
mod int8;
mod top_k;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use fltk_core::{
    ids::{ClientId, Round},
    model_state::{ModelState, TensorRole, TensorSpec},
    seed::{Purpose, Seed},
};
use rand::Rng as _;

/// The compression of updates.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Compression {
    /// The floats of the update as they are.
    None,
    /// Half precision.
    Fp16,
    /// 8 bits with stochastic rounding.
    Int8,
    /// The largest entries with error feedback.
    TopK {
        /// The part of the floats that is sent, above 0 and at most 1: one of them at least, and all of them at most.
        fraction: f64,
    },
}

/// A compressed update. Its parts fit each other, and the layout for which it was made or read.
#[derive(Clone, Debug, PartialEq)]
pub struct Compressed {
    /// The number of floats of the model.
    num_floats: usize,
    floats: Floats,
    counters: Vec<i64>,
}

/// The floats of a compressed update.
#[derive(Clone, Debug, PartialEq)]
enum Floats {
    /// Those of the update itself.
    Whole(Vec<f32>),
    /// Two bytes of each difference, little-endian.
    Fp16(Vec<u8>),
    /// A scale of each tensor that has floats, and an 8-bit two's complement of each difference.
    Int8 { scales: Vec<f32>, values: Vec<u8> },
    /// The places of the differences that are sent, ascending, and these.
    TopK { indices: Vec<u32>, values: Vec<f32> },
}

/// Numbers that don't fit each other.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    /// There are too many of them, or too few.
    #[error("the {what} have {found} elements, and should have {expected}")]
    Length {
        /// The numbers.
        what: &'static str,
        /// How many there are.
        found: usize,
        /// How many there should be.
        expected: usize,
    },
    /// The model has more floats than indices can name.
    #[error("the model has {num_floats} floats, and top-k can name {} at most", u32::MAX)]
    TooLarge {
        /// The number of floats.
        num_floats: usize,
    },
}

/// Compresses the update of a client that started from `base`.
///
/// With top-k, `residual` is what the client kept after its last update, one number per float of the model; it is absent at first. The second result is what it keeps
/// from now on: sent and residual add up to the difference and the old residual, exactly. The other compressions use and return none.
///
/// # Errors
/// If `update` or `residual` doesn't fit `base`, or the model is too large for top-k.
pub fn compress(
    compression: Compression,
    base: &ModelState,
    update: &ModelState,
    residual: Option<Vec<f32>>,
    seed: Seed,
    client: ClientId,
    round: Round,
) -> Result<(Compressed, Option<Vec<f32>>), Misfit> {
    let num_floats = num_floats(&base.layout);
    fits("floats of the model", base.floats.len(), num_floats)?;
    fits("floats of the update", update.floats.len(), num_floats)?;
    fits("counters of the update", update.counters.len(), num_counters(&base.layout))?;
    let difference = update.floats.iter().zip(&base.floats).map(|(update, base)| update - base);
    let mut kept = None;
    let floats = match compression {
        Compression::None => Floats::Whole(update.floats.clone()),
        Compression::Fp16 => Floats::Fp16(fp16::encode(difference)),
        Compression::Int8 => {
            let difference: Vec<f32> = difference.collect();
            let mut stream = seed.stream(Purpose::Compression, &[u64::from(client.0), u64::from(round.0)]);
            let (scales, values) = int8::encode(&difference, float_tensors(&base.layout), || stream.next_u32());
            Floats::Int8 { scales, values }
        }
        Compression::TopK { fraction } => {
            if u32::try_from(num_floats).is_err() {
                return Err(Misfit::TooLarge { num_floats });
            }
            let mut corrected = residual.unwrap_or_else(|| vec![0.0; num_floats]);
            fits("floats of the residual", corrected.len(), num_floats)?;
            corrected.iter_mut().zip(difference).for_each(|(corrected, difference)| *corrected += difference);
            let (indices, values) = top_k::take(&mut corrected, top_k::num_sent(fraction, num_floats));
            kept = Some(corrected);
            Floats::TopK { indices, values }
        }
    };
    Ok((Compressed { num_floats, floats, counters: update.counters.clone() }, kept))
}

/// Returns the update that a client sent which started from `base`: its model, as far as it was sent.
///
/// Its numbers may be such that aren't finite, if those of the client were, or it sent what can't be.
///
/// # Errors
/// If it doesn't fit `base`.
pub fn decompress(compressed: Compressed, base: &ModelState) -> Result<ModelState, Misfit> {
    let num_floats = num_floats(&base.layout);
    fits("floats of the model", base.floats.len(), num_floats)?;
    let Compressed { num_floats: found, floats: sent, counters } = compressed;
    fits("floats of the update", found, num_floats)?;
    fits("counters of the update", counters.len(), num_counters(&base.layout))?;
    let floats = match sent {
        Floats::Whole(floats) => floats,
        Floats::Fp16(values) => {
            let mut floats = base.floats.clone();
            fp16::add(&values, &mut floats);
            floats
        }
        Floats::Int8 { scales, values } => {
            fits("scales of the update", scales.len(), float_tensors(&base.layout).count())?;
            let mut floats = base.floats.clone();
            int8::add(&scales, &values, float_tensors(&base.layout), &mut floats);
            floats
        }
        Floats::TopK { indices, values } => {
            let mut floats = base.floats.clone();
            top_k::add(&indices, &values, &mut floats);
            floats
        }
    };
    Ok(ModelState { layout: Arc::clone(&base.layout), floats, counters })
}

/// Returns the numbers of elements of the tensors that have floats, in their order.
fn float_tensors(layout: &[TensorSpec]) -> impl Iterator<Item = usize> {
    layout.iter().filter(|spec| spec.role != TensorRole::Counter).map(TensorSpec::num_elements)
}

fn num_floats(layout: &[TensorSpec]) -> usize {
    float_tensors(layout).sum()
}

fn num_counters(layout: &[TensorSpec]) -> usize {
    layout.iter().filter(|spec| spec.role == TensorRole::Counter).map(TensorSpec::num_elements).sum()
}

fn fits(what: &'static str, found: usize, expected: usize) -> Result<(), Misfit> {
    if found == expected { Ok(()) } else { Err(Misfit::Length { what, found, expected }) }
}

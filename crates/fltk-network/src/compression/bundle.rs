//! Compressed updates as bundles.
//!
//! | | floats | bytes | indices |
//! |---|---|---|---|
//! | none | `model` | | |
//! | fp16 | | `model/fp16` | |
//! | int8 | `model/scales` | `model/int8` | |
//! | top-k | `model/values` | | `model/indices` |
//!
//! Counters are `model` with each of them. The names leave room for what else comes with an update.

use fltk_core::model_state::TensorSpec;

use super::{Compressed, Compression, Floats, float_tensors, fp16, num_counters, num_floats, top_k};
use crate::{
    object::{Bundle, Damage, Numbers, Part},
    wire::order::MODEL,
};

const FP16: &str = "model/fp16";
const INT8: &str = "model/int8";
const SCALES: &str = "model/scales";
const INDICES: &str = "model/indices";
const VALUES: &str = "model/values";

impl Numbers for Compressed {
    fn parts(&self) -> Vec<(String, Part<'_>)> {
        let mut parts = match &self.floats {
            Floats::Whole(floats) => vec![(MODEL, Part::Floats(floats))],
            Floats::Fp16(values) => vec![(FP16, Part::Bytes(values))],
            Floats::Int8 { scales, values } => vec![(SCALES, Part::Floats(scales)), (INT8, Part::Bytes(values))],
            Floats::TopK { indices, values } => vec![(VALUES, Part::Floats(values)), (INDICES, Part::Indices(indices))],
        };
        parts.push((MODEL, Part::Counters(&self.counters)));
        parts.into_iter().map(|(name, part)| (name.to_owned(), part)).collect()
    }
}

impl Compressed {
    /// Takes an update out of a bundle, compressed in this way for a model of this layout, and leaves what else is there.
    ///
    /// # Errors
    /// If a part is missing, or has a length that it can't have; if an index is out of range or out of order; if a scale can't be. Values aren't checked here: what
    /// isn't finite is found in the model that comes out.
    pub fn take(compression: Compression, bundle: &mut Bundle, layout: &[TensorSpec]) -> Result<Self, Damage> {
        let num_floats = num_floats(layout);
        let floats = match compression {
            Compression::None => Floats::Whole(of_len(MODEL, bundle.take_floats(MODEL)?, num_floats)?),
            Compression::Fp16 => Floats::Fp16(of_len(FP16, bundle.take_bytes(FP16)?, num_floats * fp16::NUM_BYTES)?),
            Compression::Int8 => {
                let scales = of_len(SCALES, bundle.take_floats(SCALES)?, float_tensors(layout).count())?;
                if let Some(scale) = scales.iter().find(|scale| !scale.is_finite() || **scale < 0.0) {
                    return Err(Damage::Content(format!("it has the scale {scale}")));
                }
                Floats::Int8 { scales, values: of_len(INT8, bundle.take_bytes(INT8)?, num_floats)? }
            }
            Compression::TopK { fraction } => {
                let num_sent = top_k::num_sent(fraction, num_floats);
                let indices = of_len(INDICES, bundle.take_indices(INDICES)?, num_sent)?;
                if !indices.is_sorted_by(|left, right| left < right) || indices.last().is_some_and(|last| *last as usize >= num_floats) {
                    return Err(Damage::Content(format!("its indices don't ascend within {num_floats}")));
                }
                Floats::TopK { indices, values: of_len(VALUES, bundle.take_floats(VALUES)?, num_sent)? }
            }
        };
        Ok(Self { num_floats, floats, counters: of_len(MODEL, bundle.take_counters(MODEL)?, num_counters(layout))? })
    }
}

fn of_len<T>(name: &str, values: Vec<T>, expected: usize) -> Result<Vec<T>, Damage> {
    let found = values.len();
    if found == expected { Ok(values) } else { Err(Damage::Content(format!("`{name}` has {found} elements, and should have {expected}"))) }
}

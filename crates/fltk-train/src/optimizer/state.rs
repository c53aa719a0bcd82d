//! The optimizer's state as a safetensors file: `momentum_buffer.NAME`, or `exp_avg.NAME` and `exp_avg_sq.NAME`, for each parameter, with
//! the parameter's shape, row-major; and `step`, an i64.

use fltk_core::model_state::{TensorRole, TensorSpec};

use super::{Optimizer, Slot};
use crate::{
    TrainError, state_file,
    tensors::{self, MemoryFormat},
};

const FILE: &str = "optimizer.safetensors";

impl Optimizer {
    /// Returns everything needed to resume, except the configuration and the learning rate.
    ///
    /// # Errors
    /// If libtorch fails, because memory is short.
    pub fn to_safetensors(&self) -> Result<Vec<u8>, TrainError> {
        let layout = self.state_layout();
        let mut floats = vec![];
        for (slot, index) in self.moments() {
            let start = floats.len();
            floats.resize(start + slot.shape.iter().product::<usize>(), 0.0);
            tensors::read_row_major(&row_major_view(slot, index, self.format)?, &mut floats[start..])?;
        }
        state_file::encode(&layout, &floats, &[i64::try_from(self.steps).unwrap_or(i64::MAX)])
    }

    /// Loads the state that [`to_safetensors`](Self::to_safetensors) returned.
    ///
    /// # Errors
    /// If the bytes are not such a file, or belong to an optimizer of another kind or model.
    pub fn load_safetensors(&mut self, bytes: &[u8]) -> Result<(), TrainError> {
        let (floats, counters) = state_file::decode(FILE, bytes, &self.state_layout())?;
        let steps = counters.first().and_then(|&steps| u64::try_from(steps).ok());
        let steps = steps.ok_or_else(|| TrainError::File { file: FILE.to_owned(), reason: format!("step {counters:?} is not a count") })?;
        let mut rest = floats.as_slice();
        for (slot, index) in self.moments() {
            let (values, others) = rest.split_at(slot.shape.iter().product());
            tensors::write_row_major(&row_major_view(slot, index, self.format)?, values)?;
            rest = others;
        }
        self.steps = steps;
        Ok(())
    }

    fn moments(&self) -> impl Iterator<Item = (&Slot, usize)> {
        self.parameters.iter().flat_map(|slot| (0..slot.moments.len()).map(move |index| (slot, index)))
    }

    fn state_layout(&self) -> Vec<TensorSpec> {
        let names = (self.spec.moments)(&self.settings);
        let moment = |(slot, index): (&Slot, usize)| TensorSpec {
            name: format!("{}.{}", names[index], slot.name),
            shape: slot.shape.clone(),
            role: TensorRole::Buffer,
        };
        let step = TensorSpec { name: "step".to_owned(), shape: vec![], role: TensorRole::Counter };
        self.moments().map(moment).chain([step]).collect()
    }
}

/// Returns a moment, which is flat in `format`, as a view with the parameter's shape.
fn row_major_view(slot: &Slot, index: usize, format: MemoryFormat) -> Result<tch::Tensor, TrainError> {
    tensors::shaped(&slot.moments[index], &slot.shape, format)
}

//! TorchScript modules from a file, trained instead of one of our nets.
//!
//! A module is a program. It is examined before it is loaded ([`archive`]), which keeps out operations known to read or write files, by name. This protects
//! against accidents and simple mischief, but is not a sandbox.
//!
//! Only modules whose whole state is parameters are accepted: tch can't reach a module's buffers, so a state dict without them would silently lose
//! batch norm's running statistics. A module with buffers is refused.

mod archive;
mod source;

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use fltk_core::model_state::{TensorRole, TensorSpec};
use tch::{CModule, Device, Kind, TchError, Tensor};

pub use self::archive::module_sha256;
use crate::{TrainError, layers::Pass, nets::Net, tensors};

#[derive(Debug)]
struct ScriptNet {
    /// The module, behind a lock: its mode is a field of the module, so a pass needs exclusive access.
    module: Mutex<CModule>,
}

impl Net for ScriptNet {
    fn forward(&self, x: Tensor, pass: &mut Pass<'_>) -> Result<Tensor, TchError> {
        let mut module = self.module.lock().unwrap_or_else(PoisonError::into_inner);
        if pass.is_training() {
            module.f_set_train()?
        } else {
            module.f_set_eval()?
        }
        module.forward_ts(&[x])
    }
}

/// A module as a net.
pub(super) struct Script {
    pub net: Arc<dyn Net>,
    pub layout: Vec<TensorSpec>,
    /// The parameters in the layout's order, shared with the module.
    pub parameters: Vec<Tensor>,
}

/// Loads the module from the file at `path`, with its parameters on `device`.
pub(super) fn load(path: &Path, device: Device) -> Result<Script, TrainError> {
    let wrong = |reason: String| TrainError::TorchScript { path: path.to_owned(), reason };
    let archive::Checked { archive, buffers } = archive::read(path).and_then(|bytes| archive::check(&bytes)).map_err(wrong)?;
    if !buffers.is_empty() {
        return Err(wrong(format!(
            "it has buffers ({}), which can't be saved or averaged\nhint: use group or layer norm, or batch norm with `track_running_stats=False`",
            buffers.join(", ")
        )));
    }
    // The graph executor rewrites a graph after some calls, which may change the rounding.
    tch::jit::f_set_graph_executor_optimize(false).map_err(|error| wrong(TrainError::from(error).to_string()))?;
    let module =
        CModule::load_data_on_device(&mut archive.as_slice(), device).map_err(|error| wrong(TrainError::from(error).to_string()))?;
    let named = module.named_parameters().map_err(|error| wrong(TrainError::from(error).to_string()))?;
    if named.is_empty() {
        return Err(wrong("it has no parameters".to_owned()));
    }
    let mut layout = vec![];
    let mut parameters = vec![];
    for (name, mut tensor) in named {
        if tensor.kind() != Kind::Float || !tensor.requires_grad() {
            return Err(wrong(format!(
                "parameter `{name}` is {:?}, trained: {}; all must be trained f32",
                tensor.kind(),
                tensor.requires_grad()
            )));
        }
        let shape = tensor.size().iter().map(|&size| usize::try_from(size)).collect::<Result<Vec<_>, _>>();
        let shape = shape.map_err(|_| wrong(format!("parameter `{name}` has a negative size")))?;
        // The parameter gets the same numbers in our memory format, still shared with the module.
        let formatted = tensors::zeros(&shape, tensors::MemoryFormat::ChannelsLast, device)?;
        formatted.shallow_clone().f_copy_(&tensor.f_detach()?)?;
        tensor.f_set_data(&formatted)?;
        layout.push(TensorSpec { name, shape, role: TensorRole::Parameter });
        parameters.push(tensor);
    }
    Ok(Script { net: Arc::new(ScriptNet { module: Mutex::new(module) }), layout, parameters })
}

//! The models and arrays that a node has, so that what it has isn't sent again.

use std::{collections::VecDeque, sync::Arc};

use fltk_core::{client_terms::Arrays, model_state::ModelState};

use crate::object::Digest;

/// The models that are kept though nobody trains from them: the newest, and one before it, from which a late order may start.
const MODELS_MAX: usize = 2;

/// Shared objects by digest, the newest last.
#[derive(Default)]
pub(super) struct Objects {
    models: VecDeque<(Digest, Arc<ModelState>)>,
    arrays: VecDeque<(Digest, Arc<Arrays>)>,
}

impl Objects {
    pub(super) fn model(&self, digest: Digest) -> Option<Arc<ModelState>> {
        self.models.iter().find(|(of, _)| *of == digest).map(|(_, model)| Arc::clone(model))
    }

    pub(super) fn arrays(&self, digest: Digest) -> Option<Arc<Arrays>> {
        self.arrays.iter().find(|(of, _)| *of == digest).map(|(_, arrays)| Arc::clone(arrays))
    }

    pub(super) fn add_model(&mut self, digest: Digest, model: ModelState) {
        push(&mut self.models, digest, Arc::new(model));
    }

    pub(super) fn add_arrays(&mut self, digest: Digest, arrays: Arrays) {
        push(&mut self.arrays, digest, Arc::new(arrays));
    }
}

fn push<T>(list: &mut VecDeque<(Digest, Arc<T>)>, digest: Digest, value: Arc<T>) {
    list.push_back((digest, value));
    // Whatever an order still starts from stays as well: it is in memory anyway.
    while let Some(place) = (list.len() > MODELS_MAX).then(|| list.iter().position(|(_, value)| Arc::strong_count(value) == 1)).flatten() {
        list.remove(place);
    }
}

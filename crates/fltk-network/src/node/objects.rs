//! The models and arrays that a node has, so that what it has isn't sent again.

use std::{collections::VecDeque, sync::Arc};

use fltk_core::{client_terms::Arrays, model_state::ModelState};

use crate::object::Digest;

/// The models that are kept though nobody trains from them: the newest, and one before it, from which a late order may start.
const MODELS_MAX: usize = 2;

/// The size from which on a model isn't kept though nobody needs it: fetching it again would cost less than the memory of another one.
const LARGE_BYTES: usize = 64 << 20;

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

    /// Forgets large models that no order has, but for those that are needed.
    pub(super) fn forget_large(&mut self, is_needed: impl Fn(Digest) -> bool) {
        let is_small = |model: &ModelState| 4 * model.floats.len() + 8 * model.counters.len() < LARGE_BYTES;
        self.models.retain(|(digest, model)| Arc::strong_count(model) > 1 || is_small(model) || is_needed(*digest));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_small_models_are_kept_for_nobody() {
        let mut objects = Objects::default();
        let model = |num_floats| ModelState { layout: Arc::default(), floats: vec![0.0; num_floats], counters: vec![] };
        let [large, small, used, needed] = [1, 2, 3, 4].map(|byte| Digest([byte; 32]));
        objects.add_model(large, model(LARGE_BYTES / 4));
        objects.add_model(used, model(LARGE_BYTES / 4));
        let in_use = objects.model(used);
        objects.forget_large(|_| false);
        assert!(objects.model(large).is_none() && objects.model(used).is_some());
        drop(in_use);
        objects.add_model(small, model(10));
        objects.add_model(needed, model(LARGE_BYTES / 4));
        objects.forget_large(|digest| digest == needed);
        assert!(objects.model(used).is_none() && objects.model(small).is_some() && objects.model(needed).is_some());
    }
}

//! The objects that nodes may fetch: those that open work names.

use std::{
    collections::BTreeMap,
    sync::{Arc, Weak},
};

use fltk_core::{client_terms::Arrays, model_state::ModelState};

use crate::{
    errands::ErrandId,
    object::{Content, Digest},
    wire::order::{Key, Model, TermArrays},
};

/// The work that an object is on offer for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Holder {
    Work(Key),
    Errand(ErrandId),
}

impl From<Key> for Holder {
    fn from(key: Key) -> Self {
        Self::Work(key)
    }
}

/// The objects of open work, by digest.
#[derive(Default)]
pub(super) struct Objects {
    by_digest: BTreeMap<Digest, (Content, u32)>,
    of_work: BTreeMap<Holder, Vec<Digest>>,
    /// The last model and arrays, so that those of a cohort are hashed once.
    model: Option<(Weak<ModelState>, Content)>,
    arrays: Option<(Weak<Arrays>, Content)>,
}

impl Objects {
    /// Returns a model as an object.
    pub(super) fn model(&mut self, model: &Arc<ModelState>) -> Content {
        if let Some((last, content)) = &self.model
            && last.as_ptr() == Arc::as_ptr(model)
        {
            return content.clone();
        }
        let content = Content::of_numbers(Arc::new(Model(Arc::clone(model))));
        self.model = Some((Arc::downgrade(model), content.clone()));
        content
    }

    /// Returns the arrays of a round's terms as an object; `None` if there are none.
    pub(super) fn arrays(&mut self, arrays: &Arc<Arrays>) -> Option<Content> {
        if arrays.is_empty() {
            return None;
        }
        if let Some((last, content)) = &self.arrays
            && last.as_ptr() == Arc::as_ptr(arrays)
        {
            return Some(content.clone());
        }
        let content = Content::of_numbers(Arc::new(TermArrays(Arc::clone(arrays))));
        self.arrays = Some((Arc::downgrade(arrays), content.clone()));
        Some(content)
    }

    /// Offers an object for as long as the work is open.
    pub(super) fn offer(&mut self, holder: impl Into<Holder>, content: &Content) {
        let digest = content.object().digest;
        let of_work = self.of_work.entry(holder.into()).or_default();
        if !of_work.contains(&digest) {
            of_work.push(digest);
            self.by_digest.entry(digest).or_insert_with(|| (content.clone(), 0)).1 += 1;
        }
    }

    /// Ends the offers of a piece of work.
    pub(super) fn over(&mut self, holder: impl Into<Holder>) {
        for digest in self.of_work.remove(&holder.into()).unwrap_or_default() {
            if let Some((_, num)) = self.by_digest.get_mut(&digest) {
                *num -= 1;
                if *num == 0 {
                    self.by_digest.remove(&digest);
                }
            }
        }
        // Nobody needs the last model any more: its memory is free.
        if self.of_work.is_empty() {
            self.model = None;
            self.arrays = None;
        }
    }

    /// Returns the object with this digest, if it is on offer.
    pub(super) fn get(&self, digest: Digest) -> Option<Content> {
        self.by_digest.get(&digest).map(|(content, _)| content.clone())
    }
}

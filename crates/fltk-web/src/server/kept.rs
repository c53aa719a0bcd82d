//! Answers that take long to make, kept until the records that they were made of change.

use std::{
    collections::VecDeque,
    fs,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use axum::{
    body::Bytes,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use fltk_records::{Glimpse, RecordKind};
use sha2::{Digest as _, Sha256};

use super::answer::{ApiError, sent};

/// The limit on answers that are kept, and on their bytes: a list of thousands of runs, and a few long streams.
const ANSWERS_MAX: usize = 4;
const BYTES_MAX: usize = 24 << 20;
/// The limit on answers that are made at the same time.
const MADE_MAX: usize = 4;

/// The answers that were given last.
#[derive(Default)]
pub struct Kept {
    answers: Mutex<VecDeque<Arc<Answer>>>,
    /// Held while an answer is made, by a digest of its key: who asks for the same one meanwhile waits for it, and few are made at a time.
    making: [Mutex<()>; MADE_MAX],
}

/// An answer in JSON.
struct Answer {
    key: String,
    seen: Seen,
    /// The digest of the body in quotes, as HTTP has it.
    etag: String,
    body: Bytes,
}

/// The records of an answer, as they were before it was made.
#[derive(PartialEq)]
struct Seen {
    records: Glimpse,
    /// The times at which the folders beside them last got another file or lost one.
    beside: Vec<Option<SystemTime>>,
}

/// The records that an answer depends on.
pub struct Sources {
    /// The kind of the records.
    pub kind: RecordKind,
    /// Their folders.
    pub folders: Vec<PathBuf>,
    /// Folders of which only the names of files count.
    pub beside: Vec<PathBuf>,
}

/// A new answer.
pub struct Made {
    /// The answer in JSON.
    pub body: Vec<u8>,
    /// True if it depends on nothing but its sources, and not on the present time.
    pub lasts: bool,
}

impl Kept {
    fn lock(&self) -> MutexGuard<'_, VecDeque<Arc<Answer>>> {
        // Nothing panics while the lock is held.
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the answer `key`: the one that is kept unless its sources have changed, or the one that `make` makes. A client that has the same
    /// one, as its `headers` say, is told that.
    pub fn answer(
        &self,
        key: &str,
        sources: Sources,
        headers: &HeaderMap,
        make: impl FnOnce() -> Result<Made, ApiError>,
    ) -> Result<Response, ApiError> {
        // A panic of an earlier one has left nothing half done.
        let place = key.bytes().fold(0, |sum: usize, byte| sum.wrapping_mul(31).wrapping_add(byte.into())) % MADE_MAX;
        let _making = self.making[place].lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.lock().iter().find(|answer| answer.key == key).cloned();
        // They are seen before they are read, so that what is written meanwhile is a change.
        let nothing = Glimpse::default();
        let records = Glimpse::of(sources.kind, sources.folders, before.as_ref().map_or(&nothing, |before| &before.seen.records));
        let modified = |folder: &PathBuf| fs::metadata(folder).and_then(|metadata| metadata.modified()).ok();
        let seen = Seen { records, beside: sources.beside.iter().map(modified).collect() };
        let answer = match before.filter(|before| before.seen == seen) {
            Some(before) => before,
            None => {
                let Made { body, lasts } = make()?;
                if !lasts {
                    return Ok(sent(body));
                }
                let etag = format!("\"{}\"", hex::encode(&Sha256::digest(&body)[..16]));
                Arc::new(Answer { key: key.to_owned(), seen, etag, body: body.into() })
            }
        };
        self.keep(Arc::clone(&answer));
        let etag = [(header::ETAG, answer.etag.clone())];
        if headers.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == answer.etag.as_bytes()) {
            return Ok((StatusCode::NOT_MODIFIED, etag).into_response());
        }
        Ok((etag, sent(answer.body.clone())).into_response())
    }

    /// Keeps an answer as the last one that was given, and drops those before it that are too many.
    fn keep(&self, answer: Arc<Answer>) {
        let mut kept = self.lock();
        kept.retain(|other| other.key != answer.key);
        kept.push_front(answer);
        let mut num_bytes = 0;
        let fits = |answer: &Arc<Answer>| {
            num_bytes += answer.body.len();
            num_bytes <= BYTES_MAX
        };
        let num_kept = kept.iter().take(ANSWERS_MAX).map(fits).take_while(|fits| *fits).count();
        kept.truncate(num_kept);
    }
}

//! One delivery of an update, from its first chunk to its end.

use tokio::{runtime::Handle, sync::mpsc};
use tonic::{Status, Streaming};

use super::{desk::Input, service::PATIENCE};
use crate::{
    hub::NodeId,
    object::{Damage, Receiving},
    wire::{order::Key, v1},
};

/// A delivery while it lasts. Whatever ends it, a call that was cancelled included, the hub learns of it, and what came isn't lost.
pub(super) struct Underway {
    pub(super) inputs: mpsc::Sender<Input>,
    pub(super) node: NodeId,
    pub(super) key: Key,
    pub(super) attempt: u32,
    /// What came so far; `None` once the delivery has ended in another way than by breaking off.
    pub(super) receiving: Option<Receiving>,
}

impl Underway {
    /// Takes chunks until all of them are there, or one of them can't be.
    ///
    /// # Errors
    /// If it broke off.
    pub(super) async fn receive(
        &mut self,
        mut chunk: Option<v1::Chunk>,
        chunks: &mut Streaming<v1::DeliverRequest>,
    ) -> Result<Result<Receiving, Damage>, Status> {
        loop {
            let receiving = self.receiving.as_mut().ok_or_else(|| Status::internal("the delivery has ended"))?;
            if let Some(v1::Chunk { offset, data }) = chunk
                && let Err(damage) = receiving.push(offset, &data)
            {
                self.receiving = None;
                return Ok(Err(damage));
            }
            match next(chunks).await? {
                Some(message) => chunk = message.chunk,
                None => break,
            }
        }
        match self.receiving.take_if(|receiving| receiving.num_received() == receiving.object().num_bytes) {
            Some(receiving) => Ok(Ok(receiving)),
            None => Err(Status::aborted("the delivery ended too soon")),
        }
    }
}

impl Drop for Underway {
    fn drop(&mut self) {
        let Some(receiving) = self.receiving.take().map(Box::new) else { return };
        let (inputs, node, key, attempt) = (self.inputs.clone(), self.node, self.key, self.attempt);
        // A call that is cancelled can't wait. Without a runtime, the run is over.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move { inputs.send(Input::BrokeOff { node, key, attempt, receiving }).await });
        }
    }
}

/// Waits for the next message of a transfer.
pub(super) async fn next<T>(messages: &mut Streaming<T>) -> Result<Option<T>, Status> {
    let waited = tokio::time::timeout(PATIENCE, messages.message()).await;
    waited.map_err(|_| Status::deadline_exceeded("nothing came for too long"))?
}

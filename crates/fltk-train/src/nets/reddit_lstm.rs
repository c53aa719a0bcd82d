//! RedditLSTM: a word model. Embedding, dropout, LSTM, dropout, linear decoder at every position.
//!
//! A tied decoder uses the embedding's weight, so it has only a bias of its own, also in the state dict (PyTorch's usual
//! `decoder.weight = encoder.weight` lists the same tensor twice).

use fltk_core::experiment::NetName;
use tch::{TchError, Tensor};

use super::{InputShape, Net, NetSpec, Sizes};
use crate::{
    layers::{Embedding, Linear, Lstm, Pass, dropout},
    registry::{Init, Scope},
};

pub(super) const SPEC: NetSpec = NetSpec {
    name: NetName::RedditLSTM,
    summary: "embedding, LSTM, linear decoder (tied or not), dropout between",
    input: InputShape::Tokens,
    build: |scope, sizes| Box::new(RedditLstm::new(scope, sizes)),
};

/// The initial values of embedding and decoder.
const INIT: Init = Init::Uniform { bound: 0.1 };

#[derive(Debug)]
struct RedditLstm {
    encoder: Embedding,
    rnn: Lstm,
    decoder: Linear,
    dropout: f64,
}

impl RedditLstm {
    fn new(scope: &mut Scope<'_>, &Sizes { vocabulary, lstm }: &Sizes) -> Self {
        let (embedding, hidden, layers) = (lstm.embedding as usize, lstm.hidden as usize, lstm.layers as usize);
        let encoder = Embedding::new(scope.sub("encoder"), vocabulary, embedding, INIT);
        let rnn = Lstm::new(scope.sub("rnn"), embedding, hidden, layers, lstm.dropout);
        let zero = Init::Constant(0.0);
        let decoder = if lstm.tied {
            Linear::tied(scope.sub("decoder"), &encoder, vocabulary, zero)
        } else {
            Linear::with_init(scope.sub("decoder"), hidden, vocabulary, INIT, zero)
        };
        Self { encoder, rnn, decoder, dropout: lstm.dropout }
    }
}

impl Net for RedditLstm {
    fn forward(&self, x: Tensor, pass: &mut Pass<'_>) -> Result<Tensor, TchError> {
        let x = dropout(self.encoder.forward(&x, pass)?, self.dropout, pass)?;
        let x = dropout(self.rnn.forward(&x, pass)?, self.dropout, pass)?;
        self.decoder.forward(&x, pass)
    }
}

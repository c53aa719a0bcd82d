//! RedditLSTM: a word model. Embedding, dropout, LSTM, dropout, linear decoder at every position.
//!
//! A tied decoder uses the embedding's weight, so it has only a bias of its own, also in the state dict (PyTorch's usual
//! `decoder.weight = encoder.weight` lists the same tensor twice).

use fltk_core::catalogue::{Choice, Entry, Misfit, NetEntry, Number, Range, SampleKind, Switch, Whole};

use super::NetSpec;
#[cfg(libtorch)]
use crate::nets::InputShape;

/// The largest width of a layer.
const WIDTH_MAX: u32 = 16_384;

pub(crate) const EMBEDDING: Whole = Whole::new("embedding", 200, "Width of the embedding.").within(1, WIDTH_MAX);
pub(crate) const HIDDEN: Whole =
    Whole::new("hidden", 200, "Width of each LSTM layer; equal to `embedding` when `tied`.").within(1, WIDTH_MAX);
pub(crate) const LAYERS: Whole = Whole::new("layers", 2, "Number of LSTM layers.").within(1, 64);
pub(crate) const DROPOUT: Number =
    Number::new("dropout", 0.5, "Dropout after the embedding, between layers and after the last.").within(Range::BELOW_ONE);
pub(crate) const TIED: Switch = Switch::new("tied", false, "True if the decoder shares the embedding's weight.");

pub(super) static SPEC: NetSpec = NetSpec {
    entry: NetEntry {
        block: Some("lstm"),
        num_layers: |_| 3,
        ..NetEntry::new(
            Entry::new("RedditLSTM", "Embedding, LSTM, linear decoder (tied or not), dropout between.")
                .parameters(&[EMBEDDING.parameter(), HIDDEN.parameter(), LAYERS.parameter(), DROPOUT.parameter(), TIED.parameter()])
                .check(check),
            SampleKind::Text,
        )
    },
    #[cfg(libtorch)]
    input: InputShape::Tokens { vocabulary: 50_000 },
    #[cfg(libtorch)]
    build: |scope, sizes| Box::new(net::RedditLstm::new(scope, sizes)),
};

fn check(settings: &Choice) -> Result<(), Misfit> {
    let (embedding, hidden) = (EMBEDDING.of(settings), HIDDEN.of(settings));
    if TIED.of(settings) && embedding != hidden {
        let message = format!("a tied decoder needs `hidden` equal to `embedding`: they are {hidden} and {embedding}");
        return Err(Misfit { parameter: "tied", message, hint: "set both to the same number, or `tied: false`".to_owned() });
    }
    Ok(())
}

#[cfg(libtorch)]
mod net {
    use tch::{TchError, Tensor};

    use super::{DROPOUT, EMBEDDING, HIDDEN, LAYERS, TIED};
    use crate::{
        layers::{Embedding, Linear, Lstm, Pass, dropout},
        nets::{Net, Sizes},
        registry::{Init, Scope},
    };

    /// The initial values of embedding and decoder.
    const INIT: Init = Init::Uniform { bound: 0.1 };

    #[derive(Debug)]
    pub(super) struct RedditLstm {
        encoder: Embedding,
        rnn: Lstm,
        decoder: Linear,
        dropout: f64,
    }

    impl RedditLstm {
        pub(super) fn new(scope: &mut Scope<'_>, &Sizes { outputs: vocabulary, settings, .. }: &Sizes<'_>) -> Self {
            let [embedding, hidden, layers] = [EMBEDDING, HIDDEN, LAYERS].map(|size| size.of(settings) as usize);
            let rate = DROPOUT.of(settings);
            let encoder = Embedding::new(scope.sub("encoder"), vocabulary, embedding, INIT);
            let rnn = Lstm::new(scope.sub("rnn"), embedding, hidden, layers, rate);
            let zero = Init::Constant(0.0);
            let decoder = if TIED.of(settings) {
                Linear::tied(scope.sub("decoder"), &encoder, vocabulary, zero)
            } else {
                Linear::with_init(scope.sub("decoder"), hidden, vocabulary, INIT, zero)
            };
            Self { encoder, rnn, decoder, dropout: rate }
        }
    }

    impl Net for RedditLstm {
        fn forward(&self, x: Tensor, pass: &mut Pass<'_>) -> Result<Tensor, TchError> {
            let x = dropout(self.encoder.forward(&x, pass)?, self.dropout, pass)?;
            let x = dropout(self.rnn.forward(&x, pass)?, self.dropout, pass)?;
            self.decoder.forward(&x, pass)
        }
    }
}

//! CharLSTM: the character model of FedAvg's paper and of LEAF for Shakespeare: an embedding of 8, two LSTM layers of 256, a linear decoder.
//!
//! It predicts the next character at every position, as McMahan et al. 2017 and Reddi et al. 2021 do; LEAF (Caldas et al. 2018, arXiv:1812.01097)
//! counts the last position of a window only. PyTorch's LSTM has two biases for each gate where TensorFlow's has one, so the net has 2,048 parameters
//! more than that of Reddi et al.: 822,570 instead of 820,522 for a vocabulary of 90. (McMahan et al. count 866,578, for a vocabulary that they don't
//! state.) The embedding is initially normal with the variance 1, as PyTorch's.

use fltk_core::catalogue::{Entry, NetEntry, SampleKind};

use super::NetSpec;
#[cfg(libtorch)]
use crate::nets::InputShape;

pub(super) static SPEC: NetSpec = NetSpec {
    entry: NetEntry::new(
        Entry::new(
            "CharLSTM",
            "Embedding of 8, 2 LSTM layers of 256, linear decoder at every position. It has 815,945 parameters for 65 characters.",
        )
        .paper("McMahan et al., Communication-Efficient Learning of Deep Networks from Decentralized Data, 2017, arXiv:1602.05629"),
        SampleKind::Text,
    )
    .layers(|_| 3),
    #[cfg(libtorch)]
    input: InputShape::Tokens { vocabulary: 65 },
    #[cfg(libtorch)]
    build: |scope, sizes| Box::new(net::CharLstm::new(scope, sizes)),
};

#[cfg(libtorch)]
mod net {
    use tch::{TchError, Tensor};

    use crate::{
        layers::{Embedding, Linear, Lstm, Pass},
        nets::{Net, Sizes},
        registry::{Init, Scope},
    };

    const EMBEDDING: usize = 8;
    const HIDDEN: usize = 256;
    const LAYERS: usize = 2;

    #[derive(Debug)]
    pub(super) struct CharLstm {
        encoder: Embedding,
        rnn: Lstm,
        decoder: Linear,
    }

    impl CharLstm {
        pub(super) fn new(scope: &mut Scope<'_>, &Sizes { outputs: vocabulary, .. }: &Sizes<'_>) -> Self {
            Self {
                encoder: Embedding::new(scope.sub("encoder"), vocabulary, EMBEDDING, Init::Normal { deviation: 1.0 }),
                rnn: Lstm::new(scope.sub("rnn"), EMBEDDING, HIDDEN, LAYERS, 0.0),
                decoder: Linear::new(scope.sub("decoder"), HIDDEN, vocabulary),
            }
        }
    }

    impl Net for CharLstm {
        fn forward(&self, x: Tensor, pass: &mut Pass<'_>) -> Result<Tensor, TchError> {
            let x = self.rnn.forward(&self.encoder.forward(&x, pass)?, pass)?;
            self.decoder.forward(&x, pass)
        }
    }
}

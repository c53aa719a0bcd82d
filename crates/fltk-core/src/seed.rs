//! One root seed, and the random streams that every consumer derives from it.
//!
//! A stream is named by its *purpose* and *indices* (client, round, epoch), never by the order of calls. So a draw does not depend on the
//! number of threads, on which client comes first, or on interruptions of the run.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The root seed of one replication of an experiment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Seed(pub u64);

/// The purpose of a random stream. The name is part of the derivation: renaming a variant changes results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The initial weights. There is no index.
    Init,
    /// The division of the training set over clients. There is no index.
    Partition,
    /// A data set that is made. Without an index, the numbers of samples of all clients; with indices 0 and 0, what all clients have in common; with the
    /// index of a client, its samples.
    Synthetic,
    /// The samples that the server of a strategy holds itself. There is no index.
    Root,
    /// The selection of clients. Indices: round, and the number of earlier selections in the round if there were any.
    Selection,
    /// The samples on which a candidate measures its loss. Indices: client, round.
    LossSamples,
    /// The amount of local training of a client. Indices: client, round (0 if it is drawn once).
    Work,
    /// The test part of data of one's own that has none, of seed 0. There is no index.
    TestPart,
    /// The order of samples. Indices: client (or 0), round (or 0), epoch.
    Shuffle,
    /// Random crops and flips. Indices: client (or 0), round (or 0), epoch, position of the sample in the training set.
    Augment,
    /// The samples that a client keeps for testing. Index: client.
    ClientTest,
    /// The noise on a client's training samples. Indices: client, position of the sample in the training set.
    FeatureNoise,
    /// Dropout masks. Indices: client (or rank), round (or 0), epoch, step of the epoch from 0.
    Dropout,
    /// Gaps between arrivals. Index: arrival group.
    Gap,
    /// The choice of the arriving task. Index: arrival group.
    Class,
    /// The priority of a job. Indices: arrival group from 1 (or 0), position in the group.
    Priority,
    /// The root seed of a job of a simulated stream or a trace. The indices are those of priorities.
    Job,
    /// The device of a client on a virtual clock. Index: client.
    Device,
    /// The link of a client on a virtual clock. Index: client.
    Link,
    /// The times at which a client is there, on a virtual clock. Index: client.
    Availability,
    /// The drop-out of a client from a round. Indices: client, round.
    DropOut,
    /// The clients that crash, without an index; the round in which one does. Index: client.
    Crash,
    /// The clients that are malicious. There is no index.
    Malice,
    /// The draws of an attack. Indices: client, round.
    Attack,
    /// The seed of libtorch's own generator, for TorchScript modules. The indices are those of dropout.
    Torch,
    /// The stochastic rounding of a client's update. Indices: client, round.
    Compression,
}

impl Purpose {
    const fn name(self) -> &'static str {
        match self {
            Self::Init => "init",
            Self::Partition => "partition",
            Self::Synthetic => "synthetic",
            Self::Root => "root",
            Self::Selection => "selection",
            Self::LossSamples => "loss-samples",
            Self::Work => "work",
            Self::TestPart => "test-part",
            Self::Shuffle => "shuffle",
            Self::Augment => "augment",
            Self::ClientTest => "client-test",
            Self::FeatureNoise => "feature-noise",
            Self::Dropout => "dropout",
            Self::Gap => "gap",
            Self::Class => "class",
            Self::Priority => "priority",
            Self::Job => "job",
            Self::Device => "device",
            Self::Link => "link",
            Self::Availability => "availability",
            Self::DropOut => "drop_out",
            Self::Crash => "crash",
            Self::Malice => "malice",
            Self::Attack => "attack",
            Self::Torch => "torch",
            Self::Compression => "compression",
        }
    }
}

impl Seed {
    /// The random stream for `purpose` at `indices`: ChaCha8, keyed with SHA-256 over a domain label, the seed, the purpose and the indices.
    #[must_use]
    pub fn stream(self, purpose: Purpose, indices: &[u64]) -> ChaCha8Rng {
        let mut hash = Sha256::new();
        hash.update(b"fltk-stream-1\0");
        hash.update(self.0.to_le_bytes());
        hash.update(purpose.name().as_bytes());
        hash.update([0]);
        for index in indices {
            hash.update(index.to_le_bytes());
        }
        ChaCha8Rng::from_seed(hash.finalize().into())
    }
}

#[cfg(test)]
mod tests {
    use rand::Rng;

    use super::*;

    #[test]
    fn seed_streams_are_fixed_and_distinct() {
        let first = |seed, purpose, indices: &[u64]| Seed(seed).stream(purpose, indices).next_u64();
        // Golden values: these draws decide every result that was ever recorded.
        let golden = [
            (Purpose::Init, vec![], 3_645_707_246_292_565_061),
            (Purpose::Partition, vec![], 9_111_044_486_691_325_153),
            (Purpose::Root, vec![], 14_821_660_357_584_024_820),
            (Purpose::Work, vec![3, 1], 2_434_622_756_888_003_618),
            (Purpose::Selection, vec![1], 15_054_610_241_915_094_284),
            (Purpose::Shuffle, vec![3, 1, 0], 72_802_331_610_508_333),
            (Purpose::Augment, vec![3, 1, 0, 59_999], 16_280_170_801_954_555_644),
            (Purpose::FeatureNoise, vec![3, 59_999], 14_209_145_305_035_852_620),
            (Purpose::ClientTest, vec![3], 6_941_860_206_376_166_460),
            (Purpose::Dropout, vec![3, 1, 0], 4_059_641_476_429_561_142),
            (Purpose::Torch, vec![3, 1, 0], 16_270_188_428_961_161_830),
            (Purpose::DropOut, vec![3, 1], 8_647_017_436_945_073_760),
            (Purpose::Crash, vec![3], 304_930_624_803_094_533),
            (Purpose::Malice, vec![], 8_841_896_673_227_341_650),
            (Purpose::Attack, vec![3, 1], 920_562_659_657_875_500),
            (Purpose::Compression, vec![3, 1], 8_382_897_364_064_369_969),
            (Purpose::Gap, vec![0], 1_203_890_754_015_445_339),
            (Purpose::Class, vec![0], 4_788_456_027_377_437_281),
            (Purpose::Priority, vec![3], 7_513_952_042_607_033_415),
            (Purpose::Job, vec![3], 14_866_305_388_900_242_882),
        ];
        for (purpose, indices, expected) in golden {
            assert_eq!(first(42, purpose, &indices), expected, "{purpose:?}");
        }
        assert_ne!(first(42, Purpose::Init, &[]), first(43, Purpose::Init, &[]));
        assert_ne!(first(42, Purpose::Shuffle, &[1, 2]), first(42, Purpose::Shuffle, &[2, 1]));
        assert_ne!(first(42, Purpose::Shuffle, &[0]), first(42, Purpose::Dropout, &[0]));
    }
}

//! The input pipeline: it turns a split, an order and a transform into [`Batch`]es, which are the same whatever the number of threads.
//!
//! ```text
//! indices ── order (shuffle by seed, client, round, epoch) ── chunks of batch_size ── transform ──> Batch
//! ```
//!
//! A large epoch is prepared ahead by one background thread with a short bounded queue. A small epoch is prepared inline, because many
//! clients train at once and their threads already occupy all cores.

use std::{
    panic::resume_unwind,
    sync::{
        Arc,
        mpsc::{Receiver, Sender, SyncSender, channel, sync_channel},
    },
    thread::{self, JoinHandle},
};

use fltk_core::seed::Seed;

use crate::{
    dataset::Dataset,
    epoch::{EpochKey, shuffle},
    noise::FeatureNoise,
    samples::{ImageSet, Split, TextSet, VectorSet},
    shard::Sharding,
    sources::synthetic::Synthetic,
    transform::{Transform, TransformError, check_fits},
};

/// The number of batches that wait ready: enough to bridge a slow one, with little memory.
const QUEUED_BATCHES: usize = 4;

/// The number of elements of an epoch from which a separate thread pays: about 5 ms of work, against 0.1 ms to start a thread.
const THREAD_FROM_ELEMENTS: usize = 8 << 20;

/// The samples of one step.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// The input of the net.
    pub inputs: Inputs,
    /// The class of each image (`B` of them), or the next token at each position (`B*T`, row-major).
    pub targets: Vec<i64>,
    /// The number of samples in the batch, `B`.
    pub size: usize,
}

/// The input of a net.
#[derive(Clone, Debug, PartialEq)]
pub enum Inputs {
    /// Images, channels last; a vector of `F` numbers is an image of `F` channels with one pixel.
    Images {
        /// The `B*H*W*C` floats, NHWC.
        nhwc: Vec<f32>,
        /// The shape `[B, H, W, C]`.
        shape: [usize; 4],
    },
    /// Token ids.
    Tokens {
        /// The `B*T` ids, row-major.
        ids: Vec<i64>,
        /// The shape `[B, T]`.
        shape: [usize; 2],
    },
}

/// A part of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The part [`Dataset::train`].
    Train,
    /// The part [`Dataset::test`].
    Test,
}

/// The order of samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The order of the given indices.
    AsGiven,
    /// A permutation by `Purpose::Shuffle` of the plan's [`EpochKey`].
    Shuffled,
}

/// The plan of the batches that [`batches`] makes.
#[derive(Clone, Debug)]
pub struct BatchPlan {
    /// The data set.
    pub dataset: Arc<Dataset>,
    /// The part of the data set.
    pub part: Part,
    /// The indices of samples in the part; `None` means all. An index that is not in the part is skipped.
    pub indices: Option<Vec<u32>>,
    /// The order of the samples.
    pub order: Order,
    /// The key of the random draws for the order and for augmentation.
    pub key: EpochKey,
    /// The transform of images; `None` means only normalization. It is not used for text.
    pub transform: Option<Transform>,
    /// The noise on images; it is not used for text.
    pub noise: Option<FeatureNoise>,
    /// The number of samples per batch; 0 counts as 1.
    pub batch_size: usize,
    /// The samples at `indices`, or more, where they are made when they are used; `None` to make them for this plan.
    pub made: Option<Arc<MadeSamples>>,
    /// True if a last, smaller batch is dropped. With fewer samples than one batch, such as those of a small client, there is then no batch
    /// at all.
    pub drop_last: bool,
}

impl BatchPlan {
    /// Plans one shuffled, augmented epoch over `indices` of the training set (`None`: all), for a net whose input is `input` (`[C, H, W]`;
    /// `None`: the shape of the images).
    ///
    /// # Errors
    /// If the images can't be made to fit `input`.
    pub fn train(
        dataset: &Arc<Dataset>,
        indices: Option<&[u32]>,
        key: EpochKey,
        input: Option<[usize; 3]>,
        batch_size: usize,
        drop_last: bool,
    ) -> Result<Self, TransformError> {
        let transform = transform(dataset, input, Part::Train)?;
        let indices = indices.map(<[u32]>::to_vec);
        let (dataset, part, order) = (dataset.clone(), Part::Train, Order::Shuffled);
        Ok(Self { dataset, part, indices, order, key, transform, noise: None, batch_size, made: None, drop_last })
    }

    /// Plans the part of `rank` in one shuffled, augmented epoch over the whole training set, starting at step `first_step`, counted from
    /// 0.
    ///
    /// # Errors
    /// If the images can't be made to fit `input`.
    pub fn train_shard(
        dataset: &Arc<Dataset>,
        sharding: &Sharding,
        rank: usize,
        key: EpochKey,
        first_step: usize,
        input: Option<[usize; 3]>,
    ) -> Result<Self, TransformError> {
        let mut indices = sharding.indices(rank, dataset.train.len(), key);
        // Only the last step may have fewer samples.
        indices.drain(..indices.len().min(first_step.saturating_mul(sharding.batch_sizes[rank].max(1))));
        let whole = Self::train(dataset, Some(&indices), key, input, sharding.batch_sizes[rank], false)?;
        Ok(Self { order: Order::AsGiven, ..whole })
    }

    /// Plans the part of `rank` out of `num_ranks` of the test set, in order, never augmented. With more ranks than samples, some ranks
    /// have none.
    ///
    /// # Errors
    /// If the images can't be made to fit `input`.
    pub fn test_shard(
        dataset: &Arc<Dataset>,
        (rank, num_ranks): (usize, usize),
        input: Option<[usize; 3]>,
        batch_size: usize,
    ) -> Result<Self, TransformError> {
        let (len, num_ranks) = (dataset.test.len(), num_ranks.max(1));
        // Readers refuse splits of 2^32 samples or more.
        let own = (len * rank / num_ranks..len * (rank + 1) / num_ranks).map(|index| index as u32).collect();
        Ok(Self { indices: Some(own), ..Self::test(dataset, input, batch_size)? })
    }

    /// Plans these samples of the training set in their own order, never augmented: test samples of a client's own.
    ///
    /// # Errors
    /// If the images can't be made to fit `input`.
    pub fn held_out(
        dataset: &Arc<Dataset>,
        indices: &[u32],
        noise: Option<FeatureNoise>,
        input: Option<[usize; 3]>,
        batch_size: usize,
    ) -> Result<Self, TransformError> {
        Ok(Self { part: Part::Train, indices: Some(indices.to_vec()), noise, ..Self::test(dataset, input, batch_size)? })
    }

    /// Plans the whole test set in its own order, never augmented.
    ///
    /// # Errors
    /// If the images can't be made to fit `input`.
    pub fn test(dataset: &Arc<Dataset>, input: Option<[usize; 3]>, batch_size: usize) -> Result<Self, TransformError> {
        let transform = transform(dataset, input, Part::Test)?;
        let key = EpochKey { seed: Seed(0), client: 0, round: 0, epoch: 0 };
        let (part, order) = (Part::Test, Order::AsGiven);
        let dataset = Arc::clone(dataset);
        Ok(Self { dataset, part, indices: None, order, key, transform, noise: None, batch_size, made: None, drop_last: false })
    }
}

/// Samples of a data set that are made when they are used.
#[derive(Debug, PartialEq, Eq)]
pub struct MadeSamples {
    /// Their indices in the data set, ascending.
    indices: Vec<u32>,
    set: VectorSet,
}

impl MadeSamples {
    /// Makes the samples of the training set at `indices`, in any order, without those that aren't in it; `None` if the samples of `dataset` are in
    /// memory anyway. If `earlier` has the same samples, nothing is made.
    #[must_use]
    pub fn of(dataset: &Dataset, indices: &[u32], earlier: Option<&Arc<Self>>) -> Option<Arc<Self>> {
        let Split::Synthetic(made) = &dataset.train else { return None };
        let mut indices = indices.to_vec();
        indices.retain(|&index| (index as usize) < made.len());
        indices.sort_unstable();
        indices.dedup();
        if let Some(earlier) = earlier.filter(|earlier| earlier.indices == indices) {
            return Some(Arc::clone(earlier));
        }
        let set = made.gather(&indices);
        Some(Arc::new(Self { indices, set }))
    }

    /// The place of sample `index` of the data set, which is one of these, among them.
    fn place(&self, index: u32) -> usize {
        // The samples of a client follow each other.
        let guess = index.wrapping_sub(self.indices[0]) as usize;
        if self.indices.get(guess) == Some(&index) {
            return guess;
        }
        self.indices.binary_search(&index).expect("a sample that was made")
    }
}

/// Returns the batches of `plan`, in order. Without samples, there are no batches.
#[must_use]
pub fn batches(plan: BatchPlan) -> Batches {
    let producer = Producer::new(plan);
    if producer.num_elements() < THREAD_FROM_ELEMENTS { Batches::inline(producer) } else { Batches::ahead(producer) }
}

/// An iterator over batches, see [`batches`]. To reuse the memory of a batch that is no longer needed, give it back with
/// [`recycle`](Self::recycle).
#[derive(Debug)]
pub struct Batches {
    remaining: usize,
    feed: Feed,
}

#[derive(Debug)]
enum Feed {
    Inline {
        producer: Box<Producer>,
        spare: Option<Batch>,
    },
    /// The queue is dropped, and thus closed, before the thread is joined: see `Drop`.
    Ahead {
        queue: Option<Receiver<Batch>>,
        spares: Sender<Batch>,
        thread: Option<JoinHandle<()>>,
    },
}

impl Batches {
    fn inline(producer: Producer) -> Self {
        Self { remaining: producer.num_batches(), feed: Feed::Inline { producer: Box::new(producer), spare: None } }
    }

    fn ahead(producer: Producer) -> Self {
        let remaining = producer.num_batches();
        let (ready, queue) = sync_channel(QUEUED_BATCHES);
        let (spares, returned) = channel();
        let thread = thread::spawn(move || produce(producer, &ready, &returned));
        Self { remaining, feed: Feed::Ahead { queue: Some(queue), spares, thread: Some(thread) } }
    }

    /// Takes back a batch, so that a later one can use its memory.
    pub fn recycle(&mut self, batch: Batch) {
        match &mut self.feed {
            Feed::Inline { spare, .. } => *spare = Some(batch),
            // The thread may already be done; the batch is then simply freed.
            Feed::Ahead { spares, .. } => drop(spares.send(batch)),
        }
    }
}

impl Iterator for Batches {
    type Item = Batch;

    fn next(&mut self) -> Option<Batch> {
        let batch = match &mut self.feed {
            Feed::Inline { producer, spare } => producer.next(spare.take()),
            Feed::Ahead { queue, thread, .. } => match queue.as_ref()?.recv() {
                Ok(batch) => Some(batch),
                Err(_) => {
                    // The thread is done. If it panicked, stopping here without an error would silently shorten the epoch.
                    if let Some(Err(panic)) = thread.take().map(JoinHandle::join) {
                        resume_unwind(panic);
                    }
                    None
                }
            },
        }?;
        self.remaining -= 1;
        Some(batch)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.remaining, Some(self.remaining))
    }
}

impl ExactSizeIterator for Batches {}

impl Drop for Batches {
    fn drop(&mut self) {
        if let Feed::Ahead { queue, thread, .. } = &mut self.feed {
            drop(queue.take());
            if let Some(thread) = thread.take() {
                drop(thread.join());
            }
        }
    }
}

fn produce(mut producer: Producer, ready: &SyncSender<Batch>, returned: &Receiver<Batch>) {
    while let Some(batch) = producer.next(returned.try_recv().ok()) {
        if ready.send(batch).is_err() {
            return;
        }
    }
}

/// The maker of the batches, one after another.
#[derive(Debug)]
struct Producer {
    plan: BatchPlan,
    transform: Option<Transform>,
    order: Vec<u32>,
    position: usize,
}

impl Producer {
    fn new(mut plan: BatchPlan) -> Self {
        plan.batch_size = plan.batch_size.max(1);
        let len = split(&plan).len();
        // Readers refuse splits of 2^32 samples or more.
        let mut order = plan.indices.take().unwrap_or_else(|| (0..len as u32).collect());
        order.retain(|&index| (index as usize) < len);
        if plan.made.is_none() && plan.part == Part::Train {
            plan.made = MadeSamples::of(&plan.dataset, &order, None);
        }
        if plan.order == Order::Shuffled {
            shuffle(&mut order, plan.key);
        }
        if plan.drop_last {
            order.truncate(order.len() / plan.batch_size * plan.batch_size);
        }
        let transform =
            plan.transform.clone().or_else(|| pixel_shape(&plan.dataset).map(|shape| Transform::plain(&plan.dataset.preparation, shape)));
        Self { plan, transform, order, position: 0 }
    }

    fn num_batches(&self) -> usize {
        self.order.len().div_ceil(self.plan.batch_size)
    }

    fn num_elements(&self) -> usize {
        let per_sample = match split(&self.plan) {
            Split::Images(set) => set.image_len(),
            Split::Text(set) => 2 * set.window,
            Split::Vectors(set) => set.vector_len(),
            Split::Synthetic(_) => Synthetic::FEATURES,
        };
        self.order.len().saturating_mul(per_sample)
    }

    fn next(&mut self, spare: Option<Batch>) -> Option<Batch> {
        let rest = &self.order[self.position..];
        let chunk = &rest[..rest.len().min(self.plan.batch_size)];
        if chunk.is_empty() {
            return None;
        }
        self.position += chunk.len();
        let (inputs, mut targets) = spare.map_or_else(|| (None, Vec::new()), |batch| (Some(batch.inputs), batch.targets));
        targets.clear();
        let inputs = match split(&self.plan) {
            Split::Images(set) => {
                // Both splits of a data set are of the same kind, so its images have a shape and hence a transform.
                let transform = self.transform.as_ref()?;
                images(set, transform, &self.plan, chunk, inputs, &mut targets)
            }
            Split::Text(set) => tokens(set, chunk, inputs, &mut targets),
            Split::Vectors(set) => vectors(set, |index| index as usize, &self.plan, chunk, inputs, &mut targets),
            Split::Synthetic(_) => {
                // `Producer::new` sees to that, and leaves out indices that aren't in the data set.
                let made = self.plan.made.as_ref().expect("samples that are made before their batches");
                vectors(&made.set, |index| made.place(index), &self.plan, chunk, inputs, &mut targets)
            }
        };
        Some(Batch { inputs, targets, size: chunk.len() })
    }
}

/// Returns the transform of the images of a part of a data set; `None` if its samples aren't images.
///
/// # Errors
/// If the samples can't be made to fit `input`.
fn transform(dataset: &Dataset, input: Option<[usize; 3]>, part: Part) -> Result<Option<Transform>, TransformError> {
    match (pixel_shape(dataset), dataset.image_shape(), part) {
        (Some(shape), _, Part::Train) => Transform::train(&dataset.preparation, shape, input).map(Some),
        (Some(shape), _, Part::Test) => Transform::test(&dataset.preparation, shape, input).map(Some),
        (None, Some(from), _) => check_fits(from, input.unwrap_or(from)).map(|_| None),
        (None, None, _) => Ok(None),
    }
}

/// Returns the shape of the images of a data set; `None` if its samples aren't images.
fn pixel_shape(dataset: &Dataset) -> Option<[usize; 3]> {
    if let Split::Images(set) = &dataset.train { Some(set.shape) } else { None }
}

fn split(plan: &BatchPlan) -> &Split {
    match plan.part {
        Part::Train => &plan.dataset.train,
        Part::Test => &plan.dataset.test,
    }
}

fn images(set: &ImageSet, transform: &Transform, plan: &BatchPlan, chunk: &[u32], spare: Option<Inputs>, targets: &mut Vec<i64>) -> Inputs {
    let [height, width, channels] = transform.output_shape();
    let len = height * width * channels;
    let mut nhwc = match spare {
        Some(Inputs::Images { nhwc, .. }) => nhwc,
        _ => Vec::new(),
    };
    nhwc.resize(chunk.len() * len, 0.0);
    let mut values = vec![0.0; if plan.noise.is_some() { set.image_len() } else { 0 }];
    for (&index, output) in chunk.iter().zip(nhwc.chunks_exact_mut(len)) {
        transform.apply(set.image(index as usize), output, &plan.key, index);
        if let Some(noise) = &plan.noise {
            noise.fill(index, &mut values);
            transform.add_noise(&values, output, &plan.key, index);
        }
        targets.push(i64::from(set.labels[index as usize]));
    }
    Inputs::Images { nhwc, shape: [chunk.len(), height, width, channels] }
}

/// Makes a batch of vectors; `place` is the place of a sample in `set`.
fn vectors(
    set: &VectorSet,
    place: impl Fn(u32) -> usize,
    plan: &BatchPlan,
    chunk: &[u32],
    spare: Option<Inputs>,
    targets: &mut Vec<i64>,
) -> Inputs {
    let mut numbers = match spare {
        Some(Inputs::Images { nhwc, .. }) => nhwc,
        _ => Vec::new(),
    };
    numbers.clear();
    let mut values = vec![0.0; if plan.noise.is_some() { set.vector_len() } else { 0 }];
    for &index in chunk {
        let place = place(index);
        let first = numbers.len();
        numbers.extend_from_slice(set.vector(place));
        if let Some(noise) = &plan.noise {
            noise.fill(index, &mut values);
            numbers[first..].iter_mut().zip(&values).for_each(|(number, value)| *number += value);
        }
        targets.push(i64::from(set.labels()[place]));
    }
    Inputs::Images { nhwc: numbers, shape: [targets.len(), 1, 1, set.vector_len()] }
}

fn tokens(set: &TextSet, chunk: &[u32], spare: Option<Inputs>, targets: &mut Vec<i64>) -> Inputs {
    let mut ids = match spare {
        Some(Inputs::Tokens { ids, .. }) => ids,
        _ => Vec::new(),
    };
    ids.clear();
    for &index in chunk {
        let start = set.starts[index as usize] as usize;
        let sample = &set.tokens[start..=start + set.window];
        ids.extend(sample[..set.window].iter().map(|&token| i64::from(token)));
        targets.extend(sample[1..].iter().map(|&token| i64::from(token)));
    }
    Inputs::Tokens { ids, shape: [chunk.len(), set.window] }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        dataset::{Origin, Provenance},
        noise::NoiseLevels,
        shard::Remainder,
        sources::cifar10,
    };

    /// Returns `count` images of 3x32x32 whose first pixel and label are their index.
    fn images_of(count: usize) -> Split {
        let pixels = (0..count).flat_map(|index| [index as u8; 3072]).collect();
        Split::Images(ImageSet { pixels, labels: (0..count as u16).collect(), shape: [3, 32, 32], clients: None })
    }

    fn dataset(train: Split, test: Split) -> Arc<Dataset> {
        let provenance = Provenance { origin: Origin::Embedded, files: Vec::new(), normalization: None };
        Arc::new(Dataset { preparation: cifar10::SOURCE.preparation(), class_names: Vec::new(), train, test, provenance })
    }

    const KEY: EpochKey = EpochKey { seed: Seed(1), client: 0, round: 0, epoch: 1 };

    fn targets(batches: Batches) -> Vec<Vec<i64>> {
        batches.map(|batch| batch.targets).collect()
    }

    #[test]
    fn test_batches_are_ordered_and_complete() {
        let data = dataset(images_of(3), images_of(5));
        let all: Vec<Batch> = batches(BatchPlan::test(&data, None, 2).expect("fits")).collect();
        assert_eq!(all.iter().map(|batch| batch.targets.as_slice()).collect::<Vec<_>>(), [&[0, 1][..], &[2, 3], &[4]]);
        assert_eq!(all[2].size, 1);
        let Inputs::Images { nhwc, shape } = &all[2].inputs else { panic!("images") };
        assert_eq!((shape, nhwc.len()), (&[1, 32, 32, 3], 3072));
        assert_eq!(nhwc[0], (4.0 / 255.0 - 0.485) / 0.229);
    }

    #[test]
    fn training_batches_are_the_permutation_of_their_key() {
        let data = dataset(images_of(100), images_of(1));
        let epoch = |key, drop_last| targets(batches(BatchPlan::train(&data, None, key, None, 8, drop_last).expect("fits")));
        let first = epoch(KEY, false);
        let mut seen = first.concat();
        assert_eq!((first.len(), first.last().map(Vec::len)), (13, Some(4)));
        assert!(!seen.is_sorted());
        seen.sort_unstable();
        assert!(seen.iter().copied().eq(0..100));
        assert_eq!(epoch(KEY, false), first);
        assert_ne!(epoch(EpochKey { epoch: 2, ..KEY }, false), first);
        assert_ne!(epoch(EpochKey { round: 1, ..KEY }, false), first);
        assert_eq!(epoch(KEY, true), first[..12], "the last, smaller batch is left out");
    }

    #[test]
    fn background_thread_makes_the_same_batches() {
        let data = dataset(images_of(200), images_of(1));
        let plan = BatchPlan::train(&data, None, KEY, None, 16, false).expect("fits");
        let inline: Vec<Batch> = Batches::inline(Producer::new(plan.clone())).collect();
        let ahead: Vec<Batch> = Batches::ahead(Producer::new(plan.clone())).collect();
        assert_eq!(inline, ahead);
        // Memory is reused, whatever was in it, and the batches are the same.
        for mut recycling in [Batches::inline(Producer::new(plan.clone())), Batches::ahead(Producer::new(plan.clone()))] {
            assert_eq!(recycling.len(), 13);
            for expected in &inline {
                let batch = recycling.next().expect("as many");
                assert_eq!(&batch, expected);
                recycling.recycle(batch);
            }
            assert_eq!((recycling.next(), recycling.len()), (None, 0));
        }
        // Dropping the iterator half way ends its thread.
        let mut dropped = Batches::ahead(Producer::new(plan));
        assert!(dropped.next().is_some());
        drop(dropped);
    }

    #[test]
    #[should_panic(expected = "out of range")]
    fn panic_in_the_background_thread_is_not_the_end_of_the_epoch() {
        let Split::Images(mut damaged) = images_of(4) else { panic!("images") };
        damaged.pixels.truncate(2 * 3072);
        let data = dataset(Split::Images(damaged), images_of(1));
        let plan = BatchPlan::train(&data, None, KEY, None, 1, false).expect("fits");
        Batches::ahead(Producer::new(plan)).for_each(drop);
    }

    #[test]
    fn augmentation_depends_on_the_sample_not_the_batch() {
        let data = dataset(images_of(50), images_of(1));
        let image = |batch_size, indices: &[u32]| {
            let plan = BatchPlan::train(&data, Some(indices), KEY, None, batch_size, false).expect("fits");
            let of_7 = |batch: Batch| {
                let place = batch.targets.iter().position(|&target| target == 7)?;
                let Inputs::Images { nhwc, .. } = batch.inputs else { return None };
                Some(nhwc[place * 3072..][..3072].to_vec())
            };
            batches(plan).find_map(of_7).expect("sample 7")
        };
        assert_eq!(image(3, &[1, 7, 9]), image(50, &(0..50).collect::<Vec<_>>()));
    }

    #[test]
    fn noise_is_the_same_in_every_epoch_and_batch() {
        let data = dataset(images_of(8), images_of(1));
        let noise = NoiseLevels { level: 0.5, clients: 2 }.of_client(Seed(1), 1);
        assert!(noise.is_some());
        // The difference that noise makes to each image, without the augmentation of the epoch.
        let plain = data.image_shape().map(|shape| Transform::plain(&data.preparation, shape));
        let difference = |epoch, batch_size| {
            let plan = |noise| {
                let key = EpochKey { epoch, ..KEY };
                let plan = BatchPlan::train(&data, None, key, None, batch_size, false).expect("fits");
                BatchPlan { noise, transform: plain.clone(), order: Order::AsGiven, ..plan }
            };
            let pixels = |batch: Batch| match batch.inputs {
                Inputs::Images { nhwc, .. } => nhwc,
                Inputs::Tokens { .. } => panic!("images"),
            };
            let [without, with] = [None, noise].map(|noise| batches(plan(noise)).flat_map(pixels).collect::<Vec<f32>>());
            with.iter().zip(&without).map(|(with, without)| with - without).collect::<Vec<f32>>()
        };
        let first = difference(1, 3);
        assert_eq!(first, difference(2, 8));
        assert!(first[..3072] != first[3072..6144], "each sample has its own");
        let variance = first.iter().step_by(3).map(|value| (value * 0.229).powi(2)).sum::<f32>() / 8192.0;
        assert!((variance - 0.5).abs() < 0.05, "{variance}");
    }

    #[test]
    fn shards_resume_at_any_step() {
        let data = dataset(images_of(50), images_of(1));
        for remainder in [Remainder::Share, Remainder::Pad, Remainder::Drop] {
            let sharding = Sharding { batch_sizes: vec![5, 3, 4], remainder };
            for rank in 0..3 {
                let from = |step| targets(batches(BatchPlan::train_shard(&data, &sharding, rank, KEY, step, None).expect("fits")));
                let all = from(0);
                for step in 0..=all.len() + 1 {
                    assert_eq!(from(step), all.get(step..).unwrap_or_default(), "{remainder:?}, rank {rank}, step {step}");
                }
            }
        }
    }

    #[test]
    fn empty_clients_have_no_batches_and_invalid_indices_are_skipped() {
        let data = dataset(images_of(3), images_of(1));
        let plan = |indices: &[u32], batch_size| BatchPlan::train(&data, Some(indices), KEY, None, batch_size, false).expect("fits");
        assert_eq!(targets(batches(plan(&[], 4))), Vec::<Vec<i64>>::new());
        assert_eq!(targets(batches(plan(&[2, 3, u32::MAX], 0))), [[2]]);
        let drop_all = BatchPlan { drop_last: true, ..plan(&[0, 1], 4) };
        assert_eq!(batches(drop_all).len(), 0);
    }

    #[test]
    fn text_targets_are_the_next_tokens() {
        let text = TextSet { tokens: (10..30).collect(), starts: vec![0, 4, 12], window: 4, clients: vec![0, 0, 1] };
        let data = dataset(Split::Text(text.clone()), Split::Text(text));
        let all: Vec<Batch> = batches(BatchPlan::test(&data, None, 2).expect("fits")).collect();
        assert_eq!(all[0].inputs, Inputs::Tokens { ids: vec![10, 11, 12, 13, 14, 15, 16, 17], shape: [2, 4] });
        assert_eq!(all[0].targets, [11, 12, 13, 14, 15, 16, 17, 18]);
        assert_eq!((all[1].size, &all[1].targets), (1, &vec![23, 24, 25, 26]));
    }
}

//! Samples as plain arrays: the images or the text of a split.

use std::{borrow::Cow, fmt};

use crate::sources::synthetic::Synthetic;

/// Images and their classes.
#[derive(Clone, PartialEq, Eq)]
pub struct ImageSet {
    /// The `N*C*H*W` bytes, NCHW, in `0..=255`.
    pub pixels: Vec<u8>,
    /// The class of each of the `N` images, below the number of class names.
    pub labels: Vec<u16>,
    /// The shape `[C, H, W]` of one image.
    pub shape: [usize; 3],
    /// The natural client of each image; `None` if there are none.
    pub clients: Option<Vec<u32>>,
}

impl ImageSet {
    /// The bytes of one image, `C*H*W`.
    #[must_use]
    pub fn image_len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Returns the pixels of image `index`, CHW.
    ///
    /// # Panics
    /// If `index` is not below the number of labels.
    #[must_use]
    pub fn image(&self, index: usize) -> &[u8] {
        let len = self.image_len();
        &self.pixels[index * len..(index + 1) * len]
    }
}

/// Leaves out the pixels: there are millions.
impl fmt::Debug for ImageSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ImageSet").field("num_images", &self.labels.len()).field("shape", &self.shape).finish_non_exhaustive()
    }
}

/// A text as vocabulary ids, cut into samples of `window` inputs and `window` targets (each the input's next token).
#[derive(Clone, PartialEq, Eq)]
pub struct TextSet {
    /// The split's text as vocabulary ids, one client's text after another.
    pub tokens: Vec<u16>,
    /// The first token of each sample. Sample `i` reads `tokens[starts[i]..][..window]` and predicts the same shifted by one; a sample
    /// never crosses from one client's text into another's.
    pub starts: Vec<u32>,
    /// The number of inputs of one sample, `T`.
    pub window: usize,
    /// The natural client (speaker, author) of each sample; the same id means the same client in both splits. Ids are below 65,536.
    pub clients: Vec<u32>,
}

/// Leaves out the tokens: there are millions.
impl fmt::Debug for TextSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (tokens, samples) = (self.tokens.len(), self.starts.len());
        f.debug_struct("TextSet")
            .field("num_tokens", &tokens)
            .field("num_samples", &samples)
            .field("window", &self.window)
            .finish_non_exhaustive()
    }
}

/// Vectors of numbers and their classes.
#[derive(Clone, PartialEq)]
pub struct VectorSet {
    /// The `N*F` numbers, sample by sample.
    numbers: Vec<f32>,
    /// The class of each of the `N` samples, below the number of class names.
    labels: Vec<u16>,
    /// The numbers of one sample, `F`.
    len: usize,
    /// The natural client of each sample; `None` if there are none.
    clients: Option<Vec<u32>>,
}

impl VectorSet {
    /// Creates a set without samples, for vectors of `len` numbers.
    #[must_use]
    pub fn empty(len: usize) -> Self {
        Self { numbers: Vec::new(), labels: Vec::new(), len, clients: None }
    }

    /// Creates a set without samples, for `count` vectors of `len` numbers.
    #[must_use]
    pub fn with_capacity(len: usize, count: usize) -> Self {
        Self { numbers: Vec::with_capacity(len * count), labels: Vec::with_capacity(count), len, clients: None }
    }

    /// Creates a set of vectors of `len` numbers, one after another, with the class and the natural client of each.
    ///
    /// # Panics
    /// If there aren't `len` numbers for each label.
    #[must_use]
    pub fn new(numbers: Vec<f32>, labels: Vec<u16>, len: usize, clients: Option<Vec<u32>>) -> Self {
        assert_eq!(numbers.len(), labels.len() * len, "the numbers of all samples");
        Self { numbers, labels, len, clients }
    }

    /// Adds a sample.
    ///
    /// # Panics
    /// If it has another number of numbers than the others.
    pub fn push(&mut self, sample: &[f32], label: u16) {
        assert_eq!(sample.len(), self.len, "a sample as long as the others");
        self.numbers.extend_from_slice(sample);
        self.labels.push(label);
    }

    /// The numbers of one sample, `F`.
    #[must_use]
    pub fn vector_len(&self) -> usize {
        self.len
    }

    /// Returns the numbers of sample `index`.
    ///
    /// # Panics
    /// If `index` is not below the number of labels.
    #[must_use]
    pub fn vector(&self, index: usize) -> &[f32] {
        &self.numbers[index * self.len..(index + 1) * self.len]
    }

    /// The class of each sample.
    #[must_use]
    pub fn labels(&self) -> &[u16] {
        &self.labels
    }

    /// The numbers of all samples, one after another.
    #[must_use]
    pub fn numbers(&self) -> &[f32] {
        &self.numbers
    }
}

/// Equality is of numbers, none of which is NaN.
impl Eq for VectorSet {}

/// Leaves out the numbers: there are millions.
impl fmt::Debug for VectorSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VectorSet").field("num_vectors", &self.labels.len()).field("len", &self.len).finish_non_exhaustive()
    }
}

/// The training part or the test part of a data set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Split {
    /// Labeled images.
    Images(ImageSet),
    /// Text for next-token prediction.
    Text(TextSet),
    /// Labeled vectors of numbers.
    Vectors(VectorSet),
    /// Labeled vectors of numbers that are made when they are used.
    Synthetic(Synthetic),
}

impl Split {
    /// The number of samples.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Images(set) => set.labels.len(),
            Self::Text(set) => set.starts.len(),
            Self::Vectors(set) => set.labels.len(),
            Self::Synthetic(made) => made.len(),
        }
    }

    /// True if there are no samples.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the labels that partitioners divide by: the class of each image; for a text, which has no classes, the natural client of
    /// each sample. Samples that aren't in memory are made for it.
    #[must_use]
    pub fn labels(&self) -> Cow<'_, [u16]> {
        match self {
            Self::Images(set) => Cow::Borrowed(&set.labels),
            // The reader refuses texts with more than 65,536 clients, so nothing is lost here.
            Self::Text(set) => set.clients.iter().map(|&client| u16::try_from(client).unwrap_or(u16::MAX)).collect(),
            Self::Vectors(set) => Cow::Borrowed(&set.labels),
            Self::Synthetic(made) => Cow::Owned(made.labels()),
        }
    }

    /// Returns the natural client of each sample, if the data set has natural clients.
    #[must_use]
    pub fn natural_clients(&self) -> Option<Cow<'_, [u32]>> {
        match self {
            Self::Images(set) => set.clients.as_deref().map(Cow::Borrowed),
            Self::Vectors(set) => set.clients.as_deref().map(Cow::Borrowed),
            Self::Text(set) => Some(Cow::Borrowed(&set.clients)),
            Self::Synthetic(made) => Some(Cow::Owned(made.clients())),
        }
    }
}

//! The steps between an image of the data set and the net: augmentation, padding and normalization, all in one pass into NHWC floats.
//!
//! The same rule applies in all settings (data-parallel and federated). The data set's [`Preparation`] has the normalization,
//! `(p/255 - mean) / deviation`, and the augmentation in training.
//!
//! Test sets are never augmented. Padding, for a crop or up to a larger input (LeNet-5 takes 32x32), uses black pixels *before*
//! normalization, as torchvision's `RandomCrop` and `Pad` on images do. The arithmetic is PyTorch's, in f32: `ToTensor` divides by 255,
//! `Normalize` subtracts and divides.

use fltk_core::seed::{Purpose, Seed};
use rand::Rng;

use crate::{
    epoch::EpochKey,
    sources::{Augmentation, Preparation},
};

/// The number of pixels by which a random crop may move an image in each direction.
const CROP_PADDING: usize = 4;

/// The reason why a data set's images can't be made to fit a net's input.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransformError {
    /// The input has another number of channels, is smaller, or the image can't be centered in it.
    #[error(
        "images of {from:?} (channels, height, width) can't be padded to the net's input {to:?}\nhint: choose a net made for this data set"
    )]
    Shape {
        /// The shape of the data set's images, `[C, H, W]`.
        from: [usize; 3],
        /// The net's input, `[C, H, W]`.
        to: [usize; 3],
    },
}

/// Returns the numbers of pixels, vertically and horizontally, by which samples of shape `from` are padded on each side to be of shape `to`.
///
/// # Errors
/// If `to` has another number of channels than `from`, is smaller, or is larger by an odd number of pixels.
pub fn check_fits(from: [usize; 3], to: [usize; 3]) -> Result<[usize; 2], TransformError> {
    let padding = |axis: usize| to[axis].checked_sub(from[axis]).filter(|extra| extra % 2 == 0).map(|extra| extra / 2);
    match (from[0] == to[0], padding(1), padding(2)) {
        (true, Some(vertical), Some(horizontal)) => Ok([vertical, horizontal]),
        _ => Err(TransformError::Shape { from, to }),
    }
}

/// The transform of one split: from `[C, H, W]` bytes to `[H, W, C]` floats.
#[derive(Clone, Debug, PartialEq)]
pub struct Transform {
    from: [usize; 3],
    padding: [usize; 2],
    augmentation: Augmentation,
    /// For each channel, the result for each of the 256 pixel values. This is a table because it gives PyTorch's bits (divide, subtract,
    /// divide) at the cost of a load.
    table: Vec<[f32; 256]>,
    /// The number by which each channel is divided in the normalization.
    deviation: Vec<f32>,
}

impl Transform {
    /// Returns the training transform of `preparation` for images of shape `from`, padded to `to` (`None`: no padding). Shapes are `[C, H, W]`.
    ///
    /// # Errors
    /// If `to` has another number of channels than `from`, is smaller, or is larger by an odd number of pixels.
    pub fn train(preparation: &Preparation, from: [usize; 3], to: Option<[usize; 3]>) -> Result<Self, TransformError> {
        Ok(Self { augmentation: preparation.augmentation, ..Self::test(preparation, from, to)? })
    }

    /// Returns the test transform: the training transform without augmentation.
    ///
    /// # Errors
    /// As [`Transform::train`].
    pub fn test(preparation: &Preparation, from: [usize; 3], to: Option<[usize; 3]>) -> Result<Self, TransformError> {
        let to = to.unwrap_or(from);
        Ok(Self { padding: check_fits(from, to)?, ..Self::plain(preparation, from) })
    }

    /// Returns only the normalization, for images of shape `from`.
    #[must_use]
    pub fn plain(preparation: &Preparation, from: [usize; 3]) -> Self {
        let table = (0..from[0]).map(|channel| normalization_table(preparation, channel)).collect();
        let deviations = &preparation.deviation;
        let deviation = (0..from[0]).map(|channel| deviations[channel % deviations.len()]).collect();
        Self { from, padding: [0, 0], augmentation: Augmentation::None, table, deviation }
    }

    /// The shape `[H, W, C]` of the output.
    #[must_use]
    pub fn output_shape(&self) -> [usize; 3] {
        let [channels, height, width] = self.from;
        [height + 2 * self.padding[0], width + 2 * self.padding[1], channels]
    }

    /// Returns, for each channel, the float of each pixel value.
    #[must_use]
    pub fn table(&self) -> &[[f32; 256]] {
        &self.table
    }

    /// True if the transform makes random draws; otherwise, the result depends on the image alone.
    #[must_use]
    pub fn is_augmenting(&self) -> bool {
        self.augmentation != Augmentation::None
    }

    /// Transforms `image` (CHW bytes) into `output` (HWC floats). The draws, if any, are those of sample `sample` in the epoch `key`, so
    /// they don't depend on batches, their order or threads.
    ///
    /// # Panics
    /// If `image` or `output` don't have the lengths of the transform's shapes.
    pub fn apply(&self, image: &[u8], output: &mut [f32], key: &EpochKey, sample: u32) {
        let placement = self.placement(key, sample);
        let [height, width, channels] = self.output_shape();
        assert_eq!(image.len(), self.from.iter().product::<usize>(), "an image of the transform's input shape");
        assert_eq!(output.len(), height * width * channels, "an output of the transform's output shape");
        if placement == Placement::CENTERED && self.padding == [0, 0] {
            let planes = image.chunks_exact(height * width).map(<[u8]>::iter);
            interleave(output, &self.table, planes);
        } else {
            self.place(image, output, &placement);
        }
    }

    /// Adds `noise` (CHW, in units of the largest pixel value) to an image that was [transformed](Self::apply) into `output` with the same key and sample:
    /// what transforming the noisy image gives. Black around the image has no noise.
    ///
    /// # Panics
    /// If `noise` or `output` don't have the lengths of the transform's shapes.
    pub fn add_noise(&self, noise: &[f32], output: &mut [f32], key: &EpochKey, sample: u32) {
        let ([channels, height, width], [output_height, output_width, _]) = (self.from, self.output_shape());
        assert_eq!(noise.len(), channels * height * width, "noise of the transform's input shape");
        assert_eq!(output.len(), channels * output_height * output_width, "an output of the transform's output shape");
        let placement = self.placement(key, sample);
        let (top, left) = (signed(self.padding[0]) - placement.down, signed(self.padding[1]) - placement.right);
        let shown = |at: isize, end: usize| usize::try_from(at).ok().filter(|&at| at < end);
        for (row, values) in noise.chunks_exact(width).enumerate() {
            let (channel, y) = (row / height, row % height);
            let Some(y) = shown(signed(y) + top, output_height) else { continue };
            for (x, value) in values.iter().enumerate() {
                let x = if placement.flip { width - 1 - x } else { x };
                if let Some(x) = shown(signed(x) + left, output_width) {
                    output[(y * output_width + x) * channels + channel] += value / self.deviation[channel];
                }
            }
        }
    }

    fn placement(&self, key: &EpochKey, sample: u32) -> Placement {
        match self.augmentation {
            Augmentation::FlipAndCrop => Placement::draw(key, sample),
            Augmentation::None => Placement::CENTERED,
        }
    }

    /// Copies, row by row, the shifted and flipped image where it covers the output, and black elsewhere.
    fn place(&self, image: &[u8], output: &mut [f32], placement: &Placement) {
        let [channels, height, width] = self.from;
        let [_, output_width, _] = self.output_shape();
        let black: Vec<f32> = self.table.iter().map(|table| table[0]).collect();
        // Column `x` of the output shows column `x - left` of the image; the same holds for rows.
        let (top, left) = (signed(self.padding[0]) - placement.down, signed(self.padding[1]) - placement.right);
        let first = left.clamp(0, signed(output_width)).unsigned_abs();
        let last = (left + signed(width)).clamp(0, signed(output_width)).unsigned_abs();
        for (y, row) in output.chunks_exact_mut(output_width * channels).enumerate() {
            let source_y = usize::try_from(signed(y) - top).ok().filter(|&source_y| source_y < height);
            let Some(source_y) = source_y else {
                fill(row, &black);
                continue;
            };
            fill(&mut row[..first * channels], &black);
            fill(&mut row[last * channels..], &black);
            let covered = &mut row[first * channels..last * channels];
            let skipped = (signed(first) - left).unsigned_abs();
            let rows = (0..channels).map(|channel| &image[(channel * height + source_y) * width..][..width]);
            if placement.flip {
                interleave(covered, &self.table, rows.map(|row| row[..width - skipped].iter().rev()));
            } else {
                interleave(covered, &self.table, rows.map(|row| row[skipped..].iter()));
            }
        }
    }
}

/// Fills `output`, pixel by pixel, with the channels' pixels mapped through their tables. Ends with `output`.
fn interleave<'a>(output: &mut [f32], tables: &[[f32; 256]], mut channels: impl Iterator<Item = impl Iterator<Item = &'a u8>>) {
    match tables {
        [table] => {
            let Some(pixels) = channels.next() else { return };
            for (value, &pixel) in output.iter_mut().zip(pixels) {
                *value = table[usize::from(pixel)];
            }
        }
        [red, green, blue] => {
            let (Some(reds), Some(greens), Some(blues)) = (channels.next(), channels.next(), channels.next()) else { return };
            for (((value, &r), &g), &b) in output.chunks_exact_mut(3).zip(reds).zip(greens).zip(blues) {
                value.copy_from_slice(&[red[usize::from(r)], green[usize::from(g)], blue[usize::from(b)]]);
            }
        }
        // No data set has another number of channels; this is correct, though not fast.
        _ => {
            for (position, (table, channel)) in tables.iter().zip(channels).enumerate() {
                for (value, &pixel) in output.iter_mut().skip(position).step_by(tables.len()).zip(channel) {
                    *value = table[usize::from(pixel)];
                }
            }
        }
    }
}

/// The position of a crop, and whether the image is mirrored first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Placement {
    /// The number of pixels by which the crop is below the image's top; negative: above.
    down: isize,
    /// The number of pixels by which the crop is right of the image's left side; negative: left of it.
    right: isize,
    flip: bool,
}

impl Placement {
    const CENTERED: Self = Self { down: 0, right: 0, flip: false };

    /// Makes one draw of 64 bits: 1 for the flip and 21 for each offset in `0..=8` (whose probabilities thus differ by less than 2^-20).
    fn draw(key: &EpochKey, sample: u32) -> Self {
        let EpochKey { seed, client, round, epoch } = *key;
        let bits = Seed::stream(seed, Purpose::Augment, &[client, round, epoch, u64::from(sample)]).next_u64();
        let offset = |shift: u32| {
            let fraction = bits >> shift & ((1 << 21) - 1);
            signed(((fraction * (2 * CROP_PADDING as u64 + 1)) >> 21) as usize) - signed(CROP_PADDING)
        };
        Self { down: offset(1), right: offset(22), flip: bits & 1 == 1 }
    }
}

/// Converts a side of an image, which is far below `isize::MAX`.
fn signed(length: usize) -> isize {
    length.cast_signed()
}

fn fill(row: &mut [f32], pixel: &[f32]) {
    for values in row.chunks_exact_mut(pixel.len()) {
        values.copy_from_slice(pixel);
    }
}

fn normalization_table(preparation: &Preparation, channel: usize) -> [f32; 256] {
    let Preparation { mean, deviation, .. } = preparation;
    // A local copy has the data set's own number of channels, which the reader checked.
    let (mean, deviation) = (mean[channel % mean.len()], deviation[channel % deviation.len()]);
    std::array::from_fn(|pixel| (pixel as f32 / 255.0 - mean) / deviation)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::sources::{cifar10, cifar100, fashion_mnist, mnist};

    fn key(epoch: u64) -> EpochKey {
        EpochKey { seed: Seed(42), client: 3, round: 2, epoch }
    }

    fn apply(transform: &Transform, image: &[u8], epoch: u64, sample: u32) -> Vec<f32> {
        let mut output = vec![f32::NAN; transform.output_shape().iter().product()];
        transform.apply(image, &mut output, &key(epoch), sample);
        output
    }

    /// The reference, pixel by pixel: mirror, look up in the padded image, divide, subtract, divide.
    fn reference(image: &[u8], side: usize, placement: Placement, mean: &[f32], deviation: &[f32]) -> Vec<f32> {
        let mut output = Vec::new();
        for y in 0..signed(side) {
            for x in 0..signed(side) {
                for channel in 0..mean.len() {
                    let (from_y, mut from_x) = (y + placement.down, x + placement.right);
                    let is_inside = (0..signed(side)).contains(&from_y) && (0..signed(side)).contains(&from_x);
                    if placement.flip {
                        from_x = signed(side) - 1 - from_x;
                    }
                    let pixel = if is_inside { image[(channel * side + from_y as usize) * side + from_x as usize] } else { 0 };
                    output.push((f32::from(pixel) / 255.0 - mean[channel]) / deviation[channel]);
                }
            }
        }
        output
    }

    #[test]
    fn fused_crop_flip_and_normalization_are_correct() {
        let image: Vec<u8> = (0..3072u32).map(|index| (index.wrapping_mul(2_654_435_761) >> 11) as u8).collect();
        let train = Transform::train(&cifar10::SOURCE.preparation(), [3, 32, 32], None).expect("no padding");
        let mut seen = BTreeMap::new();
        for sample in 0..2000 {
            let placement = Placement::draw(&key(1), sample);
            *seen.entry((placement.down, placement.right, placement.flip)).or_insert(0) += 1;
            if sample < 300 {
                let expected = reference(&image, 32, placement, &[0.485, 0.456, 0.406], &[0.229, 0.224, 0.225]);
                assert_eq!(apply(&train, &image, 1, sample), expected, "{placement:?}");
            }
        }
        // These are 2000 draws of 162 placements: 12 of each are expected, so every one is seen, and none 40 times.
        assert_eq!(seen.len(), 9 * 9 * 2);
        assert!(seen.values().all(|&count| count < 40) && seen.keys().all(|&(down, right, _)| down.abs() <= 4 && right.abs() <= 4));
    }

    /// Noise of whole pixels is the same as another image.
    #[test]
    fn noise_moves_with_the_image() {
        let noise: Vec<u8> = (0..3072u32).map(|index| (index.wrapping_mul(2_654_435_761) >> 12) as u8).collect();
        let values: Vec<f32> = noise.iter().map(|&pixel| f32::from(pixel) / 255.0).collect();
        let cifar = Transform::train(&cifar10::SOURCE.preparation(), [3, 32, 32], None).expect("no padding");
        let padded = Transform::train(&mnist::SOURCE.preparation(), [1, 28, 28], Some([1, 32, 32])).expect("an even margin");
        for (transform, len) in [(cifar, 3072), (padded, 784)] {
            for sample in 0..100 {
                let expected = apply(&transform, &noise[..len], 1, sample);
                let mut found = apply(&transform, &vec![0; len], 1, sample);
                transform.add_noise(&values[..len], &mut found, &key(1), sample);
                let is_close = found.iter().zip(&expected).all(|(found, expected)| (found - expected).abs() < 1e-5);
                assert!(is_close, "sample {sample} of {len} values");
            }
        }
    }

    #[test]
    fn random_draws_depend_only_on_epoch_and_sample() {
        assert_eq!(Placement::draw(&key(1), 5), Placement::draw(&key(1), 5));
        let draws = |epoch| (0..64).map(|sample| Placement::draw(&key(epoch), sample)).collect::<Vec<_>>();
        assert_ne!(draws(1), draws(2));
        let other_client = EpochKey { client: 4, ..key(1) };
        assert_ne!(draws(1), (0..64).map(|sample| Placement::draw(&other_client, sample)).collect::<Vec<_>>());
    }

    #[test]
    fn test_samples_are_never_augmented() {
        let image: Vec<u8> = (0..3072).map(|index| (index % 251) as u8).collect();
        let test = Transform::test(&cifar100::SOURCE.preparation(), [3, 32, 32], None).expect("no padding");
        let expected = reference(&image, 32, Placement::CENTERED, &[0.507, 0.487, 0.441], &[0.267, 0.256, 0.276]);
        for sample in 0..20 {
            assert_eq!(apply(&test, &image, u64::from(sample), sample), expected);
        }
        assert!(!test.is_augmenting());
    }

    #[test]
    fn mnist_is_normalized_and_fashion_mnist_scaled() {
        let image: Vec<u8> = (0..784).map(|index| (index % 256) as u8).collect();
        let mnist = Transform::train(&mnist::SOURCE.preparation(), [1, 28, 28], None).expect("no padding");
        assert_eq!(apply(&mnist, &image, 0, 0), reference(&image, 28, Placement::CENTERED, &[0.1307], &[0.3081]));
        // PyTorch gives these values for 0 and 255: (0 - 0.1307) / 0.3081 and (1 - 0.1307) / 0.3081.
        assert_eq!((apply(&mnist, &image, 0, 0)[0], apply(&mnist, &image, 0, 0)[255]), (-0.424_212_96, 2.821_486_7));
        let fashion = Transform::train(&fashion_mnist::SOURCE.preparation(), [1, 28, 28], None).expect("no padding");
        assert_eq!(apply(&fashion, &image, 0, 0)[..256], std::array::from_fn::<f32, 256, _>(|pixel| pixel as f32 / 255.0));
    }

    #[test]
    fn larger_inputs_are_padded_with_black() {
        let padded = Transform::test(&mnist::SOURCE.preparation(), [1, 28, 28], Some([1, 32, 32])).expect("an even margin");
        assert_eq!(padded.output_shape(), [32, 32, 1]);
        let output = apply(&padded, &[255; 784], 0, 0);
        let black = -0.424_212_96;
        for (index, &value) in output.iter().enumerate() {
            let is_inside = (2..30).contains(&(index / 32)) && (2..30).contains(&(index % 32));
            assert_eq!(value, if is_inside { 2.821_486_7 } else { black }, "{index}");
        }
    }

    #[test]
    fn mismatched_inputs_are_refused() {
        for to in [[3, 28, 28], [1, 27, 28], [1, 29, 29], [1, 26, 26]] {
            let error = Transform::train(&mnist::SOURCE.preparation(), [1, 28, 28], Some(to)).expect_err("no fit");
            assert_eq!(error, TransformError::Shape { from: [1, 28, 28], to });
        }
    }
}

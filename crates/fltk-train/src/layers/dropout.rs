//! Dropout with masks from our own random stream: all threads share libtorch's generator, so its draws depend on the order of the threads.

use rand::Rng as _;
use rand_chacha::ChaCha8Rng;
use tch::{TchError, Tensor};

use super::{Mode, Pass};

/// Sets, in training mode, each element to 0 with probability `p`, and multiplies the others by `1/(1-p)`.
pub(crate) fn dropout(x: Tensor, p: f64, pass: &mut Pass<'_>) -> Result<Tensor, TchError> {
    let shape = x.size();
    masked(x, &shape, p, pass)
}

/// Applies `torch.nn.Dropout2d`: [`dropout`] of whole channels of `[B, C, H, W]`.
pub(crate) fn dropout_channels(x: Tensor, p: f64, pass: &mut Pass<'_>) -> Result<Tensor, TchError> {
    let size = x.size();
    masked(x, &[size[0], size[1], 1, 1], p, pass)
}

fn masked(x: Tensor, mask_shape: &[i64], p: f64, pass: &mut Pass<'_>) -> Result<Tensor, TchError> {
    let Mode::Train { dropout: Some(stream), .. } = &mut pass.mode else { return Ok(x) };
    if p <= 0.0 {
        return Ok(x);
    }
    let elements = usize::try_from(mask_shape.iter().product::<i64>()).unwrap_or(0);
    x.f_mul(&Tensor::f_from_slice(&draw_mask(elements, p, stream))?.f_to_device(x.device())?.f_view(mask_shape)?)
}

/// Draws a mask whose elements are 0 with probability `p`, and `1/(1-p)` otherwise.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "p is a probability, so the threshold is within u64")]
fn draw_mask(elements: usize, p: f64, stream: &mut ChaCha8Rng) -> Vec<f32> {
    let threshold = (p.min(1.0) * 2.0_f64.powi(32)) as u64;
    let kept = if p < 1.0 { (1.0 / (1.0 - p)) as f32 } else { 0.0 };
    (0..elements).map(|_| if u64::from(stream.next_u32()) < threshold { 0.0 } else { kept }).collect()
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;

    #[test]
    fn masks_drop_the_given_fraction_and_keep_the_mean() {
        for p in [0.1, 0.5, 0.9] {
            let mask = draw_mask(100_000, p, &mut ChaCha8Rng::seed_from_u64(1));
            let dropped = mask.iter().filter(|&&m| m == 0.0).count() as f64 / 1e5;
            let mean = mask.iter().map(|&m| f64::from(m)).sum::<f64>() / 1e5;
            assert!((dropped - p).abs() < 0.01, "p {p}: {dropped}");
            assert!((mean - 1.0).abs() < 0.05, "p {p}: {mean}");
        }
        assert_eq!(draw_mask(3, 1.0, &mut ChaCha8Rng::seed_from_u64(1)), [0.0; 3]);
    }
}

//! Numbers as pixels.

/// The largest difference between a number and the pixel that it is: numbers were divided by 255 in 32 bits.
const TOLERANCE: f64 = 1e-3;

/// Returns `numbers` as pixels: whole numbers from 0 to 255 as they are; if none is above 1, multiples of 1/255.
///
/// # Errors
/// The position of the first number that is no pixel.
pub(super) fn of_numbers(numbers: &[f32]) -> Result<Vec<u8>, usize> {
    let factor = if numbers.iter().all(|&number| number <= 1.0) { 255.0 } else { 1.0 };
    let pixel = |number: f32| {
        let scaled = f64::from(number) * factor;
        let rounded = scaled.round();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a whole number from 0 to 255, as just checked")]
        ((scaled - rounded).abs() <= TOLERANCE && (0.0..=255.0).contains(&rounded)).then_some(rounded as u8)
    };
    numbers.iter().enumerate().map(|(position, &number)| pixel(number).ok_or(position)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_are_whole_numbers_or_parts_of_255() {
        let scaled: Vec<f32> = (0..=255u8).map(|pixel| f32::from(pixel) / 255.0).collect();
        assert_eq!(of_numbers(&scaled), Ok((0..=255).collect()));
        assert_eq!(of_numbers(&[0.0, 2.0, 255.0]), Ok(vec![0, 2, 255]));
        assert_eq!(of_numbers(&[0.0, 256.0]), Err(1));
        assert_eq!(of_numbers(&[0.0, 2.0, 0.5]), Err(2));
        assert_eq!(of_numbers(&[0.1234]), Err(0));
        assert_eq!(of_numbers(&[-1.0]), Err(0));
        assert_eq!(of_numbers(&[f32::NAN]), Err(0));
    }
}

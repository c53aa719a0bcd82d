//! Holm's correction of several tests' p.

/// Returns the p of each test, corrected by Holm's step-down procedure (Holm 1979, A Simple Sequentially Rejective Multiple Test Procedure): whoever calls
/// all differences significant whose corrected p is at most a level errs in any of them with at most that probability.
pub(super) fn correct(p: &[f64]) -> Vec<f64> {
    let mut ascending: Vec<usize> = (0..p.len()).collect();
    ascending.sort_by(|a, b| p[*a].total_cmp(&p[*b]));
    let mut corrected = vec![1.0; p.len()];
    let mut highest: f64 = 0.0;
    for (rank, &at) in ascending.iter().enumerate() {
        let remaining = super::mean::as_f64(p.len() - rank);
        highest = highest.max((p[at] * remaining).min(1.0));
        corrected[at] = highest;
    }
    corrected
}

#[cfg(test)]
mod tests {
    use super::correct;

    #[test]
    fn p_grows_with_the_number_of_tests() {
        let check = |p: &[f64], expected: &[f64]| {
            let corrected = correct(p);
            assert!(corrected.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{p:?}: {corrected:?}");
            assert_eq!(corrected.len(), expected.len());
        };
        check(&[], &[]);
        check(&[0.03], &[0.03]);
        // 3 * 0.01, 2 * 0.02, and the third is no smaller than the second.
        check(&[0.02, 0.01, 0.03], &[0.04, 0.03, 0.04]);
        check(&[0.5, 0.5], &[1.0, 1.0]);
        check(&[0.6, 0.001], &[0.6, 0.002]);
    }
}

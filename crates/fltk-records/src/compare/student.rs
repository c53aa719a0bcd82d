//! Student's t distribution: intervals of 95 %, and two-sided p.

use puruspe::{betai, invbetai};

/// The confidence of all intervals.
const CONFIDENCE: f64 = 0.95;

/// Returns the ends of the interval of 95 % around an estimate with this standard error; `None` without at least a degree of freedom, and if a number is not finite.
pub(super) fn around(estimate: f64, standard_error: f64, degrees: f64) -> Option<[f64; 2]> {
    let reach = reach(degrees)? * standard_error;
    (estimate.is_finite() && reach.is_finite()).then_some([estimate - reach, estimate + reach])
}

/// Returns the distance, in standard errors, within which t lies with a probability of 95 %.
fn reach(degrees: f64) -> Option<f64> {
    // What lies outside is I(x; df/2, 1/2) with x = df / (df + t^2).
    let x = is_possible(degrees).then(|| invbetai(1.0 - CONFIDENCE, degrees / 2.0, 0.5))?;
    Some((degrees * (1.0 - x) / x).sqrt())
}

/// Returns the probability of a value at least as far from 0 as `t`, on either side; `None` as above.
pub(super) fn two_sided_p(t: f64, degrees: f64) -> Option<f64> {
    if !is_possible(degrees) || !t.is_finite() {
        return None;
    }
    // p = I(x; df/2, 1/2), as above. Near t = 0 its argument would be rounded to 1, so there it is the complement.
    let square = t * t;
    let p = if square < 1.0 {
        1.0 - betai(0.5, degrees / 2.0, square / (degrees + square))
    } else {
        betai(degrees / 2.0, 0.5, degrees / (degrees + square))
    };
    Some(p.clamp(0.0, 1.0))
}

/// Returns true if there can be so many degrees of freedom: Welch's are never fewer than the smaller group's.
fn is_possible(degrees: f64) -> bool {
    // The rounding of a ratio.
    degrees.is_finite() && degrees >= 1.0 - 1e-9
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_and_tails_are_those_of_tables() {
        // Student 1908 and any table since: t of 97.5 %.
        for (degrees, expected) in [(1.0, 12.706_204_736), (4.0, 2.776_445_105), (30.0, 2.042_272_456), (100.0, 1.983_971_519)] {
            let found = reach(degrees).unwrap();
            assert!((found - expected).abs() < 1e-8, "{degrees}: {found}");
            assert!((two_sided_p(found, degrees).unwrap() - 0.05).abs() < 1e-12, "{degrees}");
        }
        // With one degree of freedom it is Cauchy's: P(|t| > 1) = 1/2.
        assert!((two_sided_p(-1.0, 1.0).unwrap() - 0.5).abs() < 1e-10);
        assert_eq!(two_sided_p(0.0, 3.0), Some(1.0));
    }

    #[test]
    fn what_is_no_number_has_no_probability() {
        for (t, degrees) in [(f64::NAN, 2.0), (f64::INFINITY, 2.0), (1.0, 0.0), (1.0, f64::NAN), (1.0, f64::INFINITY)] {
            assert_eq!(two_sided_p(t, degrees), None, "{t} {degrees}");
        }
        assert_eq!(around(0.0, 1.0, 0.0), None);
        assert_eq!(around(0.0, f64::INFINITY, 2.0), None);
    }
}

//! Arrivals drawn as text: one line for each class, one character for each interval of time.

use fltk_core::experiment::Duration;

/// The maximum number of characters of a line.
const COLUMNS: u64 = 60;

/// The lengths of the interval that a character can stand for, in seconds.
const STRETCHES: [u64; 19] = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 28_800, 86_400, 604_800, 30 * 86_400];

/// Draws one line for each class, with its `arrivals` (class and time) from 0 to the last, then an axis. A character is the number of arrivals in its
/// interval: `·` for none, `+` for more than nine.
#[must_use]
pub fn draw(classes: &[&str], arrivals: &[(usize, Duration)]) -> String {
    let last = arrivals.iter().map(|(_, at)| at.as_millis()).max().unwrap_or(0);
    // The shortest of these intervals with which all arrivals fit, so that the axis is easy to read.
    let stretch =
        STRETCHES.into_iter().map(|seconds| seconds * 1000).find(|stretch| last / stretch < COLUMNS).unwrap_or(last / (COLUMNS - 1));
    let columns = usize::try_from(last / stretch + 1).unwrap_or(1);
    let mut counts = vec![vec![0_u32; columns]; classes.len()];
    for (class, at) in arrivals {
        let column = usize::try_from(at.as_millis() / stretch).unwrap_or(0);
        if let Some(count) = counts.get_mut(*class).and_then(|line| line.get_mut(column)) {
            *count += 1;
        }
    }
    let width = classes.iter().map(|class| class.chars().count()).max().unwrap_or(0);
    let character = |count: &u32| match count {
        0 => '·',
        1..=9 => char::from_digit(*count, 10).unwrap_or('+'),
        _ => '+',
    };
    let mut text = String::new();
    for (class, line) in classes.iter().zip(&counts) {
        text.push_str(&format!("{class:<width$}  {}\n", line.iter().map(character).collect::<String>()));
    }
    let end = Duration::from_millis(stretch * columns as u64).to_string();
    let gap = columns.saturating_sub(1 + end.len()).max(1);
    text.push_str(&format!("{:<width$}  0{:gap$}{end}   ({} a character)\n", "", "", Duration::from_millis(stretch)));
    text
}

/// Formats a time as `0:01:23.4`.
#[must_use]
pub fn clock(at: Duration) -> String {
    let tenths = at.as_millis() / 100;
    let seconds = tenths / 10;
    format!("{}:{:02}:{:02}.{}", seconds / 3600, seconds / 60 % 60, seconds % 60, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrivals_are_in_their_interval() {
        let at = |seconds: u64| Duration::from_millis(seconds * 1000);
        let mut arrivals = vec![(0, at(0)), (0, at(119)), (1, at(60)), (1, at(61))];
        arrivals.extend((0..12).map(|_| (1, at(30))));
        let text = draw(&["small", "b"], &arrivals);
        let lines: Vec<&str> = text.lines().collect();
        let dots = |count| "·".repeat(count);
        assert_eq!(lines[0], format!("small  1{}1", dots(58)));
        assert_eq!(lines[1], format!("b      {}+{}2{}", dots(15), dots(14), dots(29)));
        assert_eq!(lines[2], format!("       0{}2min   (2s a character)", " ".repeat(55)));
        assert_eq!(draw(&["a"], &[]), "a  ·\n   0 1s   (1s a character)\n");
    }
}

//! Several measurements of one thing.

use std::fmt;

/// Figures of one thing, one for each round. Shown as the median with the lowest and the highest; the
/// precision of the format is that of each figure.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sample(Vec<f64>);

impl Sample {
    pub(crate) fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        match sorted.len() {
            0 => f64::NAN,
            odd if odd % 2 == 1 => sorted[middle],
            _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
        }
    }
}

impl FromIterator<f64> for Sample {
    fn from_iter<I: IntoIterator<Item = f64>>(figures: I) -> Self {
        Self(figures.into_iter().collect())
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = f.precision().unwrap_or(2);
        let low = self.0.iter().copied().fold(f64::INFINITY, f64::min);
        let high = self.0.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        write!(f, "{:.digits$} ({low:.digits$} to {high:.digits$})", self.median())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_shown_as_its_median_with_the_lowest_and_the_highest() {
        let odd: Sample = [3.0, 1.0, 10.0].into_iter().collect();
        assert_eq!(format!("{odd:.1}"), "3.0 (1.0 to 10.0)");
        let even: Sample = [4.0, 1.0, 2.0, 8.0].into_iter().collect();
        assert_eq!(format!("{even}"), "3.00 (1.00 to 8.00)");
    }
}

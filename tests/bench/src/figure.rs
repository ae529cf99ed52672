//! Figures of several runs: their median and their spread.

/// What several runs measured.
#[derive(Debug, Clone, Default)]
pub struct Figure(Vec<f64>);

impl Figure {
    /// Takes down a run.
    pub fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    /// The middle one; of an even number the mean of the middle two. 0 when nothing was measured.
    pub fn median(&self) -> f64 {
        let sorted = self.sorted();
        match sorted.len() {
            0 => 0.0,
            len if len % 2 == 1 => sorted[len / 2],
            len => f64::midpoint(sorted[len / 2 - 1], sorted[len / 2]),
        }
    }

    /// The lowest and the highest.
    pub fn spread(&self) -> (f64, f64) {
        let sorted = self.sorted();
        (
            sorted.first().copied().unwrap_or(0.0),
            sorted.last().copied().unwrap_or(0.0),
        )
    }

    fn sorted(&self) -> Vec<f64> {
        let mut values = self.0.clone();
        values.sort_by(f64::total_cmp);
        values
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_one_whatever_the_order() {
        let mut figure = Figure::default();
        assert_eq!(figure.median(), 0.0);
        for value in [5.0, 1.0, 3.0] {
            figure.push(value);
        }
        assert_eq!(figure.median(), 3.0);
        figure.push(4.0);
        assert_eq!(figure.median(), 3.5);
        assert_eq!(figure.spread(), (1.0, 5.0));
    }
}

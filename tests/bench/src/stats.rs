//! Rounds that take turns, their medians and their spread.
//!
//! The machine is never quiet for all of a run, and what disturbs one side for a second would be a difference. So
//! the sides take turns within each round, each begins every second round, and what is compared are the two values
//! of the same round: a ratio is the median of the rounds' ratios, not the ratio of two medians.

/// Measured values of one thing, one a round.
#[derive(Debug, Clone)]
pub(crate) struct Sample(Vec<f64>);

impl Sample {
    /// The values are sorted; one that is no number would make the rest meaningless, so it is refused.
    pub(crate) fn new(mut values: Vec<f64>) -> anyhow::Result<Self> {
        if values.is_empty() || values.iter().any(|value| !value.is_finite()) {
            anyhow::bail!("{values:?} cannot be a sample");
        }
        values.sort_by(f64::total_cmp);
        Ok(Self(values))
    }

    pub(crate) fn median(&self) -> f64 {
        self.at(0.5)
    }

    /// First and third quartile: half of the rounds lie between them.
    pub(crate) fn middle_half(&self) -> (f64, f64) {
        (self.at(0.25), self.at(0.75))
    }

    /// How many rounds.
    pub(crate) fn rounds(&self) -> usize {
        self.0.len()
    }

    /// The value below which this share of the rounds lies, interpolated between neighbours.
    fn at(&self, share: f64) -> f64 {
        let place = share * (self.0.len() - 1) as f64;
        let (low, high) = (place.floor() as usize, place.ceil() as usize);
        self.0[low] + (self.0[high] - self.0[low]) * place.fract()
    }

    /// `1.18 (half of 9 rounds 1.12 to 1.25)`, each value as `shown` has it.
    pub(crate) fn told(&self, shown: impl Fn(f64) -> String) -> String {
        let (low, high) = self.middle_half();
        format!(
            "{} (half of {} rounds {} to {})",
            shown(self.median()),
            self.rounds(),
            shown(low),
            shown(high)
        )
    }
}

/// One side of a comparison: does its work once and says what it measured.
pub(crate) type Side<'a> = Box<dyn FnMut() -> anyhow::Result<f64> + 'a>;

/// The values of all sides, round by round, in the order of the sides.
#[derive(Debug)]
pub(crate) struct Rounds {
    sides: Vec<Vec<f64>>,
}

impl Rounds {
    /// Lets the sides take turns; one turn of each goes before and does not count, as it warms caches and files.
    pub(crate) fn take(rounds: usize, mut sides: Vec<Side<'_>>) -> anyhow::Result<Self> {
        let mut taken = vec![Vec::with_capacity(rounds); sides.len()];
        for side in &mut sides {
            side()?;
        }
        for round in 0..rounds {
            let count = sides.len();
            for turn in 0..count {
                // The first in one round is the last in the next.
                let which = if round % 2 == 0 {
                    turn
                } else {
                    count - 1 - turn
                };
                taken[which].push(sides[which]()?);
            }
        }
        Ok(Self { sides: taken })
    }

    /// What one side measured.
    pub(crate) fn side(&self, which: usize) -> anyhow::Result<Sample> {
        Sample::new(self.sides[which].clone())
    }

    /// One side over another, round by round.
    pub(crate) fn ratio(&self, over: usize, under: usize) -> anyhow::Result<Sample> {
        self.pairs(over, under, |over, under| over / under)
    }

    /// One side less another, round by round.
    pub(crate) fn less(&self, of: usize, taken: usize) -> anyhow::Result<Sample> {
        self.pairs(of, taken, |of, taken| of - taken)
    }

    fn pairs(
        &self,
        one: usize,
        two: usize,
        value: impl Fn(f64, f64) -> f64,
    ) -> anyhow::Result<Sample> {
        let pairs = self.sides[one].iter().zip(&self.sides[two]);
        Sample::new(pairs.map(|(one, two)| value(*one, *two)).collect())
    }
}

/// Seconds in the unit that one reads.
pub(crate) fn time(seconds: f64) -> String {
    let size = seconds.abs();
    if size >= 1.0 {
        format!("{seconds:.2} s")
    } else if size >= 1e-3 {
        format!("{:.1} ms", seconds * 1e3)
    } else if size >= 1e-6 {
        format!("{:.2} us", seconds * 1e6)
    } else {
        format!("{:.0} ns", seconds * 1e9)
    }
}

/// A factor, with as many digits as it deserves.
pub(crate) fn factor(value: f64) -> String {
    if value.abs() >= 10.0 {
        format!("{value:.0}")
    } else {
        format!("{value:.2}")
    }
}

/// The power of `size` that the cost grows with: the slope of a straight line through the logarithms.
pub(crate) fn growth(points: &[(f64, f64)]) -> f64 {
    let logs: Vec<(f64, f64)> = points
        .iter()
        .map(|(size, cost)| (size.ln(), cost.ln()))
        .collect();
    let count = logs.len() as f64;
    let mean_size = logs.iter().map(|(size, _)| size).sum::<f64>() / count;
    let mean_cost = logs.iter().map(|(_, cost)| cost).sum::<f64>() / count;
    let (mut above, mut below) = (0.0, 0.0);
    for (size, cost) in logs {
        above += (size - mean_size) * (cost - mean_cost);
        below += (size - mean_size) * (size - mean_size);
    }
    above / below
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn a_median_is_the_middle_and_an_outlier_does_not_move_it() {
        let sample = Sample::new(vec![3.0, 1.0, 1000.0, 2.0, 4.0]).unwrap();
        assert_eq!(sample.median(), 3.0);
        assert_eq!(sample.middle_half(), (2.0, 4.0));
        assert_eq!(Sample::new(vec![1.0, 2.0]).unwrap().median(), 1.5);
        assert_eq!(Sample::new(vec![7.0]).unwrap().middle_half(), (7.0, 7.0));
    }

    #[test]
    fn no_value_and_no_number_are_no_sample() {
        assert!(Sample::new(vec![]).is_err());
        assert!(Sample::new(vec![1.0, f64::NAN]).is_err());
        assert!(Sample::new(vec![1.0, f64::INFINITY]).is_err());
    }

    #[test]
    fn sides_take_turns_and_each_begins_every_second_round() {
        let order = RefCell::new(String::new());
        let side = |name: char| -> Side<'_> {
            let order = &order;
            Box::new(move || {
                order.borrow_mut().push(name);
                Ok(1.0)
            })
        };
        let rounds = Rounds::take(3, vec![side('a'), side('b')]).unwrap();
        assert_eq!(*order.borrow(), "ababbaab");
        assert_eq!(rounds.side(0).unwrap().rounds(), 3);
    }

    #[test]
    fn a_ratio_compares_the_values_of_one_round() {
        // A machine that is twice as slow in every second round: the ratio does not see it.
        let side = |factor: f64| -> Side<'static> {
            let mut turn = 0;
            Box::new(move || {
                turn += 1;
                Ok(if turn % 2 == 0 { factor } else { factor * 2.0 })
            })
        };
        let rounds = Rounds::take(4, vec![side(3.0), side(2.0)]).unwrap();
        let ratio = rounds.ratio(0, 1).unwrap();
        assert_eq!((ratio.median(), ratio.middle_half()), (1.5, (1.5, 1.5)));
        assert_eq!(rounds.less(0, 1).unwrap().middle_half(), (1.0, 2.0));
    }

    #[test]
    fn a_failing_side_ends_the_rounds() {
        let bad: Side<'_> = Box::new(|| anyhow::bail!("no"));
        assert!(Rounds::take(3, vec![Box::new(|| Ok(1.0)), bad]).is_err());
    }

    #[test]
    fn growth_tells_a_line_from_a_square() {
        let points = |power: i32| -> Vec<(f64, f64)> {
            [100.0_f64, 300.0, 1000.0]
                .map(|size| (size, 0.01 * size.powi(power)))
                .to_vec()
        };
        assert!((growth(&points(1)) - 1.0).abs() < 1e-9);
        assert!((growth(&points(2)) - 2.0).abs() < 1e-9);
    }

    #[test]
    fn times_are_told_in_the_unit_that_one_reads() {
        let told = [2.5, 0.012, 3.4e-6, 2.5e-7, -0.002].map(time);
        assert_eq!(told, ["2.50 s", "12.0 ms", "3.40 us", "250 ns", "-2.0 ms"]);
    }
}

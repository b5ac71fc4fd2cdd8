//! Odds, and sums of them that have the same bits in any order.
//!
//! Owns the arithmetic behind the shares. A float sum depends on its order, so an evaluator that adds up only what a
//! request touched could never agree to the last bit with one that adds up everything. Sums of odds are therefore whole
//! numbers of 2^-64, 256 bits wide: exact, so that taking a prior away and putting a posterior in its place gives the same
//! bits as summing anew.

use super::weight::Weight;
use std::ops::{Add, AddAssign, Neg, Sub, SubAssign};
use std::sync::LazyLock;

/// Scores beyond this many thousandths of a deciban either way (450 decibans, odds of 10^45) are read as this, so that a
/// sum over a million conditions fits its 256 bits.
const LIMIT: i32 = 450_000;

/// A number in 256 bits, counted in 2^-64: `high` holds the multiples of 2^64, `low` the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Sum {
    high: i128,
    low: u128,
}

impl Sum {
    /// Nothing.
    pub const ZERO: Sum = Sum { high: 0, low: 0 };
    /// One, the odds of "something else" against itself.
    pub const ONE: Sum = Sum { high: 0, low: 1 << 64 };

    /// The nearest multiple of 2^-64 towards zero; `value` is finite and below 2^190.
    #[must_use]
    pub fn of(value: f64) -> Self {
        let bits = value.to_bits();
        let exponent = (bits >> 52) & 0x7ff;
        // Numbers too small for a hidden bit are far below 2^-64 in any case.
        let mantissa = u128::from((bits & ((1 << 52) - 1)) | (1 << 52));
        // The value is mantissa * 2^(exponent - 1075), and the unit is 2^-64.
        let size = match exponent {
            0..=957 => Sum::ZERO,
            958..=1011 => Sum { high: 0, low: mantissa >> (1011 - exponent) },
            1012..=1086 => Sum { high: 0, low: mantissa << (exponent - 1011) },
            1087..=1138 => {
                Sum { high: (mantissa >> (1139 - exponent)).cast_signed(), low: mantissa << (exponent - 1011) }
            }
            _ => Sum { high: (mantissa << (exponent.min(1213) - 1139)).cast_signed(), low: 0 },
        };
        if value < 0.0 { -size } else { size }
    }

    /// As a float.
    #[must_use]
    pub fn value(self) -> f64 {
        if self.high < 0 {
            return -(-self).value();
        }
        #[expect(clippy::cast_precision_loss, reason = "this is where the one rounding happens")]
        let (high, low) = (self.high as f64, self.low as f64);
        high * 18_446_744_073_709_551_616.0 + low / 18_446_744_073_709_551_616.0
    }
}

impl Add for Sum {
    type Output = Sum;
    fn add(self, other: Sum) -> Sum {
        let (low, carry) = self.low.overflowing_add(other.low);
        Sum { high: self.high.wrapping_add(other.high).wrapping_add(i128::from(carry)), low }
    }
}

impl Neg for Sum {
    type Output = Sum;
    fn neg(self) -> Sum {
        Sum::ZERO - self
    }
}

impl Sub for Sum {
    type Output = Sum;
    fn sub(self, other: Sum) -> Sum {
        let (low, borrow) = self.low.overflowing_sub(other.low);
        Sum { high: self.high.wrapping_sub(other.high).wrapping_sub(i128::from(borrow)), low }
    }
}

impl AddAssign for Sum {
    fn add_assign(&mut self, other: Sum) {
        *self = *self + other;
    }
}

impl SubAssign for Sum {
    fn sub_assign(&mut self, other: Sum) {
        *self = *self - other;
    }
}

impl std::iter::Sum for Sum {
    fn sum<I: Iterator<Item = Sum>>(items: I) -> Sum {
        items.fold(Sum::ZERO, Add::add)
    }
}

/// Powers of ten in steps of ten decibans, of a tenth and of a thousandth of that.
struct Powers {
    tens: [f64; 91],
    hundredths: [f64; 100],
    ten_thousandths: [f64; 100],
}

static POWERS: LazyLock<Powers> = LazyLock::new(|| {
    let table = |i: usize, from: f64, step: f64| {
        #[expect(clippy::cast_precision_loss, reason = "a place in a short table")]
        let exponent = from + i as f64 * step;
        libm::exp10(exponent)
    };
    Powers {
        tens: std::array::from_fn(|i| table(i, -45.0, 1.0)),
        hundredths: std::array::from_fn(|i| table(i, 0.0, 0.01)),
        ten_thousandths: std::array::from_fn(|i| table(i, 0.0, 0.0001)),
    }
});

/// The odds that a score stands for, `10^(decibans / 10)`, as the product of three entries of a table: a few nanoseconds
/// and three roundings, alike on every platform.
#[must_use]
pub fn odds(score: Weight) -> f64 {
    let thousandths = score.0.clamp(-LIMIT, LIMIT) + LIMIT;
    #[expect(clippy::cast_sign_loss, reason = "clamped, so from 0 to twice the limit")]
    let (tens, rest) = ((thousandths / 10_000) as usize, (thousandths % 10_000) as usize);
    let powers = &*POWERS;
    powers.tens[tens] * (powers.hundredths[rest / 100] * powers.ten_thousandths[rest % 100])
}

/// The entropy of shares, in nats, from the sum of the odds and the sum of each odds times its score in thousandths of a
/// deciban: `-sum s ln s` over shares `s = odds / total` is `ln total - sum(odds ln odds) / total`, and "something else"
/// has odds of one and so no part in the second sum.
#[must_use]
pub fn entropy(total: Sum, weighted: Sum) -> f64 {
    entropy_of(total.value(), weighted.value())
}

/// The same of sums that are floats.
#[must_use]
pub fn entropy_of(total: f64, weighted: f64) -> f64 {
    libm::log(total) - weighted * (std::f64::consts::LN_10 / 10_000.0) / total
}

/// What one condition adds to the second sum of [`entropy`].
#[must_use]
pub fn weighted(score: Weight) -> Sum {
    Sum::of(weighted_odds(score))
}

/// The same as a float.
#[must_use]
pub fn weighted_odds(score: Weight) -> f64 {
    odds(score) * f64::from(score.0.clamp(-LIMIT, LIMIT))
}

#[cfg(test)]
mod tests {
    use super::{Sum, entropy, odds, weighted};
    use crate::engine::weight::Weight;

    #[test]
    fn floats_go_in_and_come_out() {
        for value in [0.0, 1.0, 0.5, 3.25, 1e-6, 12345.678, 1e18, 9.3e18, 1.9e19, 1e25, 1e45, 1e51] {
            let back = Sum::of(value).value();
            assert!((back - value).abs() <= value * 1e-15 + 1e-19, "{value} came back as {back}");
            assert_eq!(Sum::of(-value).value().to_bits() << 1, back.to_bits() << 1);
        }
        assert_eq!(Sum::of(1.0), Sum::ONE);
        assert_eq!(Sum::of(1e-30), Sum::ZERO);
    }

    #[test]
    fn taking_away_undoes_adding() {
        let parts: Vec<Sum> = (-450..450).map(|decibans| Sum::of(odds(Weight(decibans * 997)))).collect();
        let forward: Sum = parts.iter().copied().sum();
        let backward: Sum = parts.iter().rev().copied().sum();
        assert_eq!(forward, backward);
        assert_eq!(parts.iter().fold(forward, |sum, part| sum - *part), Sum::ZERO);
    }

    #[test]
    fn odds_are_powers_of_ten() {
        for thousandths in (-200_000..200_000).step_by(137) {
            let exact = libm::exp10(f64::from(thousandths) / 10_000.0);
            assert!((odds(Weight(thousandths)) / exact - 1.0).abs() < 1e-14);
        }
        assert_eq!(odds(Weight::ZERO).to_bits(), 1.0_f64.to_bits());
    }

    #[test]
    fn the_entropy_is_that_of_the_shares() {
        let scores = [Weight(-12_000), Weight(3_010), Weight(25_000)];
        let total = Sum::ONE + scores.iter().map(|&score| Sum::of(odds(score))).sum();
        let shares = scores.iter().map(|&score| odds(score) / total.value()).chain([1.0 / total.value()]);
        let direct: f64 = shares.map(|share| -share * libm::log(share)).sum();
        let quick = entropy(total, scores.iter().map(|&score| weighted(score)).sum());
        assert!((direct - quick).abs() < 1e-12, "{direct} {quick}");
    }
}

//! Weights of evidence as fixed-point decibans.
//!
//! Owns the arithmetic of scores: integers of 1/1000 deciban, so that a sum has the same bits in any order. The only
//! floats leave here as decibans and ratios for people; logarithms come from `libm`, which rounds alike everywhere.

use serde::Deserialize;

/// A weight in 1/1000 deciban: `10 log10(likelihood ratio) * 1000`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
pub struct Weight(pub i32);

impl Weight {
    /// No evidence either way.
    pub const ZERO: Weight = Weight(0);

    /// The weight of a likelihood ratio or of odds, which must be finite and above zero.
    #[must_use]
    pub fn from_ratio(ratio: f64) -> Self {
        #[expect(clippy::cast_possible_truncation, reason = "a float to integer cast saturates")]
        let thousandths = libm::round(libm::log10(ratio) * 10_000.0) as i32;
        Weight(thousandths)
    }

    /// In decibans.
    #[must_use]
    pub fn decibans(self) -> f64 {
        f64::from(self.0) / 1000.0
    }

    /// As a likelihood ratio.
    #[must_use]
    pub fn ratio(self) -> f64 {
        libm::exp10(f64::from(self.0) / 10_000.0)
    }

    /// The opposite weight.
    #[must_use]
    pub fn negate(self) -> Self {
        Weight(-self.0)
    }
}

impl std::ops::Add for Weight {
    type Output = Weight;
    fn add(self, other: Weight) -> Weight {
        Weight(self.0.saturating_add(other.0))
    }
}

/// A weight in words, for evidence without a published number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strength {
    /// Likelihood ratio of about 2.
    Weak,
    /// Likelihood ratio of about 5.
    Moderate,
    /// Likelihood ratio of about 15.
    Strong,
}

impl Strength {
    /// The likelihood ratio that stands for the word. These three numbers are a convention of this project, placed
    /// inside the bands in which the words are used (1.5 to 3, 3 to 10, 10 and more); they come from no study.
    #[must_use]
    pub fn ratio(self) -> f64 {
        match self {
            Strength::Weak => 2.0,
            Strength::Moderate => 5.0,
            Strength::Strong => 15.0,
        }
    }

    /// Its weight.
    #[must_use]
    pub fn weight(self) -> Weight {
        Weight::from_ratio(self.ratio())
    }
}

#[cfg(test)]
mod tests {
    use super::{Strength, Weight};

    #[test]
    fn words_have_their_weights() {
        assert_eq!(Strength::Weak.weight(), Weight(3_010));
        assert_eq!(Strength::Moderate.weight(), Weight(6_990));
        assert_eq!(Strength::Strong.weight(), Weight(11_761));
        assert_eq!(Weight::from_ratio(0.1), Weight(-10_000));
    }
}

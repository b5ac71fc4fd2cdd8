//! The four truth values (Belnap): told true, told false, not told, told both.
//!
//! Owns the connectives. Every one is monotone in information: hearing more sets bits and never clears one.

/// Two independent bits: what was told true, and what was told false.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Truth(u8);

impl Truth {
    /// Not told.
    pub const UNKNOWN: Truth = Truth(0);
    /// Told true.
    pub const TRUE: Truth = Truth(1);
    /// Told false.
    pub const FALSE: Truth = Truth(2);
    /// Told both: a contradiction.
    pub const BOTH: Truth = Truth(3);

    /// From the two bits.
    #[must_use]
    pub fn new(told_true: bool, told_false: bool) -> Self {
        Truth(u8::from(told_true) | (u8::from(told_false) << 1))
    }

    /// The value of one statement.
    #[must_use]
    pub fn told(value: bool) -> Self {
        if value { Self::TRUE } else { Self::FALSE }
    }

    /// The told-true bit.
    #[must_use]
    pub fn t(self) -> bool {
        self.0 & 1 != 0
    }

    /// The told-false bit.
    #[must_use]
    pub fn f(self) -> bool {
        self.0 & 2 != 0
    }

    /// Swaps the bits.
    #[must_use]
    pub fn negate(self) -> Self {
        Self::new(self.f(), self.t())
    }

    /// True when both are, false when either is.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self::new(self.t() && other.t(), self.f() || other.f())
    }

    /// True when either is, false when both are.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self::new(self.t() || other.t(), self.f() && other.f())
    }

    /// Hears more: the union of what was told.
    #[must_use]
    pub fn hear(self, other: Self) -> Self {
        Truth(self.0 | other.0)
    }

    /// At least `k` of `items` hold: true when `k` are told true, false when more than `n - k` are told false.
    #[must_use]
    pub fn at_least(k: usize, items: impl IntoIterator<Item = Self>) -> Self {
        let (mut n, mut t, mut f) = (0, 0, 0);
        for item in items {
            n += 1;
            t += usize::from(item.t());
            f += usize::from(item.f());
        }
        Self::new(t >= k, f + k > n)
    }

    /// Whether it can be true once a contradiction is read as the dangerous of its two halves: not plainly false.
    #[must_use]
    pub fn possible(self) -> bool {
        self != Self::FALSE
    }
}

#[cfg(test)]
mod tests {
    use super::Truth;

    const U: Truth = Truth::UNKNOWN;
    const T: Truth = Truth::TRUE;
    const F: Truth = Truth::FALSE;
    const B: Truth = Truth::BOTH;
    const ALL: [Truth; 4] = [U, T, F, B];

    /// `b` tells at least what `a` tells.
    fn tells_more(a: Truth, b: Truth) -> bool {
        a.hear(b) == b
    }

    #[test]
    fn the_tables_of_and_or_and_not() {
        // Rows and columns: unknown, true, false, both.
        let and = [[U, U, F, F], [U, T, F, B], [F, F, F, F], [F, B, F, B]];
        let or = [[U, T, U, T], [T, T, T, T], [U, T, F, B], [T, T, B, B]];
        for (i, a) in ALL.into_iter().enumerate() {
            for (j, b) in ALL.into_iter().enumerate() {
                assert_eq!(a.and(b), and[i][j], "{a:?} and {b:?}");
                assert_eq!(a.or(b), or[i][j], "{a:?} or {b:?}");
                assert_eq!(a.and(b).negate(), a.negate().or(b.negate()), "De Morgan of {a:?}, {b:?}");
            }
        }
        assert_eq!(ALL.map(Truth::negate), [U, F, T, B]);
    }

    #[test]
    fn at_least_counts_what_was_told() {
        assert_eq!(Truth::at_least(2, [T, T, U]), T);
        assert_eq!(Truth::at_least(2, [T, U, U]), U);
        assert_eq!(Truth::at_least(2, [T, F, F]), F);
        assert_eq!(Truth::at_least(2, [T, B, F]), B);
        for a in ALL {
            for b in ALL {
                assert_eq!(Truth::at_least(1, [a, b]), a.or(b));
                assert_eq!(Truth::at_least(2, [a, b]), a.and(b));
            }
        }
    }

    #[test]
    fn every_connective_is_monotone_in_information() {
        for a in ALL {
            for more in ALL.into_iter().filter(|more| tells_more(a, *more)) {
                assert!(tells_more(a.negate(), more.negate()));
                for b in ALL {
                    assert!(tells_more(a.and(b), more.and(b)));
                    assert!(tells_more(a.or(b), more.or(b)));
                    for c in ALL {
                        for k in 1..=3 {
                            assert!(tells_more(Truth::at_least(k, [a, b, c]), Truth::at_least(k, [more, b, c])));
                        }
                    }
                }
            }
        }
    }
}

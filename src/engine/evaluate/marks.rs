//! A set of dense ids that is filled in any order and read in ascending order.
//!
//! Owns two levels of bits: reading skips what was not marked, and leaves the set empty, so that it is never cleared as a
//! whole.

/// A set of ids below a bound.
#[derive(Debug, Clone, Default)]
pub struct Marks {
    words: Vec<u64>,
    /// One bit for each word that is not zero.
    summary: Vec<u64>,
}

impl Marks {
    /// Makes room for ids below `bound`; the set must be empty.
    pub fn reset(&mut self, bound: usize) {
        self.words.resize(bound.div_ceil(64), 0);
        self.summary.resize(self.words.len().div_ceil(64), 0);
    }

    /// Marks an id.
    #[inline]
    pub fn mark(&mut self, id: u32) {
        let word = id as usize / 64;
        self.words[word] |= 1 << (id % 64);
        self.summary[word / 64] |= 1 << (word % 64);
    }

    /// Appends all marked ids, ascending, and forgets them.
    pub fn drain_into(&mut self, ids: &mut Vec<u32>) {
        for (i, summary) in self.summary.iter_mut().enumerate() {
            while *summary != 0 {
                let word = i * 64 + summary.trailing_zeros() as usize;
                *summary &= *summary - 1;
                let mut bits = std::mem::take(&mut self.words[word]);
                while bits != 0 {
                    #[expect(clippy::cast_possible_truncation, reason = "ids come in as 32 bits")]
                    ids.push((word * 64) as u32 + bits.trailing_zeros());
                    bits &= bits - 1;
                }
            }
        }
    }
}

//! How right and how safe a pack is over its worked cases, the way the literature measures symptom checkers.
//!
//! Owns the counting by set of cases: accuracy, triage, safety in two definitions, over- and under-triage, red-flag
//! recall, and shares against outcomes. `docs/figures.md` defines each figure and names its source. What a case *must*
//! show is `engine::case`'s business.

use crate::engine::answer::{Answer, Outcome, RedFlagState};
use crate::engine::case::{self, Case, CaseKind, UNDETERMINED};
use crate::engine::plan::Plan;
use crate::engine::urgency::Urgency;

/// Figures of one set of cases. All counts; a rate is a count over the count that its description names.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Accuracy {
    /// Cases that say what is true.
    pub cases: usize,
    /// Of those, answered: the outcome was not insufficient.
    pub answered: usize,
    /// A right condition first (M1), over all cases.
    pub m1: usize,
    /// Among the first three (M3).
    pub m3: usize,
    /// Among the first five (M5).
    pub m5: usize,
    /// M1 over the answered cases.
    pub m1_answered: usize,
    /// M3 over the answered cases.
    pub m3_answered: usize,
    /// Cases that say the true urgency.
    pub triaged: usize,
    /// The advised urgency is one of the right ones.
    pub triage_exact: usize,
    /// Advised at least as urgent as the mildest right one: safe in the strict sense.
    pub safe_strict: usize,
    /// At most one level below it: safe in the loose sense of a part of the literature.
    pub safe_loose: usize,
    /// Expected urgency by row, advised by column, both from self-care to emergency.
    pub confusion: [[usize; 5]; 5],
    /// For each expected level: advised above the highest right one.
    pub over: [usize; 5],
    /// For each expected level: advised below the mildest right one.
    pub under: [usize; 5],
    /// Expected urgent or emergency.
    pub dangerous: usize,
    /// Of those, advised below the mildest right one: hazardous under-triage.
    pub hazardous: usize,
    /// Expected self-care or routine, advised urgent or more although that is not right.
    pub alarmed: usize,
    /// Red flags that cases demand.
    pub flags_expected: usize,
    /// Of those, fired.
    pub flags_fired: usize,
    /// Ids of cases by what went wrong.
    pub wrong: Wrong,
    /// Share of the first place in five bins: cases, sum of shares, and how many were right.
    pub reliability: [(usize, f64, usize); 5],
}

/// Cases by what went wrong, for reading on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wrong {
    /// No right condition first.
    pub not_first: Vec<String>,
    /// Nor among the first three.
    pub not_in_three: Vec<String>,
    /// Too urgent.
    pub over: Vec<String>,
    /// Not urgent enough.
    pub under: Vec<String>,
    /// Hazardously so.
    pub hazardous: Vec<String>,
}

/// A set of cases: its name, and which cases belong to it.
pub type Set = (&'static str, fn(&Case) -> bool);

/// The sets of cases that are reported apart.
pub const SETS: [Set; 6] = [
    ("all", |_| true),
    ("worked on", |case| !case.held_out),
    ("held out", |case| case.held_out),
    ("full", |case| case.kind != CaseKind::Sparse),
    ("held out, full", |case| case.held_out && case.kind != CaseKind::Sparse),
    ("sparse", |case| case.kind == CaseKind::Sparse),
];

/// Counts over cases and the answers they got; cases without a truth are passed over.
#[must_use]
pub fn measure<'a>(plan: &Plan, results: impl IntoIterator<Item = (&'a Case, &'a Answer)>) -> Accuracy {
    let mut figures = Accuracy::default();
    for (case, answer) in results {
        figures.red_flags(case, answer);
        if let Some(truth) = &case.truth {
            figures.conditions(plan, case, truth, answer);
            figures.urgency(case, truth, answer);
        }
    }
    figures
}

impl Accuracy {
    fn conditions(&mut self, plan: &Plan, case: &Case, truth: &case::Truth, answer: &Answer) {
        let right: Vec<&str> = std::iter::once(&truth.condition).chain(&truth.also_right).map(String::as_str).collect();
        let rank = rank_of(plan, answer, &right).unwrap_or(u32::MAX);
        let answered = answer.outcome == Outcome::Determined;
        self.cases += 1;
        self.answered += usize::from(answered);
        self.m1 += usize::from(rank <= 1);
        self.m3 += usize::from(rank <= 3);
        self.m5 += usize::from(rank <= 5);
        self.m1_answered += usize::from(answered && rank <= 1);
        self.m3_answered += usize::from(answered && rank <= 3);
        if rank > 1 {
            self.wrong.not_first.push(case.id.clone());
        }
        if rank > 3 {
            self.wrong.not_in_three.push(case.id.clone());
        }
        if answered && let Some(first) = answer.differentials.first() {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share is from 0 to 1")]
            let bin = &mut self.reliability[((first.share * 5.0) as usize).min(4)];
            *bin = (bin.0 + 1, bin.1 + first.share, bin.2 + usize::from(rank <= 1));
        }
    }

    fn urgency(&mut self, case: &Case, truth: &case::Truth, answer: &Answer) {
        let Some(expected) = truth.urgency else { return };
        let right = || truth.urgency_also_right.iter().copied().chain([expected]);
        let (mildest, highest) = (right().min().unwrap_or(expected), right().max().unwrap_or(expected));
        let (advised, row) = (answer.urgency, expected.index());
        self.triaged += 1;
        self.confusion[row][advised.index()] += 1;
        self.triage_exact += usize::from((mildest..=highest).contains(&advised));
        self.safe_strict += usize::from(advised >= mildest);
        self.safe_loose += usize::from(advised.index() + 1 >= mildest.index());
        if advised > highest {
            self.over[row] += 1;
            self.wrong.over.push(case.id.clone());
        }
        if advised < mildest {
            self.under[row] += 1;
            self.wrong.under.push(case.id.clone());
        }
        if expected >= Urgency::Urgent {
            self.dangerous += 1;
            if advised < mildest {
                self.hazardous += 1;
                self.wrong.hazardous.push(case.id.clone());
            }
        }
        self.alarmed += usize::from(expected <= Urgency::Routine && advised >= Urgency::Urgent && advised > highest);
    }

    fn red_flags(&mut self, case: &Case, answer: &Answer) {
        let fired =
            |id: &String| answer.red_flags.iter().any(|flag| flag.id == *id && flag.state == RedFlagState::Fired);
        self.flags_expected += case.expect.red_flags.len();
        self.flags_fired += case.expect.red_flags.iter().filter(|id| fired(id)).count();
    }

    /// Cases expected below emergency, and how many of them were advised above the highest right level.
    #[must_use]
    pub fn over_below_emergency(&self) -> (usize, usize) {
        let cases = self.confusion[..4].iter().flatten().sum();
        (self.over[..4].iter().sum(), cases)
    }

    /// For each expected level: how many are advised each level, how many above the right ones, how many below.
    pub fn levels(&self) -> impl Iterator<Item = (Urgency, [usize; 5], usize, usize)> {
        let levels = Urgency::ALL.into_iter().zip(self.confusion).zip(self.over).zip(self.under);
        levels.map(|(((expected, advised), over), under)| (expected, advised, over, under))
    }

    /// Cases expected at self-care or routine.
    #[must_use]
    pub fn benign(&self) -> usize {
        self.confusion[..2].iter().flatten().sum()
    }
}

/// The best rank of a right condition in any group that has enough to go by; a parent is satisfied by its child.
/// Where nothing can be told, rank 1 is right if the truth is `undetermined`, and no condition has a rank.
fn rank_of(plan: &Plan, answer: &Answer, right: &[&str]) -> Option<u32> {
    if right.contains(&UNDETERMINED) && answer.outcome == Outcome::Insufficient {
        return Some(1);
    }
    let determined = |group: &str| answer.groups.iter().any(|g| g.group == group && g.outcome == Outcome::Determined);
    let matching = answer.differentials.iter().filter(|item| determined(&item.group));
    let right = |id: &str| right.iter().any(|wanted| case::satisfies(plan, id, wanted));
    matching.filter(|item| right(&item.condition.id)).map(|item| item.rank).min()
}

/// The exact upper bound of a proportion at 97.5 % confidence (Clopper and Pearson, Biometrika 1934;26:404): the
/// largest rate with which `hits` or fewer of `n` would still happen in one of 40 such samples. 1 for an empty sample.
#[must_use]
pub fn upper_bound(hits: usize, n: usize) -> f64 {
    if hits >= n {
        return 1.0;
    }
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if at_most(hits, n, middle) > 0.025 { low = middle } else { high = middle }
    }
    high
}

/// P(at most `hits` of `n`) with rate `p`.
#[expect(clippy::cast_precision_loss, reason = "case counts are far below 2^52")]
fn at_most(hits: usize, n: usize, p: f64) -> f64 {
    let mut log_choose = 0.0;
    let mut sum = 0.0;
    for k in 0..=hits {
        if k > 0 {
            log_choose += libm::log((n - k + 1) as f64) - libm::log(k as f64);
        }
        sum += libm::exp(log_choose + k as f64 * libm::log(p) + (n - k) as f64 * libm::log(1.0 - p));
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::upper_bound;

    #[test]
    fn the_bound_is_the_published_one() {
        // The rule of three's exact form: 1 - 0.025^(1/n) for none of n.
        assert!((upper_bound(0, 100) - 0.036_217).abs() < 1e-5);
        // 1 of 20: 24.87 % (Clopper-Pearson tables).
        assert!((upper_bound(1, 20) - 0.248_7).abs() < 1e-4);
        assert!((upper_bound(5, 5) - 1.0).abs() < f64::EPSILON);
    }
}

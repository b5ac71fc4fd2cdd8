//! Families: which rules of a condition say the same thing.
//!
//! Owns the grouping and the names of families. Rules that look at the same finding, or at findings of one family, are one
//! family; a family that the author names joins all that bear the name. Joint rules form families among themselves, by the
//! parts they share.

use super::super::check::evidence::CheckedEvidence;
use super::super::vocabulary::{FindingIndex, Vocabulary};
use std::collections::{BTreeMap, BTreeSet};

/// For each rule its family's number, and the names of the families. Numbers follow the first rule of each family.
pub fn families(
    list: &[&CheckedEvidence<'_>],
    findings: &[Vec<FindingIndex>],
    vocabulary: &Vocabulary,
) -> (Vec<usize>, Vec<String>) {
    let mut groups = Groups((0..list.len()).collect());
    let mut first: BTreeMap<(bool, &str), usize> = BTreeMap::new();
    for (i, (rule, findings)) in list.iter().zip(findings).enumerate() {
        for key in keys(rule, findings, vocabulary) {
            let other = *first.entry(key).or_insert(i);
            groups.join(i, other);
        }
    }
    let roots: Vec<usize> = (0..list.len()).map(|i| groups.root(i)).collect();
    let numbers: BTreeMap<usize, usize> = roots.iter().copied().collect::<BTreeSet<_>>().into_iter().zip(0..).collect();
    let family_of: Vec<usize> = roots.iter().map(|root| numbers[root]).collect();
    let mut words: Vec<BTreeSet<String>> = vec![BTreeSet::new(); numbers.len()];
    for ((is_joint, key), i) in first {
        words[family_of[i]].insert(if is_joint { format!("joint {key}") } else { key.to_owned() });
    }
    (family_of, words.into_iter().map(|words| words.into_iter().collect::<Vec<_>>().join(" + ")).collect())
}

/// What a rule shares with the others of its family; joint rules never share a key with single ones.
fn keys<'a>(
    rule: &'a CheckedEvidence<'_>,
    findings: &[FindingIndex],
    vocabulary: &'a Vocabulary,
) -> Vec<(bool, &'a str)> {
    if !rule.doc.stands_for.is_empty() {
        return rule.doc.stands_for.iter().map(|part| (true, part.as_str())).collect();
    }
    if let Some(family) = &rule.doc.family {
        return vec![(false, family)];
    }
    findings.iter().map(|&finding| (false, vocabulary.get(finding).family.as_str())).collect()
}

/// Disjoint groups, each led by its smallest member.
struct Groups(Vec<usize>);

impl Groups {
    fn root(&mut self, mut member: usize) -> usize {
        while self.0[member] != member {
            self.0[member] = self.0[self.0[member]];
            member = self.0[member];
        }
        member
    }

    fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.root(a), self.root(b));
        self.0[a.max(b)] = a.min(b);
    }
}

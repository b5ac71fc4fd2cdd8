//! Findings: what can be told about a patient, with kinds, units, ranges, options and codings.
//!
//! Owns the vocabulary of one pack and looking things up in it, with suggestions. What is known of one patient is
//! `finding`'s business.

use super::suggest;
use super::unit::{self, Unit};
use std::collections::BTreeMap;

pub use super::doc::AskedOf;

/// The place of a finding in its vocabulary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FindingIndex(pub usize);

/// A finding.
#[derive(Debug, Clone)]
pub struct Finding {
    /// Id.
    pub id: String,
    /// The clinical label in plain words.
    pub name: String,
    /// True for findings about the person, false for those about the spots.
    pub about_person: bool,
    /// What values it takes.
    pub kind: Kind,
    /// The question to ask; empty when nobody asks it alone.
    pub ask: String,
    /// How to tell.
    pub help: String,
    /// Who can know it.
    pub asked_of: AskedOf,
    /// Findings of one family say the same thing.
    pub family: String,
    /// Other words for it.
    pub synonyms: Vec<String>,
    /// Codes, each as `system:code`.
    pub codings: Vec<String>,
}

/// What values a finding takes.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// Present or absent.
    YesNo,
    /// A number.
    Number {
        /// UCUM unit.
        unit: String,
        /// Lowest accepted value.
        low: f64,
        /// Highest accepted value.
        high: f64,
    },
    /// One of several options; choosing one tells the others absent.
    Choice {
        /// The options in the author's order.
        options: Vec<OptionDef>,
    },
    /// Any of several options; options left out are not told.
    MultipleChoice {
        /// The options in the author's order.
        options: Vec<OptionDef>,
    },
}

impl Kind {
    /// The kind in words, for messages.
    #[must_use]
    pub fn words(&self) -> &'static str {
        match self {
            Kind::YesNo => "present or absent",
            Kind::Number { .. } => "a number",
            Kind::Choice { .. } => "one of its options",
            Kind::MultipleChoice { .. } => "some of its options",
        }
    }

    /// The options; empty for other kinds.
    #[must_use]
    pub fn options(&self) -> &[OptionDef] {
        match self {
            Kind::Choice { options } | Kind::MultipleChoice { options } => options,
            Kind::YesNo | Kind::Number { .. } => &[],
        }
    }

    /// The unit of a number.
    #[must_use]
    pub fn unit(&self) -> Option<&'static Unit> {
        match self {
            Kind::Number { unit, .. } => unit::find(unit),
            _ => None,
        }
    }
}

/// An option of a choice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OptionDef {
    /// Id.
    pub id: String,
    /// In words.
    pub name: String,
}

/// All findings of a pack, sorted by id.
#[derive(Debug, Clone, Default)]
pub struct Vocabulary {
    findings: Vec<Finding>,
    by_id: BTreeMap<String, FindingIndex>,
    by_coding: BTreeMap<String, FindingIndex>,
}

impl Vocabulary {
    /// Sorts and indexes findings whose ids and codings are unique.
    #[must_use]
    pub fn new(mut findings: Vec<Finding>) -> Self {
        findings.sort_by(|a, b| a.id.cmp(&b.id));
        let by_id = findings.iter().enumerate().map(|(i, finding)| (finding.id.clone(), FindingIndex(i))).collect();
        let by_coding = findings
            .iter()
            .enumerate()
            .flat_map(|(i, finding)| finding.codings.iter().map(move |coding| (coding.clone(), FindingIndex(i))))
            .collect();
        Self { findings, by_id, by_coding }
    }

    /// All findings, sorted by id.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// The finding at a place.
    #[must_use]
    pub fn get(&self, index: FindingIndex) -> &Finding {
        &self.findings[index.0]
    }

    /// By id, or by a coding such as `snomed:271807003`.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<FindingIndex> {
        self.by_id.get(name).or_else(|| self.by_coding.get(name)).copied()
    }

    /// By id alone.
    #[must_use]
    pub fn by_id(&self, id: &str) -> Option<FindingIndex> {
        self.by_id.get(id).copied()
    }

    /// Ids that are near a wrong name, by its own letters or by a synonym.
    #[must_use]
    pub fn suggest(&self, wrong: &str) -> Option<String> {
        let wrong_words = wrong.replace('_', " ");
        let synonym = self.findings.iter().find(|finding| {
            finding
                .synonyms
                .iter()
                .any(|word| word.eq_ignore_ascii_case(wrong) || word.eq_ignore_ascii_case(&wrong_words))
        });
        if let Some(finding) = synonym {
            return Some(format!("did you mean `{}`?", finding.id));
        }
        if wrong.contains(':') {
            return suggest::did_you_mean(wrong, self.by_coding.keys().map(String::as_str));
        }
        suggest::did_you_mean(wrong, self.by_id.keys().map(String::as_str))
    }
}

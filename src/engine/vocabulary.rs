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
    by_id: ById,
    by_coding: BTreeMap<String, FindingIndex>,
}

impl Vocabulary {
    /// Sorts and indexes findings whose ids and codings are unique.
    #[must_use]
    pub fn new(mut findings: Vec<Finding>) -> Self {
        findings.sort_by(|a, b| a.id.cmp(&b.id));
        let by_id = ById::new(&findings);
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
        self.by_id(name).or_else(|| self.by_coding.get(name).copied())
    }

    /// By id alone.
    #[must_use]
    pub fn by_id(&self, id: &str) -> Option<FindingIndex> {
        let known = |&place: &u32| self.findings[place as usize].id == id;
        self.by_id.of(id).find(known).map(|place| FindingIndex(place as usize))
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
        suggest::did_you_mean(wrong, self.findings.iter().map(|finding| finding.id.as_str()))
    }
}

/// The places of findings by a sum over their ids, so that looking one up reads one id and not a dozen.
#[derive(Debug, Clone, Default)]
struct ById {
    /// In each slot one more than a place; zero in a free one. At least half of them are free, and there is a power of two
    /// of them.
    slots: Vec<u32>,
}

impl ById {
    fn new(findings: &[Finding]) -> Self {
        let mut by_id = Self { slots: vec![0; (2 * findings.len()).next_power_of_two().max(2)] };
        for (finding, place) in findings.iter().zip(1..) {
            let free = by_id.slots_from(&finding.id).find(|&slot| by_id.slots[slot] == 0);
            free.into_iter().for_each(|slot| by_id.slots[slot] = place);
        }
        by_id
    }

    /// The places of which one is the id's, if it is known.
    fn of(&self, id: &str) -> impl Iterator<Item = u32> {
        self.slots_from(id).map_while(|slot| self.slots[slot].checked_sub(1))
    }

    /// All slots, beginning with the one that an id would have.
    fn slots_from(&self, id: &str) -> impl Iterator<Item = usize> + use<> {
        // FNV-1a, whose low bits depend on every byte.
        let sum = id.bytes().fold(0x811c_9dc5_u32, |sum, byte| (sum ^ u32::from(byte)).wrapping_mul(0x0100_0193));
        let slots = self.slots.len();
        (0..slots).map(move |step| (sum as usize).wrapping_add(step) & slots.wrapping_sub(1))
    }
}

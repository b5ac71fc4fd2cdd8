//! A compiled pack: dense, resolved, immutable. What `evaluate` reads and `explain` quotes.
//!
//! Owns the data structure. Only `compile` builds one, and only from what `check` accepted, so that a plan needs no
//! further checking. What people read stands in the lists of structs; what an evaluation reads stands once more in
//! [`Index`], in flat arrays, so that it pulls no text through the caches.

pub(super) mod program;

use super::answer::{Advice, Citation};
use super::odds::Sum;
use super::urgency::Urgency;
use super::vocabulary::{FindingIndex, Vocabulary};
use super::weight::Weight;
use program::{Postings, Program, Table, Words};
use std::ops::Range;

pub use super::vocabulary::{AskedOf, Finding, Kind, OptionDef};

/// A compiled pack. All lists are sorted by id unless their description says otherwise.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Who and what the pack is, and its thresholds.
    pub header: Header,
    /// Literature.
    pub sources: Vec<Citation>,
    /// Findings.
    pub vocabulary: Vocabulary,
    /// Questions about several findings.
    pub boxes: Vec<QuestionBox>,
    /// What every patient is asked, in the author's order.
    pub screen: Vec<Ask>,
    /// The finding that asks whether there are two kinds of spots.
    pub ask_when_contradicted: Option<FindingIndex>,
    /// Told of the only group of spots, these make the same question worth asking: old spots excuse no new ones.
    pub ask_when_told: Vec<FindingIndex>,
    /// Conditions.
    pub conditions: Vec<Condition>,
    /// Rules, grouped by condition.
    pub rules: Vec<Rule>,
    /// Red flags.
    pub red_flags: Vec<RedFlag>,
    pub(super) atoms: Vec<Atom>,
    /// Which findings any rule, red flag or derived finding looks at.
    pub(super) used: Vec<bool>,
    /// What an evaluation reads.
    pub(super) index: Index,
}

/// Who and what a pack is.
#[derive(Debug, Clone)]
pub struct Header {
    /// Id.
    pub id: String,
    /// Title.
    pub title: String,
    /// The author's version.
    pub version: String,
    /// Language of the texts, a BCP 47 tag.
    pub language: String,
    /// Where its advice applies.
    pub jurisdiction: String,
    /// What it is about.
    pub summary: String,
    /// `draft` or `signed_off`.
    pub review_status: &'static str,
    /// Who signed it off.
    pub reviewed_by: String,
    /// When.
    pub reviewed_on: String,
    /// The least urgency of an answer whose outcome is insufficient.
    pub insufficient_urgency: Urgency,
    /// For each level, the summed share from which it is advised; `None` for never.
    pub act_at: [Option<f64>; 5],
    /// Headline by urgency, and the one while red flags are open.
    pub headlines: [Headline; 5],
    /// Safety net by urgency.
    pub safety_nets: [Option<super::answer::SafetyNet>; 5],
}

/// The headline of an answer.
#[derive(Debug, Clone, Default)]
pub struct Headline {
    /// When final.
    pub text: String,
    /// While provisional.
    pub provisional: String,
}

/// A question about several yes-or-no findings.
#[derive(Debug, Clone)]
pub struct QuestionBox {
    /// Id.
    pub id: String,
    /// The question.
    pub ask: String,
    /// How to tell.
    pub help: String,
    /// True when exactly one of its findings is to be picked.
    pub pick_one: bool,
    /// Its findings, in the author's order.
    pub findings: Vec<FindingIndex>,
    /// SHA-256 over its members, so that a box that grew denies nothing that was never asked.
    pub fingerprint: String,
}

/// Something to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ask {
    /// A box, by its place in `boxes`.
    Box(usize),
    /// A finding.
    Finding(FindingIndex),
}

/// A condition.
#[derive(Debug, Clone)]
pub struct Condition {
    /// Id.
    pub id: String,
    /// Name.
    pub name: String,
    /// In a sentence or two.
    pub summary: String,
    /// Of its mildest form.
    pub urgency: Urgency,
    /// Its parent's place in `conditions`.
    pub part_of: Option<usize>,
    /// Codes.
    pub codings: Vec<String>,
    /// What a clinician may do.
    pub next_steps: Vec<Advice>,
    /// What helps.
    pub care: Vec<Advice>,
    /// For the safety net.
    pub watch_for: Vec<String>,
    /// Prior odds against "something else".
    pub prior: Weight,
    /// The prior in the author's words.
    pub prior_words: String,
    /// The prior's own id among the rules: `condition.prior`.
    pub prior_rule: String,
    /// The prior as a reason.
    pub prior_because: String,
    /// Sources of the prior.
    pub prior_sources: Vec<usize>,
    /// Its stretch of `rules`.
    pub rules: Range<usize>,
    /// How many families its rules form.
    pub families: usize,
}

/// One piece of evidence of one condition.
#[derive(Debug, Clone)]
pub struct Rule {
    /// `condition.rule`.
    pub id: String,
    /// The id by which it is written: the same, or `set.rule` for a rule of an evidence set, which several conditions
    /// may include.
    pub written: String,
    /// The condition's place in `conditions`.
    pub condition: usize,
    /// The author's reason.
    pub because: String,
    /// What it looks at, in words.
    pub when_text: String,
    /// Sources.
    pub sources: Vec<usize>,
    /// `judgement`, `published` or `calculated`.
    pub grade: &'static str,
    /// Weight when what it looks at is True.
    pub weight_if_true: Weight,
    /// Weight when it is False.
    pub weight_if_false: Weight,
    /// The family's name for people.
    pub family_name: String,
    /// The findings it looks at, sorted.
    pub findings: Vec<FindingIndex>,
    /// P(finding | something else), where the author gave one.
    pub without: Option<f64>,
    /// The families that a joint rule stands for, sorted; empty for other rules.
    pub(super) stands_for: Vec<u32>,
}

impl Rule {
    /// Whether it is a joint rule.
    #[must_use]
    pub fn is_joint(&self) -> bool {
        !self.stands_for.is_empty()
    }
}

/// What a rule says of itself.
#[derive(Debug, Clone, Copy)]
pub struct RuleWords<'a> {
    /// `condition.rule`.
    pub id: &'a str,
    /// The author's reason.
    pub because: &'a str,
    /// What it looks at; empty for a prior.
    pub when: &'a str,
    /// The family's name.
    pub family: &'a str,
    /// Places of its sources.
    pub sources: &'a [usize],
    /// `judgement`, `published` or `calculated`.
    pub grade: &'a str,
}

/// A red flag.
#[derive(Debug, Clone)]
pub struct RedFlag {
    /// Id.
    pub id: String,
    /// Name.
    pub name: String,
    /// The floor it puts under the urgency when it fires.
    pub floor: Urgency,
    /// The floor while it is live and not answered.
    pub while_unknown: Option<Urgency>,
    /// Why.
    pub because: String,
    /// What to do.
    pub action: String,
    /// Sources.
    pub sources: Vec<usize>,
    /// What makes it live, in words; empty when nothing does.
    pub given_text: String,
    /// What fires it, in words.
    pub sign_text: String,
    /// What excludes it while it is not answered, in words; empty when nothing does.
    pub unless_text: String,
    /// True when all its findings are about the person.
    pub about_person: bool,
    pub(super) findings: Vec<FindingIndex>,
}

/// A finding compared with a constant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Atom {
    pub finding: FindingIndex,
    pub test: Test,
}

/// The comparison of an atom. Numbers are in millionths of the finding's unit, so that they compare exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Test {
    Present,
    Option(usize),
    Below(i64),
    AtMost(i64),
    AtLeast(i64),
    Above(i64),
}

impl Test {
    /// Whether a number passes.
    pub fn holds(self, value: i64) -> bool {
        match self {
            Test::Present | Test::Option(_) => false,
            Test::Below(limit) => value < limit,
            Test::AtMost(limit) => value <= limit,
            Test::AtLeast(limit) => value >= limit,
            Test::Above(limit) => value > limit,
        }
    }
}

/// A number in millionths.
pub(super) fn millionths(value: f64) -> i64 {
    #[expect(clippy::cast_possible_truncation, reason = "a float to integer cast saturates")]
    let millionths = libm::round(value * 1e6) as i64;
    millionths
}

/// What an evaluation reads, in flat arrays by dense ids. Untouched entries are never read.
#[derive(Debug, Clone)]
pub(super) struct Index {
    /// All programs.
    pub words: Words,
    /// What an evaluation needs of each rule, in the order of `rules`.
    pub speakers: Vec<Speaker>,
    /// The program of each rule.
    pub programs: Vec<Program>,
    /// The condition of each rule.
    pub condition_of: Vec<u32>,
    /// What an evaluation needs of each condition.
    pub standings: Vec<Prior>,
    /// What findings tell of findings.
    pub tells: Vec<Tell>,
    /// The finding of each atom.
    pub finding_of: Vec<u32>,
    /// From an atom to the tells that look at it.
    pub tells_of: Postings,
    /// From a literal to the rules that it can make speak. A rule is posted under the cheapest set of literals of which
    /// one must have been told before the rule can say anything at all.
    pub speakers_of: Postings,
    /// From an atom to all rules that look at it.
    pub rules_of: Postings,
    /// From a finding to all rules that look at it.
    pub rules_by_finding: Postings,
    /// From an atom to the red flags that look at it.
    pub flags_of: Postings,
    /// For each finding where its atoms begin, and where those of the last one end.
    pub atom_starts: Vec<u32>,
    /// For each rule the findings that it looks at.
    pub findings_of: Postings,
    /// For each red flag the findings that it looks at.
    pub flag_findings_of: Postings,
    /// What an evaluation needs of each red flag.
    pub alarms: Vec<Alarm>,
    /// Red flags that can be of consequence before anything about them was told, sorted.
    pub early_flags: Vec<u32>,
    /// For each finding whether the screen asks about it.
    pub on_screen: Vec<bool>,
    /// For each finding who can be asked about it alone; `None` where nobody can.
    pub asked_of: Vec<Option<AskedOf>>,
    /// For each finding whether it is about the person.
    pub about_person: Vec<bool>,
    /// For each finding the boxes that it is in.
    pub boxes_of: Postings,
    /// For each finding P(finding | something else), where a rule that looks at it alone gives one.
    pub without: Vec<Option<f64>>,
    /// For each condition its odds and what it adds to the second sum of the entropy while nothing was told, as floats.
    pub prior_odds: Vec<(f64, f64)>,
    /// Summed odds of all conditions of each urgency while nothing was told.
    pub odds: [Sum; 5],
    /// The second sum of the entropy while nothing was told.
    pub weighted: Sum,
    /// For each urgency the conditions at it or above, the most likely first while nothing was told.
    pub by_prior: [Vec<u32>; 5],
    /// For each condition those that are part of it, directly or through others.
    pub parts_of: Postings,
    /// The most families that a condition has.
    pub most_families: usize,
    /// How far an answer can reach.
    pub reach: Reach,
}

/// Bounds on what an answer can change, worked out once, so that the order of questions can pass over what changes nothing.
///
/// A finding that tells others moves whatever looks at one of them. Any other moves what it can make speak by itself; what it
/// can together with something told follows from what was told.
#[derive(Debug, Clone, Default)]
pub(super) struct Reach {
    /// Where the moves of each finding begin.
    pub starts: Vec<u32>,
    /// For each finding the conditions that an answer to it moves, ascending.
    pub moves: Vec<Move>,
    /// For each finding whether it tells no other.
    pub is_plain: Vec<bool>,
    /// For each finding the highest floor of the red flags that look at what an answer to it tells.
    pub floors: Vec<Option<Urgency>>,
    /// The findings of which one answer may be enough to tell causes apart.
    pub decisive: Vec<u32>,
    /// For each condition the findings that move it.
    pub movers: Postings,
    /// For each red flag the findings of which an answer tells something that it looks at.
    pub askers: Postings,
    /// For each condition the most that a single finding raises it.
    pub furthest: Vec<Weight>,
    /// Every finding with the odds that the conditions that it moves would have together, were each at its prior and as
    /// much above it as the finding can bring; the greatest first.
    pub by_odds: Vec<(f64, u32)>,
    /// Every finding that moves a condition, with the highest score that one of them can come to from its prior; the
    /// highest first.
    pub by_height: Vec<(Weight, u32)>,
}

/// How much an answer can move a condition, whatever else is known.
#[derive(Debug, Clone, Copy)]
pub(super) struct Move {
    pub condition: u32,
    /// By how much it rises at most; not below zero.
    pub up: Weight,
    /// By how much it falls at most; not below zero.
    pub down: Weight,
    /// From how many families it may bring positive evidence; two stands for more.
    pub families: u8,
    /// Whether it may also take away what was heard before, or stand in its place with age or sex, which support nothing.
    pub loses: bool,
}

impl Reach {
    /// The moves of a finding.
    #[inline]
    pub fn moves_of(&self, finding: FindingIndex) -> &[Move] {
        &self.moves[self.starts[finding.0] as usize..self.starts[finding.0 + 1] as usize]
    }
}

/// What an evaluation needs of a rule, in one line of the cache.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
pub(super) struct Speaker {
    /// Its program as a table; without a meaning where the program is too large for one.
    pub table: Table,
    pub condition: u32,
    pub if_true: Weight,
    pub if_false: Weight,
    /// The family's number within the condition.
    pub family: u32,
    /// The choice whose option it looks at, where it looks at exactly one option.
    pub choice: Option<std::num::NonZeroU32>,
    pub is_joint: bool,
    pub has_table: bool,
    /// Whether its table reads one literal alone, as most do.
    pub is_bare: bool,
    /// Looks at age and sex alone, which never make an answer sufficient.
    pub demographic: bool,
}

/// What an evaluation needs of a red flag.
#[derive(Debug, Clone, Copy)]
pub(super) struct Alarm {
    pub given: Option<Program>,
    pub sign: Program,
    pub unless: Option<Program>,
    pub floor: Urgency,
    pub while_unknown: Option<Urgency>,
    /// Live also while `given` is unknown.
    pub given_may_be_unknown: bool,
    /// Taken out, to find out who would miss it; never so in a plan that is served.
    pub silent: bool,
    /// Whether the screen asks about something that it looks at.
    pub on_screen: bool,
    pub about_person: bool,
}

/// What an evaluation needs of a condition.
#[derive(Debug, Clone, Copy)]
pub(super) struct Prior {
    pub odds: Sum,
    /// What it adds to the second sum of the entropy.
    pub weighted: Sum,
    pub prior: Weight,
    pub urgency: Urgency,
}

/// When `when` is told true, the atoms are told; when it rests on a contradiction, they are told both ways.
#[derive(Debug, Clone)]
pub(super) struct Tell {
    pub when: Program,
    pub present: Vec<u32>,
    pub absent: Vec<u32>,
}

impl Plan {
    /// All findings, sorted by id.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        self.vocabulary.findings()
    }

    /// The atoms of a finding.
    #[inline]
    pub(super) fn atoms_of(&self, finding: FindingIndex) -> Range<usize> {
        let starts = &self.index.atom_starts;
        starts[finding.0] as usize..starts[finding.0 + 1] as usize
    }

    /// Gives a rule other weights, to find out who would miss the old ones. A rule is posted for the directions that had a
    /// weight when it was compiled: a sign may change or a weight go, but none may come where there was none.
    pub(super) fn reweigh(&mut self, rule: usize, if_true: Weight, if_false: Weight) {
        let (for_people, for_scores) = (&mut self.rules[rule], &mut self.index.speakers[rule]);
        (for_people.weight_if_true, for_people.weight_if_false) = (if_true, if_false);
        (for_scores.if_true, for_scores.if_false) = (if_true, if_false);
    }

    /// The place of a condition.
    #[must_use]
    pub fn condition(&self, id: &str) -> Option<usize> {
        self.conditions.binary_search_by(|condition| condition.id.as_str().cmp(id)).ok()
    }

    /// The place of a box.
    #[must_use]
    pub fn question_box(&self, id: &str) -> Option<usize> {
        self.boxes.binary_search_by(|item| item.id.as_str().cmp(id)).ok()
    }

    /// The place of a red flag.
    #[must_use]
    pub fn red_flag(&self, id: &str) -> Option<usize> {
        self.red_flags.binary_search_by(|flag| flag.id.as_str().cmp(id)).ok()
    }

    /// What a rule says of itself, or the prior of a condition where no rule is named.
    #[must_use]
    pub fn words_of(&self, condition: usize, rule: Option<usize>) -> RuleWords<'_> {
        let Some(rule) = rule else {
            let condition = &self.conditions[condition];
            return RuleWords {
                id: &condition.prior_rule,
                because: &condition.prior_because,
                when: "",
                family: "prior",
                sources: &condition.prior_sources,
                grade: "judgement",
            };
        };
        let rule = &self.rules[rule];
        RuleWords {
            id: &rule.id,
            because: &rule.because,
            when: &rule.when_text,
            family: &rule.family_name,
            sources: &rule.sources,
            grade: rule.grade,
        }
    }

    /// Citations by their places.
    #[must_use]
    pub fn citations(&self, places: &[usize]) -> Vec<Citation> {
        places.iter().map(|&place| self.sources[place].clone()).collect()
    }

    /// Ids of findings.
    #[must_use]
    pub fn ids(&self, findings: &[FindingIndex]) -> Vec<String> {
        findings.iter().map(|&finding| self.vocabulary.get(finding).id.clone()).collect()
    }

    /// Whether `condition` is `ancestor` or part of it, directly or through others.
    #[must_use]
    pub fn is_within(&self, condition: usize, ancestor: usize) -> bool {
        let mut here = Some(condition);
        while let Some(place) = here {
            if place == ancestor {
                return true;
            }
            here = self.conditions[place].part_of;
        }
        false
    }
}

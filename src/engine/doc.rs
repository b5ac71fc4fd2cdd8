//! A rule file exactly as written: plain serde structs, one for each thing an author can say.
//!
//! Owns the shape of the rule language. It resolves no name and judges nothing: `check` does.

use super::urgency::Urgency;
use super::weight::Strength;
use serde::{Deserialize, Deserializer, de};

/// The header of a pack.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PackDoc {
    pub id: String,
    pub title: String,
    pub version: String,
    #[serde(default = "english")]
    pub language: String,
    #[serde(default)]
    pub jurisdiction: String,
    #[serde(default)]
    pub summary: String,
    #[serde(default)]
    pub review: ReviewDoc,
    pub insufficient_urgency: Urgency,
    pub act_at: ActAtDoc,
    pub frequencies: FrequenciesDoc,
    #[serde(default)]
    pub screen: Vec<String>,
    pub ask_when_contradicted: Option<String>,
    #[serde(default)]
    pub ask_when_told: Vec<String>,
    #[serde(default)]
    pub advice: Vec<HeadlineDoc>,
    #[serde(default)]
    pub safety_net: Vec<SafetyNetDoc>,
}

fn english() -> String {
    "en".to_owned()
}

/// Who stands behind a pack.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReviewDoc {
    #[serde(default)]
    pub status: ReviewStatus,
    #[serde(default)]
    pub by: String,
    #[serde(default)]
    pub on: String,
}

/// Whether a pack is signed off for clinical use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReviewStatus {
    #[default]
    Draft,
    SignedOff,
}

/// The summed share of conditions, for each level, from which that level is advised.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActAtDoc {
    pub emergency: f64,
    pub urgent: f64,
    pub prompt: f64,
    pub routine: Option<f64>,
}

/// What the words for priors mean: odds against "something else".
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FrequenciesDoc {
    pub very_common: f64,
    pub common: f64,
    pub uncommon: f64,
    pub rare: f64,
    pub very_rare: f64,
}

/// The headline of an answer.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeadlineDoc {
    pub urgency: Urgency,
    pub text: String,
    pub provisional: Option<String>,
}

/// The safety net of one urgency.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SafetyNetDoc {
    pub urgency: Urgency,
    pub act_within: String,
    pub reassess_after: String,
    #[serde(default)]
    pub watch_for: Vec<String>,
}

/// A literature source.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceDoc {
    pub id: String,
    pub title: String,
    #[serde(default)]
    pub url: String,
}

/// Whether a finding is about the person or about the spots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum About {
    Person,
    Spots,
}

/// The kind of value a finding takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KindDoc {
    YesNo,
    Number,
    Choice,
    MultipleChoice,
}

/// Who can know a finding.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AskedOf {
    /// Anybody, the patient included.
    #[default]
    Patient,
    /// Only somebody who examines the patient.
    Clinician,
    /// Only a laboratory.
    Laboratory,
}

/// A finding.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FindingDoc {
    pub id: String,
    pub name: String,
    pub about: About,
    pub kind: KindDoc,
    #[serde(default)]
    pub ask: String,
    #[serde(default)]
    pub help: String,
    #[serde(default)]
    pub asked_of: AskedOf,
    pub family: Option<String>,
    #[serde(default)]
    pub synonyms: Vec<String>,
    #[serde(default)]
    pub codings: Vec<String>,
    #[serde(default)]
    pub implies: Vec<String>,
    #[serde(default)]
    pub opposite_of: Vec<String>,
    pub unit: Option<String>,
    pub range: Option<[f64; 2]>,
    #[serde(default)]
    pub options: Vec<OptionDoc>,
}

/// An option of a choice.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OptionDoc {
    pub id: String,
    pub name: String,
}

/// Whether a box takes any of its findings or exactly one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pick {
    Any,
    One,
}

/// A question about several findings at once.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BoxDoc {
    pub id: String,
    pub ask: String,
    #[serde(default)]
    pub help: String,
    pub pick: Pick,
    pub findings: Vec<String>,
}

/// A named piece of a condition on findings.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DefinitionDoc {
    pub id: String,
    pub name: String,
    pub when: ExprDoc,
}

/// A rule that tells findings from findings.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DerivedDoc {
    pub id: String,
    pub when: ExprDoc,
    #[serde(default)]
    pub present: Vec<String>,
    #[serde(default)]
    pub absent: Vec<String>,
    pub because: String,
    #[serde(default)]
    pub sources: Vec<String>,
}

/// Evidence written once for several conditions.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvidenceSetDoc {
    pub id: String,
    pub evidence: Vec<EvidenceDoc>,
}

/// How a weight came about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Grade {
    /// An ordinal strength, or a number nobody published.
    #[default]
    Judgement,
    /// A number in the named source.
    Published,
    /// Computed from counts in the named source.
    Calculated,
}

/// One rule of a condition's score.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvidenceDoc {
    pub id: String,
    pub when: ExprDoc,
    pub supports: Option<Strength>,
    pub argues_against: Option<Strength>,
    pub likelihood_ratio: Option<f64>,
    pub likelihood_ratio_if_absent: Option<f64>,
    pub probability: Option<ProbabilityDoc>,
    pub because: String,
    #[serde(default)]
    pub sources: Vec<String>,
    #[serde(default)]
    pub grade: Grade,
    pub family: Option<String>,
    #[serde(default)]
    pub stands_for: Vec<String>,
}

/// How often a finding is there with the condition, and with something else.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProbabilityDoc {
    pub with: f64,
    pub without: f64,
}

/// How common a condition is before anything was told.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(untagged, expecting = "expected very_common, common, uncommon, rare, very_rare, or odds as a number")]
pub enum PriorDoc {
    Odds(f64),
    Word(FrequencyWord),
}

/// A word for a prior.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FrequencyWord {
    VeryCommon,
    Common,
    Uncommon,
    Rare,
    VeryRare,
}

/// A condition.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConditionDoc {
    pub id: String,
    pub name: String,
    pub summary: String,
    pub urgency: Urgency,
    pub part_of: Option<String>,
    pub prior: PriorDoc,
    #[serde(default)]
    pub prior_sources: Vec<String>,
    #[serde(default)]
    pub codings: Vec<String>,
    #[serde(default)]
    pub include: Vec<String>,
    #[serde(default)]
    pub evidence: Vec<EvidenceDoc>,
    #[serde(default)]
    pub next_steps: Vec<AdviceDoc>,
    #[serde(default)]
    pub care: Vec<AdviceDoc>,
    #[serde(default)]
    pub watch_for: Vec<String>,
}

/// A piece of advice.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdviceDoc {
    pub text: String,
    #[serde(default)]
    pub sources: Vec<String>,
}

/// A red flag.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RedFlagDoc {
    pub id: String,
    pub name: String,
    pub given: Option<ExprDoc>,
    pub given_or_unknown: Option<ExprDoc>,
    pub sign: ExprDoc,
    pub unless: Option<ExprDoc>,
    pub floor: Urgency,
    pub while_unknown: Option<Urgency>,
    pub because: String,
    #[serde(default)]
    pub sources: Vec<String>,
    #[serde(default)]
    pub action: String,
}

/// A condition on findings: a name alone, or a mapping.
#[derive(Debug, Clone)]
pub enum ExprDoc {
    /// A yes-or-no finding told present, or a definition.
    Name(String),
    /// Everything else.
    Map(Box<ExprMap>),
}

/// Exactly one of `all`, `any`, `not`, `at_least` with `of`, or `finding` with a comparison.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExprMap {
    pub all: Option<Vec<ExprDoc>>,
    pub any: Option<Vec<ExprDoc>>,
    pub not: Option<ExprDoc>,
    pub of: Option<Vec<ExprDoc>>,
    pub finding: Option<String>,
    pub below: Option<f64>,
    pub at_most: Option<f64>,
    pub at_least: Option<f64>,
    pub above: Option<f64>,
    pub unit: Option<String>,
    pub is: Option<String>,
    pub is_one_of: Option<Vec<String>>,
}

impl<'de> Deserialize<'de> for ExprDoc {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = ExprDoc;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("the name of a finding or definition, or one of `all`, `any`, `not`, `at_least` with `of`, `finding`")
            }

            fn visit_str<E: de::Error>(self, name: &str) -> Result<ExprDoc, E> {
                Ok(ExprDoc::Name(name.to_owned()))
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<ExprDoc, A::Error> {
                ExprMap::deserialize(de::value::MapAccessDeserializer::new(map)).map(|map| ExprDoc::Map(Box::new(map)))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// A worked case.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaseDoc {
    pub id: String,
    pub title: String,
    #[serde(default)]
    pub kind: CaseKind,
    #[serde(default)]
    pub patient: PatientDoc,
    #[serde(default)]
    pub present: Vec<String>,
    #[serde(default)]
    pub absent: Vec<String>,
    #[serde(default)]
    pub not_known: Vec<String>,
    #[serde(default)]
    pub observations: Vec<ObservationDoc>,
    #[serde(default)]
    pub none_of_these: Vec<NoneOfTheseDoc>,
    pub reporter: Option<ReporterDoc>,
    #[serde(default)]
    pub article_rows: Vec<String>,
    #[serde(default)]
    pub source: String,
    #[serde(default)]
    pub expect: ExpectDoc,
    pub truth: Option<TruthDoc>,
    #[serde(default)]
    pub complete: bool,
}

/// How much a case tells, which the figures keep apart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CaseKind {
    /// Shows one thing and claims to be typical of nothing.
    #[default]
    Other,
    /// A full history of the usual picture.
    Typical,
    /// What a patient volunteers in one sentence: two to four findings.
    Sparse,
    /// Looks like one condition and is another.
    NearMiss,
}

/// Age and sex in a case.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PatientDoc {
    pub age_years: Option<f64>,
    pub age_months: Option<f64>,
    pub age_days: Option<f64>,
    pub sex: Option<SexDoc>,
}

/// Sex in a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum SexDoc {
    #[serde(rename = "female", alias = "SEX_FEMALE")]
    Female,
    #[serde(rename = "male", alias = "SEX_MALE")]
    Male,
    #[serde(rename = "other", alias = "SEX_OTHER")]
    Other,
}

/// Who reports in a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum ReporterDoc {
    #[serde(rename = "patient", alias = "REPORTER_PATIENT")]
    Patient,
    #[serde(rename = "caregiver", alias = "REPORTER_CAREGIVER")]
    Caregiver,
    #[serde(rename = "clinician", alias = "REPORTER_CLINICIAN")]
    Clinician,
}

/// An observation as in a request.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ObservationDoc {
    pub finding: String,
    pub present: Option<bool>,
    pub quantity: Option<QuantityDoc>,
    pub selection: Option<SelectionDoc>,
    #[serde(alias = "notKnown")]
    pub not_known: Option<bool>,
    #[serde(default)]
    pub group: String,
}

/// A number with a unit.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuantityDoc {
    pub value: f64,
    #[serde(default)]
    pub unit: String,
}

/// Chosen options.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SelectionDoc {
    pub options: Vec<String>,
    #[serde(default)]
    pub complete: bool,
}

/// A box declared absent: its name, or the message as in a request.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged, expecting = "expected the id of a box, or a mapping with `name` and `group`")]
pub enum NoneOfTheseDoc {
    Name(String),
    Full {
        name: String,
        #[serde(default)]
        fingerprint: String,
        #[serde(default)]
        group: String,
    },
}

/// What a case demands.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpectDoc {
    pub top: Option<String>,
    #[serde(default)]
    pub top3: Vec<String>,
    #[serde(default)]
    pub not_top: Vec<String>,
    pub urgency: Option<Urgency>,
    pub urgency_at_least: Option<Urgency>,
    pub urgency_at_most: Option<Urgency>,
    pub status: Option<StatusDoc>,
    #[serde(default)]
    pub red_flags: Vec<String>,
    #[serde(default)]
    pub not_red_flags: Vec<String>,
    pub outcome: Option<OutcomeDoc>,
    #[serde(default)]
    pub because: Vec<String>,
    #[serde(default)]
    pub asks_first: Vec<String>,
    pub safety_net: Option<bool>,
}

/// Status in a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StatusDoc {
    Final,
    Provisional,
}

/// Outcome in a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutcomeDoc {
    Determined,
    Insufficient,
}

/// What a clinician says is so.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TruthDoc {
    pub condition: String,
    #[serde(default)]
    pub also_right: Vec<String>,
    pub urgency: Option<TruthUrgencyDoc>,
    #[serde(default)]
    pub urgency_also_right: Vec<Urgency>,
}

/// The true urgency: a level, or a level with others that are also right.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged, expecting = "expected an urgency, or a mapping with `is` and `also_right`")]
pub enum TruthUrgencyDoc {
    One(Urgency),
    Several {
        is: Urgency,
        #[serde(default)]
        also_right: Vec<Urgency>,
    },
}

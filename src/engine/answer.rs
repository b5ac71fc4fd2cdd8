//! What an evaluation says, in words: the value that every surface (gRPC, the command line, worked cases) shows.
//!
//! Owns the shape of an answer only. It is filled by `explain`; it knows nothing of protobuf, and holds no digest and
//! no evaluation id, which belong to the shell.

use super::urgency::Urgency;

/// Whether more answers to open red-flag questions could still raise the urgency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UrgencyStatus {
    /// No red flag is left open.
    Final,
    /// Some red flag is open or stands as a precaution.
    Provisional,
}

/// Whether the observations say enough to rank conditions at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// At least one condition has positive counted evidence from two families.
    Determined,
    /// No condition has; the ranking is not to be relied on.
    Insufficient,
}

/// The state of a red flag that an answer lists. Excluded flags are not listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RedFlagState {
    /// Its signs were told; nothing told later can take it back.
    Fired,
    /// Live and not answered, and its rule demands a floor until it is.
    Precaution,
    /// Not answered, and it could raise the urgency.
    Open,
}

/// A literature source as the pack names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Citation {
    /// The pack's id of the source.
    pub id: String,
    /// Title as published.
    pub title: String,
    /// Address, empty where the pack gives none.
    pub url: String,
}

/// The whole answer for one submission.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The advised urgency: the maximum over all groups and reasons.
    pub urgency: Urgency,
    /// Final, or provisional while red flags are open.
    pub urgency_status: UrgencyStatus,
    /// The highest urgency that an open red flag could still raise the answer to; equals `urgency` when nothing can.
    pub could_rise_to: Urgency,
    /// The pack's plain-words advice for this urgency and status.
    pub urgency_text: String,
    /// Why the urgency is what it is; the first reason is the highest.
    pub urgency_reasons: Vec<UrgencyReason>,
    /// Fired flags, precautions, then open flags; within each the highest floor first, then by id.
    pub red_flags: Vec<RedFlag>,
    /// Determined when it is in any group.
    pub outcome: Outcome,
    /// Share of "something else", of the first group.
    pub undetermined_share: f64,
    /// One entry for each group of spots, in the order of their names; always at least one.
    pub groups: Vec<Group>,
    /// Group by group, ranked within each group.
    pub differentials: Vec<Differential>,
    /// What to ask next, most useful first; empty when `should_stop`.
    pub next_questions: Vec<Question>,
    /// True when no single unasked question can change the urgency or the first place, or an emergency has fired.
    pub should_stop: bool,
    /// Contradictions, conversions, boxes declared absent, observations that no rule uses.
    pub notices: Vec<Notice>,
    /// Present whenever the urgency is below urgent.
    pub safety_net: Option<SafetyNet>,
    /// What this answer is not; says that the pack is a draft while it is not signed off.
    pub disclaimer: String,
}

/// The kind of reason behind an urgency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum UrgencyReasonKind {
    /// A fired red flag's floor.
    RedFlag,
    /// A precaution: the floor of a live red flag that is not answered.
    Precaution,
    /// The summed shares of conditions that demand this urgency.
    Conditions,
    /// The pack's minimum while too little is known.
    Insufficient,
}

/// One reason for the urgency.
#[derive(Debug, Clone, PartialEq)]
pub struct UrgencyReason {
    /// What kind of reason.
    pub kind: UrgencyReasonKind,
    /// The red flag's id, or for conditions the id of the weightiest one; empty for insufficient.
    pub id: String,
    /// The group of spots it is about; empty where it is about the person or there is only one group.
    pub group: String,
    /// The urgency that this reason demands.
    pub urgency: Urgency,
    /// In words.
    pub text: String,
}

/// One red flag in an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct RedFlag {
    /// Id in the pack.
    pub id: String,
    /// Name in words.
    pub name: String,
    /// Fired, precaution or open.
    pub state: RedFlagState,
    /// The floor that holds: of the flag when fired or open, of `while_unknown` for a precaution.
    pub floor: Urgency,
    /// Why it matters. Empty for open flags.
    pub text: String,
    /// What to do. Empty for open flags.
    pub action: String,
    /// The findings told that fired it or made it live.
    pub findings: Vec<String>,
    /// The findings that would decide it; empty when fired.
    pub deciding_findings: Vec<String>,
    /// Sources. Empty for open flags.
    pub sources: Vec<Citation>,
    /// True when a finding it rests on was told both ways.
    pub contradicted: bool,
    /// The group of spots; empty where it is about the person or there is only one group.
    pub group: String,
}

/// One group of spots.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// The caller's name of the group; empty for the only one.
    pub group: String,
    /// The urgency this group alone demands.
    pub urgency: Urgency,
    /// Whether this group's differential can be relied on.
    pub outcome: Outcome,
    /// Share of "something else".
    pub undetermined_share: f64,
    /// Sum of the own shares of the conditions that are not listed.
    pub unlisted_share: f64,
    /// The id of the condition in first place; empty when the outcome is insufficient.
    pub first_place: String,
}

/// A condition with its place, its score and every reason.
#[derive(Debug, Clone, PartialEq)]
pub struct Differential {
    /// 1 for the first place in its group.
    pub rank: u32,
    /// The group of spots.
    pub group: String,
    /// The condition.
    pub condition: ConditionInfo,
    /// Sum of the counted contributions, in decibans against "something else".
    pub score_decibans: f64,
    /// Its own share and those of its children, 0 to 1.
    pub share: f64,
    /// Its own share alone; these sum to 1 over all conditions and the undetermined.
    pub own_share: f64,
    /// The urgency of the condition's mildest form.
    pub urgency: Urgency,
    /// Prior first, then counted ones by weight, then those that do not count.
    pub contributions: Vec<Contribution>,
    /// Rules not decided yet and the findings that would decide them.
    pub undecided: Vec<Undecided>,
    /// What a clinician may do next.
    pub next_steps: Vec<Advice>,
    /// What helps.
    pub care: Vec<Advice>,
}

/// What a pack says about a condition.
#[derive(Debug, Clone, PartialEq)]
pub struct ConditionInfo {
    /// Id in the pack.
    pub id: String,
    /// Name.
    pub name: String,
    /// Codes, each as `system:code`.
    pub codings: Vec<String>,
    /// One or two plain sentences.
    pub summary: String,
    /// Id of the parent condition; empty when it has none.
    pub part_of: String,
}

/// Whether a piece of evidence speaks for or against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Positive weight.
    Supports,
    /// Negative weight.
    ArguesAgainst,
}

/// Whether a weight is part of the score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Counting {
    /// It is part of the score.
    Counted,
    /// A stronger one of its family already counts.
    AlreadyCounted,
    /// A joint rule, or the chosen option, stands in its place.
    Replaced,
    /// What it rests on was told both ways, so it counts for nothing.
    Contradicted,
}

/// One reason in a score.
#[derive(Debug, Clone, PartialEq)]
pub struct Contribution {
    /// `condition.rule`, or `condition.prior`.
    pub rule_id: String,
    /// For or against.
    pub direction: Direction,
    /// Weight in decibans (10 log10 of the likelihood ratio), a multiple of 0.001.
    pub weight_decibans: f64,
    /// The same weight as a likelihood ratio.
    pub likelihood_ratio: f64,
    /// The author's reason.
    pub because: String,
    /// The rule's own condition in words, projected from what was evaluated.
    pub when: String,
    /// The findings it rests on.
    pub findings: Vec<String>,
    /// The family it belongs to.
    pub family: String,
    /// Whether it counts.
    pub counting: Counting,
    /// The rule that counts in its place; empty when it counts itself.
    pub counted_by: String,
    /// Sources.
    pub sources: Vec<Citation>,
    /// `judgement`, `published` or `calculated`.
    pub grade: String,
}

/// A rule that is not decided yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Undecided {
    /// `condition.rule`.
    pub rule_id: String,
    /// The findings that would decide it.
    pub findings: Vec<String>,
}

/// A piece of advice with its sources.
#[derive(Debug, Clone, PartialEq)]
pub struct Advice {
    /// One plain sentence.
    pub text: String,
    /// Sources.
    pub sources: Vec<Citation>,
}

/// What kind of answer a question takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuestionKind {
    /// Present, absent or not known.
    YesNo,
    /// A number with a unit.
    Number,
    /// One of the options.
    Choice,
    /// Any of the options.
    MultipleChoice,
    /// A box: any of several findings, or none of these.
    AnyOf,
    /// A box: exactly one of several findings, or not known.
    OneOf,
}

/// One thing to ask next.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    /// The finding's id, or the box's.
    pub id: String,
    /// The words to ask with.
    pub text: String,
    /// How to tell; may be empty.
    pub help: String,
    /// What kind of answer it takes.
    pub kind: QuestionKind,
    /// The findings that it answers: one, or a box's members.
    pub findings: Vec<String>,
    /// The box's id where it is a box, else empty.
    pub box_id: String,
    /// The box's fingerprint, to be sent back with `none_of_these`; empty where it is no box.
    pub fingerprint: String,
    /// Options of a choice, or the members of a box.
    pub options: Vec<QuestionOption>,
    /// Unit of a number; empty otherwise.
    pub unit: String,
    /// Lowest and highest accepted number, in that unit.
    pub range: Option<(f64, f64)>,
    /// The group of spots that it is about; empty for the person or the only group.
    pub group: String,
    /// Why it is asked.
    pub why: String,
}

/// One option of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuestionOption {
    /// The option's id, or for a box the finding's.
    pub id: String,
    /// In words.
    pub name: String,
}

/// What kind of notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum NoticeKind {
    /// A finding was told both ways.
    Contradiction,
    /// A number was converted to the pack's unit.
    Conversion,
    /// A box was declared absent.
    BoxAbsent,
    /// An observation that no rule uses.
    Unused,
    /// A group name was ignored because the finding is about the person.
    GroupIgnored,
}

/// Something the caller should know about how the submission was read. Never holds an observed value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// What kind.
    pub kind: NoticeKind,
    /// In words.
    pub text: String,
    /// The findings concerned.
    pub findings: Vec<String>,
    /// The group of spots; empty for the person or the only group.
    pub group: String,
}

/// What to watch for, and how soon to act or look again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SafetyNet {
    /// Signs that call for help sooner.
    pub watch_for: Vec<String>,
    /// Within what time to act.
    pub act_within: String,
    /// When to look again.
    pub reassess_after: String,
}

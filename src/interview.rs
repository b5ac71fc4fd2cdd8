//! Plays one interview: a worked case answers the questions that the engine asks, until it asks no more.
//!
//! Owns the loop and how a case answers; it prints nothing and reads no file. Which question comes next, and when to
//! stop, is the engine's.

use std::collections::BTreeSet;

use crate::engine;
use crate::engine::AnswerOptions;
use crate::engine::answer::{Answer, NoticeKind, Question, QuestionKind, RedFlagState, UrgencyStatus};
use crate::engine::case::{self, Case, CaseKind};
use crate::engine::plan::Plan;
use crate::engine::submission::{NoneOfThese, Observation, Submission, Value, Violation};
use crate::engine::urgency::Urgency;

/// How many of a case's observations the patient begins with.
const TOLD_FIRST: usize = 2;
/// No interview is this long; it only keeps a mistake in a pack from asking for ever.
const LONGEST: usize = 200;

/// One interview.
#[derive(Debug, Clone, PartialEq)]
pub struct Interview {
    /// What the patient came with, in words.
    pub opening: Vec<String>,
    /// The answer to that.
    pub first: Answer,
    /// Question by question.
    pub steps: Vec<Step>,
}

/// One question and what it led to.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// What was asked.
    pub question: Question,
    /// What the case replied, in words.
    pub reply: String,
    /// The answer after it.
    pub answer: Answer,
}

impl Interview {
    /// The answer that the interview ended with.
    #[must_use]
    pub fn last(&self) -> &Answer {
        self.steps.last().map_or(&self.first, |step| &step.answer)
    }
}

/// Plays the interview of a case.
///
/// # Errors
/// Violations, when the case does not fit the plan.
pub fn play(plan: &Plan, case: &Case) -> Result<Interview, Vec<Violation>> {
    let told = &case.submission;
    let mut submission = Submission {
        patient: told.patient.clone(),
        observations: complaint(case),
        none_of_these: Vec::new(),
        reporter: told.reporter,
        pinned: true,
    };
    let options = AnswerOptions { omit_rationale: true, ..AnswerOptions::default() };
    tell_apart(plan, case, &mut submission);
    let opening = submission.observations.iter().map(words).collect();
    let first = engine::answer(plan, &submission, &options)?;
    let patient = Patient { plan, case, contradictions: contradictions(&engine::answer(plan, told, &quick())?) };
    let mut interview = Interview { opening, first, steps: Vec::new() };
    let mut asked = BTreeSet::new();
    while interview.steps.len() < LONGEST && !interview.last().should_stop {
        let next =
            interview.last().next_questions.iter().find(|next| asked.insert((next.id.clone(), next.group.clone())));
        let Some(question) = next.cloned() else { break };
        let reply = patient.reply(&question);
        submission.observations.extend(reply.observations);
        submission.none_of_these.extend(reply.none_of_these);
        tell_apart(plan, case, &mut submission);
        let answer = engine::answer(plan, &submission, &options)?;
        interview.steps.push(Step { question, reply: reply.words, answer });
    }
    Ok(interview)
}

/// What the patient begins with: the first things that the case tells, those that are there before those that are not,
/// since nobody comes because of what is not there.
fn complaint(case: &Case) -> Vec<Observation> {
    let is_absent = |told: &&Observation| told.value == Some(Value::Present(false));
    let (absent, told): (Vec<&Observation>, Vec<&Observation>) =
        case.submission.observations.iter().partition(is_absent);
    told.into_iter().chain(absent).take(TOLD_FIRST).cloned().collect()
}

/// Who says that there are two kinds of spots describes them apart, as the question asks: the first thing about each kind
/// that was not spoken of yet.
fn tell_apart(plan: &Plan, case: &Case, submission: &mut Submission) {
    let says_so =
        |told: &Observation| asks_of_two_kinds(plan, &told.finding) && told.value == Some(Value::Present(true));
    if !submission.observations.iter().any(says_so) {
        return;
    }
    for told in case.submission.observations.iter().filter(|told| !told.group.is_empty()) {
        if submission.observations.iter().all(|known| known.group != told.group) {
            submission.observations.push(told.clone());
        }
    }
}

fn asks_of_two_kinds(plan: &Plan, finding: &str) -> bool {
    plan.ask_when_contradicted.is_some() && plan.vocabulary.find(finding) == plan.ask_when_contradicted
}

/// Interviews of many cases, held against what everything told at once leads to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table {
    /// How many were played.
    pub interviews: usize,
    /// Questions asked in each, ascending; a box counts once.
    pub questions: Vec<usize>,
    /// Ended with the urgency that everything told at once leads to.
    pub same_urgency: usize,
    /// Ended with the same condition in first place.
    pub same_first: usize,
    /// A red flag with floor `emergency` ended them, whatever comes first.
    pub emergencies: usize,
    /// Of the others, ended with the same condition in first place.
    pub same_first_unless_emergency: usize,
    /// Ended with no red flag open.
    pub ended_final: usize,
    /// Interviews of full cases: all but the sparse ones.
    pub full: usize,
    /// Of those, ended with no red flag open.
    pub full_ended_final: usize,
    /// Cases whose interview ended less urgent than everything told at once.
    pub lower: Vec<String>,
    /// Of those, the ones that are urgent or an emergency when everything is told.
    pub lower_though_dangerous: Vec<String>,
    /// The longest interviews, with their number of questions.
    pub longest: Vec<(usize, String)>,
}

impl Table {
    /// The median number of questions; 0 without interviews.
    #[must_use]
    pub fn median(&self) -> usize {
        self.questions.get(self.questions.len() / 2).copied().unwrap_or(0)
    }

    /// The number of questions that nine of ten interviews do not pass.
    #[must_use]
    pub fn ninetieth(&self) -> usize {
        self.questions.get((self.questions.len() * 9).div_ceil(10).saturating_sub(1)).copied().unwrap_or(0)
    }
}

/// Plays the interviews of all `cases`.
///
/// # Errors
/// Violations, when a case does not fit the plan.
pub fn play_all<'a>(plan: &Plan, cases: impl IntoIterator<Item = &'a Case>) -> Result<Table, Vec<Violation>> {
    let mut table = Table::default();
    for case in cases {
        let interview = play(plan, case)?;
        let whole = engine::answer(plan, &case::completed(plan, case), &quick())?;
        let (asked, last) = (interview.steps.len(), interview.last());
        table.interviews += 1;
        table.questions.push(asked);
        table.longest.push((asked, case.id.clone()));
        table.same_urgency += usize::from(last.urgency == whole.urgency);
        let same_first = first_places(last) == first_places(&whole);
        table.same_first += usize::from(same_first);
        let (emergency, is_final) = (is_emergency(last), last.urgency_status == UrgencyStatus::Final);
        let is_full = case.kind != CaseKind::Sparse;
        table.emergencies += usize::from(emergency);
        table.same_first_unless_emergency += usize::from(!emergency && same_first);
        table.ended_final += usize::from(is_final);
        table.full += usize::from(is_full);
        table.full_ended_final += usize::from(is_full && is_final);
        if last.urgency < whole.urgency {
            table.lower.push(case.id.clone());
            if whole.urgency >= Urgency::Urgent {
                table.lower_though_dangerous.push(case.id.clone());
            }
        }
    }
    table.questions.sort_unstable();
    table.longest.sort_by(|a, b| b.cmp(a));
    table.longest.truncate(10);
    Ok(table)
}

fn is_emergency(answer: &Answer) -> bool {
    let mut flags = answer.red_flags.iter();
    flags.any(|flag| flag.state == RedFlagState::Fired && flag.floor == Urgency::Emergency)
}

fn first_places(answer: &Answer) -> Vec<(&str, &str)> {
    answer.groups.iter().map(|group| (group.group.as_str(), group.first_place.as_str())).collect()
}

#[derive(Default)]
struct Reply {
    words: String,
    observations: Vec<Observation>,
    none_of_these: Vec<NoneOfThese>,
}

/// Answers from what a case says.
struct Patient<'a> {
    plan: &'a Plan,
    case: &'a Case,
    /// How many contradictions the case has by itself.
    contradictions: usize,
}

impl Patient<'_> {
    fn reply(&self, question: &Question) -> Reply {
        match question.kind {
            QuestionKind::AnyOf | QuestionKind::OneOf => self.box_reply(question),
            QuestionKind::YesNo => {
                let finding = question.findings.first().unwrap_or(&question.id);
                let value = self.known(finding, &question.group).map_or(Value::NotKnown(true), Value::Present);
                one(observation(finding, value, &question.group))
            }
            QuestionKind::Number | QuestionKind::Choice | QuestionKind::MultipleChoice => {
                let finding = question.findings.first().unwrap_or(&question.id);
                let told = self.told(finding, &question.group).and_then(|told| told.value.clone());
                let none = question.kind == QuestionKind::MultipleChoice && self.case.complete;
                let unsaid =
                    if none { Value::Selection { options: Vec::new(), complete: true } } else { Value::NotKnown(true) };
                one(observation(finding, told.unwrap_or(unsaid), &question.group))
            }
        }
    }

    fn box_reply(&self, question: &Question) -> Reply {
        let members: Vec<(&String, Option<bool>)> =
            question.findings.iter().map(|finding| (finding, self.known(finding, &question.group))).collect();
        if question.kind == QuestionKind::AnyOf && members.iter().all(|(_, known)| *known == Some(false)) {
            let none = NoneOfThese {
                name: question.box_id.clone(),
                fingerprint: question.fingerprint.clone(),
                group: question.group.clone(),
            };
            return Reply { words: "none of these".to_owned(), none_of_these: vec![none], ..Reply::default() };
        }
        let ticked: Vec<&str> =
            members.iter().filter(|(_, known)| *known == Some(true)).map(|(finding, _)| finding.as_str()).collect();
        let words = if ticked.is_empty() { "not known".to_owned() } else { ticked.join(", ") };
        let observations = members
            .iter()
            .map(|(finding, known)| {
                observation(finding, known.map_or(Value::NotKnown(true), Value::Present), &question.group)
            })
            .collect();
        Reply { words, observations, ..Reply::default() }
    }

    /// Whether a yes-or-no finding is present in the case: as told, as what was told implies, or absent because the
    /// case says that it is complete.
    fn known(&self, finding: &str, group: &str) -> Option<bool> {
        if let Some(Observation { value: Some(value), .. }) = self.told(finding, group) {
            return if let Value::Present(present) = value { Some(*present) } else { None };
        }
        if asks_of_two_kinds(self.plan, finding) && self.kinds() > 1 {
            return Some(true);
        }
        // A reply that would contradict what the case says is not the case's reply.
        for present in [true, false] {
            if self.contradicts(finding, !present, group) {
                return Some(present);
            }
        }
        self.case.complete.then_some(false)
    }

    /// How many kinds of spots the case describes apart.
    fn kinds(&self) -> usize {
        let groups = self.case.submission.observations.iter().map(|told| told.group.as_str());
        groups.filter(|group| !group.is_empty()).collect::<BTreeSet<&str>>().len()
    }

    fn told(&self, finding: &str, group: &str) -> Option<&Observation> {
        let index = self.plan.vocabulary.find(finding)?;
        let about_person = self.plan.vocabulary.get(index).about_person;
        self.case.submission.observations.iter().find(|told| {
            self.plan.vocabulary.find(&told.finding) == Some(index) && (about_person || told.group == group)
        })
    }

    fn contradicts(&self, finding: &str, present: bool, group: &str) -> bool {
        let mut submission = self.case.submission.clone();
        submission.observations.push(observation(finding, Value::Present(present), group));
        engine::answer(self.plan, &submission, &quick())
            .is_ok_and(|answer| contradictions(&answer) > self.contradictions)
    }
}

/// An answer without reasons and questions.
fn quick() -> AnswerOptions {
    AnswerOptions { omit_rationale: true, omit_questions: true, ..AnswerOptions::default() }
}

fn contradictions(answer: &Answer) -> usize {
    answer.notices.iter().filter(|notice| notice.kind == NoticeKind::Contradiction).count()
}

fn observation(finding: &str, value: Value, group: &str) -> Observation {
    Observation { finding: finding.to_owned(), value: Some(value), group: group.to_owned() }
}

fn one(observation: Observation) -> Reply {
    let words = value_words(observation.value.as_ref());
    Reply { words, observations: vec![observation], ..Reply::default() }
}

fn words(observation: &Observation) -> String {
    let group = if observation.group.is_empty() { String::new() } else { format!(" (group `{}`)", observation.group) };
    match &observation.value {
        Some(Value::Present(true)) => format!("{}{group}", observation.finding),
        value => format!("{}: {}{group}", observation.finding, value_words(value.as_ref())),
    }
}

fn value_words(value: Option<&Value>) -> String {
    match value {
        Some(Value::Present(true)) => "yes".to_owned(),
        Some(Value::Present(false)) => "no".to_owned(),
        Some(Value::Quantity { value, unit }) => format!("{value} {unit}"),
        Some(Value::Selection { options, .. }) if options.is_empty() => "none of these".to_owned(),
        Some(Value::Selection { options, .. }) => options.join(", "),
        Some(Value::NotKnown(_)) | None => "not known".to_owned(),
    }
}

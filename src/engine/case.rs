//! Worked cases: what a clinician says must hold, run through the same functions as a request.
//!
//! Owns reading, running and comparing. A broken expectation refuses the rule set; what a case only measures is
//! `figures`' business in the shell.

use super::answer::{Answer, Counting, Outcome, RedFlagState, UrgencyStatus};
use super::diagnostic::{Code, Diagnostic};
pub use super::doc::CaseKind;
use super::doc::{
    CaseDoc, ExpectDoc, NoneOfTheseDoc, ObservationDoc, OutcomeDoc, ReporterDoc, SexDoc, StatusDoc, TruthUrgencyDoc,
};
use super::evaluate::{Evaluation, evaluate, is_askable};
use super::explain::{AnswerOptions, explain};
use super::finding::Findings;
use super::parse::Doc;
use super::parse::tree::At;
use super::plan::{Kind, Plan};
use super::source::Place;
use super::submission::{Age, NoneOfThese, Observation, Patient, Reporter, Sex, Submission, Value};
use super::suggest;
use super::urgency::Urgency;
use super::vocabulary::FindingIndex;
use std::collections::BTreeSet;

/// The word that stands for "no condition can be named".
pub const UNDETERMINED: &str = "undetermined";

/// The folder of cases that are kept aside.
const HELD_OUT: &str = "cases/held_out/";

/// A worked case.
#[derive(Debug, Clone)]
pub struct Case {
    /// Id.
    pub id: String,
    /// One line for a clinician.
    pub title: String,
    /// How much it tells.
    pub kind: CaseKind,
    /// Kept aside: written before any weight was tuned, never edited afterwards, and reported apart.
    pub held_out: bool,
    /// Which rows of the source article it shows.
    pub article_rows: Vec<String>,
    /// Where its facts come from.
    pub source: String,
    /// Where it stands.
    pub place: Place,
    /// What is told.
    pub submission: Submission,
    pub(super) findings: Findings,
    /// What must hold.
    pub expect: ExpectDoc,
    /// What a clinician says is so; measured, never enforced.
    pub truth: Option<Truth>,
    /// Findings left out were asked and are absent.
    pub complete: bool,
}

/// What a clinician says is so.
#[derive(Debug, Clone)]
pub struct Truth {
    /// The condition, or `undetermined`.
    pub condition: String,
    /// Other conditions that are right too.
    pub also_right: Vec<String>,
    /// The urgency.
    pub urgency: Option<Urgency>,
    /// Other urgencies that are right too.
    pub urgency_also_right: Vec<Urgency>,
}

/// How a case went.
#[derive(Debug, Clone)]
pub struct CaseResult {
    /// The case's id.
    pub id: String,
    /// Every broken expectation.
    pub failures: Vec<Failure>,
    /// The whole answer.
    pub answer: Answer,
    /// What the answer was made from.
    pub evaluation: Evaluation,
}

/// A broken expectation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The key under `expect`.
    pub key: &'static str,
    /// What was expected and what came.
    pub text: String,
}

/// Takes the cases of a document and holds their words against the plan.
#[must_use]
pub fn read_cases(doc: &Doc, plan: &Plan, found: &mut Vec<Diagnostic>) -> Vec<Case> {
    let names = Names::of(plan);
    let mut cases: Vec<Case> =
        doc.cases.iter().filter_map(|item| read_case(&item.doc, doc.at(item), plan, &names, found)).collect();
    cases.sort_by(|a, b| a.id.cmp(&b.id));
    cases
}

fn read_case(case: &CaseDoc, at: At<'_>, plan: &Plan, names: &Names<'_>, found: &mut Vec<Diagnostic>) -> Option<Case> {
    let before = found.len();
    check_names(case, at, names, found);
    let submission = submission(case);
    let findings = match Findings::read(plan, &submission) {
        Ok(findings) => findings,
        Err(violations) => {
            found.extend(violations.into_iter().map(|violation| {
                let place = locate(at, case, &violation.field);
                Diagnostic::error(Code::CaseInput, Some(place), format!("case `{}`: {}", case.id, violation.reason))
            }));
            return None;
        }
    };
    let truth = case.truth.as_ref().map(|truth| {
        let (urgency, mut also) = match &truth.urgency {
            None => (None, Vec::new()),
            Some(TruthUrgencyDoc::One(urgency)) => (Some(*urgency), Vec::new()),
            Some(TruthUrgencyDoc::Several { is, also_right }) => (Some(*is), also_right.clone()),
        };
        also.extend(&truth.urgency_also_right);
        Truth {
            condition: truth.condition.clone(),
            also_right: truth.also_right.clone(),
            urgency,
            urgency_also_right: also,
        }
    });
    (found.len() == before).then(|| Case {
        id: case.id.clone(),
        title: case.title.clone(),
        kind: case.kind,
        held_out: at.place().file.contains(HELD_OUT),
        article_rows: case.article_rows.clone(),
        source: case.source.clone(),
        place: at.key("id").place(),
        submission,
        findings,
        expect: case.expect.clone(),
        truth,
        complete: case.complete,
    })
}

/// The submission of a case: its short lists first, then its observations as in a request.
fn submission(case: &CaseDoc) -> Submission {
    let lists = [
        (&case.present, Value::Present(true)),
        (&case.absent, Value::Present(false)),
        (&case.not_known, Value::NotKnown(true)),
    ];
    let mut observations: Vec<Observation> = lists
        .iter()
        .flat_map(|(ids, value)| {
            ids.iter().map(|id| Observation { finding: id.clone(), value: Some(value.clone()), group: String::new() })
        })
        .collect();
    observations.extend(case.observations.iter().map(observation));
    let patient = &case.patient;
    let age =
        patient.age_years.map(Age::Years).or(patient.age_months.map(Age::Months)).or(patient.age_days.map(Age::Days));
    Submission {
        patient: Patient {
            age,
            sex: patient.sex.map(|sex| match sex {
                SexDoc::Female => Sex::Female,
                SexDoc::Male => Sex::Male,
                SexDoc::Other => Sex::Other,
            }),
        },
        observations,
        none_of_these: case
            .none_of_these
            .iter()
            .map(|none| match none {
                NoneOfTheseDoc::Name(name) => {
                    NoneOfThese { name: name.clone(), fingerprint: String::new(), group: String::new() }
                }
                NoneOfTheseDoc::Full { name, fingerprint, group } => {
                    NoneOfThese { name: name.clone(), fingerprint: fingerprint.clone(), group: group.clone() }
                }
            })
            .collect(),
        reporter: case.reporter.map(|reporter| match reporter {
            ReporterDoc::Patient => Reporter::Patient,
            ReporterDoc::Caregiver => Reporter::Caregiver,
            ReporterDoc::Clinician => Reporter::Clinician,
        }),
        pinned: true,
    }
}

fn observation(doc: &ObservationDoc) -> Observation {
    let value = match doc {
        ObservationDoc { present: Some(present), quantity: None, selection: None, not_known: None, .. } => {
            Some(Value::Present(*present))
        }
        ObservationDoc { present: None, quantity: Some(quantity), selection: None, not_known: None, .. } => {
            Some(Value::Quantity { value: quantity.value, unit: quantity.unit.clone() })
        }
        ObservationDoc { present: None, quantity: None, selection: Some(selection), not_known: None, .. } => {
            Some(Value::Selection { options: selection.options.clone(), complete: selection.complete })
        }
        ObservationDoc { present: None, quantity: None, selection: None, not_known: Some(not_known), .. } => {
            Some(Value::NotKnown(*not_known))
        }
        _ => None,
    };
    Observation { finding: doc.finding.clone(), value, group: doc.group.clone() }
}

/// Where in the case a field of the submission was written.
fn locate(at: At<'_>, case: &CaseDoc, field: &str) -> Place {
    let number = |name: &str| field.strip_prefix(name)?.strip_prefix('[')?.split(']').next()?.parse::<usize>().ok();
    if let Some(mut index) = number("observations") {
        for (key, list) in [("present", &case.present), ("absent", &case.absent), ("not_known", &case.not_known)] {
            if index < list.len() {
                return at.key(key).index(index).place();
            }
            index -= list.len();
        }
        let here = at.key("observations").index(index);
        return field.split('.').skip(1).fold(here, |here, key| here.key(key)).place();
    }
    if let Some(index) = number("none_of_these") {
        return at.key("none_of_these").index(index).place();
    }
    field.split('.').fold(at, |here, key| here.key(key)).place()
}

/// What a case can name.
struct Names<'a> {
    conditions: BTreeSet<&'a str>,
    red_flags: BTreeSet<&'a str>,
    rules: BTreeSet<&'a str>,
    questions: BTreeSet<&'a str>,
}

impl<'a> Names<'a> {
    fn of(plan: &'a Plan) -> Self {
        let findings = plan.findings().iter().map(|finding| finding.id.as_str());
        Self {
            conditions: plan.conditions.iter().map(|condition| condition.id.as_str()).chain([UNDETERMINED]).collect(),
            red_flags: plan.red_flags.iter().map(|flag| flag.id.as_str()).collect(),
            rules: plan.rules.iter().map(|rule| rule.id.as_str()).collect(),
            questions: findings.chain(plan.boxes.iter().map(|one| one.id.as_str())).collect(),
        }
    }
}

/// Conditions, red flags, rules and questions that a case names.
fn check_names(case: &CaseDoc, at: At<'_>, names: &Names<'_>, found: &mut Vec<Diagnostic>) {
    let expect = &case.expect;
    let at_expect = at.key("expect");
    let Names { conditions, red_flags, rules, questions } = names;
    let mut check = |code: Code, what: &str, known: &BTreeSet<&str>, id: &str, at: At<'_>| {
        if !known.contains(id) {
            let problem = Diagnostic::error(code, Some(at.place()), format!("unknown {what} `{id}`"));
            found.push(problem.maybe_help(suggest::did_you_mean(id, known.iter().copied())));
        }
    };
    if let Some(top) = &expect.top {
        check(Code::UnknownCondition, "condition", conditions, top, at_expect.key("top"));
    }
    let lists = [
        ("top3", &expect.top3, Code::UnknownCondition, "condition", conditions),
        ("not_top", &expect.not_top, Code::UnknownCondition, "condition", conditions),
        ("red_flags", &expect.red_flags, Code::UnknownRedFlag, "red flag", red_flags),
        ("not_red_flags", &expect.not_red_flags, Code::UnknownRedFlag, "red flag", red_flags),
        ("because", &expect.because, Code::UnknownRule, "rule", rules),
        ("asks_first", &expect.asks_first, Code::UnknownFinding, "finding or box", questions),
    ];
    for (key, ids, code, what, known) in lists {
        for (i, id) in ids.iter().enumerate() {
            check(code, what, known, id, at_expect.key(key).index(i));
        }
    }
    if let Some(truth) = &case.truth {
        check(Code::UnknownCondition, "condition", conditions, &truth.condition, at.key("truth").key("condition"));
        for (i, id) in truth.also_right.iter().enumerate() {
            check(Code::UnknownCondition, "condition", conditions, id, at.key("truth").key("also_right").index(i));
        }
    }
}

/// Runs one case against the plan that it was read for.
#[must_use]
pub fn run(plan: &Plan, case: &Case) -> CaseResult {
    let evaluation = evaluate(plan, &case.findings);
    let answer = explain(plan, &case.findings, &evaluation, &options(plan, case, false));
    let failures = compare(plan, &case.expect, &answer);
    CaseResult { id: case.id.clone(), failures, answer, evaluation }
}

/// What is asked for a case: briefly, no more than its expectations look at.
fn options(plan: &Plan, case: &Case, briefly: bool) -> AnswerOptions {
    let quiet = briefly && case.expect.because.is_empty();
    AnswerOptions {
        max_differentials: if quiet { 3 } else { plan.conditions.len().max(1) },
        max_questions: 3,
        omit_rationale: quiet,
        omit_questions: case.expect.asks_first.is_empty(),
    }
}

/// What a case tells once everything that it leaves out, and that its reporter could be asked, was asked and is absent.
/// The same as told for cases that are not complete.
#[must_use]
pub fn completed(plan: &Plan, case: &Case) -> Submission {
    let mut submission = case.submission.clone();
    if !case.complete {
        return submission;
    }
    let evaluation = evaluate(plan, &case.findings);
    for (told, group) in case.findings.groups.iter().zip(evaluation.groups()) {
        for (i, finding) in plan.findings().iter().enumerate() {
            let index = FindingIndex(i);
            if finding.kind == Kind::YesNo && is_askable(plan, told, &group.facts, index, case.findings.reporter) {
                let group = if finding.about_person { String::new() } else { told.name.clone() };
                let value = Some(Value::Present(false));
                submission.observations.push(Observation { finding: finding.id.clone(), value, group });
            }
        }
    }
    submission
}

/// What the cases of a pack showed, for whoever asks what none of them shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shown {
    /// How many cases ran.
    pub cases: usize,
    /// Red flags that fired.
    pub fired: BTreeSet<String>,
    /// Conditions that came first, or were expected to.
    pub first: BTreeSet<String>,
}

impl Shown {
    fn see(&mut self, case: &Case, answer: &Answer) {
        self.cases += 1;
        let fired = answer.red_flags.iter().filter(|flag| flag.state == RedFlagState::Fired);
        self.fired.extend(fired.map(|flag| flag.id.clone()));
        self.first.extend(answer.groups.iter().map(|group| group.first_place.clone()));
        self.first.extend(case.expect.top.clone());
    }

    /// Adds what other cases showed.
    pub fn merge(&mut self, other: Shown) {
        self.cases += other.cases;
        self.fired.extend(other.fired);
        self.first.extend(other.first);
    }
}

/// Runs all cases; every broken expectation is an error at the case's place.
#[must_use]
pub fn check_all(plan: &Plan, cases: &[Case]) -> (Vec<Diagnostic>, Shown) {
    let (mut broken, mut shown) = (Vec::new(), Shown::default());
    let mut evaluation = Evaluation::default();
    for case in cases {
        evaluation.run(plan, &case.findings);
        let answer = explain(plan, &case.findings, &evaluation, &options(plan, case, true));
        shown.see(case, &answer);
        broken.extend(compare(plan, &case.expect, &answer).into_iter().map(|failure| {
            Diagnostic::error(
                Code::CaseBroken,
                Some(case.place.clone()),
                format!("case `{}` no longer holds: {}", case.id, failure.text),
            )
            .help(format!("`{}`: correct the rules, or the case if the case is wrong", case.title))
        }));
    }
    (broken, shown)
}

/// Whether the condition is what was asked for; a parent is satisfied by its child.
#[must_use]
pub fn satisfies(plan: &Plan, condition: &str, wanted: &str) -> bool {
    match (plan.condition(condition), plan.condition(wanted)) {
        (Some(condition), Some(wanted)) => plan.is_within(condition, wanted),
        _ => condition == wanted,
    }
}

pub(super) fn compare(plan: &Plan, expect: &ExpectDoc, answer: &Answer) -> Vec<Failure> {
    let mut failures = Vec::new();
    let mut fail = |key: &'static str, text: String| failures.push(Failure { key, text });
    places(plan, expect, answer, &mut fail);
    urgency(expect, answer, &mut fail);
    let fired = |id: &String| answer.red_flags.iter().any(|flag| flag.id == *id && flag.state == RedFlagState::Fired);
    for id in expect.red_flags.iter().filter(|id| !fired(id)) {
        let state = answer.red_flags.iter().find(|flag| flag.id == *id).map_or("not listed", |_| "not fired yet");
        fail("red_flags", format!("red flag `{id}` must fire, and is {state}"));
    }
    for id in expect.not_red_flags.iter().filter(|id| fired(id)) {
        fail("not_red_flags", format!("red flag `{id}` must not fire"));
    }
    let counted = |id: &String| {
        answer
            .differentials
            .iter()
            .flat_map(|d| &d.contributions)
            .any(|c| c.rule_id == *id && c.counting == Counting::Counted)
    };
    for id in expect.because.iter().filter(|id| !counted(id)) {
        fail("because", format!("rule `{id}` must count"));
    }
    let asked: Vec<&str> = answer.next_questions.iter().take(3).map(|question| question.id.as_str()).collect();
    for id in expect.asks_first.iter().filter(|id| !asked.contains(&id.as_str())) {
        fail(
            "asks_first",
            format!("`{id}` must be among the first three questions, which are {}", suggest::quoted(&asked)),
        );
    }
    if let Some(wanted) = expect.safety_net
        && wanted != answer.safety_net.is_some()
    {
        fail("safety_net", format!("a safety net is {}", if wanted { "missing" } else { "there" }));
    }
    failures
}

fn places(plan: &Plan, expect: &ExpectDoc, answer: &Answer, fail: &mut impl FnMut(&'static str, String)) {
    let first: Vec<&str> = answer.groups.iter().map(|group| group.first_place.as_str()).collect();
    let first_words =
        if answer.outcome == Outcome::Insufficient { UNDETERMINED.to_owned() } else { suggest::quoted(&first) };
    if let Some(top) = &expect.top {
        let holds = if top == UNDETERMINED {
            answer.outcome == Outcome::Insufficient
        } else {
            first.iter().any(|first| satisfies(plan, first, top))
        };
        if !holds {
            fail("top", format!("`{top}` must come first, and {first_words} does"));
        }
    }
    for wanted in &expect.top3 {
        let mut three = answer.differentials.iter().filter(|d| d.rank <= 3);
        let holds = three.any(|d| satisfies(plan, &d.condition.id, wanted))
            || (wanted == UNDETERMINED && answer.outcome == Outcome::Insufficient);
        if !holds {
            fail("top3", format!("`{wanted}` must be among the first three; first is {first_words}"));
        }
    }
    for unwanted in &expect.not_top {
        if first.iter().any(|first| satisfies(plan, first, unwanted)) && answer.outcome == Outcome::Determined {
            fail("not_top", format!("`{unwanted}` must not come first"));
        }
    }
    let outcome = match answer.outcome {
        Outcome::Determined => OutcomeDoc::Determined,
        Outcome::Insufficient => OutcomeDoc::Insufficient,
    };
    if expect.outcome.is_some_and(|wanted| wanted != outcome) {
        fail("outcome", format!("the outcome is {outcome:?}").to_lowercase());
    }
}

fn urgency(expect: &ExpectDoc, answer: &Answer, fail: &mut impl FnMut(&'static str, String)) {
    let got = answer.urgency;
    let reason = answer.urgency_reasons.first().map_or(String::new(), |reason| format!(" ({})", reason.text));
    if let Some(wanted) = expect.urgency.filter(|wanted| *wanted != got) {
        fail("urgency", format!("the urgency must be `{wanted}`, and is `{got}`{reason}"));
    }
    if let Some(wanted) = expect.urgency_at_least.filter(|wanted| got < *wanted) {
        fail("urgency_at_least", format!("the urgency must be at least `{wanted}`, and is `{got}`"));
    }
    if let Some(wanted) = expect.urgency_at_most.filter(|wanted| got > *wanted) {
        fail("urgency_at_most", format!("the urgency must be at most `{wanted}`, and is `{got}`{reason}"));
    }
    let status = match answer.urgency_status {
        UrgencyStatus::Final => StatusDoc::Final,
        UrgencyStatus::Provisional => StatusDoc::Provisional,
    };
    if expect.status.is_some_and(|wanted| wanted != status) {
        let open: Vec<&str> = answer
            .red_flags
            .iter()
            .filter(|flag| flag.state != RedFlagState::Fired)
            .map(|flag| flag.id.as_str())
            .take(6)
            .collect();
        let open = if open.is_empty() { String::new() } else { format!(", open are {}", suggest::quoted(&open)) };
        fail("status", format!("the status is {status:?}").to_lowercase() + &open);
    }
}

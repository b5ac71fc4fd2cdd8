//! What is known of one patient, valid for one vocabulary.
//!
//! Owns the reading of a submission: every violation at once, each with its field and what to write instead, and never
//! an observed value. After it nothing can fail.

use super::answer::{Notice, NoticeKind};
use super::plan::program::to_u32;
use super::plan::{Plan, Test, millionths};
use super::submission::{Age, Observation, Reporter, Sex, Submission, Value, Violation};
use super::suggest;
use super::truth::Truth;
use super::unit::{self, Unit};
use super::vocabulary::{Finding, FindingIndex, Kind};
use std::collections::BTreeSet;
use std::fmt::{self, Display, Formatter};

/// What is known of one patient. Only [`Findings::read`] makes one.
#[derive(Debug, Clone)]
pub struct Findings {
    /// Group by group, sorted by name; at least one.
    pub(super) groups: Vec<GroupFindings>,
    /// Who reports.
    pub(super) reporter: Reporter,
    /// How the submission was read.
    pub(super) notices: Vec<Notice>,
}

/// What is known of one group of spots together with the person: only what was told, each list sorted.
#[derive(Debug, Clone)]
pub struct GroupFindings {
    pub(super) name: String,
    /// The atoms of the findings that were told.
    pub(super) atoms: Vec<(u32, Truth)>,
    /// Findings of which anything was told.
    pub(super) told: Vec<FindingIndex>,
    /// Findings to which the answer was "don't know".
    pub(super) not_known: Vec<FindingIndex>,
    /// Findings told with two different values.
    pub(super) contradicted: Vec<FindingIndex>,
}

/// A value that fits its finding.
#[derive(Debug, Clone, PartialEq)]
enum Known {
    Present(bool),
    Number(i64),
    Options(Vec<usize>, bool),
    Nothing,
}

/// A field of the request, put into words only where something is wrong with it.
#[derive(Clone, Copy)]
enum Field {
    /// One of the fields about the patient.
    Patient(&'static str),
    /// An observation by its place, and the part of it.
    Observation(usize, &'static str),
}

impl Field {
    /// A part of an observation.
    fn part(self, part: &'static str) -> Self {
        match self {
            Field::Patient(_) => self,
            Field::Observation(place, _) => Field::Observation(place, part),
        }
    }
}

impl Display for Field {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Field::Patient(name) => write!(f, "patient.{name}"),
            Field::Observation(place, part) => write!(f, "observations[{place}]{part}"),
        }
    }
}

struct Statement {
    finding: FindingIndex,
    value: Known,
    group: String,
}

impl Findings {
    /// Reads a submission against a plan's vocabulary.
    ///
    /// # Errors
    /// All violations, in the order of the request's fields.
    pub fn read(plan: &Plan, submission: &Submission) -> Result<Self, Vec<Violation>> {
        let mut reading = Reading { plan, violations: Vec::new(), notices: Vec::new(), statements: Vec::new() };
        reading.patient(submission);
        for (i, observation) in submission.observations.iter().enumerate() {
            reading.observation(Field::Observation(i, ""), observation);
        }
        reading.boxes(submission);
        if reading.violations.is_empty() { Ok(reading.finish(submission.reporter)) } else { Err(reading.violations) }
    }
}

struct Reading<'a> {
    plan: &'a Plan,
    violations: Vec<Violation>,
    notices: Vec<Notice>,
    statements: Vec<Statement>,
}

impl Reading<'_> {
    fn violation(&mut self, field: impl Display, reason: impl Into<String>) {
        self.violations.push(Violation { field: field.to_string(), reason: reason.into() });
    }

    fn patient(&mut self, submission: &Submission) {
        let patient = &submission.patient;
        if let Some(age) = patient.age {
            let (field, value, unit) = match age {
                Age::Years(value) => ("age_years", value, "a"),
                Age::Months(value) => ("age_months", value, "mo"),
                Age::Days(value) => ("age_days", value, "d"),
            };
            let field = Field::Patient(field);
            let known = self.plan.vocabulary.by_id("age");
            if let Some(index) = known
                && let Kind::Number { .. } = self.plan.vocabulary.get(index).kind
            {
                let finding = self.plan.vocabulary.get(index);
                if let Some(value) = self.number(field, finding, value, unit) {
                    self.statements.push(Statement { finding: index, value, group: String::new() });
                }
            } else if !(0.0..=150.0).contains(
                &unit::find(unit).zip(unit::find("a")).and_then(|(from, to)| from.convert(value, to)).unwrap_or(-1.0),
            ) {
                self.violation(field, "an age lies between 0 and 150 years");
            }
        }
        if let Some(sex) = patient.sex
            && let Some(index) = self.plan.vocabulary.by_id("sex")
        {
            let option = match sex {
                Sex::Female => "female",
                Sex::Male => "male",
                Sex::Other => "other",
            };
            let options = self.plan.vocabulary.get(index).kind.options();
            if let Some(place) = options.iter().position(|known| known.id == option) {
                self.statements.push(Statement {
                    finding: index,
                    value: Known::Options(vec![place], true),
                    group: String::new(),
                });
            }
        }
    }

    fn observation(&mut self, field: Field, observation: &Observation) {
        let Some(index) = self.plan.vocabulary.find(&observation.finding) else {
            let near = self.plan.vocabulary.suggest(&observation.finding);
            let what = if observation.finding.contains(':') { "coding" } else { "finding" };
            let reason = near.map_or_else(
                || {
                    format!(
                        "unknown {what} in pack `{}`; GetPack lists all findings and their codings",
                        self.plan.header.id
                    )
                },
                |near| format!("unknown {what} in pack `{}`; {near}", self.plan.header.id),
            );
            self.violation(field.part(".finding"), reason);
            return;
        };
        let finding = self.plan.vocabulary.get(index);
        let group = self.group(field, finding, &observation.group);
        let Some(value) = &observation.value else {
            let reason =
                format!("a value is missing: `{}` takes {}, or `not_known: true`", finding.id, finding.kind.words());
            self.violation(field, reason);
            return;
        };
        if let Some(value) = self.value(field, finding, value) {
            self.statements.push(Statement { finding: index, value, group });
        }
    }

    /// The group an observation belongs to: none for findings about the person.
    fn group(&mut self, field: Field, finding: &Finding, group: &str) -> String {
        if group.chars().count() > 64 {
            self.violation(field.part(".group"), "the name of a group has at most 64 characters");
        }
        if finding.about_person && !group.is_empty() {
            let text = format!("`{}` is about the person, so its group was ignored.", finding.id);
            self.notices.push(Notice {
                kind: NoticeKind::GroupIgnored,
                text,
                findings: vec![finding.id.clone()],
                group: String::new(),
            });
            return String::new();
        }
        group.to_owned()
    }

    fn value(&mut self, field: Field, finding: &Finding, value: &Value) -> Option<Known> {
        match (value, &finding.kind) {
            (Value::NotKnown(true), _) => Some(Known::Nothing),
            (Value::NotKnown(false), _) => {
                self.violation(field.part(".not_known"), "`not_known` can only be true; give the value instead");
                None
            }
            (Value::Present(present), Kind::YesNo) => Some(Known::Present(*present)),
            (Value::Quantity { value, unit }, Kind::Number { .. }) => self.number(field, finding, *value, unit),
            (Value::Selection { options, complete }, Kind::Choice { .. } | Kind::MultipleChoice { .. }) => {
                self.selection(field, finding, options, *complete)
            }
            (given, kind) => {
                let given = match given {
                    Value::Present(_) => ".present",
                    Value::Quantity { .. } => ".quantity",
                    _ => ".selection",
                };
                let expected = match kind {
                    Kind::YesNo => "`present: true` or `present: false`".to_owned(),
                    Kind::Number { unit, .. } => format!("`quantity` with a value in `{unit}`"),
                    _ => "`selection` with `options`".to_owned(),
                };
                self.violation(field.part(given), format!("`{}` is {}: write {expected}", finding.id, kind.words()));
                None
            }
        }
    }

    /// A number; one of an observation has a unit of its own.
    fn number(&mut self, field: Field, finding: &Finding, value: f64, unit: &str) -> Option<Known> {
        let (Kind::Number { low, high, .. }, Some(own)) = (&finding.kind, finding.kind.unit()) else { return None };
        let has_unit = matches!(field, Field::Observation(..));
        let from = match unit {
            "" => own,
            code => match unit::find(code) {
                Some(from) if from.dimension == own.dimension => from,
                _ => {
                    self.violation(
                        field.part(".quantity.unit"),
                        format!("this unit does not fit `{}`; {}", finding.id, own.instead_of(code)),
                    );
                    return None;
                }
            },
        };
        let converted = from.convert(value, own).filter(|converted| converted.is_finite());
        let Some(converted) = converted.filter(|converted| (*low..=*high).contains(converted)) else {
            let likely = likely_unit(own, value, *low, *high, from).filter(|_| has_unit);
            let mut reason = format!("`{}` lies between {low} and {high} {}", finding.id, own.name);
            if let Some(likely) = likely.filter(|_| value.is_finite()) {
                reason.push_str(&format!("; did you mean unit `{likely}`?"));
            }
            self.violation(field.part(".quantity.value"), reason);
            return None;
        };
        if from.code != own.code && has_unit {
            let text = format!("`{}` was converted from {} to {}.", finding.id, from.name, own.name);
            self.notices.push(Notice {
                kind: NoticeKind::Conversion,
                text,
                findings: vec![finding.id.clone()],
                group: String::new(),
            });
        }
        Some(Known::Number(millionths(converted)))
    }

    fn selection(&mut self, field: Field, finding: &Finding, chosen: &[String], complete: bool) -> Option<Known> {
        let options = finding.kind.options();
        let single = matches!(finding.kind, Kind::Choice { .. });
        let mut places = Vec::new();
        let before = self.violations.len();
        for (i, option) in chosen.iter().enumerate() {
            match options.iter().position(|known| known.id == *option) {
                Some(place) => places.push(place),
                None => {
                    let known: Vec<&str> = options.iter().map(|known| known.id.as_str()).collect();
                    let near = suggest::did_you_mean(option, known.iter().copied())
                        .unwrap_or_else(|| format!("its options are {}", suggest::quoted(&known)));
                    self.violation(
                        format_args!("{field}.selection.options[{i}]"),
                        format!("`{}` has no such option; {near}", finding.id),
                    );
                }
            }
        }
        if single && chosen.len() != 1 {
            self.violation(field.part(".selection.options"), format!("`{}` takes exactly one option", finding.id));
        }
        if !single && chosen.is_empty() && !complete {
            self.violation(
                field.part(".selection.options"),
                format!("`{}` needs an option, or `complete: true` when none applies", finding.id),
            );
        }
        places.sort_unstable();
        places.dedup();
        (self.violations.len() == before).then_some(Known::Options(places, complete || single))
    }

    fn boxes(&mut self, submission: &Submission) {
        let plan = self.plan;
        for (i, none) in submission.none_of_these.iter().enumerate() {
            let field = format!("none_of_these[{i}]");
            let Some(place) = plan.question_box(&none.name) else {
                let known: Vec<&str> = plan.boxes.iter().map(|item| item.id.as_str()).collect();
                let near = suggest::did_you_mean(&none.name, known.iter().copied())
                    .unwrap_or_else(|| format!("the boxes are {}", suggest::quoted(&known)));
                self.violation(format!("{field}.name"), format!("unknown box in pack `{}`; {near}", plan.header.id));
                continue;
            };
            let item = &plan.boxes[place];
            let pinned = submission.pinned && none.fingerprint.is_empty();
            if !pinned && none.fingerprint != item.fingerprint {
                let reason = if none.fingerprint.is_empty() {
                    format!(
                        "send the fingerprint that came with the question `{}`, or pin the rules with `expected_digest`",
                        item.id
                    )
                } else {
                    format!("the box `{}` has changed since it was asked: ask it again", item.id)
                };
                self.violation(format!("{field}.fingerprint"), reason);
                continue;
            }
            if none.group.chars().count() > 64 {
                self.violation(format!("{field}.group"), "the name of a group has at most 64 characters");
            }
            let names: Vec<&str> =
                item.findings.iter().map(|&finding| plan.vocabulary.get(finding).name.as_str()).collect();
            let text = format!("Taken as absent, since none of `{}` was declared: {}.", item.id, names.join("; "));
            self.notices.push(Notice {
                kind: NoticeKind::BoxAbsent,
                text,
                findings: plan.ids(&item.findings),
                group: none.group.clone(),
            });
            for &finding in &item.findings {
                let group = if plan.vocabulary.get(finding).about_person { String::new() } else { none.group.clone() };
                self.statements.push(Statement { finding, value: Known::Present(false), group });
            }
        }
    }

    fn finish(mut self, reporter: Option<Reporter>) -> Findings {
        let plan = self.plan;
        let about_person = |statement: &Statement| plan.index.about_person[statement.finding.0];
        let names: BTreeSet<String> =
            self.statements.iter().filter(|s| !about_person(s)).map(|s| s.group.clone()).collect();
        let names = if names.is_empty() { BTreeSet::from([String::new()]) } else { names };
        let groups = names
            .into_iter()
            .map(|name| {
                let mine: Vec<&Statement> =
                    self.statements.iter().filter(|s| about_person(s) || s.group == name).collect();
                GroupFindings::hear(plan, name, mine)
            })
            .collect();
        let unused: BTreeSet<FindingIndex> =
            self.statements.iter().map(|s| s.finding).filter(|finding| !plan.used[finding.0]).collect();
        for finding in unused {
            let id = plan.vocabulary.get(finding).id.clone();
            let text = format!("No rule of this pack uses `{id}`.");
            self.notices.push(Notice { kind: NoticeKind::Unused, text, findings: vec![id], group: String::new() });
        }
        self.notices
            .sort_by(|a, b| (a.kind, &a.findings, &a.group, &a.text).cmp(&(b.kind, &b.findings, &b.group, &b.text)));
        self.notices.dedup();
        Findings { groups, reporter: reporter.unwrap_or(Reporter::Patient), notices: self.notices }
    }
}

impl GroupFindings {
    fn hear(plan: &Plan, name: String, mut statements: Vec<&Statement>) -> Self {
        let mut group =
            Self { name, atoms: Vec::new(), told: Vec::new(), not_known: Vec::new(), contradicted: Vec::new() };
        statements.sort_by_key(|statement| statement.finding);
        for same in statements.chunk_by(|a, b| a.finding == b.finding) {
            let finding = same[0].finding;
            let values: Vec<&Known> = same.iter().map(|s| &s.value).filter(|value| **value != Known::Nothing).collect();
            if values.len() < same.len() {
                group.not_known.push(finding);
            }
            let Some(first) = values.first() else { continue };
            group.told.push(finding);
            // A multiple choice may be told in several parts.
            let in_parts = matches!(plan.vocabulary.get(finding).kind, Kind::MultipleChoice { .. });
            let mut contradicted = !in_parts && values.iter().any(|value| value != first);
            for atom in plan.atoms_of(finding) {
                let test = plan.atoms[atom].test;
                let truth = values.iter().fold(Truth::UNKNOWN, |truth, value| truth.hear(value.tells(test)));
                contradicted |= truth == Truth::BOTH;
                if truth != Truth::UNKNOWN {
                    group.atoms.push((to_u32(atom), truth));
                }
            }
            if contradicted {
                group.contradicted.push(finding);
            }
        }
        group
    }

    /// Whether anything was told of a finding.
    pub(super) fn is_told(&self, finding: FindingIndex) -> bool {
        self.told.binary_search(&finding).is_ok()
    }

    /// Whether the answer was "don't know".
    pub(super) fn is_not_known(&self, finding: FindingIndex) -> bool {
        self.not_known.binary_search(&finding).is_ok()
    }
}

impl Known {
    /// What the value tells about a comparison.
    fn tells(&self, test: Test) -> Truth {
        match (self, test) {
            (Known::Present(present), Test::Present) => Truth::told(*present),
            (Known::Number(number), test) => Truth::told(test.holds(*number)),
            (Known::Options(chosen, _), Test::Option(option)) if chosen.contains(&option) => Truth::TRUE,
            (Known::Options(_, true), Test::Option(_)) => Truth::FALSE,
            _ => Truth::UNKNOWN,
        }
    }
}

/// The one unit in which a number out of range would be in range, where there is just one.
fn likely_unit(own: &Unit, value: f64, low: f64, high: f64, given: &Unit) -> Option<&'static str> {
    let mut fitting = own.siblings().map(|unit| unit.code).filter(|code| {
        *code != given.code
            && unit::find(code)
                .and_then(|unit| unit.convert_exactly(value, own))
                .is_some_and(|value| (low..=high).contains(&value))
    });
    let likely = fitting.next()?;
    fitting.next().is_none().then_some(likely)
}

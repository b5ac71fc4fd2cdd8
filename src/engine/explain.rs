//! Words, sources and order: a dense evaluation made into an answer.
//!
//! Owns what is said and quoted. It decides nothing: every number and state in it was decided by `evaluate`.

use super::answer::{
    Answer, ConditionInfo, Contribution, Differential, Group, Notice, NoticeKind, Outcome, Question, QuestionKind,
    QuestionOption, RedFlag, RedFlagState, SafetyNet, Undecided, UrgencyReason, UrgencyReasonKind, UrgencyStatus,
};
use super::evaluate::Evaluation;
use super::evaluate::flag::FlagState;
use super::finding::Findings;
use super::listing::{Listed, ListedFlag, Listing, Reason};
use super::plan::{Ask, Plan};
use super::question::{Asked, Why, contradicted, next_questions};
use super::urgency::Urgency;
use super::vocabulary::{FindingIndex, Kind};
use std::borrow::Cow;
use std::collections::BTreeSet;

/// What a caller wants to see.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AnswerOptions {
    /// Differentials a group; 0 for the default of 10.
    pub max_differentials: usize,
    /// Questions; 0 for the default of 5.
    pub max_questions: usize,
    /// Leaves contributions and undecided rules out.
    pub omit_rationale: bool,
    /// Leaves the questions out, which are most of the work; `should_stop` is then true only after an emergency.
    pub omit_questions: bool,
}

/// Puts an evaluation into words.
#[must_use]
pub fn explain(plan: &Plan, findings: &Findings, evaluation: &Evaluation, options: &AnswerOptions) -> Answer {
    let (mut answer, listing) = explain_listing(plan, findings, evaluation, options);
    let telling = Telling { plan, findings, evaluation };
    answer.red_flags = listing.red_flags.iter().map(|listed| telling.red_flag(&listing, listed)).collect();
    answer.differentials = listing.conditions.iter().map(|listed| telling.differential(&listing, listed)).collect();
    answer.next_questions = listing.questions.iter().map(|asked| telling.question(asked)).collect();
    answer
}

/// The same with the red flags, the differentials and the questions in dense ids and none in the answer, for whoever writes
/// them out of the plan.
#[must_use]
pub fn explain_listing(
    plan: &Plan,
    findings: &Findings,
    evaluation: &Evaluation,
    options: &AnswerOptions,
) -> (Answer, Listing) {
    let telling = Telling { plan, findings, evaluation };
    let mut listing = Listing::of(plan, evaluation, options);
    let most = if options.max_questions == 0 { 5 } else { options.max_questions };
    let (asked, should_stop) =
        if options.omit_questions { (Vec::new(), false) } else { next_questions(plan, findings, evaluation, most) };
    listing.questions = asked;
    listing.questions.truncate(most);
    let header = &plan.header;
    let headline = &header.headlines[evaluation.urgency.index()];
    let groups = telling.groups(&listing);
    let outcome = if groups.iter().any(|group| group.outcome == Outcome::Determined) {
        Outcome::Determined
    } else {
        Outcome::Insufficient
    };
    let draft =
        if header.review_status == "signed_off" { "" } else { " This rule pack is a draft, not for clinical use." };
    let answer = Answer {
        urgency: evaluation.urgency,
        urgency_status: evaluation.status,
        could_rise_to: evaluation.could_rise_to,
        urgency_text: if evaluation.status == UrgencyStatus::Final {
            headline.text.clone()
        } else {
            headline.provisional.clone()
        },
        urgency_reasons: telling.urgency_reasons(),
        red_flags: Vec::new(),
        outcome,
        undetermined_share: groups.first().map_or(1.0, |group| group.undetermined_share),
        groups,
        differentials: Vec::new(),
        next_questions: Vec::new(),
        should_stop,
        notices: telling.notices(),
        safety_net: telling.safety_net(&listing),
        disclaimer: format!(
            "This supports a decision and makes none; it does not replace an examination by a clinician.{draft}"
        ),
    };
    (answer, listing)
}

struct Telling<'a> {
    plan: &'a Plan,
    findings: &'a Findings,
    evaluation: &'a Evaluation,
}

impl Telling<'_> {
    fn group_name(&self, group: usize) -> String {
        self.findings.groups[group].name.clone()
    }

    fn groups(&self, listing: &Listing) -> Vec<Group> {
        (0..self.evaluation.groups().len())
            .map(|place| {
                let group = &self.evaluation.groups()[place];
                Group {
                    group: self.group_name(place),
                    urgency: group.urgency(self.plan),
                    outcome: group.scores.outcome(),
                    undetermined_share: group.scores.undetermined(),
                    unlisted_share: group.scores.unlisted(self.plan, listing.of_group(place)),
                    first_place: group
                        .scores
                        .first_place()
                        .map_or(String::new(), |first| self.plan.conditions[first].id.clone()),
                }
            })
            .collect()
    }

    fn urgency_reasons(&self) -> Vec<UrgencyReason> {
        let mut reasons = Vec::new();
        for (place, group) in self.evaluation.groups().iter().enumerate() {
            for flagged in &group.flags {
                let flag = &self.plan.red_flags[flagged.flag as usize];
                let (kind, urgency, text) = match (flagged.state, flag.while_unknown) {
                    (FlagState::Fired, _) => {
                        (UrgencyReasonKind::RedFlag, flag.floor, format!("Red flag: {}. {}", flag.name, flag.because))
                    }
                    (FlagState::Precaution, Some(floor)) => (
                        UrgencyReasonKind::Precaution,
                        floor,
                        format!("Precaution until answered: {}. {}", flag.name, flag.because),
                    ),
                    _ => continue,
                };
                let name = if flag.about_person { String::new() } else { self.group_name(place) };
                reasons.push(UrgencyReason { kind, id: flag.id.clone(), group: name, urgency, text });
            }
            reasons.extend(self.other_reasons(place));
        }
        reasons
            .sort_by(|a, b| b.urgency.cmp(&a.urgency).then((a.kind, &a.group, &a.id).cmp(&(b.kind, &b.group, &b.id))));
        reasons.dedup();
        reasons
    }

    fn other_reasons(&self, place: usize) -> Vec<UrgencyReason> {
        let (plan, group) = (self.plan, &self.evaluation.groups()[place]);
        let mut reasons = Vec::new();
        if group.by_conditions > Urgency::SelfCare {
            let level = group.by_conditions;
            let share = group.scores.sums.share_at_or_above(level);
            let weightiest = group.scores.weightiest(plan, level);
            let (id, name) = weightiest.map_or((String::new(), String::new()), |c| {
                (plan.conditions[c].id.clone(), plan.conditions[c].name.clone())
            });
            let text = format!(
                "Conditions that need this urgency or more have {:.0} % of the share together; the weightiest is {name}.",
                share * 100.0
            );
            reasons.push(UrgencyReason {
                kind: UrgencyReasonKind::Conditions,
                id,
                group: self.group_name(place),
                urgency: level,
                text,
            });
        }
        if group.scores.outcome() == Outcome::Insufficient {
            let urgency = plan.header.insufficient_urgency;
            let text = "Too little is known to tell the causes apart, so this is the safe default.".to_owned();
            reasons.push(UrgencyReason {
                kind: UrgencyReasonKind::Insufficient,
                id: String::new(),
                group: self.group_name(place),
                urgency,
                text,
            });
        }
        reasons
    }

    fn red_flag(&self, listing: &Listing, listed: &ListedFlag) -> RedFlag {
        let plan = self.plan;
        let definition = &plan.red_flags[listed.flag];
        let open = listed.state == RedFlagState::Open;
        RedFlag {
            id: definition.id.clone(),
            name: definition.name.clone(),
            state: listed.state,
            floor: listed.floor,
            text: if open { String::new() } else { definition.because.clone() },
            action: if open { String::new() } else { definition.action.clone() },
            contradicted: listed.contradicted,
            findings: plan.ids(&listing.findings[listed.findings.clone()]),
            deciding_findings: plan.ids(&listing.findings[listed.deciding.clone()]),
            sources: if open { Vec::new() } else { plan.citations(&definition.sources) },
            group: listed.group.map_or(String::new(), |group| self.group_name(group)),
        }
    }

    fn differential(&self, listing: &Listing, listed: &Listed) -> Differential {
        let plan = self.plan;
        let condition = &plan.conditions[listed.condition];
        let reasons = listing.reasons[listed.reasons.clone()].iter();
        let undecided = listing.undecided[listed.undecided.clone()].iter();
        Differential {
            rank: listed.rank,
            group: self.group_name(listed.group),
            condition: ConditionInfo {
                id: condition.id.clone(),
                name: condition.name.clone(),
                codings: condition.codings.clone(),
                summary: condition.summary.clone(),
                part_of: condition.part_of.map_or(String::new(), |parent| plan.conditions[parent].id.clone()),
            },
            score_decibans: listed.score_decibans,
            share: listed.share,
            own_share: listed.own_share,
            urgency: condition.urgency,
            contributions: reasons.map(|reason| self.contribution(listing, listed.condition, reason)).collect(),
            undecided: undecided
                .map(|undecided| {
                    let rule = &plan.rules[undecided.rule];
                    let findings = undecided.findings.clone().map(|findings| &listing.findings[findings]);
                    Undecided { rule_id: rule.id.clone(), findings: plan.ids(findings.unwrap_or(&rule.findings)) }
                })
                .collect(),
            next_steps: condition.next_steps.clone(),
            care: condition.care.clone(),
        }
    }

    fn contribution(&self, listing: &Listing, condition: usize, reason: &Reason) -> Contribution {
        let plan = self.plan;
        let words = plan.words_of(condition, reason.rule);
        Contribution {
            rule_id: words.id.to_owned(),
            direction: reason.direction,
            weight_decibans: reason.weight_decibans,
            likelihood_ratio: reason.likelihood_ratio,
            because: words.because.to_owned(),
            when: words.when.to_owned(),
            findings: plan.ids(&listing.findings[reason.findings.clone()]),
            family: words.family.to_owned(),
            counting: reason.counting,
            counted_by: reason.counted_by.map_or(String::new(), |by| plan.rules[by].id.clone()),
            sources: plan.citations(words.sources),
            grade: words.grade.to_owned(),
        }
    }

    fn question(&self, asked: &Asked) -> Question {
        let group = asked.group.map_or(String::new(), |group| self.group_name(group));
        Question { group, why: why_asked(self.plan, &asked.why).into_owned(), ..question_words(self.plan, asked.ask) }
    }

    fn notices(&self) -> Vec<Notice> {
        let mut notices = self.findings.notices.clone();
        for (place, group) in self.evaluation.groups().iter().enumerate() {
            for index in contradicted(self.plan, &self.findings.groups[place], group) {
                let finding = self.plan.vocabulary.get(index);
                let text = format!(
                    "Told both ways, by itself or through another answer: {}. It counts for red flags and for no score.",
                    finding.name
                );
                let group = if finding.about_person { String::new() } else { self.group_name(place) };
                notices.push(Notice {
                    kind: NoticeKind::Contradiction,
                    text,
                    findings: vec![finding.id.clone()],
                    group,
                });
            }
        }
        notices.sort_by(|a, b| (a.kind, &a.group, &a.findings, &a.text).cmp(&(b.kind, &b.group, &b.findings, &b.text)));
        notices.dedup();
        notices
    }

    /// The pack's net for this urgency, and what to watch for with the conditions in front.
    fn safety_net(&self, listing: &Listing) -> Option<SafetyNet> {
        let mut net = self
            .plan
            .header
            .safety_nets
            .get(self.evaluation.urgency.index())?
            .clone()
            .filter(|_| self.evaluation.urgency < Urgency::Urgent)?;
        let mut seen: BTreeSet<String> = net.watch_for.iter().cloned().collect();
        for (place, group) in self.evaluation.groups().iter().enumerate() {
            let leaders =
                listing.of_group(place).filter(|&condition| group.scores.share(self.plan, condition) >= 0.1).take(2);
            for sign in leaders.flat_map(|condition| &self.plan.conditions[condition].watch_for) {
                if seen.insert(sign.clone()) {
                    net.watch_for.push(sign.clone());
                }
            }
        }
        Some(net)
    }
}

/// A question as it is asked whoever the patient is: without the group that it is about, and without why.
#[must_use]
pub fn question_words(plan: &Plan, ask: Ask) -> Question {
    match ask {
        Ask::Finding(index) => finding_question(plan, index),
        Ask::Box(place) => {
            let item = &plan.boxes[place];
            let members = item.findings.iter().map(|&finding| plan.vocabulary.get(finding));
            Question {
                id: item.id.clone(),
                text: item.ask.clone(),
                help: item.help.clone(),
                kind: if item.pick_one { QuestionKind::OneOf } else { QuestionKind::AnyOf },
                findings: plan.ids(&item.findings),
                box_id: item.id.clone(),
                fingerprint: item.fingerprint.clone(),
                options: members
                    .map(|finding| QuestionOption { id: finding.id.clone(), name: finding.name.clone() })
                    .collect(),
                unit: String::new(),
                range: None,
                group: String::new(),
                why: String::new(),
            }
        }
    }
}

fn finding_question(plan: &Plan, index: FindingIndex) -> Question {
    let finding = plan.vocabulary.get(index);
    let options = finding
        .kind
        .options()
        .iter()
        .map(|option| QuestionOption { id: option.id.clone(), name: option.name.clone() })
        .collect();
    let (kind, unit, range) = match &finding.kind {
        Kind::YesNo => (QuestionKind::YesNo, String::new(), None),
        Kind::Number { unit, low, high } => (QuestionKind::Number, unit.clone(), Some((*low, *high))),
        Kind::Choice { .. } => (QuestionKind::Choice, String::new(), None),
        Kind::MultipleChoice { .. } => (QuestionKind::MultipleChoice, String::new(), None),
    };
    Question {
        id: finding.id.clone(),
        text: finding.ask.clone(),
        help: finding.help.clone(),
        kind,
        findings: vec![finding.id.clone()],
        box_id: String::new(),
        fingerprint: String::new(),
        options,
        unit,
        range,
        group: String::new(),
        why: String::new(),
    }
}

/// Why something is asked.
#[must_use]
pub fn why_asked(plan: &Plan, why: &Why) -> Cow<'static, str> {
    Cow::Borrowed(match why {
        Why::Screen => "Every patient is asked this.",
        Why::TwoKinds => "Some answers contradict each other, as if there were two kinds of spots.",
        Why::OldSpots => "Old spots explain no new ones beside them.",
        Why::RedFlag(flag) => {
            let flag = &plan.red_flags[*flag];
            return Cow::Owned(format!("It would settle a red flag: {} ({}).", flag.name, flag.floor));
        }
        Why::Ranking => "It could change the urgency or which cause comes first.",
    })
}

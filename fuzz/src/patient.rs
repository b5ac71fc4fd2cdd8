//! Patients made of the findings of any pack.

use rubor::engine::answer::Answer;
use rubor::engine::plan::{Kind, Plan};
use rubor::engine::submission::{NoneOfThese, Observation, Patient, Reporter, Sex, Submission, Value};
use rubor::engine::{self, AnswerOptions};

use crate::anything::everything;
use crate::mutate::Chance;

/// A valid submission.
pub fn any(plan: &Plan, chance: &mut Chance) -> Submission {
    let most = [3, 8, 24][chance.below(3)];
    let mut none_of_these = Vec::new();
    if !plan.boxes.is_empty() && chance.below(3) == 0 {
        let named = &plan.boxes[chance.below(plan.boxes.len())];
        let fingerprint = named.fingerprint.clone();
        none_of_these.push(NoneOfThese { name: named.id.clone(), fingerprint, group: String::new() });
    }
    Submission {
        patient: Patient {
            age: None,
            sex: [None, Some(Sex::Female), Some(Sex::Male), Some(Sex::Other)][chance.below(4)],
        },
        observations: observations(plan, most, chance),
        none_of_these,
        reporter: [None, Some(Reporter::Patient), Some(Reporter::Clinician)][chance.below(3)],
        pinned: chance.below(2) == 0,
    }
}

/// Fewer than `most` valid observations.
pub fn observations(plan: &Plan, most: usize, chance: &mut Chance) -> Vec<Observation> {
    if plan.findings().is_empty() {
        return Vec::new();
    }
    let with_groups = chance.below(4) == 0;
    (0..chance.below(most)).map(|_| observation(plan, with_groups, chance)).collect()
}

fn observation(plan: &Plan, with_groups: bool, chance: &mut Chance) -> Observation {
    let finding = &plan.findings()[chance.below(plan.findings().len())];
    let value = match &finding.kind {
        _ if chance.below(10) == 0 => Value::NotKnown(true),
        Kind::YesNo => Value::Present(chance.below(3) != 0),
        Kind::Number { unit, low, high } => {
            let part = f64::from(u16::try_from(chance.below(1001)).expect("small")) / 1000.0;
            // Weighed and not added to, because the distance may be more than a number can be.
            Value::Quantity { value: (low * (1.0 - part) + high * part).clamp(*low, *high), unit: unit.clone() }
        }
        Kind::Choice { options } | Kind::MultipleChoice { options } => Value::Selection {
            options: vec![options[chance.below(options.len())].id.clone()],
            complete: chance.below(3) == 0,
        },
    };
    let group = if with_groups && !finding.about_person { ["", "old", "new"][chance.below(3)] } else { "" };
    Observation { finding: finding.id.clone(), value: Some(value), group: group.to_owned() }
}

/// The whole answer without its questions.
///
/// # Panics
/// When the submission is refused: those made here are valid.
pub fn answer(plan: &Plan, submission: &Submission) -> Answer {
    engine::answer(plan, submission, &everything()).expect("a submission of the pack's own findings is valid")
}

/// Questions too, for one patient.
///
/// # Panics
/// When what is asked is not what was said to be asked.
pub fn asked(plan: &Plan, chance: &mut Chance) {
    let options = AnswerOptions { max_questions: 50, ..AnswerOptions::default() };
    let told = any(plan, chance);
    let answer = engine::answer(plan, &told, &options).expect("valid");
    assert_eq!(answer.should_stop, answer.next_questions.is_empty(), "to stop is to have nothing to ask");
}

//! Requests in a pack's own words, read from bytes: so a small change of the bytes is a small change of the request, and
//! hardly any is lost on a decoder. About one part in ten is a mistake.

use libfuzzer_sys::arbitrary::{Result, Unstructured};
use prost::Message as _;
use rubor::engine::plan::Kind;
use rubor::engine::submission::{self, Age, Sex, Value};
use rubor::grpc::proto;
use rubor::grpc::proto::observation::Value as Told;
use rubor::store::LoadedPack;

/// The first byte of an input that is a message, as it came over the wire.
pub const FROM_BYTES: u8 = 0;
/// Most observations of a request that is made here.
const MOST: usize = 40;

/// Worked cases as messages, and bytes to make requests of.
#[must_use]
pub fn seeds(pack: &LoadedPack) -> Vec<Vec<u8>> {
    let written =
        pack.cases.iter().map(|case| [&[FROM_BYTES][..], &message(&case.submission).encode_to_vec()].concat());
    let mut chance = crate::mutate::Chance(1);
    let made = (0..100_usize).map(|length| {
        let bytes = (0..length * 4).map(|_| chance.number().to_le_bytes()[0]);
        std::iter::once(1).chain(bytes).collect()
    });
    let made: Vec<Vec<u8>> = made.collect();
    written.chain(made).collect()
}

/// A submission as the message that brings it.
fn message(submission: &submission::Submission) -> proto::EvaluateRequest {
    let mut patient = proto::Patient::default();
    match submission.patient.age {
        Some(Age::Years(years)) => patient.age_years = Some(years),
        Some(Age::Months(months)) => patient.age_months = Some(months),
        Some(Age::Days(days)) => patient.age_days = Some(days),
        None => {}
    }
    let sex = match submission.patient.sex {
        Some(Sex::Female) => proto::Sex::Female,
        Some(Sex::Male) => proto::Sex::Male,
        Some(Sex::Other) => proto::Sex::Other,
        None => proto::Sex::Unspecified,
    };
    patient.set_sex(sex);
    let value = |value: &Value| match value.clone() {
        Value::Present(present) => Told::Present(present),
        Value::Quantity { value, unit } => Told::Quantity(proto::Quantity { value, unit }),
        Value::Selection { options, complete } => Told::Selection(proto::Selection { options, complete }),
        Value::NotKnown(not_known) => Told::NotKnown(not_known),
    };
    let observation = |told: &submission::Observation| proto::Observation {
        finding: told.finding.clone(),
        value: told.value.as_ref().map(value),
        group: told.group.clone(),
    };
    proto::EvaluateRequest {
        patient: Some(patient),
        observations: submission.observations.iter().map(observation).collect(),
        ..Default::default()
    }
}

/// A request made of bytes; of too few of them a short one.
#[must_use]
pub fn of_the_pack(pack: &LoadedPack, data: &[u8]) -> proto::EvaluateRequest {
    let mut bytes = Unstructured::new(data);
    let mut request = proto::EvaluateRequest::default();
    let _ = fill(&mut request, pack, &mut bytes);
    request
}

fn fill(request: &mut proto::EvaluateRequest, pack: &LoadedPack, bytes: &mut Unstructured<'_>) -> Result<()> {
    request.reporter = bytes.int_in_range(0..=4)?;
    request.options = Some(proto::EvaluateOptions {
        max_differentials: bytes.int_in_range(0..=12)?,
        max_questions: bytes.int_in_range(0..=12)?,
        omit_rationale: bytes.arbitrary()?,
        // Questions are most of the work.
        omit_questions: bytes.ratio(3, 4)?,
    });
    if bytes.ratio(1, 2)? {
        let age = bytes.ratio(9, 10)?.then_some(f64::from(bytes.int_in_range(0_u16..=1300)?) / 10.0);
        let months = bytes.ratio(1, 10)?.then_some(bytes.arbitrary()?);
        request.patient = Some(proto::Patient {
            age_years: age,
            age_months: months,
            age_days: None,
            sex: bytes.int_in_range(0..=4)?,
        });
    }
    if bytes.ratio(1, 3)? && !pack.plan.boxes.is_empty() {
        let named = &pack.plan.boxes[bytes.choose_index(pack.plan.boxes.len())?];
        let fingerprint = if bytes.ratio(1, 10)? { "0" } else { &named.fingerprint };
        let group = group(bytes)?;
        request.none_of_these.push(proto::NoneOfThese {
            name: named.id.clone(),
            fingerprint: fingerprint.to_owned(),
            group,
        });
    }
    while !bytes.is_empty() && request.observations.len() < MOST {
        request.observations.push(observation(pack, bytes)?);
    }
    Ok(())
}

fn group(bytes: &mut Unstructured<'_>) -> Result<String> {
    Ok((*bytes.choose(&["", "", "", "", "old", "new", "a third one"])?).to_owned())
}

fn observation(pack: &LoadedPack, bytes: &mut Unstructured<'_>) -> Result<proto::Observation> {
    let finding = &pack.plan.findings()[bytes.choose_index(pack.plan.findings().len())?];
    // A value that may be of another kind, now and then.
    let wrong = bytes.ratio(1, 20)?;
    let other = &pack.plan.findings()[bytes.choose_index(pack.plan.findings().len())?];
    let kind = if wrong { &other.kind } else { &finding.kind };
    let value = match kind {
        _ if bytes.ratio(1, 12)? => Told::NotKnown(bytes.ratio(9, 10)?),
        Kind::YesNo => Told::Present(bytes.arbitrary()?),
        Kind::Number { unit, low, high } => {
            let part = f64::from(bytes.arbitrary::<u16>()?) / f64::from(u16::MAX);
            let inside = low * (1.0 - part) + high * part;
            let value = if bytes.ratio(1, 10)? { bytes.arbitrary()? } else { inside };
            let units = [unit, "", "a", "mo", "d", "h", "Cel", "[degF]", "mm", "10*9/L", "%"];
            let unit = if bytes.ratio(4, 5)? { unit } else { *bytes.choose(&units)? };
            Told::Quantity(proto::Quantity { value, unit: unit.to_owned() })
        }
        Kind::Choice { options } | Kind::MultipleChoice { options } => {
            let mut chosen = Vec::new();
            for _ in 0..bytes.int_in_range(0..=2)? {
                chosen.push(options[bytes.choose_index(options.len())?].id.clone());
            }
            Told::Selection(proto::Selection { options: chosen, complete: bytes.arbitrary()? })
        }
    };
    let name = finding.codings.first().filter(|_| wrong).unwrap_or(&finding.id).clone();
    Ok(proto::Observation { finding: name, value: Some(value), group: group(bytes)? })
}

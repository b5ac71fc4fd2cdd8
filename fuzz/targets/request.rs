//! Bytes as a request, and requests made of the shipped pack's own words, through everything between the wire and the
//! wire: limits, conversion, evaluation, both encodings of the answer.

#![no_main]

use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use prost::Message as _;
use rubor::engine::Evaluation;
use rubor::engine::urgency::Urgency;
use rubor::grpc::service::{encode_with, evaluate_with};
use rubor::grpc::status::Problem;
use rubor::grpc::{convert, limits, proto};
use rubor::store::{self, LoadedPack, RuleSource};
use rubor_fuzz::anything;
use rubor_fuzz::requests::{self, FROM_BYTES};
use rubor_fuzz::seeds;

static PACK: LazyLock<Arc<LoadedPack>> = LazyLock::new(|| {
    let mut snapshot = store::load(&RuleSource::Embedded).unwrap_or_else(|_| panic!("the shipped rules hold"));
    snapshot.packs.pop_first().expect("a pack").1
});

fuzz_target!(init: { seeds::write_if_asked(|| requests::seeds(&PACK)); }, |data: &[u8]| {
    let Some((how, data)) = data.split_first() else { return };
    let request = if *how == FROM_BYTES {
        let Ok(request) = proto::EvaluateRequest::decode(data) else { return };
        request
    } else {
        requests::of_the_pack(&PACK, data)
    };
    hold(&request);
});

fn hold(request: &proto::EvaluateRequest) {
    // What was read is written and read again as the same.
    let again =
        proto::EvaluateRequest::decode(request.encode_to_vec().as_slice()).expect("what was written can be read");
    assert_eq!(format!("{request:?}"), format!("{again:?}"));
    if let Err(problem) = limits::check(request) {
        return says_why(&problem);
    }
    let id = || "an id".to_owned();
    let mut evaluation = Evaluation::default();
    let plain = evaluate_with(&mut evaluation, &PACK, request.clone(), id());
    // The same evaluation once more: what it was used for must not show.
    let encoded = encode_with(&mut evaluation, &PACK, again, id());
    match (plain, encoded) {
        (Ok(plain), Ok(encoded)) => {
            assert!(encoded.decode().expect("a message") == plain, "the two encodings differ");
            of_one(&plain);
        }
        (Err(plain), Err(encoded)) => {
            assert_eq!(plain, encoded);
            says_why(&plain);
        }
        _ => panic!("one encoding refuses what the other answers"),
    }
    of_any(request.clone());
}

/// The laws of any answer, where all conditions are listed.
fn of_any(request: proto::EvaluateRequest) {
    let converted = convert::request(request);
    if !converted.violations.is_empty() {
        return;
    }
    if let Ok(answer) = rubor::engine::answer(&PACK.plan, &converted.submission, &anything::everything()) {
        anything::of_one(&answer);
    }
}

fn of_one(answer: &proto::EvaluateResponse) {
    let is_share = |share: f64| (0.0..=1.0 + 1e-9).contains(&share);
    assert!(is_share(answer.undetermined_share));
    for group in &answer.groups {
        assert!(is_share(group.undetermined_share) && is_share(group.unlisted_share));
        let listed = answer.differentials.iter().filter(|d| d.group == group.group).map(|d| d.own_share);
        let sum = listed.sum::<f64>() + group.undetermined_share + group.unlisted_share;
        assert!((sum - 1.0).abs() < 1e-9, "the shares sum to {sum}");
    }
    for differential in &answer.differentials {
        assert!(is_share(differential.share) && is_share(differential.own_share));
        assert!(differential.score_decibans.is_finite());
    }
    for flag in answer.red_flags.iter().filter(|flag| flag.state() != proto::RedFlagState::Open) {
        assert!(answer.urgency >= flag.floor, "the urgency is below the floor of {}", flag.id);
    }
    assert!(answer.urgency >= convert::urgency(Urgency::SelfCare) && answer.could_rise_to >= answer.urgency);
}

/// A refusal names at least one field, and holds no word of the request that is long enough to be one.
fn says_why(problem: &Problem) {
    if let Problem::Invalid(violations) = problem {
        assert!(!violations.is_empty(), "a refusal names what is wrong");
        for violation in violations {
            assert!(!violation.field.is_empty() && !violation.reason.is_empty() && violation.reason.len() < 1024);
        }
    }
}

//! An answer on its way out: the ranked list and the questions are written straight from the plan into bytes.
//!
//! Owns the encoding of red flags, differentials and questions, which are nearly all of an answer and nearly all static text, and the
//! codecs of the triage service. What is static is made into bytes once for a pack. Everything else is an ordinary message.
//! What is written here is what `convert` would have made of the same answer, with its fields in another order; a test holds
//! the two to each other. It holds no clinical logic.

mod backwards;

use prost::Message as _;
use prost::bytes::BufMut;
use tonic::Status;
use tonic::codec::{BufferSettings, Codec, EncodeBuf, Encoder};
use tonic_prost::{ProstCodec, ProstDecoder};

use super::{convert, proto};
use crate::engine::answer::{Advice, Citation, RedFlagState};
use crate::engine::listing::{Listed, ListedFlag, Listing, Reason, UndecidedRule};
use crate::engine::plan::{Condition, Plan};
use crate::engine::vocabulary::FindingIndex;
use crate::engine::{self, Asked};
use crate::store::LoadedPack;
use crate::store::phrases::Phrase;
use backwards::{BUFFER, Backwards, LENGTH, VARINT};

/// The server side of the triage service, with the codecs below.
#[allow(missing_docs, clippy::all, clippy::pedantic, clippy::nursery, clippy::restriction)]
pub mod service {
    include!(concat!(env!("OUT_DIR"), "/rubor.v1.TriageService.rs"));
}

/// Numbers in `EvaluateResponse`.
const RED_FLAGS: u32 = 9;
const DIFFERENTIALS: u32 = 13;
const NEXT_QUESTIONS: u32 = 14;
/// Numbers in `EvaluateStreamResponse`.
const INDEX: u32 = 1;
const RESPONSE: u32 = 2;

const YIELD_AT: usize = 32 * 1024;

/// An answer of which the red flags, the differentials and the questions are bytes already.
#[derive(Debug)]
pub struct EncodedAnswer {
    /// Everything else.
    pub head: proto::EvaluateResponse,
    rest: Backwards,
}

/// An item of a stream.
#[derive(Debug)]
pub enum EncodedItem {
    /// An answer, with its place in the stream.
    Answer(u64, EncodedAnswer),
    /// Anything else.
    Other(proto::EvaluateStreamResponse),
}

impl EncodedAnswer {
    /// Writes what is listed; `groups` are the names of the groups that they speak of.
    #[must_use]
    pub fn new(head: proto::EvaluateResponse, pack: &LoadedPack, listing: &Listing, groups: &[String]) -> Self {
        let mut rest = Backwards::with_room(BUFFER);
        let group = |place: Option<usize>| place.and_then(|place| groups.get(place)).map_or("", String::as_str);
        for asked in listing.questions.iter().rev() {
            rest.message(NEXT_QUESTIONS, |out| question(out, pack, asked, group(asked.group)));
        }
        for listed in listing.conditions.iter().rev() {
            let group = group(Some(listed.group));
            rest.message(DIFFERENTIALS, |out| differential(out, pack, listing, listed, group));
        }
        for listed in listing.red_flags.iter().rev() {
            rest.message(RED_FLAGS, |out| red_flag(out, pack, listing, listed, group(listed.group)));
        }
        Self { head, rest }
    }

    fn encoded_len(&self) -> usize {
        self.head.encoded_len() + self.rest.written().len()
    }

    fn encode(&self, into: &mut impl BufMut) -> Result<(), Status> {
        // A field may come after those with higher numbers; readers take fields in any order.
        self.head.encode(into).map_err(|error| Status::internal(error.to_string()))?;
        into.put_slice(self.rest.written());
        Ok(())
    }

    /// The same as an ordinary message.
    ///
    /// # Errors
    /// Never, unless what was written is no message.
    pub fn decode(&self) -> Result<proto::EvaluateResponse, Status> {
        let mut bytes = Vec::with_capacity(self.encoded_len());
        self.encode(&mut bytes)?;
        proto::EvaluateResponse::decode(bytes.as_slice()).map_err(|error| Status::internal(error.to_string()))
    }
}

impl EncodedItem {
    fn encode(&self, into: &mut impl BufMut) -> Result<(), Status> {
        match self {
            EncodedItem::Answer(index, answer) => {
                let mut start = Backwards::with_room(32);
                start.varint(answer.encoded_len() as u64);
                start.key(RESPONSE, LENGTH);
                start.number(INDEX, *index);
                into.put_slice(start.written());
                answer.encode(into)
            }
            EncodedItem::Other(item) => item.encode(into).map_err(|error| Status::internal(error.to_string())),
        }
    }
}

fn red_flag(out: &mut Backwards, pack: &LoadedPack, listing: &Listing, listed: &ListedFlag, group: &str) {
    let plan = &pack.plan;
    let ListedFlag { flag, state, floor, group: _, contradicted, findings: told, deciding } = listed;
    let definition = &plan.red_flags[*flag];
    out.text(11, group);
    out.number(10, u64::from(*contradicted));
    findings(out, 8, plan, &listing.findings[deciding.clone()]);
    findings(out, 7, plan, &listing.findings[told.clone()]);
    out.number(4, enumerated(convert::urgency(*floor)));
    out.number(3, enumerated(convert::red_flag_state(*state)));
    let name = |out: &mut Backwards| {
        out.text(2, &definition.name);
        out.text(1, &definition.id);
    };
    if *state == RedFlagState::Open {
        return name(out);
    }
    out.put(pack.phrases.get(Phrase::RedFlag(*flag), || {
        Backwards::alone(|out| {
            let sources = definition.sources.iter().rev();
            sources.for_each(|&source| out.message(9, |out| citation(out, &plan.sources[source])));
            out.text(6, &definition.action);
            out.text(5, &definition.because);
            name(out);
        })
    }));
}

fn differential(out: &mut Backwards, pack: &LoadedPack, listing: &Listing, listed: &Listed, group: &str) {
    let Listed { rank, group: _, condition, score_decibans, share, own_share, reasons, undecided } = listed;
    let condition = *condition;
    for UndecidedRule { rule, findings } in listing.undecided[undecided.clone()].iter().rev() {
        match findings {
            Some(findings) => self::undecided(out, &pack.plan, *rule, &listing.findings[findings.clone()]),
            None => out.put(pack.phrases.get(Phrase::Undecided(*rule), || {
                Backwards::alone(|out| self::undecided(out, &pack.plan, *rule, &pack.plan.rules[*rule].findings))
            })),
        }
    }
    for reason in listing.reasons[reasons.clone()].iter().rev() {
        out.message(9, |out| contribution(out, pack, listing, condition, reason));
    }
    out.double(6, *own_share);
    out.double(5, *share);
    out.double(4, *score_decibans);
    out.text(2, group);
    out.number(1, u64::from(*rank));
    out.put(pack.phrases.get(Phrase::Condition(condition), || {
        Backwards::alone(|out| self::condition(out, &pack.plan, &pack.plan.conditions[condition]))
    }));
}

/// What every differential of a condition says.
fn condition(out: &mut Backwards, plan: &Plan, condition: &Condition) {
    condition.care.iter().rev().for_each(|advice| out.message(12, |out| self::advice(out, advice)));
    condition.next_steps.iter().rev().for_each(|advice| out.message(11, |out| self::advice(out, advice)));
    out.number(8, enumerated(convert::urgency(condition.urgency)));
    // No outcome data exist that shares could have been calibrated against. It is written although it is the default.
    out.varint(0);
    out.key(7, VARINT);
    out.message(3, |out| {
        out.text(5, condition.part_of.map_or("", |parent| &plan.conditions[parent].id));
        out.text(4, &condition.summary);
        condition.codings.iter().rev().for_each(|coding| out.item(3, coding));
        out.text(2, &condition.name);
        out.text(1, &condition.id);
    });
}

fn undecided(out: &mut Backwards, plan: &Plan, rule: usize, deciding: &[FindingIndex]) {
    out.message(10, |out| {
        findings(out, 2, plan, deciding);
        out.text(1, &plan.rules[rule].id);
    });
}

fn contribution(out: &mut Backwards, pack: &LoadedPack, listing: &Listing, condition: usize, reason: &Reason) {
    let plan = &pack.plan;
    let Reason { rule, direction, weight_decibans, likelihood_ratio, counting, counted_by, findings: told } = reason;
    out.text(10, counted_by.map_or("", |by| &plan.rules[by].id));
    out.number(9, enumerated(convert::counting(*counting)));
    findings(out, 7, plan, &listing.findings[told.clone()]);
    out.double(4, *likelihood_ratio);
    out.double(3, *weight_decibans);
    out.number(2, enumerated(convert::direction(*direction)));
    out.put(pack.phrases.get(rule.map_or(Phrase::Prior(condition), Phrase::Rule), || {
        let words = plan.words_of(condition, *rule);
        Backwards::alone(|out| {
            out.text(12, words.grade);
            let sources = words.sources.iter().rev();
            sources.for_each(|&source| out.message(11, |out| citation(out, &plan.sources[source])));
            out.text(8, words.family);
            out.text(6, words.when);
            out.text(5, words.because);
            out.text(1, words.id);
        })
    }));
}

fn question(out: &mut Backwards, pack: &LoadedPack, asked: &Asked, group: &str) {
    out.text(12, &engine::why_asked(&pack.plan, &asked.why));
    out.text(11, group);
    out.put(pack.phrases.get(Phrase::Question(asked.ask), || {
        convert::question(engine::question_words(&pack.plan, asked.ask)).encode_to_vec().into()
    }));
}

fn findings(out: &mut Backwards, number: u32, plan: &Plan, findings: &[FindingIndex]) {
    for &finding in findings.iter().rev() {
        out.item(number, &plan.vocabulary.get(finding).id);
    }
}

fn advice(out: &mut Backwards, advice: &Advice) {
    let Advice { text, sources } = advice;
    sources.iter().rev().for_each(|source| out.message(2, |out| citation(out, source)));
    out.text(1, text);
}

fn citation(out: &mut Backwards, citation: &Citation) {
    let Citation { id, title, url } = citation;
    out.text(3, url);
    out.text(2, title);
    out.text(1, id);
}

fn enumerated(value: i32) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

/// The codec of `Evaluate`.
#[derive(Debug, Default)]
pub struct AnswerCodec;

/// The codec of `EvaluateStream`.
#[derive(Debug, Default)]
pub struct ItemCodec;

/// Writes answers.
#[derive(Debug, Default)]
pub struct AnswerEncoder;

/// Writes items of a stream.
#[derive(Debug, Default)]
pub struct ItemEncoder;

impl Encoder for AnswerEncoder {
    type Item = EncodedAnswer;
    type Error = Status;

    fn encode(&mut self, item: EncodedAnswer, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        into.reserve(item.encoded_len());
        item.encode(into)
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(BUFFER, YIELD_AT)
    }
}

impl Encoder for ItemEncoder {
    type Item = EncodedItem;
    type Error = Status;

    fn encode(&mut self, item: EncodedItem, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        item.encode(into)
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(BUFFER, YIELD_AT)
    }
}

impl Codec for AnswerCodec {
    type Encode = EncodedAnswer;
    type Decode = proto::EvaluateRequest;
    type Encoder = AnswerEncoder;
    type Decoder = ProstDecoder<proto::EvaluateRequest>;

    fn encoder(&mut self) -> AnswerEncoder {
        AnswerEncoder
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstCodec::<proto::EvaluateResponse, proto::EvaluateRequest>::raw_decoder(BufferSettings::default())
    }
}

impl Codec for ItemCodec {
    type Encode = EncodedItem;
    type Decode = proto::EvaluateStreamRequest;
    type Encoder = ItemEncoder;
    type Decoder = ProstDecoder<proto::EvaluateStreamRequest>;

    fn encoder(&mut self) -> ItemEncoder {
        ItemEncoder
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstCodec::<proto::EvaluateStreamResponse, proto::EvaluateStreamRequest>::raw_decoder(BufferSettings::default())
    }
}

#[cfg(test)]
mod tests {
    use super::super::service::{encode_with, evaluate_with};
    use super::*;
    use crate::engine::Evaluation;
    use crate::store::RuleSource;
    use crate::store::keeper::Keeper;

    fn alike(pack: &LoadedPack, request: &proto::EvaluateRequest) {
        let (mut one, mut other) = (Evaluation::default(), Evaluation::default());
        let plain = evaluate_with(&mut one, pack, request.clone(), "id".to_owned());
        let encoded = encode_with(&mut other, pack, request.clone(), "id".to_owned());
        match (plain, encoded) {
            (Ok(plain), Ok(encoded)) => {
                assert_eq!(encoded.decode().expect("a message"), plain);
                let item = EncodedItem::Answer(300, encoded);
                let mut bytes = Vec::new();
                item.encode(&mut bytes).expect("written");
                let decoded = proto::EvaluateStreamResponse::decode(bytes.as_slice()).expect("a message");
                let result = Some(proto::evaluate_stream_response::Result::Response(plain));
                assert_eq!(decoded, proto::EvaluateStreamResponse { index: 300, result });
            }
            (Err(plain), Err(encoded)) => assert_eq!(plain, encoded),
            _ => panic!("one of the two refuses {request:?}"),
        }
    }

    #[test]
    fn what_is_written_is_what_the_messages_say() {
        let keeper = Keeper::open(RuleSource::Embedded).expect("the shipped rules hold");
        let snapshot = keeper.current();
        let pack = snapshot.packs.values().next().expect("a pack");
        let options = [
            proto::EvaluateOptions::default(),
            proto::EvaluateOptions { max_differentials: 100, omit_questions: true, ..Default::default() },
            proto::EvaluateOptions { max_differentials: 2, omit_rationale: true, ..Default::default() },
        ];
        let findings = pack.plan.findings();
        for (round, options) in (0..150).zip(options.iter().cycle()) {
            let told = findings.iter().enumerate().filter(|(place, _)| (place * 7 + round) % 11 == 0);
            let observations = told.map(|(place, finding)| proto::Observation {
                finding: finding.id.clone(),
                value: Some(proto::observation::Value::Present((place + round) % 3 != 0)),
                group: ["", "", "old"][(place + round / 50) % 3].to_owned(),
            });
            let yes_no = |told: &proto::Observation| {
                findings
                    .iter()
                    .any(|finding| finding.id == told.finding && finding.kind == crate::engine::plan::Kind::YesNo)
            };
            let request = proto::EvaluateRequest {
                observations: observations.filter(yes_no).collect(),
                options: Some(*options),
                ..Default::default()
            };
            alike(pack, &request);
        }
    }

    #[test]
    fn what_does_not_fit_makes_room() {
        let mut small = Backwards::with_room(1);
        small.message(2, |out| out.text(1, &"x".repeat(300)));
        let mut large = Backwards::with_room(1000);
        large.message(2, |out| out.text(1, &"x".repeat(300)));
        assert_eq!(small.written(), large.written());
    }
}

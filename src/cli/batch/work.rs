//! The lines of a batch: read in small handfuls, answered on several threads, handed on in their order.
//!
//! Owns the threads and what waits between them, which is bounded: a handful is read only when an earlier one has been
//! written. It writes nothing.

use std::io::{self, BufRead};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};

use serde_json::json;

use crate::engine::Evaluation;
use crate::engine::urgency::Urgency;
use crate::grpc::proto::{EvaluateRequest, ItemError};
use crate::grpc::status::Problem;
use crate::grpc::{convert, json as protobuf_json, limits, resolve, service};
use crate::store::keeper::Keeper;

/// Lines in a handful.
const LINES: usize = 16;
/// A handful ends early when it has so many bytes.
const BYTES: usize = 1 << 18;
/// The longest line; a request may be longer as text than as a message, but not without end.
const LONGEST: usize = 4 * limits::MESSAGE_BYTES;

/// What came of one line.
pub enum Outcome {
    /// Nothing stood on it.
    Blank,
    /// It was answered.
    Answered {
        /// For the output.
        line: String,
        /// How soon to act.
        urgency: Urgency,
    },
    /// It was not.
    Bad {
        /// For the output.
        line: String,
        /// The line itself.
        input: String,
        /// What is wrong with it, without anything that it says of a patient.
        why: String,
    },
}

/// Threads that answer lines.
pub struct Workers<'a> {
    /// The rules.
    pub keeper: &'a Keeper,
    /// The pack of requests that name none.
    pub default_pack: Option<&'a str>,
    /// How many.
    pub threads: usize,
}

/// A line as read; `None` where it was too long to be read.
type Line = Option<Vec<u8>>;

/// Some lines, and where to send what came of them.
struct Handful {
    lines: Vec<Line>,
    first: u64,
    answer: SyncSender<Vec<Outcome>>,
}

/// A handful that is being answered: how far the input had been read, and what will come.
type Awaited = Result<(u64, Receiver<Vec<Outcome>>), String>;

impl Workers<'_> {
    /// Answers every line, and hands on what came of it in the order of the lines: its number from 0, and how many bytes
    /// had been read.
    pub fn run(
        &self,
        mut input: Box<dyn BufRead + Send>,
        done: u64,
        mut see: impl FnMut(u64, Outcome, u64) -> Result<(), String>,
    ) -> Result<(), String> {
        let (to_workers, handfuls) = sync_channel::<Handful>(self.threads);
        let (to_writer, awaited) = sync_channel::<Awaited>(2 * self.threads);
        let handfuls = Mutex::new(handfuls);
        std::thread::scope(|scope| {
            for _ in 0..self.threads {
                scope.spawn(|| self.work(&handfuls));
            }
            scope.spawn(move || share_out(input.as_mut(), done, &to_workers, &to_writer));
            let mut index = done;
            let written = awaited.iter().try_for_each(|next| {
                let (read, answers) = next?;
                let answers = answers.recv().map_err(|_| "a thread has failed: this is a bug".to_owned())?;
                answers.into_iter().try_for_each(|outcome| {
                    index += 1;
                    see(index - 1, outcome, read)
                })
            });
            // Nobody takes any more: the reader stops, and with it the workers.
            drop(awaited);
            written
        })
    }

    fn work(&self, handfuls: &Mutex<Receiver<Handful>>) {
        let mut evaluation = Evaluation::default();
        loop {
            let next = handfuls.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(Handful { lines, first, answer }) = next else { return };
            let outcomes =
                (first..).zip(lines).map(|(index, line)| self.outcome(&mut evaluation, index, line)).collect();
            // When nobody waits for it any more, the run has ended.
            let _ = answer.send(outcomes);
        }
    }

    fn outcome(&self, evaluation: &mut Evaluation, index: u64, line: Line) -> Outcome {
        let Some(line) = line else {
            let why = format!("longer than {LONGEST} bytes");
            return bad(index, String::new(), why.clone(), ItemError { message: why, ..invalid() });
        };
        let text = match String::from_utf8(line) {
            Ok(text) if text.trim().is_empty() => return Outcome::Blank,
            Ok(text) => text,
            Err(broken) => {
                let (why, text) = ("not UTF-8".to_owned(), String::from_utf8_lossy(broken.as_bytes()).into_owned());
                return bad(index, text, why.clone(), ItemError { message: why, ..invalid() });
            }
        };
        let request = match protobuf_json::decode_str::<EvaluateRequest>(&text) {
            Ok(request) => request,
            Err(error) => {
                // What the reader says may quote the line.
                let why = format!("not a request in protobuf JSON (column {})", error.column());
                return bad(index, text, why.clone(), ItemError { message: why, ..invalid() });
            }
        };
        let request_id = request.request_id.clone();
        match self.answer(evaluation, request) {
            Ok((line, urgency)) => {
                Outcome::Answered { line: format!("{{\"index\":{index},\"response\":{line}}}"), urgency }
            }
            Err(problem) => {
                let request_id = if request_id.len() > limits::STRING_BYTES { String::new() } else { request_id };
                let error = problem.into_item_error(request_id);
                bad(index, text, error.message.clone(), error)
            }
        }
    }

    fn answer(&self, evaluation: &mut Evaluation, request: EvaluateRequest) -> Result<(String, Urgency), Problem> {
        limits::check(&request)?;
        let pack = resolve::rules(self.keeper, self.default_pack, &request.pack, &request.expected_digest)?;
        let response = service::evaluate_with(evaluation, &pack, request, String::new())?;
        let urgency = Urgency::ALL.into_iter().find(|urgency| convert::urgency(*urgency) == response.urgency);
        Ok((protobuf_json::encode(&response).to_string(), urgency.unwrap_or(Urgency::SelfCare)))
    }
}

fn invalid() -> ItemError {
    ItemError { code: tonic::Code::InvalidArgument.into(), ..ItemError::default() }
}

fn bad(index: u64, input: String, why: String, error: ItemError) -> Outcome {
    let violations: Vec<_> = error
        .field_violations
        .iter()
        .map(|violation| json!({ "field": violation.field, "description": violation.description }))
        .collect();
    let mut value = json!({ "code": error.code, "message": error.message });
    if !violations.is_empty() {
        value["fieldViolations"] = violations.into();
    }
    if !error.request_id.is_empty() {
        value["requestId"] = error.request_id.into();
    }
    Outcome::Bad { line: format!("{{\"index\":{index},\"error\":{value}}}"), input, why }
}

/// Reads handfuls until the end, or until nobody wants them any more.
fn share_out(input: &mut dyn BufRead, done: u64, to_workers: &SyncSender<Handful>, to_writer: &SyncSender<Awaited>) {
    let (mut first, mut read) = (done, 0);
    loop {
        let (lines, bytes) = match handful(input) {
            Ok((lines, _)) if lines.is_empty() => return,
            Ok(some) => some,
            Err(error) => {
                let _ = to_writer.send(Err(format!("the input cannot be read any further: {error}")));
                return;
            }
        };
        read += bytes;
        let (answer, answers) = sync_channel(1);
        let next = first + lines.len() as u64;
        if to_writer.send(Ok((read, answers))).is_err() || to_workers.send(Handful { lines, first, answer }).is_err() {
            return;
        }
        first = next;
    }
}

/// Some lines, and how many bytes they were.
fn handful(input: &mut dyn BufRead) -> io::Result<(Vec<Line>, u64)> {
    let (mut lines, mut bytes) = (Vec::new(), 0);
    while lines.len() < LINES && bytes < BYTES as u64 {
        let Some((line, used)) = line(input)? else { break };
        lines.push(line);
        bytes += used;
    }
    Ok((lines, bytes))
}

/// The next line without its end; `None` at the end of the input. One that is too long is read over.
fn line(input: &mut dyn BufRead) -> io::Result<Option<(Line, u64)>> {
    let (mut line, mut used, mut too_long) = (Vec::new(), 0, false);
    loop {
        let buffer = input.fill_buf()?;
        if buffer.is_empty() {
            break;
        }
        let end = buffer.iter().position(|&byte| byte == b'\n');
        let part = &buffer[..end.unwrap_or(buffer.len())];
        too_long |= line.len() + part.len() > LONGEST;
        if !too_long {
            line.extend_from_slice(part);
        }
        let taken = part.len() + usize::from(end.is_some());
        input.consume(taken);
        used += taken as u64;
        if end.is_some() {
            break;
        }
    }
    if used == 0 {
        return Ok(None);
    }
    Ok(Some(((!too_long).then_some(line), used)))
}

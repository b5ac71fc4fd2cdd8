//! How much one request may hold.
//!
//! Owns the limits and the check of them, before anything else looks at a request. What the values mean is not its
//! business; how many requests run at once is `guard`'s, and `upload`'s for the large ones.

use prost::Message as _;
use std::collections::BTreeSet;

use super::proto;
use super::proto::observation::Value;
use super::status::Problem;
use crate::access::scope::Method;
use crate::engine::submission::Violation;
use crate::store::read::{MAX_DEPTH, MAX_FILE_BYTES, MAX_FILES};

/// Largest message that is answered, in bytes.
pub const MESSAGE_BYTES: usize = 1024 * 1024;
/// Largest item of a stream that is read at all. It is above [`MESSAGE_BYTES`] so that a large item can be refused alone:
/// what is refused while it arrives ends the stream.
pub const TRANSPORT_BYTES: usize = 4 * 1024 * 1024;
/// Largest message of [`VALIDATE_RULES`], in bytes.
pub const RULES_BYTES: usize = 16 * 1024 * 1024;
/// Largest message of the methods that anybody may call, in bytes.
pub const OPEN_BYTES: usize = 16 * 1024;
/// The method whose messages are refused one by one.
pub const EVALUATE_STREAM: &str = "/rubor.v1.TriageService/EvaluateStream";
/// The method that takes whole packs.
pub const VALIDATE_RULES: &str = "/rubor.v1.KnowledgeService/ValidateRules";
/// Longest path of a rule file, in bytes.
pub const PATH_BYTES: usize = 1024;
/// Most observations in a request.
pub const OBSERVATIONS: usize = 512;
/// Most boxes declared absent in a request.
pub const BOXES: usize = 64;
/// Most groups of spots in a request. Each group is evaluated by itself.
pub const GROUPS: usize = 16;
/// Most options in a selection.
pub const OPTIONS: usize = 64;
/// Longest string, in bytes.
pub const STRING_BYTES: usize = 256;

/// Holds a request against every limit.
///
/// # Errors
/// Everything that is over a limit.
pub fn check(request: &proto::EvaluateRequest) -> Result<(), Problem> {
    if request.encoded_len() > MESSAGE_BYTES {
        return Err(Problem::TooLarge { limit: MESSAGE_BYTES });
    }
    let proto::EvaluateRequest {
        request_id,
        pack,
        expected_digest,
        patient: _,
        observations,
        none_of_these,
        options: _,
        reporter: _,
    } = request;
    let mut over = Over::default();
    over.string("request_id", request_id);
    over.string("pack", pack);
    over.string("expected_digest", expected_digest);
    over.count("observations", observations.len(), OBSERVATIONS);
    over.count("none_of_these", none_of_these.len(), BOXES);
    for (at, observation) in observations.iter().enumerate().take(OBSERVATIONS) {
        over.observation(&format!("observations[{at}]"), observation);
    }
    for (at, item) in none_of_these.iter().enumerate().take(BOXES) {
        let proto::NoneOfThese { name, fingerprint, group } = item;
        over.string(&format!("none_of_these[{at}].name"), name);
        over.string(&format!("none_of_these[{at}].fingerprint"), fingerprint);
        over.string(&format!("none_of_these[{at}].group"), group);
    }
    let groups: BTreeSet<&str> = observations
        .iter()
        .map(|observation| observation.group.as_str())
        .chain(none_of_these.iter().map(|item| item.group.as_str()))
        .filter(|group| !group.is_empty())
        .collect();
    if groups.len() > GROUPS {
        over.found.push(Violation {
            field: "observations".into(),
            reason: format!("{} different groups; at most {GROUPS} are accepted", groups.len()),
        });
    }
    over.verdict()
}

/// Holds the files of a pack against the limits of loading, in the words of a request.
///
/// # Errors
/// Everything that is over a limit.
pub fn check_rules(request: &proto::ValidateRulesRequest) -> Result<(), Problem> {
    let proto::ValidateRulesRequest { files, pack } = request;
    let mut over = Over::default();
    over.string("pack", pack);
    over.count("files", files.len(), MAX_FILES);
    for (at, proto::RuleFile { path, content }) in files.iter().enumerate().take(MAX_FILES) {
        over.bytes(&format!("files[{at}].path"), path.len(), PATH_BYTES);
        let largest = usize::try_from(MAX_FILE_BYTES).unwrap_or(usize::MAX);
        over.bytes(&format!("files[{at}].content"), content.len(), largest);
        let folders = path.matches('/').count();
        if folders > MAX_DEPTH {
            let reason = format!("{folders} folders deep; at most {MAX_DEPTH} are accepted");
            over.found.push(Violation { field: format!("files[{at}].path"), reason });
        }
    }
    over.verdict()
}

/// Holds a choice of cases against the limits.
///
/// # Errors
/// Everything that is over a limit.
pub fn check_cases(request: &proto::RunCasesRequest) -> Result<(), Problem> {
    let proto::RunCasesRequest { pack, expected_digest, filter } = request;
    let mut over = Over::default();
    over.string("pack", pack);
    over.string("expected_digest", expected_digest);
    over.string("filter", filter);
    over.verdict()
}

/// Largest message of a method, in bytes.
#[must_use]
pub fn message_bytes(path: &str) -> usize {
    if path == VALIDATE_RULES { RULES_BYTES } else { MESSAGE_BYTES }
}

/// Largest message of a method that may arrive at all, in bytes.
#[must_use]
pub fn arriving_bytes(method: Method, path: &str) -> usize {
    match (method.scope, path) {
        (None, _) => OPEN_BYTES,
        (_, EVALUATE_STREAM) => TRANSPORT_BYTES,
        _ => message_bytes(path),
    }
}

#[derive(Default)]
struct Over {
    found: Vec<Violation>,
}

impl Over {
    fn observation(&mut self, path: &str, observation: &proto::Observation) {
        let proto::Observation { finding, value, group } = observation;
        self.string(&format!("{path}.finding"), finding);
        self.string(&format!("{path}.group"), group);
        match value {
            Some(Value::Quantity(proto::Quantity { value: _, unit })) => {
                self.string(&format!("{path}.quantity.unit"), unit);
            }
            Some(Value::Selection(proto::Selection { options, complete: _ })) => {
                self.count(&format!("{path}.selection.options"), options.len(), OPTIONS);
                for (at, option) in options.iter().enumerate().take(OPTIONS) {
                    self.string(&format!("{path}.selection.options[{at}]"), option);
                }
            }
            Some(Value::Present(_) | Value::NotKnown(_)) | None => {}
        }
    }

    fn string(&mut self, field: &str, text: &str) {
        self.bytes(field, text.len(), STRING_BYTES);
    }

    fn bytes(&mut self, field: &str, bytes: usize, limit: usize) {
        if bytes > limit {
            let reason = format!("{bytes} bytes; at most {limit} are accepted");
            self.found.push(Violation { field: field.into(), reason });
        }
    }

    fn count(&mut self, field: &str, count: usize, limit: usize) {
        if count > limit {
            let reason = format!("{count} entries; at most {limit} are accepted");
            self.found.push(Violation { field: field.into(), reason });
        }
    }

    fn verdict(self) -> Result<(), Problem> {
        if self.found.is_empty() { Ok(()) } else { Err(Problem::OverLimit(self.found)) }
    }
}

#[cfg(test)]
mod tests {
    use super::{MESSAGE_BYTES, OBSERVATIONS, Problem, STRING_BYTES, check, proto};

    #[test]
    fn the_limit_itself_is_accepted_and_one_more_is_not() {
        let request = |count| proto::EvaluateRequest {
            observations: vec![proto::Observation::default(); count],
            request_id: "x".repeat(STRING_BYTES),
            ..Default::default()
        };
        assert_eq!(check(&request(OBSERVATIONS)), Ok(()));
        let Err(Problem::OverLimit(found)) = check(&request(OBSERVATIONS + 1)) else { panic!("accepted") };
        assert_eq!(found[0].field, "observations");
    }

    #[test]
    fn long_strings_and_large_messages_are_refused_without_an_echo() {
        let canary = "canary".repeat(50);
        let observation = proto::Observation { finding: canary, ..Default::default() };
        let request = proto::EvaluateRequest { observations: vec![observation], ..Default::default() };
        let Err(problem) = check(&request) else { panic!("accepted") };
        assert_eq!(problem.message(), "observations[0].finding: 300 bytes; at most 256 are accepted");
        let request = proto::EvaluateRequest { request_id: "x".repeat(MESSAGE_BYTES), ..Default::default() };
        assert_eq!(check(&request), Err(Problem::TooLarge { limit: MESSAGE_BYTES }));
    }

    #[test]
    fn groups_are_limited() {
        let observation = |at: usize| proto::Observation { group: at.to_string(), ..Default::default() };
        let request = |count| proto::EvaluateRequest {
            observations: (0..count).map(observation).collect(),
            ..Default::default()
        };
        assert_eq!(check(&request(16)), Ok(()));
        assert!(check(&request(17)).is_err());
    }
}

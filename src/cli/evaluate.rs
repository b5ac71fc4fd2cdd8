//! `rubor evaluate`: one request from a file or standard input, answered as the service answers it.
//!
//! Owns reading the request text and printing the answer. The request is protobuf JSON, or the same in YAML, where
//! the words of an enum may also be written as in worked cases (`sex: female`).

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::json;

use super::{Format, check, fail};
use crate::config::rule_source;
use crate::engine;
use crate::grpc::proto::EvaluateRequest;
use crate::grpc::status::Problem;
use crate::grpc::{convert, json as protobuf_json, limits, resolve, service};
use crate::render::{Style, answer, complain, print};
use crate::store::LoadedPack;
use crate::store::keeper::Keeper;

/// Exit code for a request that is not answered.
const BAD_REQUEST: u8 = 2;
/// Text may be longer than the message that it stands for, but not without end.
const MAX_TEXT: u64 = 4 * limits::MESSAGE_BYTES as u64;

/// Arguments of `evaluate`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The request: a JSON or YAML file, or `-` for standard input.
    #[arg(value_name = "FILE", env = "RUBOR_REQUEST")]
    file: PathBuf,
    /// One pack's folder, or a folder of packs. Default: `./rules` if it is there, else the pack inside the binary.
    #[arg(long, value_name = "DIR", env = "RUBOR_RULES")]
    rules: Option<PathBuf>,
    /// How to print.
    #[arg(long, env = "RUBOR_FORMAT", value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// Answers; 0, or 1 when the rules are refused, or 2 when the request is bad.
#[must_use]
pub fn run(args: &Args) -> ExitCode {
    let request = match read(&args.file).and_then(|text| parse(&args.file, &text)) {
        Ok(request) => request,
        Err(message) => {
            fail(&message);
            return ExitCode::from(BAD_REQUEST);
        }
    };
    let source = rule_source(args.rules.as_deref());
    let keeper = match Keeper::open(source.clone()) {
        Ok(keeper) => keeper,
        Err(refused) => {
            complain(&check::refusal(&source, &refused, Style::PLAIN));
            return ExitCode::FAILURE;
        }
    };
    match answer(&keeper, request, args.format) {
        Ok(text) => {
            print(&text);
            ExitCode::SUCCESS
        }
        Err(problem) => {
            report(problem, args.format);
            ExitCode::from(BAD_REQUEST)
        }
    }
}

/// The request's text.
fn read(file: &Path) -> Result<String, String> {
    let mut bytes = Vec::new();
    let read = if file == Path::new("-") {
        std::io::stdin().lock().take(MAX_TEXT + 1).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(file).and_then(|open| open.take(MAX_TEXT + 1).read_to_end(&mut bytes))
    };
    let shown = file.display();
    read.map_err(|error| format!("`{shown}` cannot be read: {error}"))?;
    if bytes.len() as u64 > MAX_TEXT {
        return Err(format!("`{shown}` is larger than {MAX_TEXT} bytes"));
    }
    String::from_utf8(bytes).map_err(|_| format!("`{shown}` is not UTF-8"))
}

/// JSON where it looks like JSON, else YAML.
fn parse(file: &Path, text: &str) -> Result<EvaluateRequest, String> {
    let extension = file.extension().and_then(|extension| extension.to_str()).unwrap_or("");
    let json_error = if extension == "json" || text.trim_start().starts_with('{') {
        match protobuf_json::decode_str::<EvaluateRequest>(text) {
            Ok(request) => return Ok(request),
            Err(error) => Some(no_request(file, &error.to_string())),
        }
    } else {
        None
    };
    if extension == "json" {
        return Err(json_error.unwrap_or_default());
    }
    // A flow mapping begins like JSON, so YAML has the second try; JSON's message is the better one if both fail.
    from_yaml(text).map_err(|error| json_error.unwrap_or_else(|| no_request(file, &error)))
}

/// The error with what may have been meant.
fn no_request(file: &Path, error: &str) -> String {
    let hint = protobuf_json::did_you_mean::<EvaluateRequest>(error).map(|hint| format!("; {hint}"));
    format!("`{}` is not a request: {error}{}", file.display(), hint.unwrap_or_default())
}

fn from_yaml(text: &str) -> Result<EvaluateRequest, String> {
    let value: serde_yaml::Value = serde_yaml::from_str(text).map_err(|error| error.to_string())?;
    let mut value = to_json(value)?;
    if value.is_null() {
        value = json!({});
    }
    long_names(&mut value);
    protobuf_json::decode(value).map_err(|error: serde_json::Error| error.to_string())
}

/// The same value for protobuf JSON.
fn to_json(value: serde_yaml::Value) -> Result<serde_json::Value, String> {
    use serde_json::Value as Json;
    use serde_yaml::Value as Yaml;
    Ok(match value {
        Yaml::Null => Json::Null,
        Yaml::Bool(flag) => Json::Bool(flag),
        Yaml::String(text) => Json::String(text),
        Yaml::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(number), ..) => number.into(),
            (_, Some(number), _) => number.into(),
            (.., Some(number)) if number.is_finite() => number.into(),
            // Protobuf JSON writes these as words; the engine refuses them by field.
            (.., Some(number)) if number.is_nan() => "NaN".into(),
            (.., number) => if number.is_some_and(f64::is_sign_negative) { "-Infinity" } else { "Infinity" }.into(),
        },
        Yaml::Sequence(items) => Json::Array(items.into_iter().map(to_json).collect::<Result<_, _>>()?),
        Yaml::Mapping(entries) => {
            let mut object = serde_json::Map::new();
            for (key, value) in entries {
                let Yaml::String(key) = key else { return Err("a key is not a word".to_owned()) };
                object.insert(key, to_json(value)?);
            }
            Json::Object(object)
        }
        Yaml::Tagged(_) => return Err("tags such as `!x` have no meaning in a request".to_owned()),
    })
}

/// `sex: female` and `reporter: clinician`, as worked cases write them, become the names of the protobuf enums.
fn long_names(request: &mut serde_json::Value) {
    let lengthen = |value: Option<&mut serde_json::Value>, prefix: &str, words: &[&str]| {
        if let Some(value) = value
            && let Some(word) = value.as_str().map(str::to_lowercase).filter(|word| words.contains(&word.as_str()))
        {
            *value = format!("{prefix}{}", word.to_uppercase()).into();
        }
    };
    lengthen(request.pointer_mut("/patient/sex"), "SEX_", &["female", "male", "other"]);
    lengthen(request.pointer_mut("/reporter"), "REPORTER_", &["patient", "caregiver", "clinician"]);
}

/// The answer as text, or as the service would send it.
fn answer(keeper: &Keeper, request: EvaluateRequest, format: Format) -> Result<String, Problem> {
    limits::check(&request)?;
    let pack = resolve::rules(keeper, None, &request.pack, &request.expected_digest)?;
    match format {
        Format::Json => {
            let response = service::evaluate(&pack, request)?;
            Ok(format!("{:#}\n", protobuf_json::encode(&response)))
        }
        Format::Text => for_people(&pack, request),
    }
}

fn for_people(pack: &LoadedPack, request: EvaluateRequest) -> Result<String, Problem> {
    let convert::Converted { submission, options, mut violations } = convert::request(request);
    match engine::answer(&pack.plan, &submission, &options) {
        Ok(found) if violations.is_empty() => {
            Ok(answer::text(&found, &pack.plan.header, &pack.digest, Style::for_stdout()))
        }
        Ok(_) => Err(Problem::Invalid(violations)),
        Err(found) => {
            violations.extend(found);
            Err(Problem::Invalid(violations))
        }
    }
}

/// Every violation, each with its field: on standard error for people, on standard output for programs.
fn report(problem: Problem, format: Format) {
    let code = format!("{:?}", problem.code());
    let item = problem.into_item_error(String::new());
    if format == Format::Json {
        let violations: Vec<_> = item
            .field_violations
            .iter()
            .map(|violation| json!({ "field": violation.field, "description": violation.description }))
            .collect();
        let value = json!({ "code": screaming(&code), "message": item.message, "fieldViolations": violations });
        print(&format!("{value:#}\n"));
        return;
    }
    if item.field_violations.is_empty() {
        fail(&item.message);
        return;
    }
    fail("the request is not answered");
    for violation in &item.field_violations {
        complain(&format!("  {}: {}\n", violation.field, violation.description));
    }
}

/// `InvalidArgument` as gRPC writes it.
fn screaming(code: &str) -> String {
    let mut out = String::new();
    for (index, c) in code.chars().enumerate() {
        if c.is_uppercase() && index > 0 {
            out.push('_');
        }
        out.push(c.to_ascii_uppercase());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(text: &str) -> Result<EvaluateRequest, String> {
        parse(Path::new("-"), text)
    }

    #[test]
    fn yaml_and_json_are_the_same_request() {
        let json =
            r#"{"patient":{"ageYears":24,"sex":"SEX_FEMALE"},"observations":[{"finding":"fever","present":true}]}"#;
        let yaml = "patient: { age_years: 24, sex: female }\nobservations:\n  - { finding: fever, present: true }\n";
        assert_eq!(request(json).unwrap(), request(yaml).unwrap());
        assert_eq!(request("").unwrap(), EvaluateRequest::default());
        assert_eq!(request("{ pack: red-spots }").unwrap().pack, "red-spots");
    }

    #[test]
    fn what_is_no_request_is_refused() {
        for text in ["fevr: 1", "- a", "a: b: c", "{\"patient\": 3}", "1: 2", "!x {}", "pack: a\npack: b"] {
            assert!(request(text).is_err(), "{text}");
        }
        assert!(parse(Path::new("a.json"), "pack: red-spots").is_err());
    }

    #[test]
    fn numbers_that_are_none_reach_the_engine() {
        let text = "observations: [{ finding: temperature, quantity: { value: .nan, unit: Cel } }]";
        let observation = &request(text).unwrap().observations[0];
        let Some(crate::grpc::proto::observation::Value::Quantity(quantity)) = &observation.value else {
            panic!("no quantity: {observation:?}")
        };
        assert!(quantity.value.is_nan());
        assert_eq!(screaming("InvalidArgument"), "INVALID_ARGUMENT");
    }
}

//! Messages as protobuf JSON: the canonical mapping, by the descriptor set that is in the binary.
//!
//! Owns both directions, for the command line and the admin port. It knows no message by itself; the error text of
//! [`decode`] may quote the input, so it is for a caller's own terminal and never for a log.

use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, Kind, MessageDescriptor, SerializeOptions};
use serde::{Deserializer, Serialize, Serializer};
use std::fmt;

use super::proto;
use crate::engine::suggest;

thread_local! {
    /// One for each thread: every message counts its users of a shared one, and threads that convert side by side would
    /// wait for that counter.
    static POOL: DescriptorPool =
        DescriptorPool::decode(proto::FILE_DESCRIPTOR_SET).expect("the build wrote a valid descriptor set");
}

/// A message that has a JSON form.
pub trait JsonMessage: Message + Default {
    /// Its full name in the descriptor set.
    const NAME: &'static str;
}

macro_rules! json_messages {
    ($($message:ident),* $(,)?) => {
        $(impl JsonMessage for proto::$message { const NAME: &'static str = concat!("rubor.v1.", stringify!($message)); })*
    };
}

json_messages!(EvaluateRequest, EvaluateResponse, EvaluateStreamResponse, GetPackResponse, GetStatusResponse);

fn descriptor<T: JsonMessage>() -> MessageDescriptor {
    POOL.with(|pool| pool.get_message_by_name(T::NAME)).expect("every listed message is in the descriptor set")
}

/// Reads a message from anything that serde can read: JSON text, or a value that was YAML before.
///
/// # Errors
/// What does not fit the message, unknown fields included.
pub fn decode<'de, T: JsonMessage, D: Deserializer<'de>>(input: D) -> Result<T, D::Error> {
    use serde::de::Error as _;
    let message = DynamicMessage::deserialize(descriptor::<T>(), input)?;
    message.transcode_to().map_err(D::Error::custom)
}

/// Reads a message from JSON text.
///
/// # Errors
/// Where and why the text is not such a message.
pub fn decode_str<T: JsonMessage>(text: &str) -> Result<T, serde_json::Error> {
    let mut input = serde_json::Deserializer::from_str(text);
    let message = decode(&mut input)?;
    input.end()?;
    Ok(message)
}

/// What may have been meant by the field or the enum value that `error`, an error of reading a `T`, does not know.
#[must_use]
pub fn did_you_mean<T: JsonMessage>(error: &str) -> Option<String> {
    let wrong = error.split_once("unrecognized ")?.1;
    let is_field = wrong.starts_with("field");
    let wrong = wrong.split('\'').nth(1)?;
    let (mut names, mut seen, mut next) = (Vec::new(), Vec::new(), vec![descriptor::<T>()]);
    while let Some(message) = next.pop() {
        if seen.contains(&message) {
            continue;
        }
        for field in message.fields() {
            if is_field {
                names.push(field.json_name().to_owned());
            }
            match field.kind() {
                Kind::Message(inner) => next.push(inner),
                Kind::Enum(values) if !is_field => names.extend(values.values().map(|value| value.name().to_owned())),
                _ => {}
            }
        }
        seen.push(message);
    }
    suggest::did_you_mean(wrong, names.iter().map(String::as_str))
}

/// A message in its JSON form, in the order of its fields: with `{}` on one line, with `{:#}` for people.
pub struct JsonForm {
    message: DynamicMessage,
    options: SerializeOptions,
}

/// The JSON form, with lowerCamelCase names, default values left out.
#[must_use]
pub fn encode<T: JsonMessage>(message: &T) -> JsonForm {
    JsonForm::new(message, SerializeOptions::new())
}

/// The same with the fields that have their default value, so that a `false` and an empty list can be seen.
#[must_use]
pub fn encode_in_full<T: JsonMessage>(message: &T) -> JsonForm {
    JsonForm::new(message, SerializeOptions::new().skip_default_fields(false))
}

impl JsonForm {
    fn new<T: JsonMessage>(message: &T, options: SerializeOptions) -> Self {
        let mut dynamic = DynamicMessage::new(descriptor::<T>());
        dynamic.transcode_from(message).expect("generated code and descriptor set come from the same files");
        Self { message: dynamic, options }
    }
}

impl Serialize for JsonForm {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.message.serialize_with_options(serializer, &self.options)
    }
}

impl fmt::Display for JsonForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = if f.alternate() { serde_json::to_string_pretty(self) } else { serde_json::to_string(self) };
        f.write_str(&text.map_err(|_| fmt::Error)?)
    }
}

#[cfg(test)]
mod tests {
    use super::{decode_str, did_you_mean, encode, encode_in_full, proto};

    #[test]
    fn json_round_trip_keeps_presence() {
        let text = r#"{"patient":{"ageYears":0.0},"observations":[{"finding":"fever","present":false}]}"#;
        let request: proto::EvaluateRequest = decode_str(text).expect("valid");
        assert_eq!(request.patient.as_ref().and_then(|patient| patient.age_years), Some(0.0));
        assert_eq!(request.observations[0].value, Some(proto::observation::Value::Present(false)));
        assert_eq!(encode(&request).to_string(), text);
    }

    #[test]
    fn the_full_form_shows_what_is_not_there() {
        let status = encode_in_full(&proto::GetStatusResponse::default()).to_string();
        assert!(status.starts_with(r#"{"digest":"""#) && status.contains(r#""packs":[]"#), "{status}");
    }

    #[test]
    fn what_is_not_known_is_guessed() {
        let hint = |text: &str| {
            let error = decode_str::<proto::EvaluateRequest>(text).expect_err("it is refused").to_string();
            did_you_mean::<proto::EvaluateRequest>(&error)
        };
        assert_eq!(hint(r#"{"patiant":{}}"#).as_deref(), Some("did you mean `patient`?"));
        assert_eq!(hint(r#"{"patient":{"sex":"FEMALE"}}"#).as_deref(), Some("did you mean `SEX_FEMALE`?"));
        assert_eq!(hint(r#"{"patient":{"qqqqqqqq":1}}"#), None);
    }

    #[test]
    fn unknown_fields_and_trailing_text_are_refused() {
        assert!(decode_str::<proto::EvaluateRequest>(r#"{"patiant":{}}"#).is_err());
        assert!(decode_str::<proto::EvaluateRequest>("{} {}").is_err());
    }
}

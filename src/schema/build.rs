//! The few bricks that the schemas are built of.
//!
//! Owns how a key, a list or a choice of words is written in JSON Schema, so that the rest reads like the language.

use serde_json::{Map, Value, json};

/// Named parts of a schema.
pub type Definitions = Map<String, Value>;

/// A key of a mapping.
pub struct Key {
    name: &'static str,
    required: bool,
    schema: Value,
}

/// A key that must be there.
pub fn need(name: &'static str, schema: Value) -> Key {
    Key { name, required: true, schema }
}

/// A key that may be left out.
pub fn may(name: &'static str, schema: Value) -> Key {
    Key { name, required: false, schema }
}

/// A mapping with these keys and no others.
pub fn mapping(description: &str, keys: Vec<Key>) -> Value {
    let required: Vec<&str> = keys.iter().filter(|key| key.required).map(|key| key.name).collect();
    let properties: Map<String, Value> = keys.into_iter().map(|key| (key.name.to_owned(), key.schema)).collect();
    let mut schema = json!({
        "type": "object", "description": description, "properties": properties, "additionalProperties": false,
    });
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema
}

/// The same schema with more keywords.
pub fn with(mut schema: Value, more: Value) -> Value {
    if let (Some(schema), Value::Object(more)) = (schema.as_object_mut(), more) {
        schema.extend(more);
    }
    schema
}

/// A named definition, with hover text of its own.
pub fn refer(name: &str, description: &str) -> Value {
    json!({ "$ref": format!("#/definitions/{name}"), "description": description })
}

/// Text that says something.
pub fn text(description: &str) -> Value {
    json!({ "type": "string", "minLength": 1, "description": description })
}

/// Text that may be empty.
pub fn free_text(description: &str) -> Value {
    json!({ "type": "string", "description": description })
}

/// A number.
pub fn number(description: &str) -> Value {
    json!({ "type": "number", "description": description })
}

/// A number between two bounds, both allowed.
pub fn between(low: f64, high: f64, description: &str) -> Value {
    json!({ "type": "number", "minimum": low, "maximum": high, "description": description })
}

/// `true` or `false`.
pub fn truth(description: &str) -> Value {
    json!({ "type": "boolean", "description": description })
}

/// A list, at least `least` long.
pub fn list(least: usize, description: &str, items: Value) -> Value {
    let mut schema = json!({ "type": "array", "description": description, "items": items });
    if least > 0 {
        schema["minItems"] = json!(least);
    }
    schema
}

/// A list of names that are all different.
pub fn names(least: usize, name: &str, description: &str) -> Value {
    let items = json!({ "$ref": format!("#/definitions/{name}") });
    with(list(least, description, items), json!({ "uniqueItems": true }))
}

/// A list of texts.
pub fn texts(description: &str) -> Value {
    list(0, description, json!({ "type": "string", "minLength": 1 }))
}

/// One of some words, each with what it means.
pub fn words(description: &str, words: &[(&str, &str)]) -> Value {
    let (known, meanings): (Vec<&str>, Vec<&str>) = words.iter().copied().unzip();
    json!({ "type": "string", "description": description, "enum": known, "enumDescriptions": meanings })
}

/// Another name of a key that is read as well, but not offered.
pub fn alias(of: Value) -> Value {
    with(of, json!({ "doNotSuggest": true }))
}

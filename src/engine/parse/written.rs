//! Values as an author wrote them, for serde: what unquoted text means, and nothing else.
//!
//! Owns the reading of numbers, truth values and nothing from plain text, as YAML 1.2 has them. The text was read once, by
//! `parse::tree`; here nothing is copied but what the typed documents keep.

use super::tree::{At, Document, Kind};
use serde::de::value::{BorrowedStrDeserializer, Error};
use serde::de::{self, DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Unexpected, Visitor};
use serde::forward_to_deserialize_any;

/// One value or key of a document.
#[derive(Debug, Clone, Copy)]
pub struct Written<'a> {
    document: &'a Document,
    node: u32,
}

/// What a value says.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Said<'a> {
    Nothing,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Text(&'a str),
    List,
    Map,
}

impl<'a> Written<'a> {
    /// A value by its number in the tree.
    pub fn new(document: &'a Document, node: u32) -> Self {
        Self { document, node }
    }

    /// The whole of a document.
    pub fn whole(document: &'a Document) -> Self {
        Self::new(document, document.root())
    }

    /// Its number in the tree.
    pub fn node(self) -> u32 {
        self.node
    }

    /// Where it stands.
    pub fn at(self, path: &'a str) -> At<'a> {
        At::new(path, &self.document.tree, self.node)
    }

    /// Its text, if it is text.
    pub fn as_str(self) -> Option<&'a str> {
        match self.said() {
            Said::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Whether nothing was written.
    pub fn is_null(self) -> bool {
        self.said() == Said::Nothing
    }

    /// Whether it is a list.
    pub fn is_list(self) -> bool {
        self.document.kind(self.node) == Kind::List
    }

    /// Whether it is a mapping.
    pub fn is_map(self) -> bool {
        self.document.kind(self.node) == Kind::Map
    }

    /// The items of a list; none of anything else.
    pub fn items(self) -> impl Iterator<Item = Self> {
        let inside = if self.is_list() { self.document.inside(self.node) } else { 0..0 };
        inside.map(move |node| Self { node, ..self })
    }

    /// The keys of a mapping with their values; none of anything else.
    pub fn entries(self) -> impl Iterator<Item = (Self, Self)> {
        let inside = if self.is_map() { self.document.inside(self.node) } else { 0..0 };
        inside.step_by(2).map(move |node| (Self { node, ..self }, Self { node: node + 1, ..self }))
    }

    /// The value under a key.
    pub fn get(self, name: &str) -> Option<Self> {
        self.entries().find(|(key, _)| key.as_str() == Some(name)).map(|(_, value)| value)
    }

    fn said(self) -> Said<'a> {
        match self.document.kind(self.node) {
            Kind::Plain => plain(self.document.text(self.node)),
            Kind::Quoted => Said::Text(self.document.text(self.node)),
            Kind::List => Said::List,
            Kind::Map => Said::Map,
        }
    }

    fn unexpected(self) -> Unexpected<'a> {
        match self.said() {
            Said::Nothing => Unexpected::Unit,
            Said::Bool(value) => Unexpected::Bool(value),
            Said::Unsigned(value) => Unexpected::Unsigned(value),
            Said::Signed(value) => Unexpected::Signed(value),
            Said::Float(value) => Unexpected::Float(value),
            Said::Text(text) => Unexpected::Str(text),
            Said::List => Unexpected::Seq,
            Said::Map => Unexpected::Map,
        }
    }

    fn visit_list<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
        let inside = self.document.inside(self.node);
        let (all, mut list) = (inside.len(), List { document: self.document, left: inside });
        let value = visitor.visit_seq(&mut list)?;
        if list.left.is_empty() { Ok(value) } else { Err(Error::invalid_length(all, &"fewer elements in sequence")) }
    }

    fn visit_map<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
        let inside = self.document.inside(self.node);
        let (all, mut map) = (inside.len() / 2, Map { document: self.document, left: inside });
        let value = visitor.visit_map(&mut map)?;
        if map.left.is_empty() { Ok(value) } else { Err(Error::invalid_length(all, &"fewer elements in map")) }
    }
}

impl<'de> Deserializer<'de> for Written<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.said() {
            Said::Nothing => visitor.visit_unit(),
            Said::Bool(value) => visitor.visit_bool(value),
            Said::Unsigned(value) => visitor.visit_u64(value),
            Said::Signed(value) => visitor.visit_i64(value),
            Said::Float(value) => visitor.visit_f64(value),
            Said::Text(text) => visitor.visit_borrowed_str(text),
            Said::List => self.visit_list(visitor),
            Said::Map => self.visit_map(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    /// Nothing is an empty list.
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.is_null() { visitor.visit_seq(List::empty(self.document)) } else { self.deserialize_any(visitor) }
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _length: usize, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _length: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_seq(visitor)
    }

    /// Nothing is an empty mapping. A list is none, although serde would read a struct from one.
    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.said() {
            Said::Nothing => visitor.visit_map(Map { document: self.document, left: 0..0 }),
            Said::Map => self.visit_map(visitor),
            _ => Err(Error::invalid_type(self.unexpected(), &visitor)),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_map(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.said() {
            Said::Text(word) => visitor.visit_enum(BorrowedStrDeserializer::new(word)),
            _ => Err(Error::invalid_type(self.unexpected(), &"a word")),
        }
    }

    /// A key is text; serde would also take the number of a field.
    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.said() {
            Said::Text(name) => visitor.visit_borrowed_str(name),
            _ => Err(Error::invalid_type(self.unexpected(), &visitor)),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _name: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
    }
}

/// What is left of a list.
struct List<'a> {
    document: &'a Document,
    left: std::ops::Range<u32>,
}

impl<'a> List<'a> {
    fn empty(document: &'a Document) -> Self {
        Self { document, left: 0..0 }
    }
}

impl<'de> SeqAccess<'de> for List<'de> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        self.left.next().map(|node| seed.deserialize(Written::new(self.document, node))).transpose()
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left.len())
    }
}

/// What is left of a mapping. A key is taken only when its value is, so that what is left has both or none.
struct Map<'a> {
    document: &'a Document,
    left: std::ops::Range<u32>,
}

impl<'de> MapAccess<'de> for Map<'de> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        self.left.next().map(|node| seed.deserialize(Written::new(self.document, node))).transpose()
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let node = self.left.next().ok_or_else(|| de::Error::custom("a key without a value"))?;
        seed.deserialize(Written::new(self.document, node))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left.len() / 2)
    }
}

/// What text without quotes says in YAML 1.2.
fn plain(text: &str) -> Said<'_> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Said::Nothing,
        "true" | "True" | "TRUE" => return Said::Bool(true),
        "false" | "False" | "FALSE" => return Said::Bool(false),
        _ => {}
    }
    // Most texts are words, and a number begins with none of their letters.
    if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.')) {
        return Said::Text(text);
    }
    number(text).unwrap_or(Said::Text(text))
}

fn number(text: &str) -> Option<Said<'_>> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if digits.starts_with(['+', '-']) {
        return None;
    }
    let based = [("0x", 16), ("0o", 8), ("0b", 2)]
        .into_iter()
        .find_map(|(prefix, base)| digits.strip_prefix(prefix).map(|digits| (digits, base)));
    let (whole, base) = based.unwrap_or((digits, 10));
    if whole.starts_with(['+', '-']) {
        return None;
    }
    // Digits after a leading zero are text, such as a code.
    if base == 10 && digits.len() > 1 && digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    if let Ok(value) = u64::from_str_radix(whole, base) {
        if !negative || value == 0 {
            return Some(Said::Unsigned(value));
        }
        if let Some(value) = 0_i64.checked_sub_unsigned(value) {
            return Some(Said::Signed(value));
        }
    }
    float(text, digits, negative).map(Said::Float)
}

fn float(text: &str, digits: &str, negative: bool) -> Option<f64> {
    match digits {
        ".inf" | ".Inf" | ".INF" => return Some(if negative { f64::NEG_INFINITY } else { f64::INFINITY }),
        _ if matches!(text, ".nan" | ".NaN" | ".NAN") => return Some(f64::NAN),
        _ => {}
    }
    let value: f64 = digits.parse().ok()?;
    value.is_finite().then_some(if negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The reader that was used before is the yardstick.
    #[test]
    fn plain_text_means_what_it_does_elsewhere() {
        let texts = [
            "a",
            "",
            "~",
            "null",
            "Null",
            "nULL",
            "true",
            "True",
            "yes",
            "no",
            "0",
            "-0",
            "+1",
            "-1",
            "01",
            "-01",
            "007",
            "1.0",
            "-1.5",
            "+2.5",
            "1e3",
            "1E-3",
            ".5",
            "-.5",
            "5.",
            "1_000",
            "0x1F",
            "0xfg",
            "-0x10",
            "+0x10",
            "0o17",
            "0b101",
            "-0b11",
            "0x-1",
            "--1",
            "+-1",
            "-+1",
            "1.2.3",
            "2024-01-31",
            "12:30",
            ".inf",
            "-.inf",
            "+.Inf",
            ".nan",
            "-.nan",
            "inf",
            "nan",
            "NaN",
            "infinity",
            "-inf",
            "18446744073709551615",
            "9223372036854775808",
            "-9223372036854775808",
            "1e400",
            "00",
            "0.5",
            "00.5",
            "0x",
            "0o",
            "+",
            ".",
        ];
        for text in texts {
            let value: serde_yaml::Value = serde_yaml::from_str(text).expect("a scalar");
            let expected = match &value {
                serde_yaml::Value::Null => Said::Nothing,
                serde_yaml::Value::Bool(value) => Said::Bool(*value),
                serde_yaml::Value::String(text) => Said::Text(text),
                serde_yaml::Value::Number(value) => match (value.as_u64(), value.as_i64()) {
                    (Some(value), _) => Said::Unsigned(value),
                    (None, Some(value)) => Said::Signed(value),
                    _ => Said::Float(value.as_f64().expect("a number")),
                },
                _ => panic!("{text} is no scalar"),
            };
            assert_eq!(format!("{:?}", plain(text)), format!("{expected:?}"), "{text}");
        }
    }

    /// Files of every kind, those included that are hard to read: folded text, quotes, several documents.
    #[test]
    fn whole_files_mean_what_they_do_elsewhere() {
        let files = [
            include_str!("../../../rules/red-spots/pack.yaml"),
            include_str!("../../../rules/red-spots/sources.yaml"),
            include_str!("../../../rules/red-spots/findings/look.yaml"),
            include_str!("../../../rules/red-spots/conditions/petechiae.yaml"),
            include_str!("../../../rules/red-spots/red_flags/bleeding.yaml"),
            include_str!("../../../rules/red-spots/cases/groups.yaml"),
            include_str!("../../../rules/red-spots/cases/a04_petechiae.yaml"),
            include_str!("../../../examples/sore-throat/pack.yaml"),
            "a: |\n  two\n   lines\n\nb: >-\n  one\n  line\n\n  more\nc: \"\\u00e9\\t'x'\"\nd: 'it''s'\ne:\n  - [1, {f: ~}]\n  - \n",
        ];
        for text in files {
            let (documents, found) = super::super::tree::build("file.yaml", text);
            assert!(found.is_empty(), "{found:?}");
            super::super::yardstick::means_the_same(text, &documents);
            super::super::yardstick::hold(text);
        }
    }
}

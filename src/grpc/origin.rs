//! Where a call comes from: its id, its trace and its caller.
//!
//! Owns what is accepted of the metadata that names a call. Whatever is not well-formed is left out and never repeated.

use std::sync::Arc;

use tonic::codegen::http::{HeaderMap, HeaderValue, Response};

/// The metadata that names a call, sent and answered.
pub const REQUEST_ID: &str = "x-request-id";
/// The metadata of W3C trace context.
const TRACE_PARENT: &str = "traceparent";
/// Longest id of a call that is taken from its caller.
const MAX_ID: usize = 64;

/// Where a call comes from. Nothing in it is about a patient, unless its caller put a patient into its own name.
#[derive(Debug, Clone)]
pub struct Origin {
    /// The caller's id of the call where it is well-formed, else one of ours.
    pub request_id: Arc<str>,
    /// The trace that the call is part of: 32 hex digits.
    pub trace: Option<Arc<str>>,
    /// The `traceparent` that it was sent with, where it is well-formed.
    pub parent: Option<Arc<str>>,
    /// Who calls.
    pub caller: Arc<str>,
}

impl Origin {
    /// Reads the metadata of a call.
    #[must_use]
    pub fn read(headers: &HeaderMap, caller: Option<Arc<str>>) -> Self {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let request_id = text(REQUEST_ID).filter(|id| is_id(id)).map(Arc::from);
        Self {
            request_id: request_id.unwrap_or_else(|| uuid::Uuid::now_v7().to_string().into()),
            trace: text(TRACE_PARENT).and_then(trace).map(Arc::from),
            parent: text(TRACE_PARENT).filter(|text| trace(text).is_some()).map(Arc::from),
            caller: caller.unwrap_or_else(|| "unknown".into()),
        }
    }

    /// The origin of a request that came through the guard.
    #[must_use]
    pub fn of<T>(request: &tonic::Request<T>) -> Arc<Self> {
        let found = request.extensions().get::<Arc<Self>>().cloned();
        found.unwrap_or_else(|| Arc::new(Self::read(&HeaderMap::new(), None)))
    }

    /// An answer with the id of its call.
    pub(super) fn named<B>(&self, mut response: Response<B>) -> Response<B> {
        if let Ok(id) = HeaderValue::from_str(&self.request_id) {
            response.headers_mut().insert(REQUEST_ID, id);
        }
        response
    }
}

fn is_id(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=MAX_ID).contains(&text.len()) && text.bytes().all(allowed)
}

/// The trace of a `traceparent`: version, trace, parent and flags.
fn trace(text: &str) -> Option<&str> {
    let is_hex = |part: &str, length| {
        part.len() == length && part.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    };
    let is_set = |part: &str| part.bytes().any(|byte| byte != b'0');
    let mut parts = text.split('-');
    let (version, trace, parent, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_known = is_hex(version, 2) && version != "ff" && (version != "00" || parts.next().is_none());
    let is_whole = is_hex(trace, 32) && is_set(trace) && is_hex(parent, 16) && is_set(parent) && is_hex(flags, 2);
    (is_known && is_whole).then_some(trace)
}

#[cfg(test)]
mod tests {
    use super::{Origin, REQUEST_ID, trace};
    use tonic::codegen::http::{HeaderMap, HeaderValue};

    fn id(sent: &[u8]) -> String {
        let mut headers = HeaderMap::new();
        headers.insert(REQUEST_ID, HeaderValue::from_bytes(sent).expect("a header"));
        Origin::read(&headers, None).request_id.to_string()
    }

    #[test]
    fn only_a_well_formed_id_is_taken() {
        assert_eq!(id(b"ward-3.A_7"), "ward-3.A_7");
        for wrong in [&b""[..], b"a b", b"a/b", b"\xc3\xa9", &[b'a'; 65], b"{\"a\":1}"] {
            assert!(uuid::Uuid::parse_str(&id(wrong)).is_ok(), "{wrong:?}");
        }
    }

    #[test]
    fn only_a_well_formed_trace_is_taken() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(trace(good), Some("4bf92f3577b34da6a3ce929d0e0e4736"));
        assert!(trace(&format!("01{}-later", &good[2..])).is_some());
        for wrong in [
            "",
            "00",
            &good[..54],
            &format!("{good}-x"),
            &good.to_uppercase(),
            &format!("ff{}", &good[2..]),
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        ] {
            assert_eq!(trace(wrong), None, "{wrong}");
        }
    }
}

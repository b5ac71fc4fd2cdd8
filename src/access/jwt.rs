//! Tokens that an identity provider signs.
//!
//! Owns what is accepted of them: signed with a pinned algorithm by a key of the JWKS file, for this audience, from this
//! issuer, within its time. The header of a token chooses a key by its id and nothing else.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header, errors::ErrorKind};
use serde::Deserialize;

use super::scope::{Scope, Scopes};
use super::{Caller, Denial, is_name};

/// What a scope is called inside a token, where those of other services stand beside it.
const PREFIX: &str = "rubor:";

/// What is demanded of a token.
#[derive(Debug, Clone)]
pub struct Demands {
    /// Who must have issued it.
    pub issuer: String,
    /// Whom it must be for.
    pub audience: String,
    /// How far clocks may differ, in seconds.
    pub leeway: u64,
    /// How it may be signed.
    pub algorithms: Vec<Algorithm>,
}

/// The keys that may have signed.
pub struct Keys {
    demands: Demands,
    keys: Vec<Key>,
}

struct Key {
    id: Option<String>,
    algorithms: Vec<Algorithm>,
    key: DecodingKey,
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
    /// Seconds since 1970.
    exp: f64,
    nbf: Option<f64>,
    #[serde(default)]
    scope: Words,
}

/// Scopes come as one text with spaces, or as a list.
#[derive(Deserialize)]
#[serde(untagged)]
enum Words {
    Text(String),
    List(Vec<String>),
}

impl Default for Words {
    fn default() -> Self {
        Words::List(Vec::new())
    }
}

/// Reads the name of an algorithm. Those with a shared secret are refused: a key that checks would also sign.
///
/// # Errors
/// What to write instead.
pub fn algorithm(name: &str) -> Result<Algorithm, String> {
    let usable = "use RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384 or EdDSA";
    match name.parse() {
        Ok(Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512) => {
            Err(format!("whoever can check such a token can also make one; {usable}"))
        }
        Ok(algorithm) => Ok(algorithm),
        Err(_) => Err(format!("no such algorithm; {usable}")),
    }
}

impl Keys {
    /// Reads a JWKS file.
    ///
    /// # Errors
    /// What is wrong with it; or that no key in it fits a pinned algorithm.
    pub fn read(text: &[u8], demands: Demands) -> Result<Self, String> {
        let set: JwkSet = serde_json::from_slice(text).map_err(|error| format!("not a JSON Web Key Set: {error}"))?;
        let mut keys = Vec::new();
        for (at, jwk) in set.keys.iter().enumerate() {
            if matches!(jwk.common.public_key_use, Some(PublicKeyUse::Encryption)) {
                continue;
            }
            let fitting = fitting(jwk).map_err(|reason| format!("keys[{at}]: {reason}"))?;
            let algorithms: Vec<_> = fitting.into_iter().filter(|one| demands.algorithms.contains(one)).collect();
            if algorithms.is_empty() {
                continue;
            }
            let key = DecodingKey::from_jwk(jwk).map_err(|_| format!("keys[{at}]: the key is broken"))?;
            keys.push(Key { id: jwk.common.key_id.clone(), algorithms, key });
        }
        if keys.is_empty() {
            return Err("no key fits an algorithm of --jwt-algorithms, so no token could be accepted".to_owned());
        }
        Ok(Self { demands, keys })
    }

    /// The bearer of a token, at a time that the caller's clock shows.
    ///
    /// # Errors
    /// Why the token is not accepted.
    pub fn caller(&self, token: &str, now: SystemTime) -> Result<Caller, Denial> {
        // A header that names `none`, or anything else that is no signature, is not even read.
        let header = decode_header(token).map_err(|_| Denial::Unknown)?;
        if !self.demands.algorithms.contains(&header.alg) {
            return Err(Denial::Unknown);
        }
        let mut candidates = self.keys.iter().filter(|key| header.kid.is_none() || key.id == header.kid);
        let key = candidates.next().ok_or(Denial::Unknown)?;
        if candidates.next().is_some() || !key.algorithms.contains(&header.alg) {
            return Err(Denial::Unknown);
        }
        let mut validation = Validation::new(header.alg);
        // Times are looked at below, by the clock that was given.
        validation.validate_exp = false;
        validation.set_issuer(&[&self.demands.issuer]);
        validation.set_audience(&[&self.demands.audience]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        let claims = decode::<Claims>(token, &key.key, &validation).map_err(|error| denial(error.kind()))?.claims;
        if !is_timely(&claims, self.demands.leeway, now) {
            return Err(Denial::Expired);
        }
        Ok(Caller { name: name(&claims.sub), scopes: scopes(&claims.scope) })
    }
}

/// The algorithms that a key can have signed with: its own one where it names it, else all of its kind.
fn fitting(jwk: &Jwk) -> Result<Vec<Algorithm>, String> {
    let of_kind = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => {
            use Algorithm::{PS256, PS384, PS512, RS256, RS384, RS512};
            vec![RS256, RS384, RS512, PS256, PS384, PS512]
        }
        AlgorithmParameters::EllipticCurve(key) => match key.curve {
            EllipticCurve::P256 => vec![Algorithm::ES256],
            EllipticCurve::P384 => vec![Algorithm::ES384],
            _ => Vec::new(),
        },
        AlgorithmParameters::OctetKeyPair(_) => vec![Algorithm::EdDSA],
        AlgorithmParameters::OctetKey(_) => {
            return Err("a shared secret has no place in a file of public keys; remove it".to_owned());
        }
        _ => Vec::new(),
    };
    let named = jwk.common.key_algorithm.map(|named| named.to_string());
    let named = named.and_then(|named| named.parse::<Algorithm>().ok());
    Ok(of_kind.into_iter().filter(|one| named.is_none_or(|named| named == *one)).collect())
}

/// Whether a token holds at this time. It is asked anew for each call, so that a clock that jumps denies for as long as it
/// is wrong, and no longer.
fn is_timely(claims: &Claims, leeway: u64, now: SystemTime) -> bool {
    let seconds =
        now.duration_since(UNIX_EPOCH).map_or_else(|early| -early.duration().as_secs_f64(), |at| at.as_secs_f64());
    let leeway = Duration::from_secs(leeway).as_secs_f64();
    claims.exp >= seconds - leeway && claims.nbf.is_none_or(|begin| begin <= seconds + leeway)
}

fn denial(kind: &ErrorKind) -> Denial {
    match kind {
        ErrorKind::ExpiredSignature | ErrorKind::ImmatureSignature => Denial::Expired,
        ErrorKind::InvalidAudience | ErrorKind::InvalidIssuer => Denial::Elsewhere,
        _ => Denial::Unknown,
    }
}

/// The name of a caller, for logs. One that could be anything is named by its digest.
fn name(subject: &str) -> std::sync::Arc<str> {
    if is_name(subject) { subject.into() } else { super::digest_name("sub", subject.as_bytes()).into() }
}

fn scopes(words: &Words) -> Scopes {
    let scope = |word: &str| Scope::named(word.strip_prefix(PREFIX)?);
    match words {
        Words::Text(text) => text.split(' ').filter_map(scope).collect(),
        Words::List(list) => list.iter().filter_map(|word| scope(word)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jsonwebtoken::{EncodingKey, Header, encode};
    use serde_json::json;

    const HOUR: u64 = 3600;

    #[test]
    fn a_clock_that_jumps_denies_for_as_long_as_it_is_wrong_and_no_longer() {
        let key = EncodingKey::from_ec_der(&rcgen::KeyPair::generate().expect("a key").serialize_der());
        let jwk = Jwk::from_encoding_key(&key, Algorithm::ES256).expect("a key");
        let set = serde_json::to_vec(&JwkSet { keys: vec![jwk] }).expect("JSON");
        let demands =
            Demands { issuer: "us".into(), audience: "rubor".into(), leeway: 30, algorithms: vec![Algorithm::ES256] };
        let keys = Keys::read(&set, demands).expect("a key");
        let at = 1_800_000_000;
        let claims = json!({
            "sub": "ward", "iss": "us", "aud": "rubor", "exp": at + 600, "nbf": at, "scope": "rubor:evaluate",
        });
        let token = encode(&Header::new(Algorithm::ES256), &claims, &key).expect("signed");
        let by = |seconds: u64| keys.caller(&token, UNIX_EPOCH + Duration::from_secs(seconds)).map(|_| ());
        // Forth by hours, back by hours, to the beginning of time, and to where it should be, again and again.
        for _ in 0..3 {
            assert_eq!(by(at), Ok(()));
            assert_eq!(by(at + 5 * HOUR), Err(Denial::Expired));
            assert_eq!(by(at + 600), Ok(()));
            assert_eq!(by(at - 5 * HOUR), Err(Denial::Expired));
            assert_eq!(by(0), Err(Denial::Expired));
            assert_eq!(by(u64::from(u32::MAX) * 1000), Err(Denial::Expired));
        }
        for (seconds, expected) in
            [(at + 630, Ok(())), (at + 631, Err(Denial::Expired)), (at - 30, Ok(())), (at - 31, Err(Denial::Expired))]
        {
            assert_eq!(by(seconds), expected, "at {seconds}, with half a minute of leeway");
        }
        let before = UNIX_EPOCH - Duration::from_secs(HOUR);
        assert_eq!(keys.caller(&token, before).map(|_| ()), Err(Denial::Expired), "before 1970");
    }
}

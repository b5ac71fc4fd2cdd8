//! Who may call: a token or a certificate in, a caller with scopes out.
//!
//! Owns tokens, signed tokens, scopes and the files behind them. It opens no socket, and it says nothing of a token but
//! whether it is accepted: `grpc::guard` asks it before every call.

pub mod hex;
pub mod jwt;
pub mod scope;
pub mod token;
pub mod watched;

use std::sync::Arc;
use std::time::SystemTime;

use sha2::{Digest as _, Sha256};

use jwt::{Demands, Keys};
use scope::{Method, Scopes};
use token::Tokens;
use watched::{Look, Watched};

use crate::config::AccessArgs;

/// Longest name of a caller.
pub const MAX_NAME: usize = 64;
/// How tokens are presented, in lower case.
const BEARER: &str = "bearer ";

/// Somebody who calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// As logs name it.
    pub name: Arc<str>,
    /// What it may do.
    pub scopes: Scopes,
}

/// Who is at the other end of a connection, as far as it tells.
#[derive(Debug, Clone, Default)]
pub struct Peer {
    /// The name of the client's certificate.
    pub certificate: Option<Arc<str>>,
}

/// Why somebody may not call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denial {
    /// No token was sent.
    Missing,
    /// The token is not one that this server accepts.
    Unknown,
    /// The token was accepted once, or will be.
    Expired,
    /// The token is for another service, or from another issuer.
    Elsewhere,
    /// The caller is known and may not call this method.
    Scope(scope::Scope),
}

impl Denial {
    /// All names.
    pub const NAMES: [&str; 5] = ["missing", "unknown", "expired", "audience_or_issuer", "scope"];

    /// Its name in metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Denial::Missing => "missing",
            Denial::Unknown => "unknown",
            Denial::Expired => "expired",
            Denial::Elsewhere => "audience_or_issuer",
            Denial::Scope(_) => "scope",
        }
    }
}

/// Everybody who may call.
#[derive(Default)]
pub struct Access {
    tokens: Option<Arc<Watched<Tokens>>>,
    keys: Option<Arc<Watched<Keys>>>,
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Access")
    }
}

impl Access {
    /// Reads the files that the operator named.
    ///
    /// # Errors
    /// What is wrong with one of them.
    pub fn open(args: &AccessArgs) -> Result<Self, String> {
        let tokens = args.tokens.as_ref().map(|path| {
            Watched::open("--tokens", vec![path.clone()], |files| Tokens::read(&files.concat())).map(Arc::new)
        });
        let keys = args.jwks.as_ref().map(|path| {
            let demands = Demands {
                issuer: args.jwt_issuer.clone().unwrap_or_default(),
                audience: args.jwt_audience.clone().unwrap_or_default(),
                leeway: args.jwt_leeway.as_secs(),
                algorithms: args.jwt_algorithms.clone(),
            };
            let read = move |files: &[Vec<u8>]| Keys::read(&files.concat(), demands.clone());
            Watched::open("--jwks", vec![path.clone()], read).map(Arc::new)
        });
        Ok(Self { tokens: tokens.transpose()?, keys: keys.transpose()? })
    }

    /// The files that must be looked at again and again.
    #[must_use]
    pub fn files(&self) -> Vec<Arc<dyn Look>> {
        let tokens = self.tokens.iter().map(|file| Arc::clone(file) as Arc<dyn Look>);
        tokens.chain(self.keys.iter().map(|file| Arc::clone(file) as Arc<dyn Look>)).collect()
    }

    /// Whether a caller must have a token.
    #[must_use]
    pub fn wants_tokens(&self) -> bool {
        self.tokens.is_some() || self.keys.is_some()
    }

    /// Lets a caller in or not. `authorization` is the header as it was sent; `certificate` names the one that the
    /// connection was opened with.
    ///
    /// # Errors
    /// Why not.
    pub fn admit(
        &self,
        method: Method,
        authorization: Option<&[u8]>,
        certificate: Option<&Arc<str>>,
    ) -> Result<Caller, Denial> {
        let without_token = || Caller {
            name: certificate.cloned().unwrap_or_else(|| "anonymous".into()),
            // Where no token is asked for, whoever can connect may call: loopback, a client certificate or the network
            // decides who that is.
            scopes: if self.wants_tokens() { Scopes::default() } else { Scopes::all() },
        };
        let Some(needed) = method.scope else { return Ok(without_token()) };
        let caller = if self.wants_tokens() { self.bearer(authorization)? } else { without_token() };
        if caller.scopes.has(needed) { Ok(caller) } else { Err(Denial::Scope(needed)) }
    }

    fn bearer(&self, authorization: Option<&[u8]>) -> Result<Caller, Denial> {
        let header = std::str::from_utf8(authorization.ok_or(Denial::Missing)?).map_err(|_| Denial::Unknown)?;
        let scheme = header.get(..BEARER.len()).ok_or(Denial::Unknown)?;
        if !scheme.eq_ignore_ascii_case(BEARER) {
            return Err(Denial::Unknown);
        }
        let token = header[BEARER.len()..].trim();
        if let Some(caller) = self.tokens.as_ref().and_then(|tokens| tokens.current().caller(token).cloned()) {
            return Ok(caller);
        }
        #[allow(clippy::disallowed_methods, reason = "this is where tokens meet the clock")]
        let now = SystemTime::now();
        self.keys.as_ref().map_or(Err(Denial::Unknown), |keys| keys.current().caller(token, now))
    }
}

/// A name for something that has none, from its digest.
#[must_use]
pub fn digest_name(kind: &str, bytes: &[u8]) -> String {
    let digest: [u8; 32] = Sha256::digest(bytes).into();
    format!("{kind}:{}", hex::encode(&digest[..8]))
}

/// Whether a text may stand in a log as the name of a caller.
#[must_use]
pub fn is_name(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-@".contains(&byte);
    (1..=MAX_NAME).contains(&text.len()) && text.bytes().all(allowed)
}

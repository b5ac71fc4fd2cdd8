//! Static bearer tokens, of which only digests are kept.
//!
//! Owns the file of tokens: one line a token, `name scopes sha256:digest`. A token is thirty-two random bytes, so that
//! a plain digest of it tells nothing.

use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConditionallySelectable as _, ConstantTimeEq as _};

use super::scope::{Scope, Scopes};
use super::{Caller, MAX_NAME, hex, is_name};

/// What every token begins with, so that a scanner of leaked secrets can find it.
const PREFIX: &str = "rubor_";
const DIGEST: &str = "sha256:";
const LINE: &str = "write `NAME SCOPE,SCOPE sha256:DIGEST`, as `rubor token` prints it";

/// The tokens that are accepted.
#[derive(Debug, Default)]
pub struct Tokens(Vec<Token>);

#[derive(Debug)]
struct Token {
    digest: [u8; 32],
    caller: Caller,
}

impl Tokens {
    /// Reads a file of tokens.
    ///
    /// # Errors
    /// The first line that is wrong. No line is quoted: it may hold a token by mistake.
    pub fn read(text: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(text).map_err(|_| "the file is not UTF-8".to_owned())?;
        let mut tokens: Vec<Token> = Vec::new();
        for (at, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            let token = read_line(line).map_err(|reason| format!("line {}: {reason}", at + 1))?;
            if tokens.iter().any(|other| other.digest == token.digest) {
                return Err(format!("line {}: this digest is here before; remove one of the lines", at + 1));
            }
            tokens.push(token);
        }
        Ok(Self(tokens))
    }

    /// The caller with this token. It takes the same time whether one fits or not, and whichever does.
    #[must_use]
    pub fn caller(&self, token: &str) -> Option<&Caller> {
        let digest: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        let (mut found, mut which) = (Choice::from(0), 0_u64);
        for (at, known) in (0_u64..).zip(&self.0) {
            let fits = known.digest.ct_eq(&digest);
            which.conditional_assign(&at, fits);
            found |= fits;
        }
        let at = usize::try_from(which).ok().filter(|_| bool::from(found))?;
        self.0.get(at).map(|token| &token.caller)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn read_line(line: &str) -> Result<Token, String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [name, scopes, digest] = words[..] else { return Err(LINE.to_owned()) };
    if !is_name(name) {
        return Err(format!("the name is letters, digits, `.`, `_`, `-`, `@`, at most {MAX_NAME}; {LINE}"));
    }
    let scopes = read_scopes(scopes)?;
    let hex = digest.strip_prefix(DIGEST).ok_or_else(|| LINE.to_owned())?;
    let digest = hex::decode(hex).ok_or_else(|| format!("the digest is 64 hex digits; {LINE}"))?;
    Ok(Token { digest, caller: Caller { name: name.into(), scopes } })
}

/// Reads scopes with commas between them.
///
/// # Errors
/// A name that is no scope.
pub fn read_scopes(text: &str) -> Result<Scopes, String> {
    let scopes: Option<Scopes> = text.split(',').map(Scope::named).collect();
    scopes.ok_or_else(|| "the scopes are `evaluate`, `read`, `administer`, with commas between them".to_owned())
}

/// A new token and the line that lets its bearer in.
///
/// # Errors
/// When the system has no random bytes.
pub fn make(name: &str, scopes: Scopes) -> Result<(String, String), String> {
    if !is_name(name) {
        return Err(format!("--name: letters, digits, `.`, `_`, `-`, `@`, at most {MAX_NAME} of them"));
    }
    let mut random = [0; 32];
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    provider.secure_random.fill(&mut random).map_err(|_| "the system has no random bytes".to_owned())?;
    let token = format!("{PREFIX}{}", hex::encode(&random));
    Ok((token.clone(), line(name, scopes, &token)))
}

/// The line of a file of tokens that lets the bearer of `token` in.
#[must_use]
pub fn line(name: &str, scopes: Scopes, token: &str) -> String {
    let scopes: Vec<&str> = Scope::ALL.into_iter().filter(|scope| scopes.has(*scope)).map(Scope::name).collect();
    let digest: [u8; 32] = Sha256::digest(token.as_bytes()).into();
    format!("{name} {} {DIGEST}{}", scopes.join(","), hex::encode(&digest))
}

#[cfg(test)]
mod tests {
    use super::{Scope, Scopes, Tokens, line, make};

    #[test]
    fn only_the_bearer_of_a_token_is_let_in() {
        let (first, first_line) = make("ward-3", [Scope::Evaluate].into_iter().collect()).expect("made");
        let (second, second_line) = make("operator@site", Scopes::all()).expect("made");
        let text = format!("# tokens\n\n{first_line}  # a ward\n{second_line}\n");
        let tokens = Tokens::read(text.as_bytes()).expect("good");
        assert_eq!(tokens.len(), 2);
        let caller = tokens.caller(&first).expect("known");
        assert!(&*caller.name == "ward-3" && caller.scopes.has(Scope::Evaluate) && !caller.scopes.has(Scope::Read));
        assert!(tokens.caller(&second).expect("known").scopes.has(Scope::Administer));
        for wrong in ["", "rubor_", &first[1..], &first.to_uppercase(), &format!("{first} "), &first_line] {
            assert!(tokens.caller(wrong).is_none(), "{wrong}");
        }
        assert!(!text.contains(&first) && Tokens::default().caller(&first).is_none());
    }

    #[test]
    fn a_wrong_line_is_named_and_not_quoted() {
        let digest = line("a", Scopes::all(), "x");
        let (_, digest) = digest.rsplit_once(' ').expect("a line");
        for wrong in [
            "zq9canaryqz".to_owned(),
            format!("zq9canaryqz evaluate,all {digest}"),
            format!("zq9/canary evaluate {digest}"),
            "zq9canaryqz evaluate sha256:12".to_owned(),
            "zq9canaryqz evaluate rubor_zq9canaryqz".to_owned(),
            format!("a read {digest}\nb read {digest}"),
        ] {
            let error = Tokens::read(format!("# first\n{wrong}").as_bytes()).expect_err("refused");
            assert!(error.starts_with("line ") && !error.contains("canary"), "{error}");
        }
        assert!(Tokens::read(b"").expect("nobody is let in").is_empty());
    }
}

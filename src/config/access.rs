//! Settings of who may call, and over what.
//!
//! Owns the flags. What they mean is `access`'s and `server`'s.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use jsonwebtoken::Algorithm;

use super::time;
use crate::access::jwt;

/// Settings of who may call.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Who may call")]
pub struct AccessArgs {
    /// Serve without TLS on an address that is not loopback, because something else protects the network
    #[arg(long, env = "RUBOR_ALLOW_PLAINTEXT")]
    pub allow_plaintext: bool,

    /// The server's certificates, its own first (PEM); read again when the file changes
    #[arg(long, env = "RUBOR_TLS_CERT", value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,

    /// The key of the first certificate (PEM)
    #[arg(long, env = "RUBOR_TLS_KEY", value_name = "FILE")]
    pub tls_key: Option<PathBuf>,

    /// Certificates of those who sign clients' certificates (PEM); a client without one is refused
    #[arg(long, env = "RUBOR_CLIENT_CA", value_name = "FILE")]
    pub client_ca: Option<PathBuf>,

    /// Lists of clients' certificates that are revoked (PEM), one of each authority; read again when the file changes
    #[arg(long, env = "RUBOR_CLIENT_CRL", value_name = "FILE")]
    pub client_crl: Option<PathBuf>,

    /// Tokens that are accepted: a file of lines `NAME SCOPE,SCOPE sha256:DIGEST`, as `rubor token` prints them
    #[arg(long, env = "RUBOR_TOKENS", value_name = "FILE")]
    pub tokens: Option<PathBuf>,

    /// Keys of an identity provider whose signed tokens (JWT) are accepted: a JSON Web Key Set
    #[arg(long, env = "RUBOR_JWKS", value_name = "FILE")]
    pub jwks: Option<PathBuf>,

    /// The only issuer (`iss`) of signed tokens
    #[arg(long, env = "RUBOR_JWT_ISSUER", value_name = "TEXT")]
    pub jwt_issuer: Option<String>,

    /// The audience (`aud`) that signed tokens must be for
    #[arg(long, env = "RUBOR_JWT_AUDIENCE", value_name = "TEXT")]
    pub jwt_audience: Option<String>,

    /// How far the clock of the identity provider may differ
    #[arg(long, env = "RUBOR_JWT_LEEWAY", value_name = "TIME", default_value = "30s", value_parser = time)]
    pub jwt_leeway: Duration,

    /// How tokens may be signed
    #[arg(
        long, env = "RUBOR_JWT_ALGORITHMS", value_name = "NAME,NAME", default_value = "RS256,ES256",
        value_delimiter = ',', value_parser = jwt::algorithm
    )]
    pub jwt_algorithms: Vec<Algorithm>,

    /// Do not tell callers the contract by reflection
    #[arg(long, env = "RUBOR_NO_REFLECTION")]
    pub no_reflection: bool,

    /// Where web pages may come from that call over gRPC-Web, such as https://ward.example.org
    #[arg(long, env = "RUBOR_CORS_ORIGIN", value_name = "ORIGIN,ORIGIN", value_delimiter = ',')]
    pub cors_origin: Vec<String>,
}

//! Who may call, as an attacker tries it: real clients, real tokens and certificates, against a real server.

#![allow(clippy::disallowed_methods, reason = "tests write the files of credentials")]

mod grpc_support;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use grpc_support::{Served, connect, emergency, until};
use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rcgen::{BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, IsCa, KeyIdMethod};
use rcgen::{KeyPair, PKCS_RSA_SHA256, RevokedCertParams, SerialNumber};
use rubor::access::scope::{Scope, Scopes};
use rubor::access::token;
use rubor::config::ServeArgs;
use rubor::grpc::proto;
use rubor::grpc::proto::knowledge_service_client::KnowledgeServiceClient;
use rubor::grpc::proto::triage_service_client::TriageServiceClient;
use serde_json::{Value, json};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Code, Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

const CANARY: &str = "zq9canaryqz";
const ISSUER: &str = "https://identity.example.org";
const AUDIENCE: &str = "rubor";

// --- Signed tokens --------------------------------------------------------------------------------------------------

/// A key of an identity provider, and its public half as a JSON Web Key.
struct Signer {
    key: EncodingKey,
    algorithm: Algorithm,
    jwk: Jwk,
}

impl Signer {
    fn new(algorithm: Algorithm, id: &str) -> Self {
        let key = match algorithm {
            Algorithm::ES256 => EncodingKey::from_ec_der(&KeyPair::generate().expect("a key").serialize_der()),
            _ => {
                let pair = KeyPair::generate_for(&PKCS_RSA_SHA256).expect("a key").serialize_der();
                // Behind the header of PKCS#8, of 26 bytes, lies the key alone.
                EncodingKey::from_rsa_der(&pair[26..])
            }
        };
        let mut jwk = Jwk::from_encoding_key(&key, algorithm).expect("a key");
        jwk.common.key_id = Some(id.to_owned());
        Signer { key, algorithm, jwk }
    }

    fn sign(&self, claims: &Value) -> String {
        let header = Header { kid: self.jwk.common.key_id.clone(), ..Header::new(self.algorithm) };
        jsonwebtoken::encode(&header, claims, &self.key).expect("signed")
    }
}

fn now() -> u64 {
    jsonwebtoken::get_current_timestamp()
}

fn claims(change: impl FnOnce(&mut Value)) -> Value {
    let mut claims = json!({
        "sub": "ward-3", "iss": ISSUER, "aud": AUDIENCE, "exp": now() + 600, "scope": "openid rubor:evaluate",
    });
    change(&mut claims);
    claims
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for at in 0..=chunk.len() {
            text.push(char::from(DIGITS[(bits >> (18 - 6 * at) & 63) as usize]));
        }
    }
    text
}

/// A token with a header as an attacker writes it.
fn forged(header: &Value, claims: &Value, signature: &str) -> String {
    format!("{}.{}.{signature}", base64(header.to_string().as_bytes()), base64(claims.to_string().as_bytes()))
}

// --- Calls ----------------------------------------------------------------------------------------------------------

fn bearing<T>(message: T, token: Option<&str>) -> Request<T> {
    let mut request = Request::new(message);
    if let Some(token) = token {
        let value = format!("Bearer {token}").parse().expect("metadata");
        request.metadata_mut().insert("authorization", value);
    }
    request
}

async fn evaluate(channel: &Channel, token: Option<&str>) -> Result<(), Status> {
    TriageServiceClient::new(channel.clone()).evaluate(bearing(emergency(), token)).await.map(drop)
}

async fn evaluate_stream(channel: &Channel, token: Option<&str>) -> Result<(), Status> {
    let none = tokio_stream::iter(Vec::new());
    TriageServiceClient::new(channel.clone()).evaluate_stream(bearing(none, token)).await.map(drop)
}

async fn get_status(channel: &Channel, token: Option<&str>) -> Result<(), Status> {
    KnowledgeServiceClient::new(channel.clone()).get_status(bearing(proto::GetStatusRequest {}, token)).await.map(drop)
}

async fn watch_status(channel: &Channel, token: Option<&str>) -> Result<(), Status> {
    let watched = bearing(proto::WatchStatusRequest {}, token);
    KnowledgeServiceClient::new(channel.clone()).watch_status(watched).await.map(drop)
}

async fn reload(channel: &Channel, token: Option<&str>) -> Result<(), Status> {
    KnowledgeServiceClient::new(channel.clone())
        .reload_rules(bearing(proto::ReloadRulesRequest {}, token))
        .await
        .map(drop)
}

async fn is_healthy(channel: &Channel) -> bool {
    HealthClient::new(channel.clone()).check(HealthCheckRequest::default()).await.is_ok()
}

/// The outcome of a call, as the tables of attempts show it.
fn outcome(result: Result<(), Status>) -> Code {
    match result {
        Ok(()) => Code::Ok,
        Err(status) => {
            assert!(!format!("{status:?}").contains(CANARY), "{status:?}");
            status.code()
        }
    }
}

// --- Tokens ---------------------------------------------------------------------------------------------------------

struct Tokens {
    folder: tempfile::TempDir,
}

impl Tokens {
    fn new() -> Self {
        Tokens { folder: tempfile::tempdir().expect("a folder") }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        std::fs::write(self.path(name), text).expect("written");
        self.path(name)
    }
}

fn scopes(scopes: &[Scope]) -> Scopes {
    scopes.iter().copied().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_method_asks_for_its_scope_and_health_for_none() {
    let files = Tokens::new();
    let made = |name: &str, scope| token::make(name, scopes(&[scope])).expect("made");
    let [(evaluates, first), (reads, second), (administers, third)] =
        [made("ward", Scope::Evaluate), made("viewer", Scope::Read), made("operator", Scope::Administer)];
    let path = files.write("tokens", &format!("{first}\n{second}\n{third}\n"));
    let served = Served::start_with(|args| args.access.tokens = Some(path)).await;
    let channel = &served.channel;
    let unknown = format!("rubor_{CANARY}");
    let (no, wrong) = (Code::Unauthenticated, Code::PermissionDenied);
    let attempts = [
        ("no token", None, [no; 5]),
        ("an unknown token", Some(unknown.as_str()), [no; 5]),
        ("the digest line as token", Some(first.as_str()), [no; 5]),
        ("evaluate", Some(&evaluates), [Code::Ok, Code::Ok, wrong, wrong, wrong]),
        ("read", Some(&reads), [wrong, wrong, Code::Ok, Code::Ok, wrong]),
        ("administer", Some(&administers), [wrong, wrong, wrong, wrong, Code::Ok]),
    ];
    for (name, token, expected) in attempts {
        let found = [
            outcome(evaluate(channel, token).await),
            outcome(evaluate_stream(channel, token).await),
            outcome(get_status(channel, token).await),
            outcome(watch_status(channel, token).await),
            outcome(reload(channel, token).await),
        ];
        println!("{name}: Evaluate, EvaluateStream, GetStatus, WatchStatus, ReloadRules: {found:?}");
        assert_eq!(found, expected, "{name}");
    }
    assert!(is_healthy(channel).await);
    let (_, metrics) = served.admin("/metrics").await;
    assert!(metrics.contains(r#"rubor_calls_denied_total{reason="missing"} 5"#), "{metrics}");
    assert!(!metrics.contains(CANARY));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_taken_out_of_the_file_is_out_at_once() {
    let files = Tokens::new();
    let (token, line) = token::make("ward", Scopes::all()).expect("made");
    let path = files.write("tokens", &line);
    let served = Served::start_with(|args| args.access.tokens = Some(path)).await;
    assert_eq!(outcome(evaluate(&served.channel, Some(&token)).await), Code::Ok);
    // A slip of the pen lets nobody in and nobody out.
    files.write("tokens", "not a line");
    until(async || served.admin("/metrics").await.1.contains(r#"successful{flag="--tokens"} 0"#)).await;
    assert_eq!(outcome(evaluate(&served.channel, Some(&token)).await), Code::Ok);
    files.write("tokens", "# nobody\n");
    until(async || outcome(evaluate(&served.channel, Some(&token)).await) == Code::Unauthenticated).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_attempt_on_signed_tokens_gets_in() {
    let files = Tokens::new();
    let (rsa, ec) = (Signer::new(Algorithm::RS256, "rsa"), Signer::new(Algorithm::ES256, "ec"));
    let stranger = Signer::new(Algorithm::ES256, "ec");
    let keys = |keys: Vec<&Signer>| {
        let set = JwkSet { keys: keys.iter().map(|signer| signer.jwk.clone()).collect() };
        serde_json::to_string(&set).expect("JSON")
    };
    let path = files.write("jwks.json", &keys(vec![&rsa, &ec]));
    let served = Served::start_with(|args| {
        args.access.jwks = Some(path);
        args.access.jwt_issuer = Some(ISSUER.into());
        args.access.jwt_audience = Some(AUDIENCE.into());
    })
    .await;

    let good = claims(|_| {});
    // The public key of the provider, in the form that its file has, used as a shared secret.
    let public = serde_json::to_string(&rsa.jwk).expect("JSON");
    let confused = Header { kid: Some("rsa".into()), ..Header::new(Algorithm::HS256) };
    let confused =
        jsonwebtoken::encode(&confused, &good, &EncodingKey::from_secret(public.as_bytes())).expect("signed");
    let signed = rsa.sign(&good);
    let (head, signature) = signed.rsplit_once('.').expect("a token");
    let (header, _) = head.split_once('.').expect("a token");
    let altered =
        format!("{header}.{}.{signature}", base64(claims(|claims| claims["sub"] = "b".into()).to_string().as_bytes()));
    let with = |change: fn(&mut Value)| ec.sign(&claims(change));
    let without = |name: &str| ec.sign(&claims(|claims| drop(claims.as_object_mut().expect("an object").remove(name))));

    let (ok, no, wrong) = (Code::Ok, Code::Unauthenticated, Code::PermissionDenied);
    let attempts = [
        ("RS256", signed.clone(), ok),
        ("ES256", ec.sign(&good), ok),
        ("scopes as a list", with(|claims| claims["scope"] = json!(["rubor:evaluate"])), ok),
        ("a list of audiences", with(|claims| claims["aud"] = json!(["other", AUDIENCE])), ok),
        ("expired within the leeway", with(|claims| claims["exp"] = json!(now() - 10)), ok),
        ("expired", with(|claims| claims["exp"] = json!(now() - 60)), no),
        ("not valid yet", with(|claims| claims["nbf"] = json!(now() + 600)), no),
        ("wrong audience", with(|claims| claims["aud"] = json!("other")), no),
        ("wrong issuer", with(|claims| claims["iss"] = json!("https://evil.example.org")), no),
        ("no expiry", without("exp"), no),
        ("no audience", without("aud"), no),
        ("no issuer", without("iss"), no),
        ("no subject", without("sub"), no),
        ("no scope", without("scope"), wrong),
        ("a scope of another service", with(|claims| claims["scope"] = json!("evaluate")), wrong),
        ("the scope of reading", with(|claims| claims["scope"] = json!("rubor:read")), wrong),
        ("alg: none", forged(&json!({ "alg": "none", "kid": "rsa" }), &good, ""), no),
        ("alg: None", forged(&json!({ "alg": "None" }), &good, ""), no),
        ("RS/HS confusion", confused, no),
        ("RS256 with the key for ES256", forged(&json!({ "alg": "RS256", "kid": "ec" }), &good, "AAAA"), no),
        ("signed by a stranger with the same key id", stranger.sign(&good), no),
        ("an unknown key id", forged(&json!({ "alg": "ES256", "kid": "other" }), &good, "AAAA"), no),
        ("a key inside the token", forged(&json!({ "alg": "ES256", "jwk": stranger.jwk }), &good, "AAAA"), no),
        ("altered claims", altered, no),
        ("no token", format!("{CANARY}.{CANARY}.{CANARY}"), no),
    ];
    for (name, token, expected) in attempts {
        let found = outcome(evaluate(&served.channel, Some(&token)).await);
        println!("{name}: {found:?}");
        assert_eq!(found, expected, "{name}");
    }

    // The provider retires a key.
    files.write("jwks.json", &keys(vec![&ec]));
    until(async || outcome(evaluate(&served.channel, Some(&signed)).await) == Code::Unauthenticated).await;
    assert_eq!(outcome(evaluate(&served.channel, Some(&ec.sign(&good))).await), Code::Ok);
}

#[tokio::test]
async fn a_shared_secret_is_no_public_key() {
    let files = Tokens::new();
    let secret = json!({ "keys": [{ "kty": "oct", "kid": "a", "k": "c2VjcmV0" }] });
    let path = files.write("jwks.json", &secret.to_string());
    let error = refusal(|args| {
        args.access.jwks = Some(path);
        args.access.jwt_issuer = Some(ISSUER.into());
        args.access.jwt_audience = Some(AUDIENCE.into());
    })
    .await;
    assert!(error.contains("--jwks") && error.contains("shared secret") && !error.contains("c2VjcmV0"), "{error}");
    assert!(rubor::access::jwt::algorithm("HS256").is_err() && rubor::access::jwt::algorithm("none").is_err());
}

#[tokio::test]
async fn reflection_can_be_closed() {
    use tonic_reflection::pb::v1::ServerReflectionRequest;
    use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
    use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
    for closed in [false, true] {
        let served = Served::start_with(|args| args.access.no_reflection = closed).await;
        let asked = ServerReflectionRequest {
            host: String::new(),
            message_request: Some(MessageRequest::ListServices(String::new())),
        };
        let answer = ServerReflectionClient::new(served.channel.clone())
            .server_reflection_info(tokio_stream::iter([asked]))
            .await;
        assert_eq!(answer.err().map(|status| status.code()), closed.then_some(Code::Unimplemented));
    }
}

/// What a server says that does not start.
async fn refusal(change: impl FnOnce(&mut ServeArgs)) -> String {
    let rules = grpc_support::Rules::small();
    let mut args = grpc_support::args();
    change(&mut args);
    match rubor::server::start(&args, rules.keeper()).await {
        Ok(_) => panic!("it starts"),
        Err(error) => error,
    }
}

#[tokio::test]
async fn the_network_gets_no_plaintext_unless_it_is_said_so() {
    let error = refusal(|args| args.listen = "0.0.0.0:0".into()).await;
    for part in ["--listen 0.0.0.0", "--tls-cert", "--allow-plaintext"] {
        assert!(error.contains(part), "{error}");
    }
    let served = Served::start_with(|args| {
        args.listen = "0.0.0.0:0".into();
        args.access.allow_plaintext = true;
    })
    .await;
    assert_eq!(outcome(evaluate(&served.channel, None).await), Code::Ok);
}

// --- TLS ------------------------------------------------------------------------------------------------------------

/// Somebody who signs certificates.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Authority(CertifiedIssuer::self_signed(params, key).expect("signed"))
    }

    fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate and its key.
    fn issue(&self, name: &str) -> (String, String) {
        self.issue_numbered(name, None)
    }

    /// The same with a number, by which it can be revoked.
    fn issue_numbered(&self, name: &str, number: Option<u64>) -> (String, String) {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("parameters");
        params.serial_number = number.map(SerialNumber::from);
        (params.signed_by(&key, &self.0).expect("signed").pem(), key.serialize_pem())
    }
}

impl Authority {
    /// A list of the certificates that are revoked.
    fn revoke(&self, numbers: &[u64]) -> String {
        let revoked = numbers.iter().map(|number| RevokedCertParams {
            serial_number: SerialNumber::from(*number),
            revocation_time: rcgen::date_time_ymd(2026, 1, 1),
            reason_code: None,
            invalidity_date: None,
        });
        let list = CertificateRevocationListParams {
            this_update: rcgen::date_time_ymd(2026, 1, 1),
            next_update: rcgen::date_time_ymd(2100, 1, 1),
            crl_number: SerialNumber::from(1_u64),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.0).expect("signed").pem().expect("written")
    }
}

async fn connect_tls(
    address: SocketAddr,
    authority: &Authority,
    identity: Option<&(String, String)>,
) -> Result<Channel, tonic::transport::Error> {
    let mut tls =
        ClientTlsConfig::new().ca_certificate(Certificate::from_pem(authority.pem())).domain_name("localhost");
    if let Some((cert, key)) = identity {
        tls = tls.identity(Identity::from_pem(cert, key));
    }
    Endpoint::from_shared(format!("https://{address}")).expect("an address").tls_config(tls)?.connect().await
}

/// Connects anew and has a patient evaluated.
async fn evaluates(address: SocketAddr, authority: &Authority, identity: Option<&(String, String)>) -> bool {
    match connect_tls(address, authority, identity).await {
        Ok(channel) => evaluate(&channel, None).await.is_ok(),
        Err(_) => false,
    }
}

struct Secure {
    files: Tokens,
    running: rubor::server::Running,
    _rules: grpc_support::Rules,
}

impl Secure {
    async fn start(certificate: &(String, String), clients: Option<&Authority>) -> Self {
        Self::start_with(certificate, clients, None).await
    }

    async fn start_with(certificate: &(String, String), clients: Option<&Authority>, revoked: Option<&str>) -> Self {
        let files = Tokens::new();
        let mut args = grpc_support::args();
        args.access.tls_cert = Some(files.write("tls.crt", &certificate.0));
        args.access.tls_key = Some(files.write("tls.key", &certificate.1));
        args.access.client_ca = clients.map(|authority| files.write("clients.crt", &authority.pem()));
        args.access.client_crl = revoked.map(|list| files.write("revoked.crl", list));
        args.limits.handshake_timeout = Duration::from_millis(500);
        let rules = grpc_support::Rules::small();
        let running = rubor::server::start(&args, rules.keeper()).await.expect("starts");
        Secure { files, running, _rules: rules }
    }
}

/// What a server answers to these bytes before it closes the connection, and how long that takes.
fn shout(address: SocketAddr, bytes: &[u8]) -> (Vec<u8>, Duration) {
    let started = std::time::Instant::now();
    let mut stream = TcpStream::connect(address).expect("connects");
    stream.set_read_timeout(Some(Duration::from_secs(5))).expect("set");
    stream.write_all(bytes).expect("sent");
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    (answer, started.elapsed())
}

/// The first message of a client that knows nothing newer than TLS 1.1.
fn hello_of_tls_1_1() -> Vec<u8> {
    let mut body = vec![3, 2];
    body.extend([7; 32]);
    // No session, two old cipher suites, no compression.
    body.extend([0, 0, 4, 0xc0, 0x13, 0x00, 0x2f, 1, 0]);
    // How it can sign, and on which curve.
    body.extend([0, 16, 0, 13, 0, 4, 0, 2, 4, 3, 0, 10, 0, 4, 0, 2, 0, 23]);
    let length = u8::try_from(body.len()).expect("short");
    let mut record = vec![22, 3, 1, 0, length + 4, 1, 0, 0, length];
    record.extend(body);
    record
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_is_new_enough_and_nothing_else_is_answered() {
    let authority = Authority::new();
    let secure = Secure::start(&authority.issue("localhost"), None).await;
    let address = secure.running.address();
    assert!(evaluates(address, &authority, None).await);
    assert!(!evaluates(address, &Authority::new(), None).await, "a client notices another server");

    let plaintext = Endpoint::from_shared(format!("http://{address}")).expect("an address").connect().await;
    let plaintext = match plaintext {
        Ok(channel) => evaluate(&channel, None).await.is_ok(),
        Err(_) => false,
    };
    assert!(!plaintext, "plaintext to the TLS port");
    let (answer, _) = tokio::task::spawn_blocking(move || shout(address, &hello_of_tls_1_1())).await.expect("asked");
    // A fatal alert: protocol version.
    assert_eq!((answer.first(), answer.get(5..7)), (Some(&21), Some(&[2, 70][..])), "{answer:?}");
    let (answer, took) = tokio::task::spawn_blocking(move || shout(address, b"")).await.expect("asked");
    assert!(answer.is_empty() && took < Duration::from_secs(3), "a silent connection is closed: {took:?}");
    assert!(evaluates(address, &authority, None).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_read_again() {
    let (first, second) = (Authority::new(), Authority::new());
    let secure = Secure::start(&first.issue("localhost"), None).await;
    let address = secure.running.address();
    let open = connect_tls(address, &first, None).await.expect("connects");
    let (cert, key) = second.issue("localhost");
    // Between the two writes certificate and key do not go together: the old pair holds.
    secure.files.write("tls.crt", &cert);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(evaluates(address, &first, None).await);
    secure.files.write("tls.key", &key);
    until(async || evaluates(address, &second, None).await).await;
    assert!(!evaluates(address, &first, None).await);
    assert!(evaluate(&open, None).await.is_ok(), "an open connection goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_needs_a_certificate_of_the_right_authority() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let secure = Secure::start(&authority.issue("localhost"), Some(&clients)).await;
    let address = secure.running.address();
    let (known, stranger) = (clients.issue("ward-3"), Authority::new().issue("ward-3"));
    assert!(evaluates(address, &authority, Some(&known)).await);
    assert!(!evaluates(address, &authority, None).await, "no certificate");
    assert!(!evaluates(address, &authority, Some(&stranger)).await, "a certificate of a stranger");
    // The authority is replaced: what it signed is revoked, also for a client that was here before.
    let others = Authority::new();
    secure.files.write("clients.crt", &others.pem());
    until(async || evaluates(address, &authority, Some(&others.issue("ward-4"))).await).await;
    assert!(!evaluates(address, &authority, Some(&known)).await, "revoked");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_certificate_stays_out_once_the_list_says_so() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let secure = Secure::start_with(&authority.issue("localhost"), Some(&clients), Some(&clients.revoke(&[]))).await;
    let address = secure.running.address();
    let [first, second] = [7, 8].map(|number| clients.issue_numbered("ward-3", Some(number)));
    assert!(evaluates(address, &authority, Some(&first)).await && evaluates(address, &authority, Some(&second)).await);
    secure.files.write("revoked.crl", &clients.revoke(&[7]));
    until(async || !evaluates(address, &authority, Some(&first)).await).await;
    assert!(evaluates(address, &authority, Some(&second)).await, "the other one is not revoked");
    // A list that is broken, or somebody else's, lets nobody in again.
    for wrong in [CANARY.to_owned(), Authority::new().revoke(&[])] {
        secure.files.write("revoked.crl", &wrong);
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(!evaluates(address, &authority, Some(&first)).await);
    }
    secure.files.write("revoked.crl", &clients.revoke(&[8]));
    until(async || evaluates(address, &authority, Some(&first)).await).await;
    assert!(!evaluates(address, &authority, Some(&second)).await);
    let error = refusal(|args| args.access.client_crl = Some("revoked.crl".into())).await;
    assert!(error.contains("--client-crl needs --client-ca"), "{error}");
}

#[tokio::test]
async fn broken_credentials_keep_the_server_from_starting() {
    let files = Tokens::new();
    let (cert, key) = Authority::new().issue("localhost");
    let (_, other) = Authority::new().issue("localhost");
    let attempt = async |cert: &str, key: &str| {
        let (cert, key) = (files.write("tls.crt", cert), files.write("tls.key", key));
        refusal(|args| (args.access.tls_cert, args.access.tls_key) = (Some(cert), Some(key))).await
    };
    for (name, error) in [
        ("no PEM", attempt(CANARY, &key).await),
        ("no key", attempt(&cert, CANARY).await),
        ("another key", attempt(&cert, &other).await),
    ] {
        assert!(error.contains("--tls-") && !error.contains(CANARY), "{name}: {error}");
    }
    let missing = files.path("nowhere");
    let error = refusal(|args| args.access.tokens = Some(missing)).await;
    assert!(error.contains("--tokens") && error.contains("nowhere"), "{error}");
}

// --- Paths ----------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn no_name_of_a_pack_reaches_a_file() {
    let served = Served::start().await;
    let folder = served.rules.folder().to_owned();
    let absolute = folder.join("pack.yaml").display().to_string();
    let tricks = [
        "../small",
        "./small",
        "small/",
        "small/../small",
        "..",
        "/",
        &absolute,
        "small\0",
        "small%2e%2e",
        "..\\small",
        "file:///etc/passwd",
        "SMALL",
    ];
    for trick in tricks {
        let asked = proto::EvaluateRequest { pack: trick.into(), ..emergency() };
        let status = served.evaluate(asked).await.expect_err("refused");
        assert_eq!(status.code(), Code::NotFound, "{trick}");
        let asked = proto::GetPackRequest { pack: trick.into(), expected_digest: String::new() };
        let status = served.knowledge().get_pack(asked).await.expect_err("refused");
        assert_eq!(status.code(), Code::NotFound, "{trick}");
        assert!(!status.message().contains(&folder.display().to_string()), "{}", status.message());
    }
    let file = |path: &str| proto::RuleFile { path: path.into(), content: "pack: {}".into() };
    for path in ["../pack.yaml", "/etc/pack.yaml", "a/../../pack.yaml", "a\\b.yaml", ".hidden.yaml", "a/./b.yaml"] {
        let asked = proto::ValidateRulesRequest { files: vec![file(path)], pack: String::new() };
        let status = served.knowledge().validate_rules(asked).await.expect_err("refused");
        assert_eq!(status.code(), Code::InvalidArgument, "{path}");
    }
}

#[tokio::test]
async fn a_new_token_goes_to_its_bearer_and_its_digest_to_the_file() {
    let files = Tokens::new();
    let run = |path: &Path| {
        std::process::Command::new(env!("CARGO_BIN_EXE_rubor"))
            .args(["token", "--name", "ward-3", "--scopes", "evaluate", "--tokens"])
            .arg(path)
            .output()
            .expect("the binary runs")
    };
    let path = files.path("tokens");
    let (first, second) = (run(&path), run(&path));
    assert!(first.status.success() && second.status.success());
    let token = String::from_utf8(second.stdout).expect("text");
    let kept = std::fs::read_to_string(&path).expect("written");
    assert!(kept.lines().count() == 2 && !kept.contains(token.trim()), "{kept}");
    let served = Served::start_with(|args| args.access.tokens = Some(path)).await;
    let channel = connect(served.running.address()).await;
    assert_eq!(outcome(evaluate(&channel, Some(token.trim())).await), Code::Ok);
}

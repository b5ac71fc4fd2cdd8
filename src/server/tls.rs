//! TLS: certificates, keys and those who may sign clients' certificates.
//!
//! Owns how these files become one configuration, which is replaced whole when one of them changes. Connections that
//! are open keep theirs; `--max-connection-age` bounds how long.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};

use crate::access::watched::Watched;
use crate::config::AccessArgs;

/// What a new connection is greeted with.
pub type Greeting = Watched<ServerConfig>;

/// Reads the files that the operator named; `None` where there is to be no TLS.
///
/// # Errors
/// What is wrong with one of them.
pub fn open(args: &AccessArgs) -> Result<Option<Arc<Greeting>>, String> {
    let (Some(cert), Some(key)) = (&args.tls_cert, &args.tls_key) else { return Ok(None) };
    let paths: Vec<PathBuf> = [cert, key].into_iter().chain(&args.client_ca).chain(&args.client_crl).cloned().collect();
    Watched::open("--tls-cert", paths, configuration).map(|greeting| Some(Arc::new(greeting)))
}

fn configuration(files: &[Vec<u8>]) -> Result<ServerConfig, String> {
    let [cert, key, clients @ ..] = files else { return Err("a certificate and a key are needed".to_owned()) };
    let chain = certificates(cert).map_err(|reason| format!("the certificate {reason}"))?;
    // What the reader says may quote the key.
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| "--tls-key: no private key in PEM form".to_owned())?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|error| error.to_string())?;
    let builder = match clients {
        [] => builder.with_no_client_auth(),
        [authorities, revoked @ ..] => {
            let verifier = verifier(authorities, revoked.first(), provider)?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder
        .with_single_cert(chain, key)
        .map_err(|error| format!("certificate and key do not go together: {error}"))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// What looks at clients' certificates. Where there are lists of what is revoked, there must be one of each authority: a
/// certificate of which nothing is known is refused.
fn verifier(
    authorities: &[u8],
    revoked: Option<&Vec<u8>>,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, String> {
    let mut roots = RootCertStore::empty();
    for root in certificates(authorities).map_err(|reason| format!("--client-ca {reason}"))? {
        roots.add(root).map_err(|error| format!("--client-ca: {error}"))?;
    }
    let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    if let Some(pem) = revoked {
        let lists: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(pem).collect();
        let lists = lists.map_err(|_| "--client-crl is not readable PEM".to_owned())?;
        if lists.is_empty() {
            return Err("--client-crl has no list of revoked certificates in PEM form".to_owned());
        }
        builder = builder.with_crls(lists);
    }
    builder.build().map_err(|error| match error {
        VerifierBuilderError::InvalidCrl(error) => format!("--client-crl: {error:?}"),
        error => format!("--client-ca: {error}"),
    })
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match read {
        Ok(found) if found.is_empty() => Err("has no certificate in PEM form".to_owned()),
        Ok(found) => Ok(found),
        Err(_) => Err("is not readable PEM".to_owned()),
    }
}

//! A certificate that nobody else trusts, and both sides' settings for it.

use rcgen::{CertifiedKey, KeyPair};
use std::io;
use std::sync::Arc;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName};
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore, ServerConfig};

/// A self-signed certificate for one name, with its key.
#[derive(Debug)]
pub struct Identity {
    name: ServerName<'static>,
    certificate: rcgen::Certificate,
    key: KeyPair,
}

impl Identity {
    /// Makes a certificate for a host's name.
    ///
    /// # Errors
    /// The name is none, or the key cannot be made.
    pub fn generate(name: &str) -> io::Result<Self> {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).map_err(io::Error::other)?;
        let CertifiedKey { cert: certificate, signing_key: key } = made;
        let name = ServerName::try_from(name.to_owned()).map_err(io::Error::other)?;
        Ok(Self { name, certificate, key })
    }

    /// The name that it is for.
    #[must_use]
    pub fn name(&self) -> ServerName<'static> {
        self.name.clone()
    }

    /// The certificate as curl's `--cacert` wants it.
    #[must_use]
    pub fn pem(&self) -> String {
        self.certificate.pem()
    }

    fn der(&self) -> CertificateDer<'static> {
        self.certificate.der().clone()
    }

    /// A server's settings: this certificate, and the protocols it speaks on top, the best first.
    ///
    /// # Errors
    /// As rustls.
    pub fn server(&self, protocols: &[&str]) -> io::Result<Arc<ServerConfig>> {
        let key = PrivatePkcs8KeyDer::from(self.key.serialize_der());
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(vec![self.der()], key.into()))
            .map_err(io::Error::other)?;
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        Ok(Arc::new(config))
    }

    /// A client's settings: it trusts this certificate alone.
    ///
    /// # Errors
    /// As rustls.
    pub fn client(&self, protocols: &[&str]) -> io::Result<Arc<ClientConfig>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.der()).map_err(io::Error::other)?;
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error: rustls::Error| io::Error::other(error))?;
        let mut config = builder.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        Ok(Arc::new(config))
    }
}

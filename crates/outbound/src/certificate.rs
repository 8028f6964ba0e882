//! Finds the fault of a server's certificate in the error of a call.

use std::error::Error;
use std::io;

use portico_core::error::CertificateFault;
use rustls::{AlertDescription, CertificateError, PeerIncompatible};

/// The fault of the certificate, if it is a cause of this error.
pub(crate) fn certificate_fault(error: &(dyn Error + 'static)) -> Option<CertificateFault> {
    let mut cause = Some(error);
    while let Some(current) = cause {
        if let Some(found) = current.downcast_ref() {
            return fault(found);
        }
        let io = current.downcast_ref::<io::Error>();
        // During the opening of a connection, only the TLS handshake reads.
        if io.is_some_and(|io| io.kind() == io::ErrorKind::UnexpectedEof) {
            return Some(CertificateFault::Other);
        }
        // `io::Error::source` skips the wrapped error.
        let wrapped = io.and_then(io::Error::get_ref);
        cause = wrapped.map(|wrapped| wrapped as &(dyn Error + 'static)).or_else(|| current.source());
    }
    None
}

/// The fault in a TLS error; `None` if the error is not about the certificate.
fn fault(error: &rustls::Error) -> Option<CertificateFault> {
    match error {
        rustls::Error::InvalidCertificate(error) => Some(invalid(error)),
        rustls::Error::NoCertificatesPresented
        | rustls::Error::InvalidCertRevocationList(_)
        | rustls::Error::PeerIncompatible(
            PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig,
        )
        | rustls::Error::AlertReceived(
            AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateRequired,
        ) => Some(CertificateFault::Other),
        _ => None,
    }
}

fn invalid(error: &CertificateError) -> CertificateFault {
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => CertificateFault::Expired,
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            CertificateFault::NotYetValid
        }
        CertificateError::UnknownIssuer => CertificateFault::UnknownIssuer,
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            CertificateFault::WrongName
        }
        CertificateError::Other(other) => match other.0.downcast_ref() {
            Some(webpki::Error::CaUsedAsEndEntity) => CertificateFault::AuthorityAsServer,
            _ => CertificateFault::Other,
        },
        _ => CertificateFault::Other,
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::sync::Arc;

    use portico_core::error::UpstreamError;
    use portico_core::provider::Transport;
    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, date_time_ymd};
    use rustls::pki_types::PrivateKeyDer;
    use rustls::{OtherError, ServerConfig, ServerConnection, StreamOwned};
    use tokio::runtime::Handle;
    use url::Url;

    use super::*;
    use crate::{Endpoint, Outbound};

    #[test]
    fn a_fault_is_found_by_its_type_behind_other_errors() {
        let other = |error| CertificateError::Other(OtherError(Arc::new(error)));
        for (error, expected) in [
            (CertificateError::Expired.into(), Some(CertificateFault::Expired)),
            (CertificateError::NotValidYet.into(), Some(CertificateFault::NotYetValid)),
            (CertificateError::UnknownIssuer.into(), Some(CertificateFault::UnknownIssuer)),
            (CertificateError::NotValidForName.into(), Some(CertificateFault::WrongName)),
            (other(webpki::Error::CaUsedAsEndEntity).into(), Some(CertificateFault::AuthorityAsServer)),
            (other(webpki::Error::MalformedExtensions).into(), Some(CertificateFault::Other)),
            (CertificateError::BadSignature.into(), Some(CertificateFault::Other)),
            (rustls::Error::NoCertificatesPresented, Some(CertificateFault::Other)),
            (rustls::Error::AlertReceived(AlertDescription::HandshakeFailure), None),
            (rustls::Error::General("certificate".to_owned()), None),
        ] {
            let told = format!("{error}");
            assert_eq!(certificate_fault(&error), expected, "{told}");
            let wrapped = io::Error::other(io::Error::other(error));
            assert_eq!(certificate_fault(&wrapped), expected, "{told}");
        }
        let cut_off = io::Error::new(io::ErrorKind::UnexpectedEof, "tls handshake eof");
        assert_eq!(certificate_fault(&cut_off), Some(CertificateFault::Other));
        assert_eq!(certificate_fault(&io::Error::other("the certificate has expired")), None);
    }

    /// Starts a TLS server on loopback with this certificate. Returns its port and the certificate as PEM.
    fn tls_server(params: &CertificateParams) -> (u16, String) {
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
            )
            .unwrap();
        let config = Arc::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
                let mut stream = StreamOwned::new(connection, socket);
                let _ = stream.read(&mut [0; 1024]);
                let _ = stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
            }
        });
        (port, certificate.pem())
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_fault_is_found_behind_the_errors_of_the_http_client() {
        use CertificateFault::{AuthorityAsServer, Expired, NotYetValid, UnknownIssuer, WrongName};
        let (server, authority) = (IsCa::NoCa, IsCa::Ca(BasicConstraints::Unconstrained));
        for (years, name, kind, trusted, expected) in [
            ((2020, 2090), "localhost", server, true, None),
            ((2020, 2021), "localhost", server, true, Some(Expired)),
            ((2080, 2090), "localhost", server, true, Some(NotYetValid)),
            ((2020, 2090), "localhost", server, false, Some(UnknownIssuer)),
            ((2020, 2090), "localhost", authority, true, Some(AuthorityAsServer)),
            ((2020, 2090), "other.example", server, true, Some(WrongName)),
        ] {
            let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
            params.not_before = date_time_ymd(years.0, 1, 1);
            params.not_after = date_time_ymd(years.1, 1, 1);
            params.is_ca = kind;
            let (port, pem) = tls_server(&params);
            let extra_roots = trusted.then(|| pem.as_bytes().into());
            let transport = Transport { extra_roots, allow_insecure_http: false };
            let http = Outbound::new(&transport, Handle::current()).unwrap();
            let url = Url::parse(&format!("https://localhost:{port}/")).unwrap();
            let found = match http.document(Endpoint::Discovery, &url).await {
                Err(UpstreamError::Unreachable { certificate, .. }) => certificate,
                Err(UpstreamError::BadResponse { .. }) => None,
                other => panic!("{other:?}"),
            };
            assert_eq!(found, expected, "{years:?} {name} {trusted}");
        }
    }
}

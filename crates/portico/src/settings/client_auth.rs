//! The client authentication of a slot: exactly one method, with exactly its settings (RFC 6749 2.3).

use portico_core::provider::{ClientAuth, ClientKey, Secrets};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use secrecy::{ExposeSecret as _, SecretString};

use super::reader::Reader;
use super::table;

/// The values of `token_endpoint_auth_method`.
#[derive(Debug, Clone, Copy)]
enum Method {
    Auto,
    Basic,
    Post,
    PrivateKey,
    Public,
}

const METHODS: [(&str, Method); 5] = [
    ("auto", Method::Auto),
    ("client_secret_basic", Method::Basic),
    ("client_secret_post", Method::Post),
    ("private_key_jwt", Method::PrivateKey),
    ("none", Method::Public),
];

/// The client authentication, or `None` after a noted mistake.
pub(super) fn client_auth(read: &mut Reader<'_>) -> Option<ClientAuth> {
    let method = read.choice(&table::TOKEN_ENDPOINT_AUTH_METHOD, &METHODS)?;
    let next = read.secret(&table::CLIENT_SECRET_NEXT);
    let current = read.secret(&table::CLIENT_SECRET);
    if next.is_some() && current.is_none() {
        read.wrong(&table::CLIENT_SECRET_NEXT, "is set without client_secret; set client_secret first");
    }
    if let Method::PrivateKey = method {
        if current.is_some() {
            read.wrong(
                &table::CLIENT_SECRET,
                "is set, but private_key_jwt sends no secret; unset one of them",
            );
        }
        return private_key(read).map(|key| ClientAuth::PrivateKey(Box::new(key)));
    }
    refuse_key_settings(read);
    let secrets = current.map(|current| Secrets { current, next });
    match (method, secrets) {
        (Method::Auto | Method::Public, None) => Some(ClientAuth::Public),
        (Method::Auto, Some(secrets)) => Some(ClientAuth::Auto(secrets)),
        (Method::Basic, Some(secrets)) => Some(ClientAuth::Basic(secrets)),
        (Method::Post, Some(secrets)) => Some(ClientAuth::Post(secrets)),
        (Method::Basic | Method::Post | Method::PrivateKey, None) => {
            read.wrong(&table::CLIENT_SECRET, "is missing; token_endpoint_auth_method needs it");
            None
        }
        (Method::Public | Method::PrivateKey, Some(_)) => {
            let message = "sends no secret, but client_secret is set; unset one of them";
            read.wrong(&table::TOKEN_ENDPOINT_AUTH_METHOD, message);
            None
        }
    }
}

/// Notes a mistake for each setting of `private_key_jwt` that is set under another method.
fn refuse_key_settings(read: &mut Reader<'_>) {
    for spec in [&table::CLIENT_KEY, &table::CLIENT_KEY_ID, &table::CLIENT_CERTIFICATE] {
        if read.is_set(spec) {
            read.wrong(
                spec,
                "is only for token_endpoint_auth_method = private_key_jwt; set that, or leave this out",
            );
        }
    }
}

/// The key of `private_key_jwt`. A certificate must be of the same key.
fn private_key(read: &mut Reader<'_>) -> Option<ClientKey> {
    let id = read.text(&table::CLIENT_KEY_ID);
    let certificate = read.secret(&table::CLIENT_CERTIFICATE);
    let Some(pem) = read.secret(&table::CLIENT_KEY) else {
        read.wrong(&table::CLIENT_KEY, "is missing; private_key_jwt needs it, as PKCS#8 in PEM");
        return None;
    };
    let der = match certificate.map(|certificate| certificate_of(&certificate, &pem)) {
        Some(Ok(der)) => Some(der),
        Some(Err(wrong)) => {
            read.wrong(&table::CLIENT_CERTIFICATE, wrong);
            return None;
        }
        None => None,
    };
    let key = ClientKey::new(pem.expose_secret(), id.as_deref(), der.as_deref());
    key.map_err(|wrong| read.wrong(&table::CLIENT_KEY, wrong)).ok()
}

fn certificate_of(
    certificate: &SecretString,
    key: &SecretString,
) -> Result<CertificateDer<'static>, &'static str> {
    let certificate = CertificateDer::from_pem_slice(certificate.expose_secret().as_bytes())
        .map_err(|_| "must be one certificate in PEM")?;
    // A mistake in the key itself is noted about the key.
    let Ok(key) = PrivateKeyDer::from_pem_slice(key.expose_secret().as_bytes()) else {
        return Ok(certificate);
    };
    match CertifiedKey::from_der(vec![certificate.clone()], key, &default_provider()) {
        Err(rustls::Error::InconsistentKeys(_)) => Err("is the certificate of another key than client_key"),
        Err(rustls::Error::InvalidCertificate(_)) => Err("must be one certificate in PEM"),
        _ => Ok(certificate),
    }
}

//! How a slot proves who it is: exactly one way, and exactly what that needs (RFC 6749 2.3).

use portico_core::provider::{ClientAuth, ClientKey, Secrets};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use secrecy::{ExposeSecret as _, SecretString};

use super::reader::Reader;
use super::table;

/// The way, or `None` after noting what is wrong.
pub(super) fn client_auth(read: &mut Reader<'_>) -> Option<ClientAuth> {
    let method = read.text(&table::TOKEN_ENDPOINT_AUTH_METHOD)?;
    let next = read.secret(&table::CLIENT_SECRET_NEXT);
    let current = read.secret(&table::CLIENT_SECRET);
    if next.is_some() && current.is_none() {
        read.wrong(&table::CLIENT_SECRET_NEXT, "is set without client_secret; the first secret stands there");
    }
    if method == "private_key_jwt" {
        if current.is_some() {
            read.wrong(
                &table::CLIENT_SECRET,
                "is set, but private_key_jwt sends none; take one of them away",
            );
        }
        return private_key(read).map(|key| ClientAuth::PrivateKey(Box::new(key)));
    }
    for spec in [&table::CLIENT_KEY, &table::CLIENT_KEY_ID, &table::CLIENT_CERTIFICATE] {
        if read.is_set(spec) {
            read.wrong(
                spec,
                "is for token_endpoint_auth_method = private_key_jwt only; set that, or leave this out",
            );
        }
    }
    let Some(current) = current else {
        return match method.as_str() {
            "auto" | "none" => Some(ClientAuth::Public),
            _ => {
                read.wrong(&table::CLIENT_SECRET, "is missing; token_endpoint_auth_method needs it");
                None
            }
        };
    };
    let secrets = Secrets { current, next };
    match method.as_str() {
        "auto" => Some(ClientAuth::Auto(secrets)),
        "client_secret_basic" => Some(ClientAuth::Basic(secrets)),
        "client_secret_post" => Some(ClientAuth::Post(secrets)),
        _ => {
            let message = "sends no secret, but client_secret is set; take one of them away";
            read.wrong(&table::TOKEN_ENDPOINT_AUTH_METHOD, message);
            None
        }
    }
}

/// The key of `private_key_jwt`; a certificate beside it must be of this very key.
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
    // What is wrong with the key itself is told of the key.
    let Ok(key) = PrivateKeyDer::from_pem_slice(key.expose_secret().as_bytes()) else {
        return Ok(certificate);
    };
    match CertifiedKey::from_der(vec![certificate.clone()], key, &default_provider()) {
        Err(rustls::Error::InconsistentKeys(_)) => Err("is the certificate of another key than client_key"),
        Err(rustls::Error::InvalidCertificate(_)) => Err("must be one certificate in PEM"),
        _ => Ok(certificate),
    }
}

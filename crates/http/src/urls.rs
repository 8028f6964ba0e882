//! Portico's own URLs.

use actix_web::dev;
use actix_web::http::Uri;
use portico_core::public_url::PublicUrl;
use portico_core::slot::SlotId;
use url::Url;

/// A path as the router compares it: percent-encoded only where it must be.
pub(crate) fn routed(path: &str) -> String {
    path.parse::<Uri>().map_or_else(|_| path.to_owned(), |uri| dev::Url::new(uri).path().to_owned())
}

/// The URL that begins a login through this slot.
pub(crate) fn login_url(public: &PublicUrl, slot: SlotId) -> Url {
    public.at(&format!("/auth/{slot}/login"))
}

/// The page with the login buttons.
pub(crate) fn login_page(public: &PublicUrl) -> Url {
    public.at("/auth/")
}

/// The keys that verify access tokens.
pub(crate) fn jwks_url(public: &PublicUrl) -> Url {
    public.at("/.well-known/jwks.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_addresses_are_absolute() {
        let public = PublicUrl::parse("https://app.example.com/sso/").unwrap();
        let slot = "oidc/google".parse().unwrap();
        assert_eq!(login_url(&public, slot).as_str(), "https://app.example.com/sso/auth/oidc/google/login");
        assert_eq!(login_page(&public).as_str(), "https://app.example.com/sso/auth/");
        assert_eq!(jwks_url(&public).as_str(), "https://app.example.com/sso/.well-known/jwks.json");
    }
}

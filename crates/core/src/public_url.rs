//! The external address of the installation. All of Portico's URLs and cookies derive from it, never
//! from a request.

use url::{Host, Url};

use crate::slot::SlotId;

/// The configured public URL: an origin, optionally with a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicUrl {
    url: Url,
    text: String,
}

impl PublicUrl {
    /// Parses the setting. One trailing slash is dropped.
    ///
    /// # Errors
    /// A text that says what is wrong.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let mut url = Url::parse(text).map_err(|_| "it is not an absolute URL")?;
        if url.query().is_some() || url.fragment().is_some() {
            return Err("it must have no query and no fragment");
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("it must have no user name and no password");
        }
        match url.scheme() {
            "https" => {}
            "http" if is_exact_loopback(&url) => {}
            "http" => return Err("http is only for localhost, 127.0.0.1 and [::1]; use https"),
            _ => return Err("it must begin with https://"),
        }
        let path = url.path().strip_suffix('/').unwrap_or(url.path()).to_owned();
        if path.contains("//") || path.ends_with('/') {
            return Err("its path must have no empty segments");
        }
        url.set_path(&path);
        let text = url.as_str().strip_suffix('/').unwrap_or(url.as_str()).to_owned();
        Ok(Self { url, text })
    }

    /// The URL without a trailing slash: the issuer of Portico's access tokens (RFC 8414 2).
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The path that precedes all of Portico's paths: empty, or with a slash at its start and none at
    /// its end.
    pub fn base_path(&self) -> &str {
        self.url.path().strip_suffix('/').unwrap_or(self.url.path())
    }

    /// The origin as browsers send it in `Origin` (RFC 6454 6.2).
    pub fn origin(&self) -> String {
        self.url.origin().ascii_serialization()
    }

    /// Whether the scheme is https, so that cookies are `Secure`.
    pub fn is_https(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// The URL of one of Portico's paths. `path` starts with a slash.
    pub fn at(&self, path: &str) -> Url {
        let mut url = self.url.clone();
        url.set_path(&format!("{}{path}", self.base_path()));
        url
    }

    /// The redirect URI to register for a slot.
    pub fn callback(&self, slot: SlotId) -> Url {
        self.at(&format!("/auth/{slot}/callback"))
    }
}

/// Whether a URL's host is exactly `localhost`, `127.0.0.1` or `[::1]`.
pub fn is_exact_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip == std::net::Ipv4Addr::LOCALHOST,
        Some(Host::Ipv6(ip)) => ip == std::net::Ipv6Addr::LOCALHOST,
        None => false,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn derives_everything_from_the_configured_text() {
        let plain = PublicUrl::parse("https://login.example.com/").unwrap();
        assert_eq!((plain.as_str(), plain.base_path()), ("https://login.example.com", ""));
        let deep = PublicUrl::parse("https://example.com/sso").unwrap();
        assert_eq!((deep.as_str(), deep.base_path()), ("https://example.com/sso", "/sso"));
        let slot = "oidc/provider1".parse().unwrap();
        assert_eq!(deep.callback(slot).as_str(), "https://example.com/sso/auth/oidc/provider1/callback");
        assert_eq!(plain.callback(slot).as_str(), "https://login.example.com/auth/oidc/provider1/callback");
    }

    #[test]
    fn refuses_what_is_no_public_address() {
        for wrong in [
            "",
            "example.com",
            "http://example.com",
            "http://127.0.0.2",
            "http://localhost.example.com",
            "ftp://x",
            "https://a@example.com",
            "https://:p@example.com",
            "https://example.com/?q",
            "https://example.com/#f",
            "https://example.com//",
        ] {
            assert!(PublicUrl::parse(wrong).is_err(), "{wrong:?}");
        }
        for right in
            ["http://localhost:8080", "http://127.0.0.1", "http://[::1]:9", "https://example.com:8443/a/b"]
        {
            assert!(PublicUrl::parse(right).is_ok(), "{right:?}");
        }
    }
}

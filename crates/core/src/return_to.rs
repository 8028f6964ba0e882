//! Where a browser is redirected after a login. It is checked before the login starts. A target that is
//! not allowed is refused, never replaced.

use url::{Origin, Url};

use crate::public_url::{PublicUrl, is_exact_loopback};
use crate::session::Challenge;

/// The maximum length of `return_to`, in bytes.
const MAX: usize = 512;

/// An allowed origin beside the public one: scheme, host and port, compared exactly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebOrigin {
    origin: Origin,
    text: String,
}

impl WebOrigin {
    /// Parses an origin as browsers send it (RFC 6454 6.2): https, or http on a loopback host.
    ///
    /// # Errors
    /// A text that says what is wrong.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let url = Url::parse(text).map_err(|_| "it is not an origin such as https://app.example.com")?;
        let is_safe = url.scheme() == "https" || (url.scheme() == "http" && is_exact_loopback(&url));
        if !is_safe {
            return Err("it must begin with https:// (http:// only for localhost, 127.0.0.1 and [::1])");
        }
        let origin = url.origin();
        let ascii = origin.ascii_serialization();
        if text.contains('*') {
            return Err("it must be one origin, not a pattern");
        }
        if text != ascii {
            return Err(
                "it must be scheme, host and port only, in lower case, without a default port or a slash",
            );
        }
        Ok(Self { origin, text: ascii })
    }

    /// The origin as browsers send it.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// Where the browser is redirected after a login. A URL of the public origin is stored as path, query
/// and fragment, a URL of another allowed origin as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReturnTo(String);

impl ReturnTo {
    /// The root of the public origin, for a login without a `return_to` parameter.
    pub fn root() -> Self {
        Self("/".to_owned())
    }

    /// Parses a `return_to` parameter. Without one, the target is the root of the public origin.
    ///
    /// Accepted are a path that starts with exactly one slash, and an absolute URL of the public origin
    /// or of one of `others`. The parsed URL must have that origin as well: browsers parse URLs by the
    /// same rules (WHATWG), so no spelling redirects to another origin.
    ///
    /// # Errors
    /// A fixed text that says what is wrong.
    pub fn parse(text: Option<&str>, public: &PublicUrl, others: &[WebOrigin]) -> Result<Self, &'static str> {
        let Some(text) = text else { return Ok(Self::root()) };
        if text.len() > MAX {
            return Err("return_to is longer than 512 bytes");
        }
        if text.chars().any(|c| c.is_control() || c.is_whitespace() || c == '\\') {
            return Err("return_to has a blank, a backslash or a control character");
        }
        let own = public.origin();
        let foreign = others.iter().map(WebOrigin::as_str).find(|origin| leads_into(text, origin));
        let origin = foreign.unwrap_or(&own);
        let path = text.strip_prefix(origin).unwrap_or(text);
        if !path.starts_with('/') || path.starts_with("//") {
            return Err("return_to is neither a path nor an address of an allowed origin");
        }
        let url = public.at("/").join(text).map_err(|_| "return_to is not a URL")?;
        let elsewhere = url.origin().ascii_serialization() != origin || url.path().starts_with("//");
        if elsewhere || !url.username().is_empty() || url.password().is_some() {
            return Err("return_to leads to another origin");
        }
        let target = if foreign.is_some() { Some(url.as_str()) } else { url.as_str().strip_prefix(origin) };
        target
            .filter(|target| target.len() <= MAX)
            .map(|target| Self(target.to_owned()))
            .ok_or("return_to is longer than 512 bytes")
    }

    /// The target of a pending login. It was checked when the login started, and was sealed since.
    pub(crate) fn from_sealed(text: String) -> Self {
        Self(text)
    }

    /// The text to seal.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The absolute URL.
    ///
    /// # Errors
    /// If the text is no URL any more, which a checked text always is.
    pub fn url(&self, public: &PublicUrl) -> Result<Url, &'static str> {
        let whole =
            if self.0.starts_with('/') { format!("{}{}", public.origin(), self.0) } else { self.0.clone() };
        Url::parse(&whole).map_err(|_| "a return_to no longer parses")
    }

    /// Whether the target is still allowed.
    pub(crate) fn is_allowed(&self, public: &PublicUrl, others: &[WebOrigin]) -> bool {
        Self::parse(Some(&self.0), public, others).is_ok()
    }

    /// Whether the target is on the same site as the public origin, so that browsers send Portico's
    /// cookies from there.
    pub fn is_same_site(&self, public: &PublicUrl) -> bool {
        self.url(public).is_ok_and(|url| site(&url) == site(&public.at("/")))
    }

    /// Whether a one-time code can be added to the query: it has no parameter named `code`.
    pub fn takes_code(&self, public: &PublicUrl) -> bool {
        self.url(public).is_ok_and(|url| url.query_pairs().all(|(name, _)| name != "code"))
    }
}

/// The parameters of a login's start, as they are written in the query.
#[derive(Debug, Clone, Copy, Default)]
pub struct LoginParams<'a> {
    /// `return_to`.
    pub return_to: Option<&'a str>,
    /// `code_challenge`: the frontend asks for a hand-off.
    pub code_challenge: Option<&'a str>,
    /// `code_challenge_method`; only `S256` is known.
    pub code_challenge_method: Option<&'a str>,
}

impl LoginParams<'_> {
    /// Parses all parameters. A challenge asks for a hand-off; without one, the address must be on the same
    /// site, where the browser sends the session's cookies.
    ///
    /// # Errors
    /// A fixed sentence that names the mistake.
    pub fn parse(
        &self,
        public: &PublicUrl,
        others: &[WebOrigin],
    ) -> Result<(ReturnTo, Option<Challenge>), &'static str> {
        let return_to = ReturnTo::parse(self.return_to, public, others)?;
        if self.code_challenge_method.is_some_and(|method| method != "S256") {
            return Err("code_challenge_method is not S256");
        }
        let Some(challenge) = self.code_challenge else {
            let useful = return_to.is_same_site(public);
            return if useful {
                Ok((return_to, None))
            } else {
                Err("return_to is on another site and there is no code_challenge")
            };
        };
        let challenge =
            Challenge::parse(challenge).ok_or("code_challenge is not the base64url of 32 bytes")?;
        if !return_to.takes_code(public) {
            return Err("return_to has a parameter named code already");
        }
        Ok((return_to, Some(challenge)))
    }
}

/// Whether the text is the origin followed by a path. `https://a.example.evil/` does not lead into
/// `https://a.example`.
fn leads_into(text: &str, origin: &str) -> bool {
    text.strip_prefix(origin).is_some_and(|rest| rest.starts_with('/'))
}

/// Scheme and registrable domain, by the public suffix list; the host itself if it has no registrable domain.
fn site(url: &Url) -> (&str, &str) {
    let domain = url.domain().and_then(psl::domain_str);
    (url.scheme(), domain.or(url.host_str()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

    /// Targets that browsers or careless parsers would take to another origin, or that are no URL.
    const OTHER_ORIGINS: [&str; 23] = [
        "",
        "a",
        "//evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "/ /evil",
        "/\t/evil",
        "https:evil",
        "https:/evil",
        "https://evil.example",
        "https://app.example.com",
        "https://app.example.com.evil.example/",
        "https://app.example.com@evil.example/",
        "https://app.example.com:444/",
        "http://app.example.com/",
        "javascript:alert(1)",
        "data:text/html,x",
        "/.//evil.example",
        "/..//evil.example",
        "/\u{2028}evil",
        "https://app.example.com//evil.example",
        "HTTPS://app.example.com/",
        "///evil",
    ];

    fn public() -> PublicUrl {
        PublicUrl::parse("https://app.example.com/sso").unwrap()
    }

    fn others() -> Vec<WebOrigin> {
        ["https://spa.example.com", "https://spa.example.org:8443"]
            .map(|o| WebOrigin::parse(o).unwrap())
            .into()
    }

    #[test]
    fn return_to_stays_on_the_public_origin() {
        for (good, stored) in [
            ("/", "/"),
            ("/a/b?c=d&e=%20#f", "/a/b?c=d&e=%20#f"),
            ("https://app.example.com/x", "/x"),
            ("/a/../b", "/b"),
            ("/?next=https://evil.example", "/?next=https://evil.example"),
            ("/@evil.example", "/@evil.example"),
            ("/%09/evil.example", "/%09/evil.example"),
        ] {
            assert_eq!(
                ReturnTo::parse(Some(good), &public(), &[]),
                Ok(ReturnTo(stored.to_owned())),
                "{good}"
            );
        }
        for bad in OTHER_ORIGINS {
            assert!(ReturnTo::parse(Some(bad), &public(), &[]).is_err(), "{bad:?}");
        }
        assert!(ReturnTo::parse(Some(&format!("/{}", "a".repeat(512))), &public(), &[]).is_err());
    }

    #[test]
    fn other_origins_are_exact_and_kept_whole() {
        for good in ["https://spa.example.com/cb?x=1#/route", "https://spa.example.org:8443/"] {
            let target = ReturnTo::parse(Some(good), &public(), &others()).unwrap();
            assert_eq!(target.url(&public()).unwrap().as_str(), good);
        }
        for bad in [
            "https://spa.example.com",
            "https://spa.example.com.evil.example/",
            "https://spa.example.com@evil.example/",
            "https://spa.example.com:444/",
            "http://spa.example.com/",
            "https://spa.example.org/",
            "https://SPA.example.com/",
            "https://spa.example.com//evil.example",
            "https://spa.example.com/..//evil.example",
        ] {
            assert!(ReturnTo::parse(Some(bad), &public(), &others()).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        for good in ["https://a.example", "https://a.example:8443", "http://localhost:3000"] {
            assert!(WebOrigin::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "a.example",
            "http://a.example",
            "https://a.example:443",
            "https://a.example/",
            "https://a.example/x",
            "https://A.example",
            "https://u@a.example",
            "*",
            "null",
            "https://*.example",
        ] {
            assert!(WebOrigin::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_site_is_a_scheme_and_a_registrable_domain() {
        for (one, other, same) in [
            ("https://login.example.com", "https://example.com:8443", true),
            ("https://login.example.com", "http://login.example.com", false),
            ("https://login.example.com", "https://login.example.org", false),
            ("https://one.co.uk", "https://two.co.uk", false),
            ("https://a.one.co.uk", "https://b.one.co.uk", true),
            ("https://one.github.io", "https://two.github.io", false),
            ("https://a.one.github.io", "https://b.one.github.io", true),
            ("https://co.uk", "https://one.co.uk", false),
            ("https://a.one.\u{9999}\u{6e2f}", "https://b.one.xn--j6w193g", true),
            ("https://a.corp.internal", "https://b.corp.internal", true),
            ("http://localhost:3000", "http://localhost:8080", true),
            ("http://a.localhost", "http://localhost", false),
            ("https://intranet", "https://intranet:8443", true),
            ("https://192.0.2.7", "https://192.0.2.7:8443", true),
            ("https://192.0.2.7", "https://198.51.2.7", false),
            ("http://[::1]:80", "http://[::1]:81", true),
        ] {
            let urls = (Url::parse(one).unwrap(), Url::parse(other).unwrap());
            assert_eq!(site(&urls.0) == site(&urls.1), same, "{one} {other}");
        }
    }

    #[test]
    fn another_site_needs_a_challenge() {
        let login_params = |return_to, code_challenge| LoginParams {
            return_to: Some(return_to),
            code_challenge,
            ..LoginParams::default()
        };
        let check = |login_params: LoginParams<'_>| {
            login_params.parse(&public(), &others()).map(|(_, challenge)| challenge.is_some())
        };
        assert_eq!(check(login_params("/home", None)), Ok(false));
        assert_eq!(check(login_params("https://spa.example.com/cb", None)), Ok(false), "the same site");
        assert_eq!(check(login_params("https://spa.example.com/cb", Some(CHALLENGE))), Ok(true));
        assert_eq!(check(login_params("https://spa.example.org:8443/cb", Some(CHALLENGE))), Ok(true));
        assert!(check(login_params("https://spa.example.org:8443/cb", None)).is_err());
        assert!(check(login_params("https://spa.example.org:8443/cb?code=1", Some(CHALLENGE))).is_err());
        assert!(check(login_params("https://spa.example.org:8443/cb?c%6fde=1", Some(CHALLENGE))).is_err());
        assert!(check(login_params("https://spa.example.org:8443/cb", Some("short"))).is_err());
        let plain =
            LoginParams { code_challenge_method: Some("plain"), ..login_params("/", Some(CHALLENGE)) };
        assert!(check(plain).is_err());
        let s256 = LoginParams { code_challenge_method: Some("S256"), ..login_params("/", Some(CHALLENGE)) };
        assert_eq!(check(s256), Ok(true));
    }
}

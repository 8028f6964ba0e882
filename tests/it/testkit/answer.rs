//! An HTTP answer and the assertions that tests make about it.

use reqwest::header::HeaderMap;
use serde_json::Value;
use url::Url;

use super::SetCookie;

/// An HTTP answer with its whole body.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The URL of the request.
    pub url: Url,
    pub status: u16,
    pub headers: HeaderMap,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The URL of the redirect; panics unless the status is 303.
    #[track_caller]
    pub fn location(&self) -> Url {
        let location =
            self.header("location").unwrap_or_else(|| panic!("the answer is not a redirect: {self:?}"));
        assert_eq!(self.status, 303, "a redirect must have status 303: {self:?}");
        self.url.join(location).unwrap()
    }

    pub fn set_cookies(&self) -> Vec<SetCookie> {
        self.headers
            .get_all("set-cookie")
            .iter()
            .map(|value| SetCookie::parse(value.to_str().unwrap()))
            .collect()
    }

    /// The only `Set-Cookie` whose name contains `part`; panics if there is none or more than one.
    #[track_caller]
    pub fn set_cookie(&self, part: &str) -> SetCookie {
        let mut found: Vec<_> =
            self.set_cookies().into_iter().filter(|set| set.name.contains(part)).collect();
        assert_eq!(found.len(), 1, "expected exactly one cookie whose name contains {part}: {self:?}");
        found.remove(0)
    }

    /// Whether the answer starts a session, that is, sets a session cookie to a value.
    pub fn gives_session(&self) -> bool {
        let session =
            |set: &SetCookie| set.name.ends_with("portico_access") || set.name.ends_with("portico_refresh");
        self.set_cookies().iter().any(|set| session(set) && !set.removes())
    }

    #[track_caller]
    pub fn is(&self, status: u16) -> &Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }

    /// Asserts a redirect to this URL.
    #[track_caller]
    pub fn leads_to(&self, url: &str) -> &Self {
        assert_eq!(self.location().as_str(), url, "{self:?}");
        self
    }

    /// Asserts a refusal: this status, this error code, no session, and no caching.
    #[track_caller]
    pub fn refused(&self, status: u16, code: &str) -> &Self {
        assert_eq!(self.status, status, "{code}: {self:?}");
        if self.header("content-type").is_some_and(|kind| kind.starts_with("application/problem+json")) {
            assert_eq!(self.json()["code"], code, "{self:?}");
        } else {
            assert!(self.body.contains(code), "the page must contain the code {code}: {self:?}");
        }
        assert!(!self.gives_session(), "{self:?}");
        if self.url.path().contains("/auth/") {
            assert_eq!(self.header("cache-control"), Some("no-store"), "{self:?}");
        }
        self
    }

    /// Asserts a refusal as `application/problem+json` with exactly the required members.
    #[track_caller]
    pub fn problem(&self) -> Value {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let problem = self.json();
        for member in ["type", "title", "code", "detail", "request_id"] {
            assert!(problem[member].as_str().is_some_and(|text| !text.is_empty()), "{member}: {self:?}");
        }
        assert_eq!(problem["status"], self.status);
        problem
    }
}

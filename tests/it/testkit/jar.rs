//! A cookie jar with the rules of browsers (RFC 6265, with the cookie name prefixes of RFC 6265bis).

use std::fmt;

use url::Url;

/// A parsed `Set-Cookie` header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetCookie {
    pub name: String,
    pub value: String,
    /// The attributes in their original order and spelling.
    pub attributes: Vec<String>,
}

impl SetCookie {
    pub fn parse(header: &str) -> Self {
        let mut parts = header.split(';').map(str::trim);
        let (name, value) =
            parts.next().and_then(|pair| pair.split_once('=')).expect("a cookie must have a name");
        Self {
            name: name.to_owned(),
            value: value.to_owned(),
            attributes: parts.map(str::to_owned).collect(),
        }
    }

    pub fn has(&self, attribute: &str) -> bool {
        self.attributes.iter().any(|own| own.eq_ignore_ascii_case(attribute))
    }

    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find_map(|own| {
            let (key, value) = own.split_once('=')?;
            key.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    /// Whether the header deletes the cookie.
    pub fn removes(&self) -> bool {
        self.attribute("Max-Age").is_some_and(|age| age.parse::<i64>().unwrap() <= 0)
    }
}

/// A stored cookie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cookie {
    pub name: String,
    pub value: String,
    pub host: String,
    pub path: String,
    pub secure: bool,
    pub http_only: bool,
    /// Expiry in Unix seconds; `None` for a session cookie.
    pub expires: Option<i64>,
}

/// The cookies of one browser. As in browsers, cookies are separated by host but not by port.
#[derive(Debug, Clone, Default)]
pub struct Jar {
    cookies: Vec<Cookie>,
    /// Keeps deleted and expired cookies, as an attacker would.
    pub never_forgets: bool,
}

impl Jar {
    /// Stores a cookie that a server sent, or rejects it by the rules of browsers.
    pub fn store(&mut self, from: &Url, set: &SetCookie, now: i64) {
        let secure = set.has("Secure");
        let path = set.attribute("Path").filter(|path| path.starts_with('/')).unwrap_or("/");
        let no_domain = set.attribute("Domain").is_none();
        if set.name.starts_with("__Host-") && !(secure && path == "/" && no_domain) {
            return;
        }
        if (set.name.starts_with("__Secure-") || secure) && !(secure && from.scheme() == "https") {
            return;
        }
        assert!(no_domain, "a cookie of Portico must not have a Domain attribute: {set:?}");
        let expires = set.attribute("Max-Age").map(|age| now + age.parse::<i64>().unwrap());
        if self.never_forgets && set.removes() {
            return;
        }
        self.put(Cookie {
            name: set.name.clone(),
            value: set.value.clone(),
            host: from.host_str().unwrap().to_owned(),
            path: path.to_owned(),
            secure,
            http_only: set.has("HttpOnly"),
            expires,
        });
        self.forget(now);
    }

    /// Inserts a cookie and removes the cookie that it replaces.
    pub fn put(&mut self, cookie: Cookie) {
        let same = |other: &Cookie| {
            (&other.name, &other.host, &other.path) == (&cookie.name, &cookie.host, &cookie.path)
        };
        match self.cookies.iter_mut().find(|other| same(other)) {
            Some(replaced) => *replaced = cookie,
            None => self.cookies.push(cookie),
        }
    }

    fn forget(&mut self, now: i64) {
        if !self.never_forgets {
            self.cookies.retain(|cookie| cookie.expires.is_none_or(|expires| expires > now));
        }
    }

    /// The cookies that the browser sends to this URL: longer paths first, then older cookies first.
    pub fn for_url(&self, url: &Url, now: i64) -> Vec<&Cookie> {
        let matches = |cookie: &&Cookie| {
            let alive = self.never_forgets || cookie.expires.is_none_or(|expires| expires > now);
            let host = url.host_str() == Some(&cookie.host);
            let safe = !cookie.secure || url.scheme() == "https";
            alive && host && safe && path_matches(url.path(), &cookie.path)
        };
        let mut sent: Vec<_> = self.cookies.iter().filter(matches).collect();
        sent.sort_by_key(|cookie| std::cmp::Reverse(cookie.path.len()));
        sent
    }

    /// The cookie with this name, with or without the prefix that https requires.
    pub fn find(&self, name: &str) -> Option<&Cookie> {
        self.cookies.iter().find(|cookie| bare(&cookie.name) == name)
    }

    /// The value of the cookie with this name; panics if there is none.
    pub fn value(&self, name: &str) -> &str {
        &self.find(name).unwrap_or_else(|| panic!("no cookie {name} in {self}")).value
    }

    /// The cookies of pending logins, oldest first.
    pub fn logins(&self) -> Vec<&Cookie> {
        self.cookies.iter().filter(|cookie| bare(&cookie.name).starts_with("portico_login_")).collect()
    }

    pub fn all(&self) -> &[Cookie] {
        &self.cookies
    }

    pub fn clear(&mut self) {
        self.cookies.clear();
    }
}

impl fmt::Display for Jar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.cookies.iter().map(|cookie| (&cookie.name, &cookie.path))).finish()
    }
}

fn bare(name: &str) -> &str {
    name.strip_prefix("__Host-").or_else(|| name.strip_prefix("__Secure-")).unwrap_or(name)
}

/// Whether a request path matches a cookie path (RFC 6265 section 5.1.4).
fn path_matches(request: &str, cookie: &str) -> bool {
    request == cookie
        || request.strip_prefix(cookie).is_some_and(|rest| cookie.ends_with('/') || rest.starts_with('/'))
}

//! A cookie jar that keeps, sends and forgets as browsers do (RFC 6265, with the prefixes of its successor).

use std::fmt;

use url::Url;

/// A `Set-Cookie` header, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetCookie {
    pub name: String,
    pub value: String,
    /// The attributes as they were written, in order.
    pub attributes: Vec<String>,
}

impl SetCookie {
    pub fn parse(header: &str) -> Self {
        let mut parts = header.split(';').map(str::trim);
        let (name, value) = parts.next().and_then(|pair| pair.split_once('=')).expect("a cookie has a name");
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

    /// Whether it takes the cookie away.
    pub fn removes(&self) -> bool {
        self.attribute("Max-Age").is_some_and(|age| age.parse::<i64>().unwrap() <= 0)
    }
}

/// A cookie that a browser keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cookie {
    pub name: String,
    pub value: String,
    pub host: String,
    pub path: String,
    pub secure: bool,
    pub http_only: bool,
    /// Unix seconds; none ends with the browser.
    pub expires: Option<i64>,
}

/// The cookies of one browser. Hosts are told apart, ports are not: so it is with cookies.
#[derive(Debug, Clone, Default)]
pub struct Jar {
    cookies: Vec<Cookie>,
    /// Keeps what should be forgotten, as an attacker would.
    pub never_forgets: bool,
}

impl Jar {
    /// Takes what a server sent, or throws it away as a browser would.
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
        assert!(no_domain, "no cookie of ours is for other hosts: {set:?}");
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

    /// Puts a cookie in, in place of the one it replaces.
    pub fn put(&mut self, cookie: Cookie) {
        let same = |other: &Cookie| {
            (&other.name, &other.host, &other.path) == (&cookie.name, &cookie.host, &cookie.path)
        };
        match self.cookies.iter_mut().find(|other| same(other)) {
            Some(place) => *place = cookie,
            None => self.cookies.push(cookie),
        }
    }

    fn forget(&mut self, now: i64) {
        if !self.never_forgets {
            self.cookies.retain(|cookie| cookie.expires.is_none_or(|expires| expires > now));
        }
    }

    /// What the browser sends there: longer paths first, then the older ones first.
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

    /// The cookie of this name, with or without the prefix that https brings.
    pub fn find(&self, name: &str) -> Option<&Cookie> {
        self.cookies.iter().find(|cookie| bare(&cookie.name) == name)
    }

    /// The value of that cookie.
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

/// RFC 6265, 5.1.4.
fn path_matches(request: &str, cookie: &str) -> bool {
    request == cookie
        || request.strip_prefix(cookie).is_some_and(|rest| cookie.ends_with('/') || rest.starts_with('/'))
}

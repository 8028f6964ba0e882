//! The cookies: what they are called, how they are set, what a browser brought back.
//!
//! The only place that builds `Set-Cookie`. It knows what a cookie looks like, not what its value means.

use std::future::{Ready, ready};

use actix_web::cookie::time::Duration;
use actix_web::cookie::{Cookie, SameSite};
use actix_web::dev::Payload;
use actix_web::http::header::{self, HeaderMap};
use actix_web::{FromRequest, HttpRequest};
use portico_core::clock::Timestamp;
use portico_core::error::StoreError;
use portico_core::flow::{Broker, Tokens};
use portico_core::pending_login::{LOGIN_LIFETIME, LoginTag, MAX_PENDING, SealedLogin, State};
use portico_core::public_url::PublicUrl;
use portico_core::session::{RefreshToken, SessionId};

use crate::error::ApiError;
use crate::extract::shared;

const ACCESS: &str = "portico_access";
const REFRESH: &str = "portico_refresh";
const CSRF: &str = "portico_csrf";
const LOGIN: &str = "portico_login_";
const SIGNED_OUT: &str = "portico_signed_out";
const CHECK: &str = "portico_check";

/// How long a browser remembers that its person signed out.
const SIGNED_OUT_LIFETIME: Duration = Duration::days(1);

/// How cookies are written under a public URL.
#[derive(Debug)]
pub(crate) struct CookieRules {
    secure: bool,
    refresh_path: String,
}

/// What a browser brought of ours. A name that comes twice counts as absent (threats H02).
pub(crate) struct RequestCookies {
    /// The access token.
    pub(crate) access: Option<String>,
    /// The refresh token.
    pub(crate) refresh: Option<RefreshToken>,
    /// The value against cross-site request forgery.
    pub(crate) csrf: Option<String>,
    /// Whether the person signed out here and has not signed in since.
    pub(crate) signed_out: bool,
    logins: Vec<SealedLogin>,
}

/// Whether scripts may read a cookie.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Readable {
    Yes,
    No,
}

impl CookieRules {
    pub(crate) fn of(public: &PublicUrl) -> Self {
        Self { secure: public.is_https(), refresh_path: format!("{}/auth", public.base_path()) }
    }

    /// The three cookies of a session.
    pub(crate) fn session(&self, tokens: &Tokens, csrf: String, now: Timestamp) -> [Cookie<'static>; 3] {
        let life = Duration::seconds(tokens.entry.session.expires_at.unix().saturating_sub(now.unix()));
        let access_life = Duration::seconds(tokens.expires_in.try_into().unwrap_or(i64::MAX));
        [
            self.cookie(self.on_host(ACCESS), tokens.access.clone(), access_life, Readable::No),
            self.refresh_cookie(tokens.refresh.reveal().to_owned(), life),
            self.cookie(self.on_host(CSRF), csrf, life, Readable::Yes),
        ]
    }

    /// Takes the three cookies of a session away.
    pub(crate) fn session_gone(&self) -> [Cookie<'static>; 3] {
        [
            self.cookie(self.on_host(ACCESS), String::new(), Duration::ZERO, Readable::No),
            self.refresh_cookie(String::new(), Duration::ZERO),
            self.cookie(self.on_host(CSRF), String::new(), Duration::ZERO, Readable::Yes),
        ]
    }

    /// Remembers that the person signed out.
    pub(crate) fn signed_out(&self) -> Cookie<'static> {
        self.cookie(self.on_host(SIGNED_OUT), "1".to_owned(), SIGNED_OUT_LIFETIME, Readable::No)
    }

    /// Forgets it.
    pub(crate) fn signed_out_gone(&self) -> Cookie<'static> {
        self.cookie(self.on_host(SIGNED_OUT), String::new(), Duration::ZERO, Readable::No)
    }

    /// One that means nothing, to see how it fares on its way.
    pub(crate) fn check(&self) -> Cookie<'static> {
        self.cookie(self.on_host(CHECK), "1".to_owned(), Duration::MINUTE, Readable::No)
    }

    /// The cookie of a pending login.
    pub(crate) fn login(&self, login: SealedLogin) -> Cookie<'static> {
        let life = Duration::try_from(LOGIN_LIFETIME).unwrap_or(Duration::ZERO);
        self.cookie(self.login_name(&login.tag), login.value, life, Readable::No)
    }

    /// Takes the cookie of a pending login away.
    pub(crate) fn login_gone(&self, tag: &LoginTag) -> Cookie<'static> {
        self.cookie(self.login_name(tag), String::new(), Duration::ZERO, Readable::No)
    }

    /// Reads what a browser brought.
    pub(crate) fn read(&self, headers: &HeaderMap) -> RequestCookies {
        let pairs = pairs(headers);
        let own = |name: &str| once(&pairs, name).map(str::to_owned);
        let prefix = self.on_host(LOGIN);
        let tags =
            pairs.iter().filter_map(|(name, _)| Some((*name, LoginTag::parse(name.strip_prefix(&prefix)?)?)));
        let logins =
            tags.filter_map(|(name, tag)| Some(SealedLogin { tag, value: once(&pairs, name)?.to_owned() }));
        RequestCookies {
            access: own(&self.on_host(ACCESS)),
            refresh: own(&self.refresh_name()).and_then(|token| RefreshToken::parse(&token)),
            csrf: own(&self.on_host(CSRF)),
            signed_out: once(&pairs, &self.on_host(SIGNED_OUT)).is_some(),
            logins: logins.collect(),
        }
    }

    fn cookie(&self, name: String, value: String, life: Duration, readable: Readable) -> Cookie<'static> {
        Cookie::build(name, value)
            .path("/")
            .max_age(life)
            .same_site(SameSite::Lax)
            .secure(self.secure)
            .http_only(readable == Readable::No)
            .finish()
    }

    fn refresh_cookie(&self, value: String, life: Duration) -> Cookie<'static> {
        let mut cookie = self.cookie(self.refresh_name(), value, life, Readable::No);
        cookie.set_path(self.refresh_path.clone());
        cookie
    }

    /// The `__Host-` prefix keeps other hosts from planting a cookie; browsers accept it on https only.
    fn on_host(&self, name: &str) -> String {
        if self.secure { format!("__Host-{name}") } else { name.to_owned() }
    }

    fn refresh_name(&self) -> String {
        if self.secure { format!("__Secure-{REFRESH}") } else { REFRESH.to_owned() }
    }

    fn login_name(&self, tag: &LoginTag) -> String {
        format!("{}{tag}", self.on_host(LOGIN))
    }
}

impl RequestCookies {
    /// The session that the cookies belong to, whatever its state.
    pub(crate) async fn session(&self, broker: &Broker) -> Result<Option<SessionId>, StoreError> {
        broker.session_of(self.access.as_deref(), self.refresh.as_ref()).await
    }

    /// The pending login of this state, if this browser has it.
    pub(crate) fn login_of(&self, state: &State) -> Option<SealedLogin> {
        self.logins.iter().find(|login| login.tag.belongs_to(state)).cloned()
    }

    /// The oldest pending logins: those that must give way to one more (threats M10).
    pub(crate) fn evicted(&self) -> Vec<LoginTag> {
        let mut tags: Vec<_> = self.logins.iter().map(|login| login.tag.clone()).collect();
        tags.sort_unstable();
        tags.truncate((tags.len() + 1).saturating_sub(MAX_PENDING));
        tags
    }
}

impl FromRequest for RequestCookies {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(shared(request).map(|portico| portico.front.cookies.read(request.headers())))
    }
}

/// Names and values of all cookies, of all lines. A value that is not ASCII belongs to somebody else and is no reason to
/// lose the others.
fn pairs(headers: &HeaderMap) -> Vec<(&str, &str)> {
    let lines = headers.get_all(header::COOKIE).flat_map(|line| line.as_bytes().split(|b| *b == b';'));
    let pairs = lines.filter_map(|pair| std::str::from_utf8(pair).ok()?.split_once('='));
    // Only what RFC 6265 calls white space: a name behind another blank is another name to a browser, without its prefix's
    // protection (threats H02).
    let blank = [' ', '\t'];
    pairs.map(|(name, value)| (name.trim_matches(blank), value.trim_matches(blank))).collect()
}

/// The value of a name that comes once.
fn once<'a>(pairs: &[(&str, &'a str)], name: &str) -> Option<&'a str> {
    let mut values = pairs.iter().filter(|(own, _)| *own == name).map(|(_, value)| *value);
    let first = values.next()?;
    values.next().is_none().then_some(first)
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{COOKIE, HeaderValue};

    use super::*;

    const MARK: &str = "AAAAAAAAAAAAAAAA";

    fn rules(public: &str) -> CookieRules {
        CookieRules::of(&PublicUrl::parse(public).unwrap())
    }

    fn read(lines: &[&[u8]]) -> RequestCookies {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(COOKIE, HeaderValue::from_bytes(line).unwrap());
        }
        rules("http://localhost").read(&headers)
    }

    fn tag(started: i64) -> LoginTag {
        LoginTag::parse(&format!("{started:x}-{MARK}")).unwrap()
    }

    #[test]
    fn on_https_cookies_are_secure_and_bound_to_their_host() {
        let rules = rules("https://login.example.com/sso");
        assert_eq!(
            rules.session_gone().map(|cookie| cookie.to_string()),
            [
                "__Host-portico_access=; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=0",
                "__Secure-portico_refresh=; HttpOnly; SameSite=Lax; Secure; Path=/sso/auth; Max-Age=0",
                "__Host-portico_csrf=; SameSite=Lax; Secure; Path=/; Max-Age=0",
            ]
        );
        assert_eq!(
            rules.login(SealedLogin { tag: tag(255), value: "sealed".to_owned() }).to_string(),
            "__Host-portico_login_ff-AAAAAAAAAAAAAAAA=sealed; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=600"
        );
    }

    #[test]
    fn on_loopback_prefixes_and_secure_are_gone() {
        let rules = rules("http://127.0.0.1:8080");
        assert_eq!(
            rules.session_gone().map(|cookie| cookie.to_string()),
            [
                "portico_access=; HttpOnly; SameSite=Lax; Path=/; Max-Age=0",
                "portico_refresh=; HttpOnly; SameSite=Lax; Path=/auth; Max-Age=0",
                "portico_csrf=; SameSite=Lax; Path=/; Max-Age=0",
            ]
        );
        assert_eq!(
            rules.login_gone(&tag(255)).to_string(),
            "portico_login_ff-AAAAAAAAAAAAAAAA=; HttpOnly; SameSite=Lax; Path=/; Max-Age=0"
        );
    }

    #[test]
    fn a_name_that_comes_twice_counts_as_absent() {
        let cases: &[(&[&[u8]], Option<&str>)] = &[
            (&[b"portico_access=a"], Some("a")),
            (&[b"other=x; portico_access=a=b ;last"], Some("a=b")),
            (&[b" portico_access = a "], Some("a")),
            (&[b"name=\xc3\xa4; odd=\xff\xfe; portico_access=a"], Some("a")),
            (&[b"Portico_Access=a; __Host-portico_access=b"], None),
            (&["\u{2003}portico_access=a".as_bytes()], None),
            (&["\u{a0}portico_access=a".as_bytes()], None),
            (&["x=y; \u{3000}portico_access=a; portico_access=b".as_bytes()], Some("b")),
            (&[b""], None),
            (&[b"portico_access=a; portico_access=a"], None),
            (&[b"portico_access=a; portico_access="], None),
            (&[b"portico_access=a", b"portico_access=b"], None),
        ];
        for (lines, expected) in cases {
            assert_eq!(read(lines).access.as_deref(), *expected, "{lines:?}");
        }
        let token = "x".repeat(43);
        assert!(read(&[format!("portico_refresh={token}").as_bytes()]).refresh.is_some());
        assert!(read(&[b"portico_refresh=short"]).refresh.is_none());
        assert!(
            read(&[format!("portico_refresh={token}; portico_refresh={token}").as_bytes()]).refresh.is_none()
        );
        let login = format!("portico_login_ff-{MARK}=a");
        assert_eq!(read(&[login.as_bytes()]).logins.len(), 1);
        assert_eq!(read(&[login.as_bytes(), login.as_bytes()]).logins.len(), 0);
    }

    #[test]
    fn the_oldest_logins_give_way_to_one_more() {
        for (pending, gone) in [(0, 0), (6, 0), (7, 1), (9, 3)] {
            // The browser sends them in any order.
            let all = (0..pending).rev().map(|at| format!("portico_login_{:x}-{MARK}=v", 1000 + at));
            let line = all.chain(["portico_login_zz-bad=v".to_owned()]).collect::<Vec<_>>().join("; ");
            let expected: Vec<_> = (0..gone).map(|at| tag(1000 + at)).collect();
            assert_eq!(read(&[line.as_bytes()]).evicted(), expected, "{pending} pending");
        }
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig { failure_persistence: None, ..Default::default() })]

        /// Among whatever other cookies: ours counts when it is there exactly once.
        #[test]
        fn h02_a_cookie_counts_when_it_is_there_once(
            pieces in proptest::collection::vec(
                proptest::prop_oneof![
                    proptest::strategy::Just("portico_access=a".to_owned()),
                    proptest::strategy::Just("portico_access =b".to_owned()),
                    "[a-z_]{1,8}=[!-~&&[^;]]{0,8}",
                    "[ -~&&[^;]]{0,10}",
                ],
                0..8,
            ),
            split in 0..8_usize,
        ) {
            let (first, second) = pieces.split_at(split.min(pieces.len()));
            let lines = [first.join("; "), second.join(";")];
            let named = |piece: &&String| piece.split_once('=').is_some_and(|(name, _)| name.trim() == "portico_access");
            let found = read(&[lines[0].as_bytes(), lines[1].as_bytes()]).access;
            let own: Vec<_> = pieces.iter().filter(named).collect();
            let expected = if own.len() == 1 { own[0].split_once('=').map(|(_, value)| value.trim().to_owned()) } else { None };
            proptest::prop_assert_eq!(found, expected);
        }
    }
}

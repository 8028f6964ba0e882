//! The names and attributes of all cookies. Only this module builds `Set-Cookie`.
//!
//! It does not interpret values. `request::cookies` parses the cookies of a request.

use actix_web::cookie::time::Duration;
use actix_web::cookie::{Cookie, SameSite};
use portico_core::flow::Tokens;
use portico_core::pending_login::{LOGIN_LIFETIME, LoginTag, SealedLogin};
use portico_core::public_url::PublicUrl;

const ACCESS: &str = "portico_access";
const REFRESH: &str = "portico_refresh";
const CSRF: &str = "portico_csrf";
const LOGIN: &str = "portico_login_";
const SIGNED_OUT: &str = "portico_signed_out";
const CHECK: &str = "portico_check";

/// How long the cookie that remembers a sign-out lives.
const SIGNED_OUT_LIFETIME: Duration = Duration::days(1);

/// Names and attributes of cookies under a public URL.
#[derive(Debug)]
pub(crate) struct CookieRules {
    secure: bool,
    refresh_path: String,
}

/// Whether scripts may read a cookie.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Readable {
    Yes,
    No,
}

impl CookieRules {
    pub(crate) fn new(public: &PublicUrl) -> Self {
        Self { secure: public.is_https(), refresh_path: format!("{}/auth", public.base_path()) }
    }

    /// The three cookies of a session.
    pub(crate) fn session(&self, tokens: &Tokens, csrf: String) -> [Cookie<'static>; 3] {
        let seconds = |number: u64| Duration::seconds(number.try_into().unwrap_or(i64::MAX));
        let (life, access_life) = (seconds(tokens.session_expires_in), seconds(tokens.expires_in));
        [
            self.cookie(self.access_name(), tokens.access.clone(), access_life, Readable::No),
            self.refresh_cookie(tokens.refresh.reveal().to_owned(), life),
            self.cookie(self.csrf_name(), csrf, life, Readable::Yes),
        ]
    }

    /// Deletes the three cookies of a session.
    pub(crate) fn delete_session(&self) -> [Cookie<'static>; 3] {
        [
            self.cookie(self.access_name(), String::new(), Duration::ZERO, Readable::No),
            self.refresh_cookie(String::new(), Duration::ZERO),
            self.cookie(self.csrf_name(), String::new(), Duration::ZERO, Readable::Yes),
        ]
    }

    /// Remembers a sign-out in this browser.
    pub(crate) fn signed_out(&self) -> Cookie<'static> {
        self.cookie(self.signed_out_name(), "1".to_owned(), SIGNED_OUT_LIFETIME, Readable::No)
    }

    /// Deletes the cookie that remembers a sign-out.
    pub(crate) fn delete_signed_out(&self) -> Cookie<'static> {
        self.cookie(self.signed_out_name(), String::new(), Duration::ZERO, Readable::No)
    }

    /// The cookie of `portico check --live`, which detects proxies that change cookies.
    pub(crate) fn check(&self) -> Cookie<'static> {
        self.cookie(self.on_host(CHECK), "1".to_owned(), Duration::MINUTE, Readable::No)
    }

    /// The cookie of a pending login.
    pub(crate) fn login(&self, login: SealedLogin) -> Cookie<'static> {
        let life = Duration::try_from(LOGIN_LIFETIME).unwrap_or(Duration::ZERO);
        self.cookie(self.login_name(&login.tag), login.value, life, Readable::No)
    }

    /// Deletes the cookie of a pending login.
    pub(crate) fn delete_login(&self, tag: &LoginTag) -> Cookie<'static> {
        self.cookie(self.login_name(tag), String::new(), Duration::ZERO, Readable::No)
    }

    pub(crate) fn access_name(&self) -> String {
        self.on_host(ACCESS)
    }

    pub(crate) fn refresh_name(&self) -> String {
        if self.secure { format!("__Secure-{REFRESH}") } else { REFRESH.to_owned() }
    }

    pub(crate) fn csrf_name(&self) -> String {
        self.on_host(CSRF)
    }

    pub(crate) fn signed_out_name(&self) -> String {
        self.on_host(SIGNED_OUT)
    }

    /// The beginning of the names of all login cookies; the login's tag follows.
    pub(crate) fn login_prefix(&self) -> String {
        self.on_host(LOGIN)
    }

    fn login_name(&self, tag: &LoginTag) -> String {
        format!("{}{tag}", self.login_prefix())
    }

    /// The `__Host-` prefix prevents other hosts from setting the cookie; browsers accept it on https only.
    fn on_host(&self, name: &str) -> String {
        if self.secure { format!("__Host-{name}") } else { name.to_owned() }
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
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARK: &str = "AAAAAAAAAAAAAAAA";

    fn rules(public: &str) -> CookieRules {
        CookieRules::new(&PublicUrl::parse(public).unwrap())
    }

    fn tag(started: i64) -> LoginTag {
        LoginTag::parse(&format!("{started:x}-{MARK}")).unwrap()
    }

    #[test]
    fn on_https_cookies_are_secure_and_bound_to_their_host() {
        let rules = rules("https://login.example.com/sso");
        assert_eq!(
            rules.delete_session().map(|cookie| cookie.to_string()),
            [
                "__Host-portico_access=; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=0",
                "__Secure-portico_refresh=; HttpOnly; SameSite=Lax; Secure; Path=/sso/auth; Max-Age=0",
                "__Host-portico_csrf=; SameSite=Lax; Secure; Path=/; Max-Age=0",
            ]
        );
        assert_eq!(
            rules.login(SealedLogin { tag: tag(255), value: "sealed".to_owned() }).to_string(),
            "__Host-portico_login_ff-AAAAAAAAAAAAAAAA=sealed; \
             HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=600"
        );
    }

    #[test]
    fn on_loopback_prefixes_and_secure_are_gone() {
        let rules = rules("http://127.0.0.1:8080");
        assert_eq!(
            rules.delete_session().map(|cookie| cookie.to_string()),
            [
                "portico_access=; HttpOnly; SameSite=Lax; Path=/; Max-Age=0",
                "portico_refresh=; HttpOnly; SameSite=Lax; Path=/auth; Max-Age=0",
                "portico_csrf=; SameSite=Lax; Path=/; Max-Age=0",
            ]
        );
        assert_eq!(
            rules.delete_login(&tag(255)).to_string(),
            "portico_login_ff-AAAAAAAAAAAAAAAA=; HttpOnly; SameSite=Lax; Path=/; Max-Age=0"
        );
    }
}

//! The cookies that a browser sends.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::header::{self, HeaderMap};
use actix_web::{FromRequest, HttpRequest};
use portico_core::error::StoreError;
use portico_core::flow::{Broker, PresentedTokens};
use portico_core::pending_login::{LoginTag, MAX_PENDING, ReturnedLogin, SealedLogin, State};
use portico_core::session::{RefreshToken, SessionId};

use crate::cookies::CookieRules;
use crate::error::ApiError;
use crate::state::Portico;

/// Portico's cookies in a request. A name that occurs twice counts as absent (threats H02).
pub(crate) struct RequestCookies {
    /// The access token.
    pub(crate) access: Option<String>,
    /// The refresh token.
    pub(crate) refresh: Option<RefreshToken>,
    /// The CSRF value.
    pub(crate) csrf: Option<String>,
    /// Whether the last login of this browser ended with a sign-out.
    pub(crate) signed_out: bool,
    logins: Vec<SealedLogin>,
}

impl RequestCookies {
    fn parse(headers: &HeaderMap, rules: &CookieRules) -> Self {
        let pairs = pairs(headers);
        let own = |name: &str| once(&pairs, name).map(str::to_owned);
        let prefix = rules.login_prefix();
        let tags =
            pairs.iter().filter_map(|(name, _)| Some((*name, LoginTag::parse(name.strip_prefix(&prefix)?)?)));
        let logins =
            tags.filter_map(|(name, tag)| Some(SealedLogin { tag, value: once(&pairs, name)?.to_owned() }));
        Self {
            access: own(&rules.access_name()),
            refresh: own(&rules.refresh_name()).and_then(|token| RefreshToken::parse(&token)),
            csrf: own(&rules.csrf_name()),
            signed_out: once(&pairs, &rules.signed_out_name()).is_some(),
            logins: logins.collect(),
        }
    }

    /// The session that the cookies belong to, whatever its state.
    pub(crate) async fn session(&self, broker: &Broker) -> Result<Option<SessionId>, StoreError> {
        let tokens = PresentedTokens { access: self.access.clone(), refresh: self.refresh.clone() };
        broker.sessions().session_of(&tokens).await
    }

    /// The tokens of a session, not verified yet.
    pub(crate) fn into_tokens(self) -> PresentedTokens {
        PresentedTokens { access: self.access, refresh: self.refresh }
    }

    /// The pending login of this state, if this browser has its cookie.
    pub(crate) fn login_of(&self, state: State) -> Option<ReturnedLogin> {
        ReturnedLogin::find(state, &self.logins)
    }

    /// The oldest pending logins, which are evicted by one more (threats M10).
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
        let portico = Portico::serving(request);
        ready(portico.map(|portico| Self::parse(request.headers(), &portico.front().cookies)))
    }
}

/// Names and values of all cookies in all `Cookie` headers. A cookie that is not UTF-8 is skipped; the others
/// count.
fn pairs(headers: &HeaderMap) -> Vec<(&str, &str)> {
    let lines = headers.get_all(header::COOKIE).flat_map(|line| line.as_bytes().split(|b| *b == b';'));
    let pairs = lines.filter_map(|pair| std::str::from_utf8(pair).ok()?.split_once('='));
    // Only the white space of RFC 6265 is trimmed. To a browser, a name behind any other blank is a different
    // name, which its prefix does not protect (threats H02).
    let blank = [' ', '\t'];
    pairs.map(|(name, value)| (name.trim_matches(blank), value.trim_matches(blank))).collect()
}

/// The value of a name that occurs exactly once.
fn once<'a>(pairs: &[(&str, &'a str)], name: &str) -> Option<&'a str> {
    let mut values = pairs.iter().filter(|(own, _)| *own == name).map(|(_, value)| *value);
    let first = values.next()?;
    values.next().is_none().then_some(first)
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{COOKIE, HeaderValue};
    use portico_core::public_url::PublicUrl;
    use proptest::prelude::ProptestConfig;

    use super::*;

    const MARK: &str = "AAAAAAAAAAAAAAAA";

    fn parsed(lines: &[&[u8]]) -> RequestCookies {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(COOKIE, HeaderValue::from_bytes(line).unwrap());
        }
        RequestCookies::parse(&headers, &CookieRules::new(&PublicUrl::parse("http://localhost").unwrap()))
    }

    fn tag(started: i64) -> LoginTag {
        LoginTag::parse(&format!("{started:x}-{MARK}")).unwrap()
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
            assert_eq!(parsed(lines).access.as_deref(), *expected, "{lines:?}");
        }
        let token = "x".repeat(43);
        assert!(parsed(&[format!("portico_refresh={token}").as_bytes()]).refresh.is_some());
        assert!(parsed(&[b"portico_refresh=short"]).refresh.is_none());
        assert!(
            parsed(&[format!("portico_refresh={token}; portico_refresh={token}").as_bytes()])
                .refresh
                .is_none()
        );
        let login = format!("portico_login_ff-{MARK}=a");
        assert_eq!(parsed(&[login.as_bytes()]).logins.len(), 1);
        assert_eq!(parsed(&[login.as_bytes(), login.as_bytes()]).logins.len(), 0);
    }

    #[test]
    fn the_oldest_logins_give_way_to_one_more() {
        for (pending, gone) in [(0, 0), (6, 0), (7, 1), (9, 3)] {
            // The browser sends them in any order.
            let all = (0..pending).rev().map(|at| format!("portico_login_{:x}-{MARK}=v", 1000 + at));
            let line = all.chain(["portico_login_zz-bad=v".to_owned()]).collect::<Vec<_>>().join("; ");
            let expected: Vec<_> = (0..gone).map(|at| tag(1000 + at)).collect();
            assert_eq!(parsed(&[line.as_bytes()]).evicted(), expected, "{pending} pending");
        }
    }

    proptest::proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

        /// Among any other cookies, Portico's cookie counts if it occurs exactly once.
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
            let named = |piece: &&String| {
                piece.split_once('=').is_some_and(|(name, _)| name.trim() == "portico_access")
            };
            let found = parsed(&[lines[0].as_bytes(), lines[1].as_bytes()]).access;
            let own: Vec<_> = pieces.iter().filter(named).collect();
            let value = |piece: &String| piece.split_once('=').map(|(_, value)| value.trim().to_owned());
            let expected = if own.len() == 1 { value(own[0]) } else { None };
            proptest::prop_assert_eq!(found, expected);
        }
    }
}

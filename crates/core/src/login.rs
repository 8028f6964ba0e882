//! A login that has started and not finished: its handle, the cookie it is sealed into, and where it leads back to.

use std::fmt;
use std::time::Duration;

use url::Url;

use crate::clock::{Entropy, Timestamp};
use crate::provider::{Frozen, Memory};
use crate::public_url::PublicUrl;
use crate::seal::{Purpose, SealKey, Seals, base64url, from_base64url, sha256};
use crate::slot::SlotId;

/// How long a person may take at the provider.
pub const LOGIN_LIFETIME: Duration = Duration::from_mins(10);

/// How long after a login's expiry its mark as spent is kept. An invariant of security: as long as a cookie could
/// still open, the mark must exist.
pub const SPENT_MARGIN: Duration = Duration::from_mins(5);

/// How far the clocks of two replicas may be apart: one starts a login, the other finishes it a moment later.
pub const REPLICA_SKEW: Duration = Duration::from_mins(1);

/// How many logins of one browser may be pending at once.
pub const MAX_PENDING: usize = 7;

/// The longest `return_to`, in bytes.
const MAX_RETURN_TO: usize = 512;

/// The opaque handle of a login at the provider: 256 random bits in 43 characters of base64url (RFC 6749 10.12).
#[derive(Clone, PartialEq, Eq)]
pub struct State(String);

impl State {
    /// A new one.
    pub fn random(entropy: Entropy) -> Self {
        Self(base64url(&entropy.bytes::<32>()))
    }

    /// Takes what came back; anything that cannot be a state of ours is `None`.
    pub fn parse(text: &str) -> Option<Self> {
        let fits =
            text.len() == 43 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        fits.then(|| Self(text.to_owned()))
    }

    /// The text that travels.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What the store remembers a spent login by.
    pub fn hash(&self) -> [u8; 32] {
        sha256(&[self.0.as_bytes()])
    }

    fn memory(&self, key: &SealKey) -> Memory {
        let derive = |purpose| base64url(&key.mac(purpose, &[self.0.as_bytes()])).into();
        Memory::new(derive(Purpose::Verifier), derive(Purpose::Nonce))
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("State([REDACTED])")
    }
}

/// The last part of a login cookie's name: when the login started and the beginning of the hash of its state.
/// So a browser's oldest login is known without opening any.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LoginTag {
    started: Timestamp,
    mark: String,
}

impl LoginTag {
    fn new(state: &State, started: Timestamp) -> Self {
        Self { started, mark: Self::mark(state) }
    }

    /// The first 16 base64url characters of SHA-256(state).
    fn mark(state: &State) -> String {
        base64url(&state.hash()).chars().take(16).collect()
    }

    /// Reads the end of a cookie name.
    pub fn parse(text: &str) -> Option<Self> {
        let (started, mark) = text.split_once('-')?;
        let canonical =
            !started.is_empty() && started.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        let fits = canonical && mark.len() == 16;
        let started = i64::from_str_radix(started, 16).ok().filter(|_| fits)?;
        Some(Self { started: Timestamp::from_unix(started), mark: mark.to_owned() })
    }

    /// Whether a cookie of this name belongs to the login of this state.
    pub fn belongs_to(&self, state: &State) -> bool {
        self.mark == Self::mark(state)
    }

    /// When the login started.
    pub fn started(&self) -> Timestamp {
        self.started
    }
}

impl fmt::Display for LoginTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{}", self.started.unix(), self.mark)
    }
}

/// A pending login as the browser keeps it: readable by nobody but us.
#[derive(Debug, Clone)]
pub struct SealedLogin {
    /// The end of the cookie's name.
    pub tag: LoginTag,
    /// The cookie's value.
    pub value: String,
}

/// What a pending login remembers. Not `Clone`: it is spent by finishing.
#[derive(Debug)]
pub struct PendingLogin {
    /// Verifier and nonce.
    pub memory: Memory,
    /// Where the browser goes afterwards.
    pub return_to: ReturnTo,
    /// The slot's settings at the start.
    pub settings: Frozen,
    /// The provider at the start.
    pub provider: Frozen,
}

/// The layout of the sealed text; a change of layout is a change of this number.
const VERSION: u8 = 1;

/// What is sealed at the start of a login.
#[derive(Debug, Clone, Copy)]
pub struct Sealing<'a> {
    /// The slot.
    pub slot: SlotId,
    /// The login's handle.
    pub state: &'a State,
    /// Now.
    pub started: Timestamp,
    /// Where the browser goes afterwards.
    pub return_to: &'a ReturnTo,
    /// The slot's settings.
    pub settings: Frozen,
    /// The provider.
    pub provider: Frozen,
}

/// Verifier and nonce of a login that starts now.
pub fn memory_of(state: &State, seals: &Seals) -> Memory {
    state.memory(seals.current())
}

impl Sealing<'_> {
    /// Seals the login. Name, slot and state are bound as associated data; the verifier and the nonce derive from the
    /// state under the key that seals, and so need no room.
    pub fn seal(&self, seals: &Seals, entropy: Entropy) -> SealedLogin {
        let tag = LoginTag::new(self.state, self.started);
        let plain =
            [&[VERSION], &self.settings.0[..], &self.provider.0[..], self.return_to.0.as_bytes()].concat();
        let sealed = seals.seal(
            Purpose::Login,
            &context(&tag.to_string(), self.slot, self.state).each(),
            &plain,
            entropy,
        );
        SealedLogin { value: base64url(&sealed), tag }
    }
}

impl PendingLogin {
    /// Opens the cookie of this state at the callback of this slot.
    ///
    /// # Errors
    /// For the log: why the callback belongs to no open login of this browser.
    pub fn open(
        cookie: &SealedLogin,
        slot: SlotId,
        state: &State,
        now: Timestamp,
        seals: &Seals,
    ) -> Result<Self, &'static str> {
        if !cookie.tag.belongs_to(state) {
            return Err("the cookie is of another state");
        }
        let sealed = from_base64url(&cookie.value).ok_or("the login cookie is not base64url")?;
        let (plain, key) = seals
            .open_with_key(Purpose::Login, &context(&cookie.tag.to_string(), slot, state).each(), &sealed)
            .map_err(|_| "the login cookie does not open: another slot, another state, changed, or sealed under a key we no longer have")?;
        let age = now.unix().saturating_sub(cookie.tag.started().unix());
        if age > LOGIN_LIFETIME.as_secs().cast_signed() {
            return Err("the login has expired");
        }
        if age < -REPLICA_SKEW.as_secs().cast_signed() {
            return Err("the login started in the future");
        }
        let (settings, rest) = plain
            .strip_prefix(&[VERSION])
            .and_then(<[u8]>::split_first_chunk::<8>)
            .ok_or("the login cookie has another layout")?;
        let (provider, return_to) =
            rest.split_first_chunk::<8>().ok_or("the login cookie has another layout")?;
        let return_to =
            String::from_utf8(return_to.to_vec()).map_err(|_| "the login cookie has another layout")?;
        Ok(Self {
            memory: state.memory(key),
            return_to: ReturnTo(return_to),
            settings: Frozen(*settings),
            provider: Frozen(*provider),
        })
    }
}

struct Context(String, String, String);

impl Context {
    fn each(&self) -> [&[u8]; 3] {
        [self.0.as_bytes(), self.1.as_bytes(), self.2.as_bytes()]
    }
}

fn context(tag: &str, slot: SlotId, state: &State) -> Context {
    Context(tag.to_owned(), slot.to_string(), state.as_str().to_owned())
}

/// Where the browser goes after a login: an address of the public origin, kept as path, query and fragment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReturnTo(String);

impl ReturnTo {
    /// Checks a `return_to` parameter; none leads to `/`.
    ///
    /// Accepted are a path beginning with one slash, and an absolute URL that begins with the public origin. The WHATWG
    /// parser has the last word about the origin, so no spelling leads elsewhere.
    ///
    /// # Errors
    /// A fixed sentence that says what is wrong.
    pub fn parse(text: Option<&str>, public: &PublicUrl) -> Result<Self, &'static str> {
        let Some(text) = text else { return Ok(Self("/".to_owned())) };
        if text.len() > MAX_RETURN_TO {
            return Err("return_to is longer than 512 bytes");
        }
        if text.chars().any(|c| c.is_control() || c.is_whitespace() || c == '\\') {
            return Err("return_to has a blank, a backslash or a control character");
        }
        let origin = public.origin();
        let path = text.strip_prefix(&origin).unwrap_or(text);
        if !path.starts_with('/') || path.starts_with("//") {
            return Err("return_to is neither a path nor an address of the public origin");
        }
        let url = public.at("/").join(text).map_err(|_| "return_to is not a URL")?;
        let elsewhere = url.origin().ascii_serialization() != origin || url.path().starts_with("//");
        if elsewhere || !url.username().is_empty() || url.password().is_some() {
            return Err("return_to leads to another origin");
        }
        let kept = url
            .as_str()
            .strip_prefix(&origin)
            .filter(|kept| kept.starts_with('/') && kept.len() <= MAX_RETURN_TO);
        kept.map(|kept| Self(kept.to_owned())).ok_or("return_to is longer than 512 bytes")
    }

    /// The absolute address.
    pub fn url(&self, public: &PublicUrl) -> Result<Url, &'static str> {
        Url::parse(&format!("{}{}", public.origin(), self.0)).map_err(|_| "a return_to no longer parses")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn public() -> PublicUrl {
        PublicUrl::parse("https://app.example.com/sso").unwrap()
    }

    fn sealed(return_to: &str) -> (Seals, State, SealedLogin) {
        let seals = Seals::new(b"key", &[]);
        let state = State::random(Entropy);
        let sealing = Sealing {
            slot: "oidc/provider1".parse().unwrap(),
            state: &state,
            started: Timestamp::from_unix(1_800_000_000),
            return_to: &ReturnTo::parse(Some(return_to), &public()).unwrap(),
            settings: Frozen([1; 8]),
            provider: Frozen([2; 8]),
        };
        let cookie = sealing.seal(&seals, Entropy);
        (seals, state, cookie)
    }

    #[test]
    fn a_login_opens_for_its_own_slot_and_state_until_it_expires() {
        let (seals, state, cookie) = sealed("/a?b=c#d");
        let open = |slot: &str, state: &State, now: i64| {
            PendingLogin::open(&cookie, slot.parse().unwrap(), state, Timestamp::from_unix(now), &seals)
        };
        let pending = open("oidc/provider1", &state, 1_800_000_600).unwrap();
        assert_eq!(pending.return_to.url(&public()).unwrap().as_str(), "https://app.example.com/a?b=c#d");
        assert_eq!((pending.settings, pending.provider), (Frozen([1; 8]), Frozen([2; 8])));
        assert!(open("oidc/provider1", &state, 1_800_000_601).is_err());
        assert!(open("oidc/provider1", &state, 1_799_999_940).is_ok());
        assert!(open("oidc/provider1", &state, 1_799_999_939).is_err());
        assert!(open("oidc/provider2", &state, 1_800_000_000).is_err());
        assert!(open("oauth2/provider1", &state, 1_800_000_000).is_err());
        assert!(open("oidc/provider1", &State::random(Entropy), 1_800_000_000).is_err());
        let mut renamed = cookie.clone();
        renamed.tag.started = Timestamp::from_unix(1_800_000_001);
        let slot = "oidc/provider1".parse().unwrap();
        assert!(
            PendingLogin::open(&renamed, slot, &state, Timestamp::from_unix(1_800_000_001), &seals).is_err()
        );
    }

    #[test]
    fn verifier_and_nonce_survive_a_change_of_the_secret_key() {
        use secrecy::ExposeSecret as _;
        let (seals, state, cookie) = sealed("/");
        let before = memory_of(&state, &seals);
        let rotated = Seals::new(b"new", &[b"key".to_vec()]);
        let slot = "oidc/provider1".parse().unwrap();
        let pending =
            PendingLogin::open(&cookie, slot, &state, Timestamp::from_unix(1_800_000_000), &rotated).unwrap();
        assert_eq!(pending.memory.verifier().expose_secret(), before.verifier().expose_secret());
        assert_eq!(pending.memory.nonce().expose_secret(), before.nonce().expose_secret());
        assert_ne!(before.nonce().expose_secret(), before.verifier().expose_secret());
    }

    #[test]
    fn the_cookie_stays_within_800_bytes() {
        let longest = format!("/{}", "a".repeat(511));
        let (_, _, cookie) = sealed(&longest);
        let name = format!("__Host-portico_login_{}", cookie.tag);
        assert!(name.len() + 1 + cookie.value.len() <= 800, "{}", name.len() + 1 + cookie.value.len());
        assert_eq!(LoginTag::parse(&cookie.tag.to_string()), Some(cookie.tag));
    }

    #[test]
    fn return_to_stays_on_the_public_origin() {
        for (good, kept) in [
            ("/", "/"),
            ("/a/b?c=d&e=%20#f", "/a/b?c=d&e=%20#f"),
            ("https://app.example.com/x", "/x"),
            ("/a/../b", "/b"),
            ("/?next=https://evil.example", "/?next=https://evil.example"),
            ("/@evil.example", "/@evil.example"),
            ("/%09/evil.example", "/%09/evil.example"),
        ] {
            assert_eq!(ReturnTo::parse(Some(good), &public()), Ok(ReturnTo(kept.to_owned())), "{good}");
        }
        for bad in [
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
        ] {
            assert!(ReturnTo::parse(Some(bad), &public()).is_err(), "{bad:?}");
        }
        assert!(ReturnTo::parse(Some(&format!("/{}", "a".repeat(512))), &public()).is_err());
    }
}

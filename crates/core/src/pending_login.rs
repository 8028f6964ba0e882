//! A login that has started and not finished: its handle, the cookie it is sealed into, and where it leads back to.

use std::fmt;
use std::time::Duration;

use uuid::Uuid;

use crate::clock::{Entropy, Timestamp};
use crate::provider::{LoginSecrets, ProviderFingerprint};
use crate::return_to::ReturnTo;
use crate::seal::{Purpose, SealKey, Seals, base64url, from_base64url, sha256};
use crate::session::{Challenge, SessionId};
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

    fn login_secrets(&self, key: &SealKey) -> LoginSecrets {
        let derive = |purpose| base64url(&key.mac(purpose, &[self.0.as_bytes()])).into();
        LoginSecrets::new(derive(Purpose::Verifier), derive(Purpose::Nonce))
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
    short_hash: String,
}

impl LoginTag {
    fn new(state: &State, started: Timestamp) -> Self {
        Self { started, short_hash: Self::short_hash(state) }
    }

    /// The first 16 base64url characters of SHA-256(state).
    fn short_hash(state: &State) -> String {
        base64url(&state.hash()).chars().take(16).collect()
    }

    /// Reads the end of a cookie name.
    pub fn parse(text: &str) -> Option<Self> {
        let (started, short_hash) = text.split_once('-')?;
        let canonical =
            !started.is_empty() && started.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        let fits = canonical && short_hash.len() == 16;
        let started = i64::from_str_radix(started, 16).ok().filter(|_| fits)?;
        Some(Self { started: Timestamp::from_unix(started), short_hash: short_hash.to_owned() })
    }

    /// Whether a cookie of this name belongs to the login of this state.
    pub fn belongs_to(&self, state: &State) -> bool {
        self.short_hash == Self::short_hash(state)
    }

    /// When the login started.
    pub fn started(&self) -> Timestamp {
        self.started
    }
}

impl fmt::Display for LoginTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{}", self.started.unix(), self.short_hash)
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

/// What a login is for. A login begun for one purpose never finishes as another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intent {
    /// A session of this browser.
    SignIn,
    /// A one-time code for a frontend elsewhere that knows the verifier of this challenge.
    HandOff(Challenge),
    /// One more identity for the account of this session.
    Link(SessionId),
}

impl Intent {
    fn to_bytes(self) -> Vec<u8> {
        match self {
            Self::SignIn => vec![0],
            Self::HandOff(Challenge(challenge)) => [&[1], &challenge[..]].concat(),
            Self::Link(session) => [&[2], &session.0.as_bytes()[..]].concat(),
        }
    }

    fn split(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (kind, rest) = bytes.split_first()?;
        match kind {
            0 => Some((Self::SignIn, rest)),
            1 => rest.split_first_chunk().map(|(bytes, rest)| (Self::HandOff(Challenge(*bytes)), rest)),
            2 => rest
                .split_first_chunk()
                .map(|(bytes, rest)| (Self::Link(SessionId(Uuid::from_bytes(*bytes))), rest)),
            _ => None,
        }
    }
}

/// What a pending login remembers. Not `Clone`: it is spent by finishing.
#[derive(Debug)]
pub struct PendingLogin {
    /// Verifier and nonce.
    pub login_secrets: LoginSecrets,
    /// What it is for.
    pub intent: Intent,
    /// Where the browser goes afterwards.
    pub return_to: ReturnTo,
    /// The slot's settings at the start.
    pub settings: ProviderFingerprint,
    /// The provider at the start.
    pub provider: ProviderFingerprint,
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
    /// What it is for.
    pub intent: Intent,
    /// Where the browser goes afterwards.
    pub return_to: &'a ReturnTo,
    /// The slot's settings.
    pub settings: ProviderFingerprint,
    /// The provider.
    pub provider: ProviderFingerprint,
}

/// Verifier and nonce of a login that starts now.
pub fn login_secrets(state: &State, seals: &Seals) -> LoginSecrets {
    state.login_secrets(seals.current())
}

impl Sealing<'_> {
    /// Seals the login under a key that derives from its state; name and slot are bound as associated data. Verifier and
    /// nonce derive from the state as well, and so need no room.
    pub fn seal(&self, seals: &Seals) -> SealedLogin {
        let tag = LoginTag::new(self.state, self.started);
        let marks = [&self.settings.0[..], &self.provider.0[..]].concat();
        let plain =
            [&[VERSION][..], &marks, &self.intent.to_bytes(), self.return_to.as_str().as_bytes()].concat();
        let sealed = seals.seal_once(
            Purpose::Login,
            self.state.0.as_bytes(),
            &context(&tag, self.slot).each(),
            &plain,
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
            .open_once(Purpose::Login, state.0.as_bytes(), &context(&cookie.tag, slot).each(), &sealed)
            .map_err(|_| "the login cookie does not open: another slot, another state, changed, or sealed under a key we no longer have")?;
        let age = now.unix().saturating_sub(cookie.tag.started().unix());
        if age > LOGIN_LIFETIME.as_secs().cast_signed() {
            return Err("the login has expired");
        }
        if age < -REPLICA_SKEW.as_secs().cast_signed() {
            return Err("the login started in the future");
        }
        Self::unpack(&plain, state, key).ok_or("the login cookie has another layout")
    }

    fn unpack(plain: &[u8], state: &State, key: &SealKey) -> Option<Self> {
        let (settings, rest) = plain.strip_prefix(&[VERSION])?.split_first_chunk::<8>()?;
        let (provider, rest) = rest.split_first_chunk::<8>()?;
        let (intent, return_to) = Intent::split(rest)?;
        Some(Self {
            login_secrets: state.login_secrets(key),
            intent,
            return_to: ReturnTo::remembered(String::from_utf8(return_to.to_vec()).ok()?),
            settings: ProviderFingerprint(*settings),
            provider: ProviderFingerprint(*provider),
        })
    }
}

struct Context(String, String);

impl Context {
    fn each(&self) -> [&[u8]; 2] {
        [self.0.as_bytes(), self.1.as_bytes()]
    }
}

fn context(tag: &LoginTag, slot: SlotId) -> Context {
    Context(tag.to_string(), slot.to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::public_url::PublicUrl;

    fn public() -> PublicUrl {
        PublicUrl::parse("https://app.example.com/sso").unwrap()
    }

    fn sealed(return_to: &str, intent: Intent) -> (Seals, State, SealedLogin) {
        let seals = Seals::new(b"key", &[]);
        let state = State::random(Entropy);
        let sealing = Sealing {
            slot: "oidc/provider1".parse().unwrap(),
            state: &state,
            started: Timestamp::from_unix(1_800_000_000),
            intent,
            return_to: &ReturnTo::parse(Some(return_to), &public(), &[]).unwrap(),
            settings: ProviderFingerprint([1; 8]),
            provider: ProviderFingerprint([2; 8]),
        };
        let cookie = sealing.seal(&seals);
        (seals, state, cookie)
    }

    #[test]
    fn a_login_opens_for_its_own_slot_and_state_until_it_expires() {
        let (seals, state, cookie) = sealed("/a?b=c#d", Intent::SignIn);
        let open = |slot: &str, state: &State, now: i64| {
            PendingLogin::open(&cookie, slot.parse().unwrap(), state, Timestamp::from_unix(now), &seals)
        };
        let pending = open("oidc/provider1", &state, 1_800_000_600).unwrap();
        assert_eq!(pending.return_to.url(&public()).unwrap().as_str(), "https://app.example.com/a?b=c#d");
        assert_eq!(
            (pending.settings, pending.provider),
            (ProviderFingerprint([1; 8]), ProviderFingerprint([2; 8]))
        );
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
        let (seals, state, cookie) = sealed("/", Intent::SignIn);
        let before = login_secrets(&state, &seals);
        let rotated = Seals::new(b"new", &[b"key".to_vec()]);
        let slot = "oidc/provider1".parse().unwrap();
        let pending =
            PendingLogin::open(&cookie, slot, &state, Timestamp::from_unix(1_800_000_000), &rotated).unwrap();
        assert_eq!(pending.login_secrets.verifier().expose_secret(), before.verifier().expose_secret());
        assert_eq!(pending.login_secrets.nonce().expose_secret(), before.nonce().expose_secret());
        assert_ne!(before.nonce().expose_secret(), before.verifier().expose_secret());
    }

    #[test]
    fn the_cookie_stays_within_800_bytes() {
        let longest = format!("/{}", "a".repeat(511));
        let link = Intent::Link(SessionId(Uuid::max()));
        let (_, _, cookie) = sealed(&longest, link);
        let name = format!("__Host-portico_login_{}", cookie.tag);
        assert!(name.len() + 1 + cookie.value.len() <= 800, "{}", name.len() + 1 + cookie.value.len());
        assert_eq!(LoginTag::parse(&cookie.tag.to_string()), Some(cookie.tag));
    }

    #[test]
    fn a_login_finishes_as_what_it_began() {
        let challenge = Challenge([7; 16]);
        for intent in [Intent::SignIn, Intent::HandOff(challenge), Intent::Link(SessionId(Uuid::max()))] {
            let (seals, state, cookie) = sealed("/back", intent);
            let slot = "oidc/provider1".parse().unwrap();
            let now = Timestamp::from_unix(1_800_000_000);
            let pending = PendingLogin::open(&cookie, slot, &state, now, &seals).unwrap();
            assert_eq!((pending.intent, pending.return_to.as_str()), (intent, "/back"));
        }
    }
}

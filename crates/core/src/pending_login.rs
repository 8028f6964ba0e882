//! A pending login: one that has started but not finished. It exists only in a cookie of the browser,
//! sealed under a key that derives from the login's `state`.

use std::fmt;
use std::time::Duration;

use uuid::Uuid;

use crate::clock::{Entropy, Timestamp};
use crate::provider::{LoginSecrets, ProviderFingerprint};
use crate::return_to::ReturnTo;
use crate::seal::{Purpose, SealKey, Seals, base64url, from_base64url, sha256};
use crate::session::{Challenge, SessionId};
use crate::slot::SlotId;

/// The lifetime of a pending login: the time that a person may take at the provider.
pub const LOGIN_LIFETIME: Duration = Duration::from_mins(10);

/// How long the store retains the record of a spent login after the login's expiry. The record must
/// exist as long as any replica could open the cookie; otherwise a login could be used twice.
pub const SPENT_MARGIN: Duration = Duration::from_mins(5);

/// The maximum difference between the clocks of two replicas.
pub const REPLICA_SKEW: Duration = Duration::from_mins(1);

/// The maximum number of pending logins of one browser.
pub const MAX_PENDING: usize = 7;

/// The `state` of a login: 256 random bits in 43 characters of base64url (RFC 6749 10.12).
#[derive(Clone, PartialEq, Eq)]
pub struct State(String);

impl State {
    /// A new state.
    pub fn random(entropy: Entropy) -> Self {
        Self(base64url(&entropy.bytes::<32>()))
    }

    /// Parses the `state` parameter of a callback. `None` if it does not have the form of a state.
    pub fn parse(text: &str) -> Option<Self> {
        let well_formed =
            text.len() == 43 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        well_formed.then(|| Self(text.to_owned()))
    }

    /// The text of the parameter.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The SHA-256 hash under which the store records the login as spent.
    pub fn hash(&self) -> [u8; 32] {
        sha256(&[self.0.as_bytes()])
    }

    /// Derives PKCE verifier and nonce from the state, so that the cookie need not contain them.
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

/// The last part of a login cookie's name: when the login started, and a short hash of its state. It
/// identifies the cookie of a state, and the oldest cookie of a browser, without opening any.
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

    /// Parses the last part of a cookie name.
    pub fn parse(text: &str) -> Option<Self> {
        let (started, short_hash) = text.split_once('-')?;
        let canonical =
            !started.is_empty() && started.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        let well_formed = canonical && short_hash.len() == 16;
        let started = i64::from_str_radix(started, 16).ok().filter(|_| well_formed)?;
        Some(Self { started: Timestamp::from_unix(started), short_hash: short_hash.to_owned() })
    }

    /// Whether the cookie belongs to the login of this state.
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

/// A pending login as a cookie: encrypted and authenticated.
#[derive(Debug, Clone)]
pub struct SealedLogin {
    /// The last part of the cookie's name.
    pub tag: LoginTag,
    /// The cookie's value.
    pub value: String,
}

/// A login cookie and the state of the callback that it belongs to. Exists only for a pair that matches.
#[derive(Debug)]
pub struct ReturnedLogin {
    state: State,
    cookie: SealedLogin,
}

impl ReturnedLogin {
    /// The login of this state among a browser's login cookies.
    pub fn find(state: State, cookies: &[SealedLogin]) -> Option<Self> {
        let cookie = cookies.iter().find(|cookie| cookie.tag.belongs_to(&state)).cloned()?;
        Some(Self { state, cookie })
    }

    /// The state of the callback.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The last part of the cookie's name.
    pub fn tag(&self) -> &LoginTag {
        &self.cookie.tag
    }
}

/// The purpose of a login. A login that started for one purpose never finishes as another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intent {
    /// To start a session of this browser.
    SignIn,
    /// To issue a one-time code for a frontend on another site that knows the verifier of this challenge.
    HandOff(Challenge),
    /// To link one more identity to the account of this session.
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

    /// Parses the intent at the start of `bytes`, and returns the remaining bytes.
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

/// A pending login, opened from its cookie. Not `Clone`, because finishing consumes it.
#[derive(Debug)]
pub struct PendingLogin {
    /// PKCE verifier and nonce.
    pub login_secrets: LoginSecrets,
    /// The purpose.
    pub intent: Intent,
    /// Where the browser is redirected after the login.
    pub return_to: ReturnTo,
    /// The fingerprint of the slot's settings when the login started.
    pub settings: ProviderFingerprint,
    /// The fingerprint of the provider when the login started.
    pub provider: ProviderFingerprint,
}

/// The version of the sealed layout. A change of the layout must change this number.
const VERSION: u8 = 1;

/// A login that starts, before it is sealed into a cookie.
#[derive(Debug, Clone, Copy)]
pub struct Sealing<'a> {
    /// The slot.
    pub slot: SlotId,
    /// The login's state.
    pub state: &'a State,
    /// The current time.
    pub started: Timestamp,
    /// The purpose.
    pub intent: Intent,
    /// Where the browser is redirected after the login.
    pub return_to: &'a ReturnTo,
    /// The fingerprint of the slot's settings.
    pub settings: ProviderFingerprint,
    /// The fingerprint of the provider.
    pub provider: ProviderFingerprint,
}

/// PKCE verifier and nonce of a login that starts, under the current secret key.
pub fn login_secrets(state: &State, seals: &Seals) -> LoginSecrets {
    state.login_secrets(seals.current())
}

impl Sealing<'_> {
    /// Seals the login under a key that derives from its state. The cookie's name and the slot are
    /// associated data, so that the cookie opens only under its own name and for its own slot.
    pub fn seal(&self, seals: &Seals) -> SealedLogin {
        let tag = LoginTag::new(self.state, self.started);
        let fingerprints = [&self.settings.0[..], &self.provider.0[..]].concat();
        let plain =
            [&[VERSION][..], &fingerprints, &self.intent.to_bytes(), self.return_to.as_str().as_bytes()]
                .concat();
        let sealed = seals.seal_once(
            Purpose::Login,
            self.state.0.as_bytes(),
            &context(&tag, self.slot).each(),
            &plain,
        );
        SealedLogin { value: base64url(&sealed), tag }
    }
}

/// Authentication fails in the same way for each of these reasons, so that they cannot be told apart.
const DOES_NOT_OPEN: &str = "the login cookie does not open: it is of another slot or state, was changed, \
    or was sealed under a secret key that is no longer configured";

impl PendingLogin {
    /// Opens the login cookie of a callback.
    ///
    /// # Errors
    /// A text for the log that says why the callback belongs to no pending login of this browser.
    pub fn open(
        login: &ReturnedLogin,
        slot: SlotId,
        now: Timestamp,
        seals: &Seals,
    ) -> Result<Self, &'static str> {
        let ReturnedLogin { state, cookie } = login;
        let sealed = from_base64url(&cookie.value).ok_or("the login cookie is not base64url")?;
        let (plain, key) = seals
            .open_once(Purpose::Login, state.0.as_bytes(), &context(&cookie.tag, slot).each(), &sealed)
            .map_err(|_| DOES_NOT_OPEN)?;
        let age = now.unix().saturating_sub(cookie.tag.started().unix());
        if age > LOGIN_LIFETIME.as_secs().cast_signed() {
            return Err("the login has expired");
        }
        if age < -REPLICA_SKEW.as_secs().cast_signed() {
            return Err("the login started in the future");
        }
        Self::unpack(&plain, state, key).ok_or("the login cookie has another layout")
    }

    /// Parses the sealed layout: version, two fingerprints, intent, `return_to`.
    fn unpack(plain: &[u8], state: &State, key: &SealKey) -> Option<Self> {
        let (settings, rest) = plain.strip_prefix(&[VERSION])?.split_first_chunk::<8>()?;
        let (provider, rest) = rest.split_first_chunk::<8>()?;
        let (intent, return_to) = Intent::split(rest)?;
        Some(Self {
            login_secrets: state.login_secrets(key),
            intent,
            return_to: ReturnTo::from_sealed(String::from_utf8(return_to.to_vec()).ok()?),
            settings: ProviderFingerprint(*settings),
            provider: ProviderFingerprint(*provider),
        })
    }
}

/// The associated data of a login cookie: the last part of its name, and the slot.
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

    fn returned(state: &State, cookie: &SealedLogin) -> Option<ReturnedLogin> {
        ReturnedLogin::find(state.clone(), std::slice::from_ref(cookie))
    }

    #[test]
    fn a_login_opens_for_its_own_slot_and_state_until_it_expires() {
        let (seals, state, cookie) = sealed("/a?b=c#d", Intent::SignIn);
        let open = |slot: &str, state: &State, now: i64| {
            let login = returned(state, &cookie).ok_or("the cookie is of another state")?;
            PendingLogin::open(&login, slot.parse().unwrap(), Timestamp::from_unix(now), &seals)
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
        let renamed = returned(&state, &renamed).unwrap();
        assert!(PendingLogin::open(&renamed, slot, Timestamp::from_unix(1_800_000_001), &seals).is_err());
    }

    #[test]
    fn verifier_and_nonce_survive_a_change_of_the_secret_key() {
        use secrecy::ExposeSecret as _;
        let (seals, state, cookie) = sealed("/", Intent::SignIn);
        let before = login_secrets(&state, &seals);
        let rotated = Seals::new(b"new", &[b"key".to_vec()]);
        let slot = "oidc/provider1".parse().unwrap();
        let login = returned(&state, &cookie).unwrap();
        let pending =
            PendingLogin::open(&login, slot, Timestamp::from_unix(1_800_000_000), &rotated).unwrap();
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
            let login = returned(&state, &cookie).unwrap();
            let pending = PendingLogin::open(&login, slot, now, &seals).unwrap();
            assert_eq!((pending.intent, pending.return_to.as_str()), (intent, "/back"));
        }
    }
}

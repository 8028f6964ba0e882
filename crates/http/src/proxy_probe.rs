//! The proxy probe: `portico check --live` asks the service through the public URL how its request arrives.
//!
//! Probe and answer are sealed under the secret key; without it, the path is 404. The answer shows whether
//! proxies change cookies, and whether they report the client's address (threats C15, M33).

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use portico_core::clock::{Clock, Entropy, Timestamp};
use portico_core::provider::inspection::Finding;
use portico_core::public_url::PublicUrl;
use portico_core::seal::{Purpose, Seals, base64url, from_base64url};
use serde::{Deserialize, Serialize};

/// The address that a probe claims in `X-Forwarded-For`: one for documentation, which no host has (RFC 5737
/// 3).
pub const CLAIMED_CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// The largest accepted difference between the clocks of command and service.
const CLOCK_SKEW: Duration = Duration::from_mins(5);

/// Answers probes.
#[derive(Debug, Clone)]
pub struct ProxyProbe {
    seals: Arc<Seals>,
    public_url: PublicUrl,
    clock: Clock,
}

/// A probe, as it is written in the query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeRequest(String);

/// How the request of a probe arrives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedRequest {
    /// The peer of the connection.
    pub peer: Option<IpAddr>,
    /// Whether the peer is a trusted proxy.
    pub peer_trusted: bool,
    /// The client's address, as the service determines it.
    pub client: Option<IpAddr>,
    /// Whether many clients may share that address, which then has no rate limit.
    pub shared: bool,
    /// The lines of `X-Forwarded-For`.
    pub forwarded_for: Vec<String>,
    /// The lines of `Cookie`.
    pub cookies: Vec<String>,
    /// The value of the response's `Set-Cookie`.
    pub set_cookie: String,
}

impl ProxyProbe {
    /// Answers probes that are sealed for this public URL.
    pub fn new(seals: Seals, public_url: PublicUrl, clock: Clock) -> Self {
        Self { seals: Arc::new(seals), public_url, clock }
    }

    /// The answer to a valid probe; `None` to any other text.
    pub(crate) fn answer(&self, text: &str, observe: impl FnOnce() -> ObservedRequest) -> Option<String> {
        let probe = ProbeRequest::parse(text, &self.seals, &self.public_url, self.clock.now())?;
        Some(probe.answer(&self.seals, &observe()))
    }
}

impl ProbeRequest {
    /// Makes a probe.
    pub fn new(seals: &Seals, public_url: &PublicUrl, now: Timestamp) -> Self {
        let plain = now.unix().to_be_bytes();
        Self(base64url(&seals.seal(Purpose::ProxyProbe, &Self::context(public_url), &plain, Entropy)))
    }

    /// Accepts a probe that is sealed under the secret key and not older than the clock skew.
    fn parse(text: &str, seals: &Seals, public_url: &PublicUrl, now: Timestamp) -> Option<Self> {
        let sealed = from_base64url(text)?;
        let (plain, _) = seals.open(Purpose::ProxyProbe, &Self::context(public_url), &sealed).ok()?;
        let made = i64::from_be_bytes(plain.try_into().ok()?);
        (made.abs_diff(now.unix()) <= CLOCK_SKEW.as_secs()).then(|| Self(text.to_owned()))
    }

    /// The probe as it is written in the query.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Seals the answer, bound to this probe.
    fn answer(&self, seals: &Seals, observed: &ObservedRequest) -> String {
        let plain = serde_json::to_vec(observed).unwrap_or_default();
        base64url(&seals.seal(Purpose::ProxyProbe, &[b"answer", self.0.as_bytes()], &plain, Entropy))
    }

    /// Opens the answer to this probe.
    pub fn open_answer(&self, seals: &Seals, answer: &str) -> Option<ObservedRequest> {
        let context: [&[u8]; 2] = [b"answer", self.0.as_bytes()];
        let (plain, _) = seals.open(Purpose::ProxyProbe, &context, &from_base64url(answer)?).ok()?;
        serde_json::from_slice(&plain).ok()
    }

    fn context(public_url: &PublicUrl) -> [&[u8]; 2] {
        [b"question", public_url.as_str().as_bytes()]
    }
}

impl ObservedRequest {
    /// Checks that cookies pass unchanged: `sent` in the request, `received` in the response.
    pub fn check_cookies(&self, sent: &str, received: &[String]) -> Finding {
        const CHECK: &str = "cookies";
        let arrived = self.cookies.iter().flat_map(|line| line.split(';')).any(|pair| pair.trim() == sent);
        let name = |cookie: &str| cookie.split('=').next().map(str::to_owned);
        let own = received.iter().find(|cookie| name(cookie) == name(&self.set_cookie));
        if !arrived {
            return Finding::bad(
                CHECK,
                "the Cookie header does not arrive, so no session lasts: let the proxy pass it on",
            );
        }
        match own {
            None => Finding::bad(
                CHECK,
                "Set-Cookie does not come back, so no login succeeds: \
                 let the proxy pass it on under its own name",
            ),
            Some(cookie) if attributes(cookie) != attributes(&self.set_cookie) => Finding::bad(
                CHECK,
                format!(
                    "a proxy changes cookies from {:?} to {cookie:?}: let it pass them on unchanged",
                    self.set_cookie
                ),
            ),
            Some(_) => Finding::ok(CHECK, "cookies pass unchanged"),
        }
    }

    /// Checks that the service learns the client's address, and only from trusted proxies.
    pub fn check_forwarded(&self) -> Finding {
        const CHECK: &str = "forwarded";
        let peer = self.peer.map_or_else(|| "an unknown address".to_owned(), |peer| peer.to_string());
        let untouched = matches!(self.forwarded_for.as_slice(), [one] if *one == CLAIMED_CLIENT.to_string());
        match (self.peer_trusted, untouched, self.client) {
            (_, _, Some(CLAIMED_CLIENT)) => claim_accepted(CHECK, untouched, &peer),
            _ if self.forwarded_for.is_empty() => Finding::bad(
                CHECK,
                format!(
                    "X-Forwarded-For does not arrive, so all clients are {peer} and share one rate limit: \
                     let the proxy send it"
                ),
            ),
            (true, _, Some(client)) => {
                Finding::ok(CHECK, format!("the service learns the client's address: {client}"))
            }
            (false, true, _) if self.shared => Finding::unknown(
                CHECK,
                format!(
                    "no proxy wrote X-Forwarded-For; \
                     if there is a proxy at {peer}, let it, and name it in server.trusted_proxies"
                ),
            ),
            (false, true, _) => Finding::ok(CHECK, format!("there is no proxy, and the service sees {peer}")),
            (_, _, _) => Finding::bad(
                CHECK,
                format!(
                    "requests come through a proxy at {peer} that server.trusted_proxies does not name: \
                     its clients are not told apart"
                ),
            ),
        }
    }
}

/// The finding if the service accepts the claimed address as the client's.
fn claim_accepted(check: &'static str, untouched: bool, peer: &str) -> Finding {
    if untouched {
        return Finding::bad(
            check,
            format!(
                "an invented address in X-Forwarded-For is accepted: \
                 let the proxy at {peer} overwrite or extend the header"
            ),
        );
    }
    Finding::unknown(
        check,
        "all hosts that passed the request on are in server.trusted_proxies: \
         if this command runs on one of them, run it from outside; \
         otherwise let the outermost proxy overwrite the header",
    )
}

/// A cookie's pair and attributes; attributes may come in any order and case.
fn attributes(cookie: &str) -> BTreeSet<String> {
    let mut parts = cookie.split(';').map(str::trim);
    let pair = parts.next().map(str::to_owned);
    pair.into_iter().chain(parts.map(str::to_ascii_lowercase)).collect()
}

#[cfg(test)]
mod tests {
    use portico_core::provider::inspection::CheckVerdict;

    use super::*;

    const NOW: Timestamp = Timestamp::from_unix(1_900_000_000);

    fn seals(byte: u8) -> Seals {
        Seals::new(&[byte; 32], &[])
    }

    fn public(url: &str) -> PublicUrl {
        PublicUrl::parse(url).unwrap()
    }

    fn seen() -> ObservedRequest {
        ObservedRequest {
            peer: Some("10.0.0.9".parse().unwrap()),
            peer_trusted: true,
            client: Some("198.51.100.7".parse().unwrap()),
            shared: false,
            forwarded_for: vec!["192.0.2.1, 198.51.100.7".to_owned()],
            cookies: vec!["other=1; portico_check=abc".to_owned()],
            set_cookie: "__Host-portico_check=1; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=60"
                .to_owned(),
        }
    }

    #[test]
    fn nobody_asks_but_who_has_the_key_and_an_answer_is_to_its_question() {
        let url = public("https://app.example");
        let probe = ProbeRequest::new(&seals(1), &url, NOW);
        let parse = |byte, url: &str, after: i64| {
            let now = Timestamp::from_unix(NOW.unix() + after);
            ProbeRequest::parse(probe.as_str(), &seals(byte), &public(url), now)
        };
        assert_eq!(parse(1, "https://app.example", 0).as_ref(), Some(&probe));
        assert!(
            parse(1, "https://app.example", 300).is_some() && parse(1, "https://app.example", -300).is_some()
        );
        assert_eq!(parse(1, "https://app.example", 301), None, "old");
        assert_eq!(parse(2, "https://app.example", 0), None, "another key");
        assert_eq!(parse(1, "https://other.example", 0), None, "another site");
        assert_eq!(ProbeRequest::parse("", &seals(1), &url, NOW), None);
        let answer = probe.answer(&seals(1), &seen());
        assert_eq!(probe.open_answer(&seals(1), &answer), Some(seen()));
        assert_eq!(
            ProbeRequest::new(&seals(1), &url, NOW).open_answer(&seals(1), &answer),
            None,
            "another probe"
        );
        assert_eq!(probe.open_answer(&seals(2), &answer), None);
        assert_eq!(ProbeRequest::parse(&answer, &seals(1), &url, NOW), None, "an answer is not a probe");
    }

    #[test]
    fn cookies_must_come_and_go_as_they_are() {
        let judge = |sent: &str, arrived: &[&str]| {
            let arrived: Vec<_> = arrived.iter().map(|&one| one.to_owned()).collect();
            seen().check_cookies(sent, &arrived).verdict
        };
        let own = seen().set_cookie;
        let sent = "portico_check=abc";
        assert_eq!(judge(sent, &["LB=1", &own]), CheckVerdict::Ok);
        let reordered = "__Host-portico_check=1; max-age=60; path=/; secure; httponly; samesite=lax";
        assert_eq!(judge(sent, &[reordered]), CheckVerdict::Ok);
        assert_eq!(judge("portico_check=ab", &[&own]), CheckVerdict::Bad, "another value arrived");
        for changed in [
            own.replace("; Secure", ""),
            own.replace("; HttpOnly", ""),
            own.replace("Lax", "None"),
            own.replace("Path=/", "Path=/sso"),
            own.replace("__Host-", ""),
            own.replace("Path=/", "Path=/; Domain=app.example"),
            own.replace("check=1", "check=2"),
        ] {
            assert_eq!(judge(sent, &[&changed]), CheckVerdict::Bad, "{changed}");
        }
        assert_eq!(judge(sent, &[]), CheckVerdict::Bad);
    }

    #[test]
    fn c15_m33_the_service_must_be_told_who_asks_by_whom_it_trusts() {
        const INSIDE: &str = "10.0.0.9";
        const OUTSIDE: &str = "203.0.113.9";
        for (peer, trusted, client, shared, lines, verdict) in [
            // A trusted proxy appends or overwrites.
            (INSIDE, true, "198.51.100.7", false, &["192.0.2.1, 198.51.100.7"][..], CheckVerdict::Ok),
            (INSIDE, true, "198.51.100.7", false, &["198.51.100.7"], CheckVerdict::Ok),
            // A proxy passes on the header of the client, or sends none.
            (INSIDE, true, "192.0.2.1", false, &["192.0.2.1"], CheckVerdict::Bad),
            (INSIDE, true, "192.0.2.1", false, &["192.0.2.1, 10.0.0.7"], CheckVerdict::Unknown),
            (INSIDE, true, INSIDE, false, &[], CheckVerdict::Bad),
            // The proxy is not trusted.
            (INSIDE, false, INSIDE, true, &["192.0.2.1, 198.51.100.7"], CheckVerdict::Bad),
            (OUTSIDE, false, OUTSIDE, false, &["192.0.2.1", "198.51.100.7"], CheckVerdict::Bad),
            (INSIDE, false, INSIDE, false, &[], CheckVerdict::Bad),
            // There is no proxy, or it changes nothing.
            (INSIDE, false, INSIDE, true, &["192.0.2.1"], CheckVerdict::Unknown),
            (OUTSIDE, false, OUTSIDE, false, &["192.0.2.1"], CheckVerdict::Ok),
        ] {
            let seen = ObservedRequest {
                peer: Some(peer.parse().unwrap()),
                peer_trusted: trusted,
                client: Some(client.parse().unwrap()),
                shared,
                forwarded_for: lines.iter().map(|&line| line.to_owned()).collect(),
                ..seen()
            };
            let found = seen.check_forwarded();
            assert_eq!(found.verdict, verdict, "{peer} {trusted} {client} {lines:?}: {}", found.message);
        }
    }
}

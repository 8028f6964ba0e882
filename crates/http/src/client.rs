//! The client's address: the peer of the connection, or the address that a trusted proxy reports (threats
//! C15, M33).
//!
//! Only `X-Forwarded-For` is read, and only from a trusted proxy. The address is used for logs, audit
//! events and rate limits. No URL of Portico depends on it.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};

use actix_web::HttpRequest;
use actix_web::http::header::HeaderMap;
use ipnet::IpNet;

/// The trusted proxies.
#[derive(Debug, Default)]
pub(crate) struct Proxies {
    trusted: Vec<IpNet>,
    warned: AtomicBool,
}

/// The client of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Client {
    /// The address, if the connection has one.
    pub(crate) address: Option<IpAddr>,
    /// Whether many clients may share the address, which then does not tell them apart.
    pub(crate) shared: bool,
}

impl Proxies {
    pub(crate) fn new(trusted: Vec<IpNet>) -> Self {
        Self { trusted, warned: AtomicBool::new(false) }
    }

    /// Finds the client of a request.
    pub(crate) fn client(&self, request: &HttpRequest) -> Client {
        let Some(peer) = request.peer_addr().map(|peer| peer.ip().to_canonical()) else {
            return Client { address: None, shared: true };
        };
        if self.trusted.is_empty() {
            let shared = is_inside(peer) && request.headers().contains_key("x-forwarded-for");
            if shared && !self.warned.swap(true, Ordering::Relaxed) {
                tracing::warn!(
                    %peer,
                    "requests come through a proxy and server.trusted_proxies is empty: \
                     clients share one address and have no rate limit"
                );
            }
            return Client { address: Some(peer), shared };
        }
        Client { address: Some(self.behind(peer, request.headers())), shared: false }
    }

    /// Whether a trusted proxy has this address. An IPv4-mapped IPv6 address counts as its IPv4 address.
    pub(crate) fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.trusted.iter().any(|network| network.contains(&address))
    }

    /// The rightmost address that is not a trusted proxy's: each proxy appends the peer of its request. An
    /// entry that is not an address ends the search, so that no entry before it counts.
    fn behind(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let lines: Vec<_> = headers.get_all("x-forwarded-for").collect();
        let mut hops =
            lines.iter().rev().flat_map(|line| line.to_str().unwrap_or("?").rsplit(',')).map(address);
        let mut client = peer;
        while self.trusts(client) {
            match hops.next() {
                Some(Some(before)) => client = before,
                Some(None) | None => break,
            }
        }
        client
    }
}

impl Client {
    /// The key of rate limits: an IPv4 address, or a /64 network of IPv6, which is one site.
    pub(crate) fn counted(self) -> Option<IpAddr> {
        let address = self.address.filter(|_| !self.shared)?;
        Some(match address {
            IpAddr::V4(_) => address,
            IpAddr::V6(long) => {
                let [a, b, c, d, ..] = long.segments();
                Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
            }
        })
    }
}

/// Parses an entry of the header, which may have brackets and a port.
fn address(entry: &str) -> Option<IpAddr> {
    let entry = entry.trim();
    let bare = entry.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(entry);
    let parsed = bare.parse().ok().or_else(|| entry.parse().ok().map(|socket: SocketAddr| socket.ip()));
    parsed.map(|address: IpAddr| address.to_canonical())
}

/// Whether an address belongs to this host or to a private network (RFC 1918, RFC 4193).
fn is_inside(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(short) => short.is_loopback() || short.is_private() || short.is_link_local(),
        IpAddr::V6(long) => long.is_loopback() || long.is_unique_local() || long.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;
    use proptest::prelude::ProptestConfig;

    use super::*;

    fn client(trusted: &[&str], peer: &str, forwarded: &[&str]) -> Client {
        let proxies = Proxies::new(trusted.iter().map(|network| network.parse().unwrap()).collect());
        let mut request = TestRequest::default().peer_addr(peer.parse().unwrap());
        for line in forwarded {
            request = request.append_header(("x-forwarded-for", *line));
        }
        for other in ["forwarded", "x-real-ip", "x_forwarded_for", "true-client-ip", "x-client-ip"] {
            request = request.append_header((other, "203.0.113.66"));
        }
        proxies.client(&request.to_http_request())
    }

    #[test]
    fn c15_m33_only_a_trusted_proxy_says_who_asks() {
        const PROXIES: &[&str] = &["10.0.0.0/8", "fd00::/8"];
        const CASES: &[(&str, &[&str], &str)] = &[
            ("10.0.0.1:99", &["192.0.2.7"], "192.0.2.7"),
            ("[::ffff:10.0.0.1]:99", &["192.0.2.7"], "192.0.2.7"),
            ("[fd00::1]:99", &["2001:db8::7"], "2001:db8::7"),
            ("10.0.0.1:99", &["192.0.2.7:4711"], "192.0.2.7"),
            ("10.0.0.1:99", &["[2001:db8::7]"], "2001:db8::7"),
            ("10.0.0.1:99", &["[2001:db8::7]:4711"], "2001:db8::7"),
            ("10.0.0.1:99", &["::ffff:192.0.2.7"], "192.0.2.7"),
            // The rightmost entry that is not a trusted proxy; a client can write those before it.
            ("10.0.0.1:99", &["1.1.1.1, 192.0.2.7, 10.0.0.2"], "192.0.2.7"),
            ("10.0.0.1:99", &["1.1.1.1", "192.0.2.7,10.0.0.2"], "192.0.2.7"),
            ("10.0.0.1:99", &["1.1.1.1, 192.0.2.7", "10.0.0.2"], "192.0.2.7"),
            ("10.0.0.1:99", &["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
            ("10.0.0.1:99", &["1.1.1.1, unknown, 10.0.0.2"], "10.0.0.2"),
            ("10.0.0.1:99", &["1.1.1.1,,10.0.0.2"], "10.0.0.2"),
            ("10.0.0.1:99", &["evil"], "10.0.0.1"),
            ("10.0.0.1:99", &[""], "10.0.0.1"),
            ("10.0.0.1:99", &[], "10.0.0.1"),
            ("192.0.2.9:99", &["1.1.1.1"], "192.0.2.9"),
            ("192.0.2.9:99", &["10.0.0.1"], "192.0.2.9"),
        ];
        for (peer, forwarded, expected) in CASES {
            let client = client(PROXIES, peer, forwarded);
            assert_eq!(client.address, Some(expected.parse().unwrap()), "{peer} {forwarded:?}");
            assert!(!client.shared);
        }
    }

    #[test]
    fn a_network_contains_what_begins_as_it_does() {
        for (network, address, inside) in [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.0", false),
            ("10.0.0.0/8", "::ffff:10.1.2.3", true),
            ("10.9.9.9/8", "10.0.0.1", true),
            ("192.0.2.7/32", "192.0.2.7", true),
            ("192.0.2.7/32", "192.0.2.6", false),
            ("0.0.0.0/0", "203.0.113.9", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("::/0", "2001:db8::1", true),
            ("2001:db8::/33", "2001:db8:7fff::1", true),
            ("2001:db8::/33", "2001:db8:8000::1", false),
            ("::1/128", "::1", true),
        ] {
            let proxies = Proxies::new(vec![network.parse().unwrap()]);
            assert_eq!(proxies.trusts(address.parse().unwrap()), inside, "{network} {address}");
        }
    }

    #[test]
    fn m33_without_a_trusted_proxy_the_connection_counts_unless_it_is_one_for_many() {
        for (peer, forwarded, shared) in [
            ("192.0.2.9:99", &["1.1.1.1"][..], false),
            ("10.0.0.1:99", &[], false),
            ("10.0.0.1:99", &["1.1.1.1"], true),
            ("127.0.0.1:99", &["1.1.1.1"], true),
            ("[::1]:99", &["1.1.1.1"], true),
            ("[fd00::1]:99", &["1.1.1.1"], true),
            ("[2001:db8::1]:99", &["1.1.1.1"], false),
        ] {
            let client = client(&[], peer, forwarded);
            let peer: SocketAddr = peer.parse().unwrap();
            assert_eq!(client, Client { address: Some(peer.ip()), shared }, "{peer} {forwarded:?}");
            assert_eq!(client.counted().is_none(), shared);
        }
    }

    #[test]
    fn m33_a_household_of_ipv6_is_counted_as_one() {
        let counted = |text: &str| Client { address: Some(text.parse().unwrap()), shared: false }.counted();
        assert_eq!(counted("2001:db8:1:2::7"), counted("2001:db8:1:2:ffff::1"));
        assert_ne!(counted("2001:db8:1:2::7"), counted("2001:db8:1:3::7"));
        assert_ne!(counted("192.0.2.7"), counted("192.0.2.8"));
    }

    proptest::proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

        /// The client is the peer, or an address in the header with only trusted proxies to its right.
        #[test]
        fn c15_m33_nobody_speaks_for_others_but_a_trusted_proxy(
            trusted in proptest::bool::ANY,
            entries in proptest::collection::vec(
                proptest::prop_oneof![
                    "10\\.0\\.0\\.[0-9]{1,2}",
                    "192\\.0\\.2\\.[0-9]{1,2}",
                    "[ -~&&[^,]]{0,12}",
                    "2001:db8::[0-9a-f]{1,3}",
                ],
                0..6,
            ),
        ) {
            let peer = if trusted { "10.0.0.1:99" } else { "198.51.100.1:99" };
            let header = entries.join(",");
            let found = client(&["10.0.0.0/8"], peer, &[&header]).address.unwrap();
            if !trusted {
                proptest::prop_assert_eq!(found.to_string(), "198.51.100.1");
                return Ok(());
            }
            let ours = |address: IpAddr| address.to_string().starts_with("10.");
            let right_of: Vec<_> = entries.iter().rev().map(|entry| address(entry)).collect();
            let hops = right_of.iter().take_while(|hop| hop.is_some_and(ours)).count();
            let expected = match right_of.get(hops) {
                Some(Some(other)) => *other,
                Some(None) | None => match hops.checked_sub(1) {
                    Some(last) => right_of[last].unwrap(),
                    None => "10.0.0.1".parse().unwrap(),
                },
            };
            proptest::prop_assert_eq!(found, expected);
        }
    }
}

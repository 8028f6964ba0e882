//! Networks and origins, as settings name them.

use std::net::IpAddr;
use std::str::FromStr;

use url::Url;

/// An IP network, such as `10.0.0.0/8` or `fd00::/8`; an address alone is a network of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    /// Its first address.
    pub address: IpAddr,
    /// How many bits its addresses have in common.
    pub prefix: u8,
}

impl FromStr for Network {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WRONG: &str = "must have IP networks such as 10.0.0.0/8 or fd00::/8";
        let (address, prefix) =
            text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
        let address: IpAddr = address.parse().map_err(|_| WRONG)?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => longest,
            Some(digits) if digits.starts_with('+') => return Err(WRONG),
            Some(digits) => digits.parse().map_err(|_| WRONG)?,
        };
        if prefix > longest { Err(WRONG) } else { Ok(Self { address, prefix }) }
    }
}

/// An origin exactly as browsers write it in `Origin` (RFC 6454 6.2).
pub(super) fn origin(text: &str) -> Result<String, &'static str> {
    let url = Url::parse(text).ok().filter(|url| ["http", "https"].contains(&url.scheme()));
    let exact = url.is_some_and(|url| url.origin().ascii_serialization() == text);
    if exact {
        Ok(text.to_owned())
    } else {
        Err("must have origins such as https://app.example.com, without a path or slash")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks() {
        for (text, prefix) in
            [("10.0.0.0/8", 8), ("fd00::/8", 8), ("127.0.0.1", 32), ("::1", 128), ("0.0.0.0/0", 0)]
        {
            assert_eq!(text.parse::<Network>().map(|network| network.prefix), Ok(prefix), "{text}");
        }
        for wrong in
            ["", "10.0.0.0/33", "fd00::/129", "10.0.0.0/", "10.0.0.0/+8", "10.0.0.0/-1", "10.0.0", "proxy"]
        {
            assert!(wrong.parse::<Network>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn origins() {
        for right in ["https://app.example.com", "http://localhost:3000"] {
            assert_eq!(origin(right), Ok(right.to_owned()));
        }
        for wrong in [
            "",
            "*",
            "null",
            "https://app.example.com/",
            "https://app.example.com/x",
            "HTTPS://app.example.com",
            "app.example.com",
            "https://app.example.com:443",
        ] {
            assert!(origin(wrong).is_err(), "{wrong}");
        }
    }
}

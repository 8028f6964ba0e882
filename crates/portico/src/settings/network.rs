//! IP networks, as `server.trusted_proxies` names them.

use std::net::IpAddr;

use ipnet::IpNet;

/// Parses a network such as `10.0.0.0/8` or `fd00::/8`; an address alone is a network of one.
///
/// `IpNet`'s own parser is not used: it accepts leading zeros (`010.0.0.0/8`), which other programs read as
/// octal.
pub(super) fn parse(text: &str) -> Result<IpNet, &'static str> {
    const WRONG: &str = "must have IP networks such as 10.0.0.0/8 or fd00::/8";
    let (address, prefix) = text.split_once('/').map_or((text, None), |(ip, prefix)| (ip, Some(prefix)));
    let address: IpAddr = address.parse().map_err(|_| WRONG)?;
    match prefix {
        None => Ok(address.into()),
        Some(digits) if digits.starts_with('+') => Err(WRONG),
        Some(digits) => digits.parse().ok().and_then(|bits| IpNet::new(address, bits).ok()).ok_or(WRONG),
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
            assert_eq!(parse(text).map(|network| network.prefix_len()), Ok(prefix), "{text}");
        }
        for wrong in [
            "",
            "10.0.0.0/33",
            "fd00::/129",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "10.0.0.0/-1",
            "10.0.0",
            "010.0.0.0/8",
            "proxy",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}

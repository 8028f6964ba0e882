//! Networks, as settings name them.

use std::net::IpAddr;
use std::str::FromStr;

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
}

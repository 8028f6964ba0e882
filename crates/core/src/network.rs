//! Networks, as settings name them, and the addresses in them.

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

impl Network {
    /// Whether an address is in it. An IPv4 address in IPv6's form is an IPv4 address.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address.to_canonical(), address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let different = u32::from(own) ^ u32::from(other);
                different.leading_zeros() >= u32::from(self.prefix)
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let different = u128::from(own) ^ u128::from(other);
                different.leading_zeros() >= u32::from(self.prefix)
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
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
    fn a_network_contains_what_begins_as_it_does() {
        for (network, address, inside) in [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.0", false),
            ("10.0.0.0/8", "::ffff:10.1.2.3", true),
            ("10.9.9.9/8", "10.0.0.1", true),
            ("192.0.2.7", "192.0.2.7", true),
            ("192.0.2.7", "192.0.2.6", false),
            ("0.0.0.0/0", "203.0.113.9", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("::/0", "2001:db8::1", true),
            ("2001:db8::/33", "2001:db8:7fff::1", true),
            ("2001:db8::/33", "2001:db8:8000::1", false),
            ("::1", "::1", true),
        ] {
            let (network, address): (Network, IpAddr) = (network.parse().unwrap(), address.parse().unwrap());
            assert_eq!(network.contains(address), inside, "{network:?} {address}");
        }
    }

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

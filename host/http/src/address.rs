//! Which network addresses a name may lead to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Addresses at which machines of the large providers answer questions about themselves, credentials included,
/// beside the link-local ones.
const METADATA: [IpAddr; 3] = [
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
];

/// An address that nobody means unless it is written down as one.
pub fn is_refused(address: IpAddr) -> bool {
    let link_local = match address {
        IpAddr::V4(it) => it.is_link_local(),
        IpAddr::V6(it) => match it.to_ipv4_mapped() {
            Some(mapped) => return is_refused(IpAddr::V4(mapped)),
            None => it.is_unicast_link_local(),
        },
    };
    link_local || METADATA.contains(&address)
}

/// The system's resolver without the refused addresses.
///
/// An address that stands in the configuration as a number is not resolved, so it is not refused.
#[derive(Debug)]
pub struct Guarded;

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let host = name.as_str().to_owned();
            let found: Vec<SocketAddr> =
                tokio::net::lookup_host((host.as_str(), 0)).await?.collect();
            let allowed: Vec<SocketAddr> = found
                .iter()
                .copied()
                .filter(|address| !is_refused(address.ip()))
                .collect();
            if allowed.is_empty() && !found.is_empty() {
                return Err(format!(
                    "`{host}` leads to {}, a link-local or metadata address; write the number itself as node \
                     if it is meant",
                    found[0].ip()
                )
                .into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_metadata_and_link_local_addresses() {
        for bad in [
            "169.254.169.254",
            "fe80::1",
            "::ffff:169.254.169.254",
            "100.100.100.200",
            "fd00:ec2::254",
        ] {
            assert!(is_refused(bad.parse().unwrap()), "{bad}");
        }
        for good in ["127.0.0.1", "10.0.0.1", "::1", "192.168.1.1"] {
            assert!(!is_refused(good.parse().unwrap()), "{good}");
        }
    }
}

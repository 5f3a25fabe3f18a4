//! Whom a process may connect to.

use slopos_abi::{RemoteRange, prefix_mask};
use std::net::Ipv4Addr;

/// Reads `10.0.2.0/24:80,8000-8999`: one [`RemoteRange`] for each port or range of ports.
///
/// # Errors
/// What is wrong with it, and where it can be told, what was probably meant.
pub fn parse(text: &str) -> Result<Vec<RemoteRange>, String> {
    let Some((network, ports)) = text.split_once(':') else {
        return Err(format!("\"{text}\" names no ports; write ADDRESS/PREFIX:PORTS, \"10.0.2.0/24:80,8000-8999\" say"));
    };
    let (address, prefix) = match network.split_once('/') {
        Some((address, prefix)) => {
            let bits = prefix.parse().map_err(|_| format!("\"{prefix}\" in \"{text}\" is not a prefix length"))?;
            (address, bits)
        }
        None => (network, 32),
    };
    if prefix > 32 {
        return Err(format!("prefix {prefix} in \"{text}\" is more than the 32 bits of an address"));
    }
    let address: Ipv4Addr =
        address.parse().map_err(|_| format!("\"{address}\" in \"{text}\" is not an IPv4 address"))?;
    let masked = Ipv4Addr::from_bits(address.to_bits() & prefix_mask(prefix));
    if masked != address {
        return Err(format!("{address} has bits beyond its prefix {prefix}; did you mean {masked}/{prefix}?"));
    }
    let range = |part: &str| {
        let (first_port, last_port) = ports_of(part.trim()).map_err(|why| format!("{why} in \"{text}\""))?;
        Ok(RemoteRange { address, prefix, first_port, last_port })
    };
    ports.split(',').map(range).collect()
}

/// The first and the last port of `80` or `8000-8999`.
fn ports_of(part: &str) -> Result<(u16, u16), String> {
    let number = |text: &str| {
        text.trim()
            .parse::<u16>()
            .ok()
            .filter(|&port| port != 0)
            .ok_or_else(|| format!("\"{text}\" is not a port, 1 to 65535,"))
    };
    let (first, last) = match part.split_once('-') {
        Some((first, last)) => (number(first)?, number(last)?),
        None => (number(part)?, number(part)?),
    };
    if first > last {
        return Err(format!("the port range {first}-{last} is empty"));
    }
    Ok((first, last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_port_range_becomes_a_remote() {
        let network = Ipv4Addr::new(10, 0, 2, 0);
        let remote = |first_port, last_port| RemoteRange { address: network, prefix: 24, first_port, last_port };
        assert_eq!(parse("10.0.2.0/24:80,8000-8999"), Ok(vec![remote(80, 80), remote(8000, 8999)]));
        assert_eq!(parse("0.0.0.0/0:1-65535"), Ok(vec![RemoteRange::ANY]));
        let host = Ipv4Addr::new(192, 168, 1, 9);
        assert_eq!(
            parse("192.168.1.9:443"),
            Ok(vec![RemoteRange { address: host, prefix: 32, first_port: 443, last_port: 443 }])
        );
    }

    #[test]
    fn remotes_overlap_where_an_endpoint_is_in_both() {
        let one = |text: &str| parse(text).expect(text)[0];
        for (left, right) in [
            ("10.0.2.0/24:80", "10.0.2.0/24:80"),
            ("10.0.2.0/24:80", "10.0.2.9:1-100"),
            ("0.0.0.0/0:80-90", "192.168.0.0/16:90-100"),
        ] {
            assert!(one(left).overlaps(&one(right)) && one(right).overlaps(&one(left)), "{left} and {right}");
        }
        for (left, right) in [
            ("10.0.2.0/24:80", "10.0.2.0/24:81"),
            ("10.0.2.0/24:80", "10.0.3.0/24:80"),
            ("0.0.0.0/0:80-89", "192.168.0.0/16:90-100"),
        ] {
            assert!(!one(left).overlaps(&one(right)) && !one(right).overlaps(&one(left)), "{left} and {right}");
        }
    }

    #[test]
    fn a_shown_remote_reads_back() {
        for text in ["10.0.2.0/24:80", "0.0.0.0/0:1-65535", "192.168.1.9/32:443"] {
            assert_eq!(parse(text).expect(text)[0].to_string(), text);
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_the_reason() {
        for (text, reason) in [
            ("10.0.2.0/24", "names no ports"),
            ("10.0.2.0/33:80", "prefix 33"),
            ("10.0.2.0/many:80", "not a prefix length"),
            ("10.0.2/24:80", "not an IPv4 address"),
            ("10.0.2.5/24:80", "did you mean 10.0.2.0/24?"),
            ("10.0.2.0/24:", "not a port"),
            ("10.0.2.0/24:0", "not a port"),
            ("10.0.2.0/24:65536", "not a port"),
            ("10.0.2.0/24:90-80", "90-80 is empty"),
            ("10.0.2.0/24:80,", "not a port"),
        ] {
            let refusal = parse(text).expect_err(text);
            assert!(refusal.contains(reason), "{text}: {refusal}");
        }
    }
}

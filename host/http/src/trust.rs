//! Which certificates are trusted where the operator names no authority: those that the machine trusts.

use std::sync::{Arc, OnceLock};

use reqwest::ClientBuilder;
use rustls::ClientConfig;
use rustls::crypto::aws_lc_rs;
use rustls_platform_verifier::BuilderVerifierExt;

/// With what the machine trusts, read once for all clients of the process: its bundle has some 140 certificates, which take
/// 4 ms, and a site of a thousand nodes has two thousand clients.
///
/// Where it cannot be read the builder stays as it is, so that its own error is told.
pub fn trusting_machine(builder: ClientBuilder) -> ClientBuilder {
    static TRUST: OnceLock<Option<ClientConfig>> = OnceLock::new();
    match TRUST.get_or_init(read) {
        Some(trust) => builder.tls_backend_preconfigured(trust.clone()),
        None => builder,
    }
}

fn read() -> Option<ClientConfig> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(BuilderVerifierExt::with_platform_verifier)
        .ok()?;
    Some(config.with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_can_be_made_with_it() {
        assert!(read().is_some(), "the machine trusts nobody");
        for _ in 0..2 {
            trusting_machine(reqwest::Client::builder())
                .build()
                .unwrap();
        }
    }
}

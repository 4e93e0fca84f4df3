//! A certificate authority for one server, and the server's certificate.

use rcgen::BasicConstraints;
use rcgen::CertificateParams;
use rcgen::DnType;
use rcgen::IsCa;
use rcgen::Issuer;
use rcgen::KeyPair;
use rcgen::KeyUsagePurpose;

use crate::error::LabError;

/// All in PEM. The authority's key is not kept: nothing else is ever signed with it.
pub(crate) struct Tls {
    pub(crate) ca_certificate: String,
    pub(crate) node_certificate: String,
    pub(crate) node_key: String,
}

/// Makes both, valid for `localhost` and `127.0.0.1`.
pub(crate) fn make() -> Result<Tls, LabError> {
    make_with_rcgen().map_err(|error| LabError::malformed("certificates", error.to_string()))
}

fn make_with_rcgen() -> Result<Tls, rcgen::Error> {
    let mut ca = CertificateParams::new(Vec::new())?;
    ca.distinguished_name
        .push(DnType::CommonName, "liftlock lab authority");
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let ca_key = KeyPair::generate()?;
    let ca_certificate = ca.self_signed(&ca_key)?.pem();
    let issuer = Issuer::new(ca, ca_key);
    let mut node = CertificateParams::new(vec!["localhost".into(), "127.0.0.1".into()])?;
    node.distinguished_name
        .push(DnType::CommonName, "liftlock lab node");
    let node_key = KeyPair::generate()?;
    let node_certificate = node.signed_by(&node_key, &issuer)?.pem();
    Ok(Tls {
        ca_certificate,
        node_certificate,
        node_key: node_key.serialize_pem(),
    })
}

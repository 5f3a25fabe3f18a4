//! Public keys as files: the PEM text of a SubjectPublicKeyInfo (RFC 7468, RFC 8410), as `openssl pkey -pubout` writes
//! it.

use ed25519_dalek::VerifyingKey;
use ed25519_dalek::pkcs8::{DecodePublicKey, Document, ObjectIdentifier, spki::SubjectPublicKeyInfoRef};
use sha2::{Digest, Sha256};
use std::fmt;

/// The file of the development key's public half.
const DEVELOPMENT: &str = include_str!("../../../boards/keys/development.pub");
/// What a PEM file's first line calls a public key.
const LABEL: &str = "PUBLIC KEY";

/// An Ed25519 key that checks signatures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicKey {
    /// The key as RFC 8032 encodes it: a point that is not of small order.
    bytes: [u8; 32],
}

impl PublicKey {
    /// Reads the text of a key's file.
    ///
    /// # Errors
    /// What it is instead of a public Ed25519 key.
    pub fn from_pem(text: &str) -> Result<PublicKey, String> {
        let (label, document) = Document::from_pem(text).map_err(|why| format!("it is no key as PEM text: {why}"))?;
        if label.ends_with("PRIVATE KEY") {
            return Err("it is a private key; `openssl pkey -pubout` writes its public half".to_owned());
        }
        if label != LABEL {
            return Err(format!("it is a `{label}`, not a `{LABEL}`"));
        }
        let damaged = |why: &dyn fmt::Display| format!("it is a damaged public key: {why}");
        let information: SubjectPublicKeyInfoRef<'_> = document.decode_msg().map_err(|why| damaged(&why))?;
        require_ed25519(information.algorithm.oid)?;
        let key = VerifyingKey::from_public_key_der(document.as_bytes()).map_err(|why| damaged(&why))?;
        PublicKey::new(key.to_bytes())
    }

    /// The key of these bytes.
    ///
    /// # Errors
    /// They are no point of the curve, or one of small order, with which a signature would fit any message.
    pub fn new(bytes: [u8; 32]) -> Result<PublicKey, String> {
        let key = VerifyingKey::from_bytes(&bytes).map_err(|_| "it is not a point of the curve".to_owned())?;
        if key.is_weak() {
            return Err("it is of small order, so that anybody can sign for it".to_owned());
        }
        Ok(PublicKey { bytes })
    }

    /// The key whose private half everybody has.
    ///
    /// # Panics
    /// Never: a test reads the tree's file.
    pub fn development() -> PublicKey {
        PublicKey::from_pem(DEVELOPMENT).expect("the tree's development key is a key")
    }

    /// Whether it is that one.
    pub fn is_development(&self) -> bool {
        *self == PublicKey::development()
    }

    /// The key as RFC 8032 encodes it.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.bytes
    }

    /// What the header of a record calls it: the first bytes of the SHA-256 of the key.
    pub fn id(&self) -> [u8; 8] {
        let digest: [u8; 32] = Sha256::digest(self.bytes).into();
        std::array::from_fn(|at| digest[at])
    }
}

/// A key's id, for a person.
pub fn show_id(id: &[u8; 8]) -> String {
    format!("{:016x}", u64::from_be_bytes(*id))
}

/// Refuses the keys of other algorithms by their names.
///
/// # Errors
/// The algorithm is not Ed25519.
pub fn require_ed25519(algorithm: ObjectIdentifier) -> Result<(), String> {
    let name = match algorithm.to_string().as_str() {
        "1.3.101.112" => return Ok(()),
        "1.3.101.110" => "an X25519 key, which cannot sign",
        "1.3.101.113" => "an Ed448 key",
        "1.2.840.113549.1.1.1" => "an RSA key",
        "1.2.840.10045.2.1" => "a key of another elliptic curve (EC)",
        other => return Err(format!("it is a key of the algorithm {other}, not an Ed25519 key")),
    };
    Err(format!("it is {name}, not an Ed25519 key; `flash keygen` makes one"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str, reason: &str) {
        let why = PublicKey::from_pem(text).unwrap_err();
        assert!(why.contains(reason), "{why}");
    }

    #[test]
    fn the_development_key_is_a_key() {
        let key = PublicKey::development();
        assert!(key.is_development());
        assert_eq!(show_id(&key.id()).len(), 16);
        let other = PublicKey::new(*VerifyingKey::from(&ed25519_dalek::SigningKey::from_bytes(&[1; 32])).as_bytes());
        assert!(!other.expect("a key").is_development());
    }

    #[test]
    fn what_is_no_public_ed25519_key_is_called_by_its_name() {
        refused("", "no key as PEM");
        refused("-----BEGIN PUBLIC KEY-----\nMCow!\n-----END PUBLIC KEY-----\n", "no key as PEM");
        refused(&DEVELOPMENT.replace("AyEA", "BCEA"), "damaged");
        refused(&DEVELOPMENT.replace("PUBLIC KEY", "CERTIFICATE"), "it is a `CERTIFICATE`");
        refused(include_str!("../../../boards/keys/development.pem"), "a private key");
        // What `openssl genpkey` made of `x25519`, `ed448`, `EC` with P-256, and an RSA key of 512 bits.
        refused(X25519, "an X25519 key, which cannot sign");
        refused(ED448, "an Ed448 key");
        refused(EC, "another elliptic curve");
        refused(RSA, "an RSA key");
    }

    #[test]
    fn a_key_of_small_order_is_refused() {
        let mut identity = [0; 32];
        identity[0] = 1;
        assert!(PublicKey::new(identity).unwrap_err().contains("small order"));
        assert!(PublicKey::new([0; 32]).unwrap_err().contains("small order"));
        assert!(PublicKey::new([2; 32]).unwrap_err().contains("not a point"));
    }

    const X25519: &str = "\
-----BEGIN PUBLIC KEY-----\n\
MCowBQYDK2VuAyEAUyQHmlnaxbb0bFa7YS0True5ACnDW0wBJAg/RvzvA2k=\n\
-----END PUBLIC KEY-----";
    const ED448: &str = "\
-----BEGIN PUBLIC KEY-----\n\
MEMwBQYDK2VxAzoA+6DJ4UHf0jXOmmLWuIWDuP9UXzpREsJLcJsLY2Pagt1AwP/G\n\
PeeF1aqAepqlpIg/IhHjV2H5ctaA\n\
-----END PUBLIC KEY-----";
    const EC: &str = "\
-----BEGIN PUBLIC KEY-----\n\
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAENoNmfTV8pueQF0UQN5/KGoF0Gf1t\n\
rAGCZM2J/MEb3LZRtQ3fquUXwL6iBYhPiUqxca+22pD2m9jr5Gj2cyuoeA==\n\
-----END PUBLIC KEY-----";
    const RSA: &str = "\
-----BEGIN PUBLIC KEY-----\n\
MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAOGznja00+EaYYIkyw6QZBD5NH9E1eVQ\n\
AqbmEniAAwm5/qqY6gSMOvf5sCwgml/sEiCt9bOkmFe5B42gbobNff0CAwEAAQ==\n\
-----END PUBLIC KEY-----";
}

//! Signatures: Ed25519 (RFC 8032), checked strictly.
//!
//! Each signature and each key has one form that is accepted. Refused are an S that is not below the order of the group
//! (RFC 8032, section 5.1.7), an R that is not the encoding of the very point that is computed, and any key or R of
//! small order, with which one signature could fit several messages.

use ed25519_dalek::{Signature, VerifyingKey};

#[cfg(all(target_os = "none", not(curve25519_dalek_backend = "serial")))]
compile_error!(
    "ed25519-dalek would use vector units, which are off: .cargo/config.toml sets curve25519_dalek_backend, and \
     RUSTFLAGS in the environment hides that"
);

/// Whether this is the signature of the message by the owner of the key.
///
/// It takes some 800,000 instructions and 8 KiB of stack.
// A function of its own, so that its locals are in no frame of the board's loop.
#[inline(never)]
pub fn verify(key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
    let Ok(key) = VerifyingKey::from_bytes(key) else { return false };
    key.verify_strict(message, &Signature::from_bytes(signature)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::verify;
    use curve25519_dalek::constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION};
    use curve25519_dalek::edwards::EdwardsPoint;
    use curve25519_dalek::scalar::Scalar;
    use ed25519_dalek::{Signature, Verifier, VerifyingKey};
    use sha2::{Digest, Sha512};
    use std::vec::Vec;

    fn hex<const LENGTH: usize>(text: &str) -> [u8; LENGTH] {
        let bytes: Vec<u8> =
            (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect();
        bytes.try_into().unwrap()
    }

    /// RFC 8032, section 7.1: key, message, signature.
    fn vectors() -> [([u8; 32], Vec<u8>, [u8; 64]); 3] {
        [
            (
                hex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"),
                [].into(),
                hex("e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155\
                     5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"),
            ),
            (
                hex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"),
                [0x72].into(),
                hex("92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
                     085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"),
            ),
            (
                hex("fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025"),
                [0xaf, 0x82].into(),
                hex("6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac\
                     18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"),
            ),
        ]
    }

    #[test]
    fn the_vectors_of_rfc_8032_are_accepted_and_no_flipped_bit_of_them() {
        for (key, message, signature) in vectors() {
            assert!(verify(&key, &message, &signature));
            for bit in 0..512 {
                let mut wrong = signature;
                wrong[bit / 8] ^= 1 << (bit % 8);
                assert!(!verify(&key, &message, &wrong), "bit {bit} of the signature");
            }
            for bit in 0..256 {
                let mut wrong = key;
                wrong[bit / 8] ^= 1 << (bit % 8);
                assert!(!verify(&wrong, &message, &signature), "bit {bit} of the key");
            }
            assert!(!verify(&key, &[&message[..], &[0]].concat(), &signature));
        }
    }

    /// A key's secret scalar.
    fn secret() -> Scalar {
        Scalar::from_bytes_mod_order([7; 32])
    }

    /// What RFC 8032 calls k, for encodings as they stand.
    fn challenge(r: &[u8; 32], key: &[u8; 32], message: &[u8]) -> Scalar {
        let hash = Sha512::new().chain_update(r).chain_update(key).chain_update(message).finalize();
        Scalar::from_bytes_mod_order_wide(&hash.into())
    }

    fn signature(r: [u8; 32], s: [u8; 32]) -> [u8; 64] {
        [r, s].concat().try_into().unwrap()
    }

    /// A signature with this nonce's point, under this key; it fits the equation where `key` is that of [`secret`].
    fn signed(nonce: Scalar, r: [u8; 32], key: &[u8; 32], message: &[u8]) -> [u8; 64] {
        signature(r, (nonce + challenge(&r, key, message) * secret()).to_bytes())
    }

    fn lenient(key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
        VerifyingKey::from_bytes(key).is_ok_and(|key| key.verify(message, &Signature::from_bytes(signature)).is_ok())
    }

    #[test]
    fn an_s_beyond_the_order_is_refused() {
        // The group's order, little-endian.
        let order: [u8; 32] = hex("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
        for (key, message, good) in vectors() {
            let (r, s) = good.split_at(32);
            let mut carry = 0;
            let sum = core::array::from_fn(|at| {
                let sum = u16::from(s[at]) + u16::from(order[at]) + carry;
                carry = sum >> 8;
                sum as u8
            });
            assert!(!verify(&key, &message, &signature(r.try_into().unwrap(), sum)));
        }
    }

    #[test]
    fn a_key_of_small_order_signs_nothing() {
        let mut fitting = 0;
        for key in EIGHT_TORSION.map(|point| point.compress().to_bytes()) {
            for r in EIGHT_TORSION.map(|point| point.compress().to_bytes()) {
                for message in 0..8_u8 {
                    let forged = signature(r, [0; 32]);
                    fitting += usize::from(lenient(&key, &[message], &forged));
                    assert!(!verify(&key, &[message], &forged));
                }
            }
        }
        assert!(fitting > 8, "the forgeries do fit the equation: {fitting}");
    }

    #[test]
    fn an_r_of_small_order_is_refused_in_each_of_its_encodings() {
        let key = (ED25519_BASEPOINT_POINT * secret()).compress().to_bytes();
        let identity = EdwardsPoint::default().compress().to_bytes();
        let forged = signed(Scalar::ZERO, identity, &key, b"x");
        assert!(lenient(&key, b"x", &forged), "it fits the equation");
        assert!(!verify(&key, b"x", &forged));
        // y = p + 1, and y = 1 with the sign of an x that is zero.
        let beyond = hex("eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f");
        let minus = hex("0100000000000000000000000000000000000000000000000000000000000080");
        for r in [beyond, minus] {
            assert!(!verify(&key, b"x", &signed(Scalar::ZERO, r, &key, b"x")));
        }
        for torsion in EIGHT_TORSION {
            let r = torsion.compress().to_bytes();
            assert!(!verify(&key, b"x", &signed(Scalar::ZERO, r, &key, b"x")));
        }
    }

    #[test]
    fn a_component_of_small_order_in_r_makes_it_another_point() {
        let key = (ED25519_BASEPOINT_POINT * secret()).compress().to_bytes();
        let nonce = Scalar::from_bytes_mod_order([9; 32]);
        for (index, torsion) in EIGHT_TORSION.into_iter().enumerate() {
            let r = (ED25519_BASEPOINT_POINT * nonce + torsion).compress().to_bytes();
            // All eight fit the equation that is multiplied by the cofactor.
            assert_eq!(verify(&key, b"x", &signed(nonce, r, &key, b"x")), index == 0, "{index}");
        }
    }

    #[test]
    fn bytes_that_are_no_point_are_no_key() {
        let (_, message, signature) = vectors().into_iter().next().unwrap();
        assert!(VerifyingKey::from_bytes(&[2; 32]).is_err());
        assert!(!verify(&[2; 32], &message, &signature));
    }
}

//! Does what Portico must not do: verifies a signature with the key type of `openidconnect`, which calls
//! `rsa`.
//!
//! `tests/deploy/test_image.py` finds the traces of `rsa` in this program, and none in the release binary.

use openidconnect::JsonWebKey as _;
use openidconnect::core::{CoreJsonWebKey, CoreJwsSigningAlgorithm};

fn main() {
    let key = CoreJsonWebKey::new_rsa(vec![0xb5; 256], vec![1, 0, 1], None);
    let algorithm = CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256;
    let verified = key.verify_signature(&algorithm, b"message", &[0; 256]);
    std::process::exit(i32::from(verified.is_ok()));
}

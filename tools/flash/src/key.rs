//! Private keys as files: the PEM text of a PKCS#8 structure (RFC 5958, RFC 8410), as `openssl genpkey` writes it.

use anyhow::{Context, Result, anyhow, bail, ensure};
use ed25519_dalek::pkcs8::{
    EncodePrivateKey, EncodePublicKey, KeypairBytes, PrivateKeyInfo, SecretDocument, spki::der,
};
use ed25519_dalek::{Signer, SigningKey};
use slopos_manifest::key::require_ed25519;
use slopos_manifest::{Manifest, PublicKey};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The file of the key that everybody has.
const DEVELOPMENT: &str = include_str!("../../../boards/keys/development.pem");
/// What names the file of a private key, where no option does.
pub const KEY_VARIABLE: &str = "SLOPOS_SIGNING_KEY";

/// A key that signs records.
#[derive(Debug)]
pub struct PrivateKey {
    key: SigningKey,
    public: PublicKey,
}

impl PrivateKey {
    /// Reads the file of a private key.
    ///
    /// # Errors
    /// It cannot be read, or what it holds instead of a private Ed25519 key.
    pub fn load(path: &Path) -> Result<PrivateKey> {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        PrivateKey::from_pem(&text).with_context(|| path.display().to_string())
    }

    /// Reads the text of a private key's file.
    ///
    /// # Errors
    /// What it is instead.
    pub fn from_pem(text: &str) -> Result<PrivateKey> {
        let (label, document) =
            SecretDocument::from_pem(text).map_err(|why| anyhow!("it is no key as PEM text: {why}"))?;
        match label {
            "PRIVATE KEY" => {}
            "ENCRYPTED PRIVATE KEY" => {
                bail!("the key is encrypted; `openssl pkey -in FILE -out OTHER` writes it without a password")
            }
            "PUBLIC KEY" => bail!("it is a public key; signing takes the private one"),
            "RSA PRIVATE KEY" => bail!("it is an RSA key, not an Ed25519 key; `flash keygen` makes one"),
            "EC PRIVATE KEY" => {
                bail!("it is a key of another elliptic curve (EC), not an Ed25519 key; `flash keygen` makes one")
            }
            "OPENSSH PRIVATE KEY" => bail!("it is a key of OpenSSH, not PKCS#8; `flash keygen` makes one"),
            other => bail!("it is a `{other}`, not a `PRIVATE KEY`"),
        }
        let damaged = |why: der::Error| anyhow!("it is a damaged private key: {why}");
        let information: PrivateKeyInfo<'_> = document.decode_msg().map_err(damaged)?;
        require_ed25519(information.algorithm.oid).map_err(|why| anyhow!(why))?;
        let key = SigningKey::try_from(information).map_err(|why| anyhow!("it is a damaged private key: {why}"))?;
        PrivateKey::new(key)
    }

    /// Makes a key of the operating system's random numbers.
    ///
    /// # Errors
    /// The operating system has none.
    pub fn generate() -> Result<PrivateKey> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|why| anyhow!("no random numbers: {why}"))?;
        PrivateKey::new(SigningKey::from_bytes(&seed))
    }

    /// The key whose private half everybody has.
    ///
    /// # Panics
    /// Never: a test reads the tree's file.
    pub fn development() -> PrivateKey {
        PrivateKey::from_pem(DEVELOPMENT).expect("the tree's development key is a key")
    }

    fn new(key: SigningKey) -> Result<PrivateKey> {
        let public = PublicKey::new(key.verifying_key().to_bytes()).map_err(|why| anyhow!(why))?;
        Ok(PrivateKey { key, public })
    }

    /// Its public half.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The signature of a message; always the same (RFC 8032).
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.key.sign(message).to_bytes()
    }

    /// Writes both halves as PEM files: the private one as `path`, which only its owner can read, the public one beside
    /// it with the ending `.pub`. A file that is there is kept, unless `force` is set.
    ///
    /// # Errors
    /// A file is there, or cannot be written.
    pub fn write(&self, path: &Path, force: bool) -> Result<PathBuf> {
        let beside = path.with_extension("pub");
        ensure!(beside != path, "the private key cannot be called {}: that is the public one's name", path.display());
        for path in [path, &beside] {
            ensure!(force || !path.exists(), "{} is there already; --force writes over it", path.display());
        }
        // Without its public half, as OpenSSL writes it: OpenSSL 3.0 reads no other form.
        let bytes = KeypairBytes { secret_key: self.key.to_bytes(), public_key: None };
        let private = bytes.to_pkcs8_pem(der::pem::LineEnding::LF).map_err(|why| anyhow!(why.to_string()))?;
        let public = self.key.verifying_key().to_public_key_pem(der::pem::LineEnding::LF);
        let public = public.map_err(|why| anyhow!(why.to_string()))?;
        let cannot = |path: &Path| format!("cannot write {}", path.display());
        if force && path.exists() {
            std::fs::remove_file(path).with_context(|| cannot(path))?;
        }
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        file.and_then(|mut file| file.write_all(private.as_bytes())).with_context(|| cannot(path))?;
        let file = if force { File::create(&beside) } else { File::create_new(&beside) };
        file.and_then(|mut file| file.write_all(public.as_bytes())).with_context(|| cannot(&beside))?;
        Ok(beside)
    }
}

/// The key that signs for a manifest: the one of the option, the one that [`KEY_VARIABLE`] names where the manifest has
/// it, or the development key where the manifest trusts that. `None` where nobody can sign here.
///
/// # Errors
/// A key cannot be read, or the option's is none of the manifest's.
pub fn for_manifest(manifest: &Manifest, option: Option<&Path>) -> Result<Option<PrivateKey>> {
    let has = |key: &PrivateKey| manifest.flash.keys.iter().any(|known| known.public == *key.public());
    if let Some(path) = option {
        let key = PrivateKey::load(path)?;
        ensure!(
            has(&key),
            "{}: the manifest does not name this key under [flash], so the board would refuse it",
            path.display()
        );
        return Ok(Some(key));
    }
    if manifest.flash.is_development() {
        return Ok(Some(PrivateKey::development()));
    }
    let Some(path) = named() else { return Ok(None) };
    let key = PrivateKey::load(&path).with_context(|| KEY_VARIABLE)?;
    ensure!(
        has(&key),
        "{KEY_VARIABLE}: {}: the manifest does not name this key under [flash], so the board would refuse it",
        path.display()
    );
    Ok(Some(key))
}

/// The file that [`KEY_VARIABLE`] names.
pub fn named() -> Option<PathBuf> {
    std::env::var_os(KEY_VARIABLE).filter(|value| !value.is_empty()).map(PathBuf::from)
}

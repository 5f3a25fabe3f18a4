//! The commands about keys and signatures.

use crate::files;
use anyhow::{Context, Result, anyhow, bail, ensure};
use clap::Args;
use slopos_abi::flash::{APP_MAGIC, AppHeader, KIND_APP, name_text};
use slopos_disk::Container;
use slopos_flash::key::{self, KEY_VARIABLE, PrivateKey};
use slopos_flash::{Contents, Image, decode, sign};
use slopos_manifest::{Manifest, PublicKey, Unsigned};
use std::path::{Path, PathBuf};
use zerocopy::FromBytes;

/// The arguments of `keygen`.
#[derive(Args)]
pub struct Keygen {
    /// The file of the private key; the public one is put beside it, with the ending .pub.
    key: PathBuf,
    /// Write over files that are there.
    #[arg(long)]
    force: bool,
}

/// The arguments of `sign`.
#[derive(Args)]
pub struct Sign {
    /// An image, or the file of a record.
    file: PathBuf,
    /// The apps in the image whose records are signed; all where none is named.
    apps: Vec<String>,
    /// The file of the private key; SLOPOS_SIGNING_KEY names it otherwise.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["external", "signature"])]
    key: Option<PathBuf>,
    /// Write what a key that is elsewhere has to sign into this file, for one app.
    #[arg(long, value_name = "FILE", requires = "public")]
    external: Option<PathBuf>,
    /// Put the signature in this file, of 64 bytes, into the record.
    #[arg(long, value_name = "FILE", requires = "public", conflicts_with = "external")]
    signature: Option<PathBuf>,
    /// The public half of the key that is elsewhere.
    #[arg(long, value_name = "FILE")]
    public: Option<PathBuf>,
}

/// Which keys count when records are checked.
#[derive(Args)]
pub struct Keys {
    /// A public key that may have signed; without one, and without a manifest, the development key.
    #[arg(long = "key", value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The manifest whose keys may have signed.
    #[arg(long, value_name = "FILE", conflicts_with = "files")]
    manifest: Option<PathBuf>,
}

impl Keys {
    /// The keys, and what happens to a record that nobody signed.
    ///
    /// # Errors
    /// A file cannot be read, or is no key or manifest.
    pub fn load(&self) -> Result<(Vec<PublicKey>, Unsigned)> {
        if let Some(path) = &self.manifest {
            let Manifest { flash, .. } = slopos_manifest::load(path)?;
            return Ok((flash.keys.iter().map(|key| key.public).collect(), flash.unsigned));
        }
        let mut keys = self.files.iter().map(|path| public(path)).collect::<Result<Vec<_>>>()?;
        if keys.is_empty() {
            keys.push(PublicKey::development());
        }
        Ok((keys, Unsigned::Refuse))
    }
}

/// Makes a pair of keys.
///
/// # Errors
/// A file is there already, or cannot be written.
pub fn keygen(arguments: &Keygen) -> Result<()> {
    let key = PrivateKey::generate()?;
    let public = key.write(&arguments.key, arguments.force)?;
    println!("{}  the private key: keep it secret, and keep a copy", arguments.key.display());
    println!("{}  the public key: name it in the manifest, under [flash]", public.display());
    Ok(())
}

/// A file with records in it.
enum Target {
    Image(Box<Container>, Box<Image>),
    Record(Vec<u8>),
}

/// Signs records, or does half of it for a key that is elsewhere.
///
/// # Errors
/// There is no such record, or no key for it.
pub fn sign(arguments: &Sign) -> Result<()> {
    let path = &arguments.file;
    let bytes = files::read(path)?;
    let mut target = if bytes.starts_with(&APP_MAGIC) {
        Target::Record(bytes)
    } else {
        let (container, image) = files::load(path)?;
        Target::Image(Box::new(container), Box::new(image))
    };
    let apps = apps(&target, &arguments.apps).with_context(|| path.display().to_string())?;
    let elsewhere = arguments.external.as_ref().or(arguments.signature.as_ref());
    if elsewhere.is_some() {
        ensure!(apps.len() == 1, "name the app that is to be signed: the file has {}", apps.join(", "));
    }
    for app in &apps {
        let record = match &mut target {
            Target::Image(_, image) => image.record_mut(app)?,
            Target::Record(record) => record,
        };
        whole(app, record).with_context(|| format!("{}: app `{app}`", path.display()))?;
        one(arguments, record).with_context(|| format!("app `{app}`"))?;
    }
    match target {
        Target::Image(container, image) => container.replace(image.bytes()),
        Target::Record(record) => slopos_cli::put(path, &record),
    }
}

/// The apps whose records are to be signed.
fn apps(target: &Target, named: &[String]) -> Result<Vec<String>> {
    match target {
        Target::Record(record) => {
            let (header, _) = AppHeader::read_from_prefix(record).map_err(|_| anyhow!("it is cut short"))?;
            let name = name_text(&header.name).context("the record has no name")?.to_owned();
            ensure!(named.iter().all(|app| *app == name), "it is the record of app `{name}`");
            Ok(vec![name])
        }
        Target::Image(_, image) if named.is_empty() => {
            let apps = image.slots().iter().filter(|slot| slot.kind == KIND_APP);
            Ok(apps.map(|slot| slot.name.clone()).collect())
        }
        Target::Image(..) => Ok(named.to_vec()),
    }
}

/// Refuses to sign what no kernel would run.
fn whole(app: &str, record: &[u8]) -> Result<()> {
    let (header, _) = AppHeader::read_from_prefix(record).map_err(|_| anyhow!("it is cut short"))?;
    decode(app, name_text(&header.board).unwrap_or_default(), record).map(|_| ())
}

fn one(arguments: &Sign, record: &mut [u8]) -> Result<()> {
    let Some(file) = &arguments.public else {
        return sign::sign(record, &private(arguments.key.as_deref())?);
    };
    let key = public(file)?;
    if let Some(path) = &arguments.external {
        let bytes = sign::prepare(record, &key)?;
        return slopos_cli::put(path, &bytes);
    }
    let path = arguments.signature.as_ref().context("--public is for --external and --signature")?;
    let bytes = files::read(path)?;
    let length = bytes.len();
    let signature =
        bytes.try_into().map_err(|_| anyhow!("{} has {length} bytes; a signature has 64", path.display()))?;
    sign::attach(record, &key, signature)
}

/// The private key that an option or the environment names.
fn private(option: Option<&Path>) -> Result<PrivateKey> {
    match option.map(Path::to_owned).or_else(key::named) {
        Some(path) => PrivateKey::load(&path),
        None => bail!("say which key signs: --key FILE, or {KEY_VARIABLE} in the environment"),
    }
}

fn public(path: &Path) -> Result<PublicKey> {
    let text =
        String::from_utf8(files::read(path)?).map_err(|_| anyhow!("{}: it is no key as PEM text", path.display()))?;
    PublicKey::from_pem(&text).map_err(|why| anyhow!("{}: {why}", path.display()))
}

/// The key that signs what is put into an image: the one that is named, or the development key if nobody else has
/// signed there.
///
/// # Errors
/// The key cannot be read.
pub fn for_image(image: &Image, option: Option<&Path>) -> Result<Option<PrivateKey>> {
    if let Some(path) = option.map(Path::to_owned).or_else(key::named) {
        return PrivateKey::load(&path).map(Some);
    }
    let strange = image
        .inspect(&[PublicKey::development()])
        .into_iter()
        .any(|(_, contents)| matches!(contents, Ok(Contents::App { signer: sign::Signer::Unknown(_), .. })));
    Ok(if strange { None } else { Some(PrivateKey::development()) })
}

/// Says that nobody has signed, and what to do.
pub fn warn_unsigned() {
    eprintln!(
        "flash: WARNING: nothing signs the programs, so the board will refuse them: name the file of the private key by --key \
         or {KEY_VARIABLE}, or use `flash sign`"
    );
}

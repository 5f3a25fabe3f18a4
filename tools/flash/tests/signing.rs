//! Keys and signatures on the command line, and OpenSSL's opinion of them.

use slopos_abi::USER_BASE;
use slopos_abi::flash::{EXECUTE, READ, SIGNED_BYTES};
use slopos_flash::{Piece, Program, encode};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

fn run(folder: &Path, program: &str, arguments: &str) -> Output {
    let mut command = Command::new(program);
    command.current_dir(folder).args(arguments.split_whitespace()).env_remove("SLOPOS_SIGNING_KEY");
    command.output().unwrap_or_else(|why| panic!("{program}: {why}"))
}

/// Runs `flash`; what it says on standard error.
#[track_caller]
fn flash(folder: &Path, arguments: &str, status: i32) -> String {
    let output = run(folder, env!("CARGO_BIN_EXE_flash"), arguments);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(status), "flash {arguments}: {said}");
    said
}

/// Runs `openssl`, which has to succeed.
#[track_caller]
fn openssl(folder: &Path, arguments: &str) {
    let output = run(folder, "openssl", arguments);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "openssl {arguments}: {said}");
}

/// A folder with the file of a record that nobody has signed.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let code = Piece { address: USER_BASE, memory_bytes: 4, flags: READ | EXECUTE, bytes: vec![0xc3; 4] };
    let program = Program { entry: USER_BASE, pieces: vec![code], version: "1.2.3".to_owned(), build_id: [7; 20] };
    fs::write(folder.path().join("record"), encode("clock", "b", &program).expect("a record")).expect("written");
    folder
}

/// Splits the record into what is signed and the signature.
fn split(folder: &Path) {
    let record = fs::read(folder.join("record")).expect("a record");
    fs::write(folder.join("signed"), &record[..SIGNED_BYTES]).expect("written");
    fs::write(folder.join("signature"), &record[SIGNED_BYTES..512]).expect("written");
}

#[test]
fn openssl_verifies_what_a_key_of_ours_signed() {
    let (folder, verify) = (folder(), "pkeyutl -verify -rawin -pubin -in signed -sigfile signature -inkey");
    let folder = folder.path();
    flash(folder, "keygen ours.pem", 0);
    flash(folder, "sign record --key ours.pem", 0);
    split(folder);
    openssl(folder, &format!("{verify} ours.pub"));
    // OpenSSL reads the private key too, and finds the same public one.
    openssl(folder, "pkey -in ours.pem -pubout -out found.pub");
    let [ours, found] = ["ours.pub", "found.pub"].map(|name| fs::read(folder.join(name)).expect("a key"));
    assert_eq!(ours, found);
    flash(folder, "keygen other.pem", 0);
    assert!(!run(folder, "openssl", &format!("{verify} other.pub")).status.success());
}

#[test]
fn a_key_of_openssl_signs_here_and_elsewhere() {
    let folder = folder();
    let folder = folder.path();
    openssl(folder, "genpkey -algorithm ed25519 -out theirs.pem");
    openssl(folder, "pkey -in theirs.pem -pubout -out theirs.pub");
    // The key stays where it is; only bytes and signature travel.
    flash(folder, "sign record --external to_sign --public theirs.pub", 0);
    assert_eq!(fs::read(folder.join("to_sign")).expect("bytes").len(), SIGNED_BYTES);
    openssl(folder, "pkeyutl -sign -rawin -inkey theirs.pem -in to_sign -out signature");
    flash(folder, "sign record --signature signature --public theirs.pub", 0);
    let elsewhere = fs::read(folder.join("record")).expect("a record");
    flash(folder, "sign record --key theirs.pem", 0);
    assert_eq!(fs::read(folder.join("record")).expect("a record"), elsewhere, "a signature is always the same");

    fs::write(folder.join("short"), [0; 63]).expect("written");
    fs::write(folder.join("wrong"), [0; 64]).expect("written");
    let said = flash(folder, "sign record --signature short --public theirs.pub", 1);
    assert!(said.contains("short has 63 bytes; a signature has 64"), "{said}");
    let said = flash(folder, "sign record --signature wrong --public theirs.pub", 1);
    assert!(said.contains("app `clock`: the signature is not that of this record"), "{said}");
    assert_eq!(fs::read(folder.join("record")).expect("a record"), elsewhere, "what is wrong changes nothing");
}

#[test]
fn a_private_key_is_its_owners_alone_and_is_not_written_over() {
    let folder = folder();
    let folder = folder.path();
    flash(folder, "keygen ours.pem", 0);
    let mode = fs::metadata(folder.join("ours.pem")).expect("a key").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let before = fs::read(folder.join("ours.pem")).expect("a key");
    let said = flash(folder, "keygen ours.pem", 1);
    assert!(said.contains("ours.pem is there already; --force writes over it"), "{said}");
    fs::remove_file(folder.join("ours.pem")).expect("removed");
    let said = flash(folder, "keygen ours.pem", 1);
    assert!(said.contains("ours.pub is there already"), "{said}");
    // A file that others can read does not stay so.
    fs::write(folder.join("ours.pem"), &before).expect("written");
    fs::set_permissions(folder.join("ours.pem"), fs::Permissions::from_mode(0o644)).expect("set");
    flash(folder, "keygen --force ours.pem", 0);
    assert_ne!(fs::read(folder.join("ours.pem")).expect("a key"), before);
    assert_eq!(fs::metadata(folder.join("ours.pem")).expect("a key").permissions().mode() & 0o777, 0o600);
    let said = flash(folder, "keygen ours.pub", 1);
    assert!(said.contains("that is the public one's name"), "{said}");
}

#[test]
fn a_file_that_is_no_private_ed25519_key_is_called_by_its_name() {
    let folder = folder();
    let folder = folder.path();
    openssl(folder, "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:512 -out rsa");
    openssl(folder, "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out ec");
    openssl(folder, "ecparam -name prime256v1 -genkey -noout -out old_ec");
    openssl(folder, "genpkey -algorithm ed448 -out ed448");
    openssl(folder, "genpkey -algorithm ed25519 -out good");
    openssl(folder, "pkey -in good -pubout -out public");
    openssl(folder, "pkey -in good -aes256 -passout pass:secret -out encrypted");
    let text = fs::read_to_string(folder.join("good")).expect("a key");
    fs::write(folder.join("damaged"), text.replacen("BCIEI", "BCIFI", 1)).expect("written");
    fs::write(folder.join("cut"), &text[..60]).expect("written");
    let cases = [
        ("rsa", "it is an RSA key, not an Ed25519 key"),
        ("ec", "it is a key of another elliptic curve (EC)"),
        ("old_ec", "it is a key of another elliptic curve (EC)"),
        ("ed448", "it is an Ed448 key"),
        ("public", "it is a public key; signing takes the private one"),
        ("encrypted", "the key is encrypted; `openssl pkey -in FILE -out OTHER`"),
        ("damaged", "it is a damaged private key"),
        ("cut", "it is no key as PEM text"),
        ("record", "cannot read record"),
        ("missing", "cannot read missing"),
    ];
    let before = fs::read(folder.join("record")).expect("a record");
    for (file, reason) in cases {
        let said = flash(folder, &format!("sign record --key {file}"), 1);
        assert!(said.contains(reason) && said.lines().count() == 1, "{file}: {said}");
    }
    let said = flash(folder, "sign record", 1);
    assert!(said.contains("say which key signs: --key FILE, or SLOPOS_SIGNING_KEY"), "{said}");
    let said = flash(folder, "sign record other --key good", 1);
    assert!(said.contains("it is the record of app `clock`"), "{said}");
    assert_eq!(fs::read(folder.join("record")).expect("a record"), before);
}

#[test]
fn a_damaged_record_is_not_signed() {
    let folder = folder();
    let folder = folder.path();
    let mut record = fs::read(folder.join("record")).expect("a record");
    record[513] ^= 1;
    fs::write(folder.join("record"), &record).expect("written");
    flash(folder, "keygen ours.pem", 0);
    let said = flash(folder, "sign record --key ours.pem", 1);
    assert!(said.contains("app `clock`: SHA-256 does not match"), "{said}");
}

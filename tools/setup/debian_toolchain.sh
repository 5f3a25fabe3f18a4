#!/bin/sh
# Lays out Debian's compiler as a toolchain directory that knows the bare-metal target: debian_toolchain.sh FOLDER
#
# Debian has no libraries for this target, so they are built from its own sources, which a compiler of the same
# version accepts and no other does. RUSTC_BOOTSTRAP lets its cargo build them; nothing else uses it.
set -eu
folder=${1:?the folder to make}
target=x86_64-unknown-none
rustc=/usr/bin/rustc
cargo=/usr/bin/cargo

lld=$(command -v ld.lld) || { echo "setup: ld.lld is missing; install lld" >&2; exit 1; }
versions=$(dpkg-query -W -f '${Version}\n' rustc-web cargo-web rust-web-src | sort -u)
if [ "$(echo "$versions" | wc -l)" != 1 ]; then
    echo "setup: rustc-web, cargo-web and rust-web-src have to be of one version, not" $versions >&2
    exit 1
fi
host=$("$rustc" -vV | sed -n 's/^host: //p')
sysroot=$("$rustc" --print sysroot)
library=$sysroot/lib/rustlib/src/rust

# Whether the folder was made from this very version of the compiler, by this very script.
stamp="$versions $(cksum <"$0")"
if [ -f "$folder/version" ] && [ "$(cat "$folder/version")" = "$stamp" ]; then
    exit 0
fi
echo "setup: building the libraries of $target with $("$rustc" --version)" >&2

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/crate/src"
# A workspace of its own, wherever the temporary folder is.
cat >"$work/crate/Cargo.toml" <<'TOML'
[package]
name = "empty"
version = "0.0.0"
edition = "2021"
[workspace]
TOML
echo '#![no_std]' >"$work/crate/src/lib.rs"
# The board links with `lto`, which needs the bitcode that cargo leaves out of libraries by default. The short name of the
# library's sources is in every panic message that comes from it.
env -u CARGO_TARGET_DIR -u RUSTUP_TOOLCHAIN -u RUSTC_WRAPPER -u CARGO_ENCODED_RUSTFLAGS \
    RUSTC="$rustc" RUSTC_BOOTSTRAP=1 RUSTFLAGS="-C embed-bitcode=yes --remap-path-prefix=$library=/rust" \
    "$cargo" build --quiet --release --manifest-path "$work/crate/Cargo.toml" --target-dir "$work/target" \
    -Zbuild-std=core,alloc,compiler_builtins -Zbuild-std-features=compiler-builtins-mem --target "$target" \
    >&2 </dev/null

new="$work/toolchain"
bare="$new/lib/rustlib/$target/lib"
native="$new/lib/rustlib/$host"
mkdir -p "$new/bin" "$bare" "$native/bin"
for library in core alloc compiler_builtins; do
    cp "$work/target/$target/release/deps/lib$library"-*.rlib "$bare/"
done
ln -s "$sysroot/lib/rustlib/$host/lib" "$native/lib"
ln -s "$lld" "$native/bin/rust-lld"
ln -s "$cargo" "$new/bin/cargo"
cat >"$new/bin/rustc" <<'SH'
#!/bin/sh
exec /usr/bin/rustc --sysroot "$(dirname "$(dirname "$(readlink -f "$0")")")" "$@"
SH
chmod +x "$new/bin/rustc"
echo "$stamp" >"$new/version"
rm -rf "$folder"
mkdir -p "$(dirname "$folder")"
mv "$new" "$folder"

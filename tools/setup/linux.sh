#!/bin/sh
# Makes the Linux guest that ./just bench compares the board with: build/linux/{vmlinux,initramfs,version}.
#
# Kernel and busybox are Debian's, downloaded and unpacked without being installed; the client is tools/lab/bench/guest.
# The kernel is taken out of its compressed image, so that it boots by its PVH note as the board does, which is faster.
# A second call is silent and quick.
set -eu
cd "$(dirname "$0")/../.."
. tools/setup/packages.sh

guest=tools/lab/bench/guest
folder=build/linux
target=$(rustc -vV | sed -n 's/^host: //p')
# In the order of their dependencies; the script that loads them and the packing below both read this list.
modules="virtio_ring virtio virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci failover net_failover virtio_net"

# The client. Linked statically, for there is no library in the guest.
RUSTFLAGS="-C target-feature=+crt-static -C strip=symbols" \
    cargo build --quiet --release --target "$target" --target-dir "${CARGO_TARGET_DIR:-target}/guest" \
    -p slopos-bench-guest >&2
client=${CARGO_TARGET_DIR:-target}/guest/$target/release/get

stamp=$(cat tools/setup/linux.sh "$guest/init" "$guest/lease" "$client" | cksum)
if [ -f "$folder/stamp" ] && [ "$(cat "$folder/stamp")" = "$stamp" ] && [ -f "$folder/vmlinux" ] &&
    [ -f "$folder/initramfs" ]; then
    exit
fi
echo "setup: making the Linux guest" >&2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The package that the metapackage stands for.
versioned() {
    apt-cache depends linux-image-cloud-amd64 2>/dev/null | sed -n 's/^ *Depends: \(linux-image-.*\)/\1/p'
}
package=$(versioned)
if [ -z "$package" ]; then
    install_packages apt
    package=$(versioned)
fi
[ -n "$package" ] || { echo "setup: there is no package linux-image-cloud-amd64 here" >&2; exit 1; }
download() {
    (cd "$work" && apt-get -qq -o APT::Sandbox::User="$(id -un)" download "$package" busybox-static >&2 </dev/null)
}
# A list of packages that is out of date names versions that are gone.
download || { install_packages apt && download; }
for archive in "$work"/*.deb; do
    dpkg -x "$archive" "$work/root"
done
release=${package#linux-image-}

# number OFFSET SIZE: a number of the image's header, which Documentation/x86/boot.rst of Linux describes.
image=$work/root/boot/vmlinuz-$release
number() {
    od -An -t "u$2" -j "$(($1))" -N "$2" "$image" | tr -d ' '
}
begin=$((($(number 0x1f1 1) + 1) * 512 + $(number 0x248 4)))
# The length of what is unpacked follows the compressed data and is part of the payload.
tail -c +$((begin + 1)) "$image" | head -c $(($(number 0x24c 4) - 4)) >"$work/payload"
case $(od -An -t x1 -N 4 "$work/payload" | tr -d ' ') in
    02214c18) unpack=lz4 unpacker=lz4 ;;
    fd377a58) unpack=xz unpacker=xz-utils ;;
    28b52ffd) unpack=zstd unpacker=zstd ;;
    1f8b*) unpack=gzip unpacker=gzip ;;
    *) echo "setup: $image is compressed in a way that is not known here" >&2; exit 1 ;;
esac
command -v "$unpack" >/dev/null || install_packages "$unpacker"
mkdir -p "$folder"
rm -f "$folder/stamp"
"$unpack" -dc <"$work/payload" >"$folder/vmlinux"

# The initramfs: busybox, the modules, the client, and the script that is process 1.
mkdir -p "$work/tree/bin" "$work/tree/dev" "$work/tree/modules"
cp "$work/root/bin/busybox" "$client" "$work/tree/bin/"
for module in $modules; do
    find "$work/root/lib/modules/$release" -name "$module.ko" -exec cp {} "$work/tree/modules/" \;
    [ -f "$work/tree/modules/$module.ko" ] || { echo "setup: $package has no module $module" >&2; exit 1; }
done
sed "s/@MODULES@/$modules/" "$guest/init" >"$work/tree/init"
cp "$guest/lease" "$work/tree/lease"
chmod 755 "$work/tree/init" "$work/tree/lease"
(cd "$work/tree" && find . | LC_ALL=C sort | "$work/root/bin/busybox" cpio -o -H newc -R 0:0 2>/dev/null) \
    >"$folder/initramfs"

echo "$release, $("$work/root/bin/busybox" | head -n 1 | cut -d ' ' -f 1-2)" >"$folder/version"
echo "$stamp" >"$folder/stamp"

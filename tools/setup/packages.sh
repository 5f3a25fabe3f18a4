# What installs packages of the distribution; to be sourced at the root of the tree.

# Installs Debian packages, by root's right or sudo's.
install_packages() {
    echo "setup: installing $*" >&2
    as_root=
    if [ "$(id -u)" != 0 ]; then
        as_root="sudo -n"
        $as_root true 2>/dev/null || as_root=
    fi
    if ! command -v apt-get >/dev/null || { [ "$(id -u)" != 0 ] && [ -z "$as_root" ]; }; then
        echo "setup: neither root nor sudo without a password, or no apt-get; please install: $*" >&2
        return 1
    fi
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 update >&2 </dev/null
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 \
        install --yes --no-install-recommends "$@" >&2 </dev/null
}

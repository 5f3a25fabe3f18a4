#!/bin/sh
# Installs Chromium, in which a test looks at the page of the audit. Building and running need none.
set -eu
cd "$(dirname "$0")/../.."
. tools/setup/packages.sh

for name in chromium chromium-browser google-chrome chrome; do
    if command -v "$name" >/dev/null; then exit; fi
done
install_packages chromium

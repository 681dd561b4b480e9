#!/usr/bin/env bash
# Write .tools/python-image/rootfs.tar: Debian's own Python 3.13 with `python` and pip, which stands in for the base of
# deploy/docker/Dockerfile where no registry of images can be reached. scripts/tools.sh calls this.
set -Eeuo pipefail
target=$PWD/.tools/python-image
mkdir -p "$target"

# As in python:slim, nothing but pip is installed, and pip installs; Debian's package of pip would bring other packages
# that pip then refuses to replace. The command runs outside the new root, whose path is its first argument.
# shellcheck disable=SC2016
as_in_slim='set -eu
ln -s python3 "$1/usr/bin/python"
rm "$1"/usr/lib/python3*/EXTERNALLY-MANAGED
chroot "$1" sh -c "
    wheel=\$(echo /usr/share/python-wheels/pip-*.whl)
    PYTHONPATH=\$wheel python -m pip install --quiet --no-index --root-user-action=ignore \$wheel
"'

# apt is there as it is in python:slim, and brings libstdc++, which grpc needs and no wheel has. Documentation is left
# out, and the disk need not have each package before the next one is unpacked.
mmdebstrap --variant=apt --include=ca-certificates,python3,python3-venv --dpkgopt=force-unsafe-io \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' --customize-hook="$as_in_slim" trixie "$target/unfinished.tar"
# A test that reads the old one at this moment goes on reading it.
mv "$target/unfinished.tar" "$target/rootfs.tar"

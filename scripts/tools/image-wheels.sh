#!/usr/bin/env bash
# Download what deploy/docker/Dockerfile installs to .tools/image-wheels, checked against the locks, so that tests build
# the image without a network. The Python is that of scripts/tools/python-image.sh. scripts/tools.sh calls this.
set -Eeuo pipefail
target=.tools/image-wheels
rm -rf "$target"
# Without dependencies, since pip would choose them for the Python that runs it; the locks name them all.
.venv/bin/python -m pip download --quiet --dest "$target" --no-deps --require-hashes --only-binary=:all: \
    --implementation=cp --python-version=3.13 --abi=cp313 --abi=abi3 --abi=none \
    --platform="manylinux_2_28_$(uname -m)" --platform="manylinux2014_$(uname -m)" \
    --requirement deploy/docker/requirements.txt --requirement deploy/docker/build-requirements.txt

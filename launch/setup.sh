#!/usr/bin/env bash
# Installs what vgg11_dist needs from Debian's packages (12 "bookworm" or later), builds it, and says where the program is.
#   launch/setup.sh [--packages-only]
# Elsewhere, and without root, see docs/install.md.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! command -v apt-get >/dev/null; then
    echo "setup.sh: there is no apt-get here: install a C compiler, CMake 3.25, make, pkg-config, Open MPI, OpenBLAS, zlib, jansson and xxHash, if you" \
        "like libpng, oneDNN and HDF5, all with their headers; then: cmake -S . -B build && cmake --build build (docs/install.md)" >&2
    exit 1
fi

# To build; for pictures, further algorithms, Keras' files, plots and launch/scaling.sh's table; for the tests.
packages=(gcc libc6-dev cmake make pkg-config openmpi-bin libopenmpi-dev libopenblas-dev zlib1g-dev libjansson-dev libxxhash-dev
    libpng-dev libdnnl-dev libhdf5-dev gnuplot-nox bsdextrautils
    check python3 python3-numpy python3-h5py iproute2)

missing=()
for package in "${packages[@]}"; do
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
    as_root=()
    [ "$(id -u)" = 0 ] || as_root=(sudo)
    echo "installing: ${missing[*]}"
    "${as_root[@]}" apt-get update -qq
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi
[ "${1:-}" = --packages-only ] && exit 0

cmake --preset "${VGG11_PRESET:-release}" >/dev/null
cmake --build --preset "${VGG11_PRESET:-release}" --parallel "$(nproc)"
echo "built: build/release/src/app/vgg11_dist"

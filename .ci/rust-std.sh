#!/usr/bin/env bash
# Installs the source of Rust's standard library, and the library for wasm32, where rustup's server is out of reach.
#
#   bash .ci/rust-std.sh source     the source, from Debian's rust-src package of the compiler's version
#   bash .ci/rust-std.sh library    the same, and the library compiled from it
set -eu -o pipefail
version=$(rustc --version | cut -d " " -f 2)
rustlib=$(rustc --print sysroot)/lib/rustlib
target=wasm32-unknown-unknown
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

unpack_source() {
  # apt keeps its state here, so that the machine's own sources and lists stay as they are.
  mkdir -p lists/partial archives/partial parts
  local apt=(-o Dir::Etc::sourcelist="$work/sources.list" -o Dir::Etc::sourceparts="$work/parts")
  apt+=(-o Dir::State::lists="$work/lists" -o Dir::Cache="$work" -o APT::Sandbox::User=root)
  local mirror suite package
  # shellcheck disable=SC2016 # apt's variables
  mirror=$(apt-get indextargets --format '$(ORIGIN) $(REPO_URI)' | sed -n -E 's|^Debian (.*/debian/?)$|\1|p' | head -n 1)
  for suite in stable-backports trixie-backports testing unstable stable; do
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main" > sources.list
    apt-get "${apt[@]}" update > /dev/null || continue
    package=$(apt-cache "${apt[@]}" madison rust-src | cut -d "|" -f 2 | tr -d " " | grep -m 1 -E "^$version[-+]") || continue
    apt-get "${apt[@]}" download "rust-src=$package"
    dpkg -x rust-src_*.deb unpacked
    mkdir -p "$rustlib/src/rust"
    cp -r "unpacked/usr/src/rustc-$version/library" "$rustlib/src/rust/library"
    return
  done
  echo "rust-std: none of Debian's suites has rust-src $version" >&2
  return 1
}

compile_std() {
  printf '[package]\nname = "empty"\nedition = "2021"\n[lib]\npath = "lib.rs"\n' > Cargo.toml
  touch lib.rs
  # Link-time optimization needs the bitcode.
  RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Cembed-bitcode=yes CARGO_TARGET_DIR="$work/out" \
    cargo build --release --target $target -Zbuild-std=std,panic_abort,panic_unwind,proc_macro,test
  rm "out/$target/release/deps/"libempty-*
  rm -rf "${rustlib:?}/$target"
  mkdir -p "$rustlib/$target/lib"
  cp "out/$target/release/deps/"*.rlib "$rustlib/$target/lib/"
}

[ -e "$rustlib/src/rust/library/Cargo.lock" ] || unpack_source
[ "$1" = source ] || compile_std

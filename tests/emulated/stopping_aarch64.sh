# SPDX-License-Identifier: Apache-2.0
# Threads of a 64-bit ARM program are stopped, read and made to call under a kernel of that machine, which an emulator of
# the whole of it runs: Debian's, with the libraries of the same release. These are fetched once, with this machine's own
# package manager; where that cannot be, the test is skipped.
. "$(dirname "$0")/aarch64_lib.sh"
here=$(dirname "$0")
for tool in qemu-system-aarch64 apt-get apt-cache dpkg-deb python3; do
  command -v "$tool" >/dev/null || skip "no $tool"
done
release=$(. /etc/os-release && echo "${VERSION_CODENAME-}")
[ -n "$release" ] || skip "this is no release of Debian"

# Packages of another architecture, from where this machine has its own, and nothing of this machine's is changed.
packages=$TARGETS/../emulated/arm64-$release
fetch() {
  local site keyring=/usr/share/keyrings/debian-archive-keyring.gpg name names=() wanted
  site=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
    sed -n "s/ $release main\$//p" | head -1)
  [ -n "$site" ] && [ -e "$keyring" ] || return 1
  rm -rf "$packages" && mkdir -p "$packages"/{lists/partial,cache/archives/partial,files} || return 1
  touch "$packages/status"
  cat >"$packages/apt.conf" <<EOF
APT::Architecture "arm64";
APT::Architectures { "arm64"; };
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
Acquire::Languages "none";
Dir::Cache "$packages/cache";
Dir::Etc::sourcelist "$packages/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::State::lists "$packages/lists";
Dir::State::status "$packages/status";
EOF
  echo "deb [signed-by=$keyring] $site $release main" >"$packages/sources.list"
  export APT_CONFIG=$packages/apt.conf
  timeout 300 apt-get -q -o APT::Update::Error-Mode=any update || return 1
  names+=("$(apt-cache depends linux-image-cloud-arm64 | sed -n 's/.*Depends: //p' | head -1)")
  for wanted in libc6 libstdc++6 libgcc-s1 libdw1 libelf1 zlib1g liblzma5 libbz2-1.0 libzstd1; do
    # Some have another name where time_t became 64 bits wide.
    for name in "${wanted}t64" "$wanted"; do
      apt-cache show "$name" >/dev/null 2>&1 && names+=("$name") && break
    done
  done
  (cd "$packages/cache" && timeout 300 apt-get -q download "${names[@]}") || return 1
  for name in "$packages"/cache/*.deb; do dpkg-deb -x "$name" "$packages/files" || return 1; done
  unset APT_CONFIG
  rm -r "$packages/cache" "$packages/lists"
  touch "$packages/complete"
}
[ -e "$packages/complete" ] || fetch >"$work/fetched" 2>&1 ||
  skip "no kernel and libraries of 64-bit ARM: $(tail -n 1 "$work/fetched")"

libraries=$work/guest/lib/aarch64-linux-gnu
mkdir -p "$libraries"
find "$packages/files" -path '*/aarch64-linux-gnu/*.so*' ! -path '*/gconv/*' -exec cp -P {} "$libraries" \;
loader=$(find "$packages/files" -name ld-linux-aarch64.so.1 -path '*/lib/ld-*' | head -1)
[ -L "$loader" ] && loader=$libraries/$(basename "$(readlink "$loader")")
cp "$loader" "$work/guest/lib/ld-linux-aarch64.so.1"
kernel=$(find "$packages/files/boot" -name 'vmlinuz-*' | head -1)

# Signed return addresses, as far as the machine has them.
"$c_compiler" -O2 -Wall -Wextra -Werror -mbranch-protection=standard -pthread -rdynamic -fomit-frame-pointer \
  -o "$work/guest/called" "$SOURCE_ROOT"/tests/targets/called{,_registers_aarch64}.c || fail "called does not compile"
make_headers
# shellcheck disable=SC2086
compile "$work/objects" $stopping_sources tests/emulated/stopping_aarch64.cc

# start WORD: the first process of a machine is what was compiled; WORD chooses tests. What it says goes to "said".
start() {
  "$compiler" -o "$work/guest/init" "$work"/objects/*.o "$libraries"/lib{dw,elf}.so.1 \
    -Wl,-rpath-link,"$libraries",--allow-shlib-undefined || fail "does not link"
  python3 "$here/initramfs.py" "$work/guest" "$work/initramfs" || fail "no initramfs"
  timeout 1800 qemu-system-aarch64 -machine virt -cpu max -smp 2 -m 768 -nic none -display none -monitor none \
    -serial stdio -no-reboot -kernel "$kernel" -initrd "$work/initramfs" \
    -append "console=ttyAMA0 quiet loglevel=3 panic=-1 $1" </dev/null >"$work/said" 2>&1
}
start ""
cat "$work/said"
grep -q 'THE TESTS PASSED' "$work/said" || fail "not all tests passed"

# A test that cannot fail says nothing: without the repair of a call that the stop broke it does.
right=$SOURCE_ROOT/cli/trace/tracee_aarch64.cc
sed 's/if (!make_call_again(tid, again)) return std::nullopt;/return registers;/' \
  "$right" >"$work/wrong.cc"
cmp -s "$work/wrong.cc" "$right" && fail "nothing was made wrong"
"$compiler" -std=c++20 -O2 -w -DFMT_HEADER_ONLY -I "$SOURCE_ROOT" -isystem "$work/include" -c \
  -o "$work/objects/tracee_aarch64.o" "$work/wrong.cc" || fail "the wrong one does not compile"
start nothing
grep -q 'a system call ended without cause' "$work/said" || fail "a call that ends with EINTR is not seen"

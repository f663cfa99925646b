# SPDX-License-Identifier: Apache-2.0
# Included by the tests that build for 64-bit ARM: the compiler, and the sources that stop threads and call in them.
set -u
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
fail() { echo "FAILED: $*" >&2; exit 1; }
skip() { echo "skipped: $*" >&2; exit 77; }

compiler=aarch64-linux-gnu-g++
c_compiler=aarch64-linux-gnu-gcc
if [ "$(uname -m)" = aarch64 ]; then
  compiler=g++
  c_compiler=gcc
fi
command -v "$compiler" >/dev/null || skip "no $compiler"

# What tracee.h, machine.h and what uses them consist of, and what they stand on.
stopping_sources="cli/process/loaded_modules.cc cli/process/loaded_symbols.cc cli/process/seccomp_filter.cc
  cli/process/stat_file.cc cli/process/status_file.cc cli/process/thread_files.cc cli/process/trace_permission.cc
  cli/trace/call_safety.cc cli/trace/remote_call.cc cli/trace/remote_call_aarch64.cc cli/trace/stopped_thread.cc
  cli/trace/system_call_restart.cc cli/trace/thread_stop.cc cli/trace/tracee.cc cli/trace/tracee_aarch64.cc
  symbolize/call_frame_table.cc symbolize/file_identity.cc symbolize/kernel_file.cc symbolize/mapped_elf.cc
  symbolize/process_maps.cc symbolize/process_unwinder.cc"

# Headers of libraries that are the same for every machine, without those of this machine's libc.
make_headers() {
  mkdir "$work/include"
  local name folder
  for name in fmt elfutils libelf.h gelf.h dwarf.h; do
    for folder in /usr/include "/usr/include/$(uname -m)-linux-gnu"; do
      [ ! -e "$folder/$name" ] || ln -sf "$folder/$name" "$work/include/"
    done
    [ -e "$work/include/$name" ] || skip "no header $name"
  done
}

# compile FOLDER SOURCE...: each to an object in FOLDER, with the warnings that the project is built with.
compile() {
  local folder=$1 source
  shift
  mkdir -p "$folder"
  for source in "$@"; do
    "$compiler" -std=c++20 -O2 -g -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wnon-virtual-dtor -Wold-style-cast \
      -Wimplicit-fallthrough -Werror -DFMT_HEADER_ONLY -I "$SOURCE_ROOT" -isystem "$work/include" -c \
      -o "$folder/$(basename "$source" .cc).o" "$SOURCE_ROOT/$source" || fail "$source does not compile"
  done
}

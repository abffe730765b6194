#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The program's doors: pictures, exit codes, messages.   program_test.sh MORSELSCOPE
set -u
program=$1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
unset DISPLAY WAYLAND_DISPLAY QT_QPA_PLATFORM
failures=0

# expect NAME STATUS TEXT WORD...: the status, and the text in what it writes to stderr and stdout
expect() {
  name=$1 status=$2 text=$3
  shift 3
  output=$("$program" "$@" 2>&1)
  found=$?
  if [ "$found" -ne "$status" ]; then
    echo "$name: exit status $found, expected $status: $output"
    failures=$((failures + 1))
  fi
  case $output in
    *"$text"*) ;;
    *) echo "$name: \"$text\" is not in: $output"; failures=$((failures + 1)) ;;
  esac
}

expect "picture" 0 "" --embedded --object tour --size 800x600 --render "$folder/window.png"
# Width and height stand behind the signature and the first chunk's head.
size=$(od -An -tu1 -j16 -N8 "$folder/window.png" | tr -s ' ')
if [ "$size" != " 0 0 3 32 0 0 2 88" ]; then
  echo "picture: its size is$size, expected 800x600"
  failures=$((failures + 1))
fi
# The tour's stale entry, in the colour of its state. The legend has one chip of it, which is less than 24 x 16 pixels.
stale=$(convert "$folder/window.png" -fill black +opaque '#E5A905' -fill white -opaque '#E5A905' \
  -format '%[fx:round(mean*w*h)]' info:)
if [ "${stale:-0}" -le 384 ]; then
  echo "picture: $stale pixels of a stale entry's colour, expected more than the legend's chip"
  failures=$((failures + 1))
fi
expect "no display" 77 "there is no display" --embedded
expect "help without a display" 0 "--render" --help
expect "unknown option" 2 "Unknown option 'bogus'" --bogus
expect "stray word" 2 "\"word\" is no option" word
expect "bad size" 2 "\"3x\" is no picture size" --embedded --size 3x --render "$folder/a.png"
expect "unknown object" 2 "there is no object \"nobody\"" --embedded --object nobody --render "$folder/a.png"
expect "both targets" 2 "exclude each other" --embedded --vm a
expect "folder that is not there" 1 "cannot be written" --embedded --render "$folder/none/a.png"
expect "no such VM" 2 "nosuch" --vm nosuch-$$ --render "$folder/a.png"
exit "$failures"

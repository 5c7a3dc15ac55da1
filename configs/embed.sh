#!/bin/sh
# embed.sh FILE NAME: FILE as a C header with the string constant NAME
set -e
echo "/* Generated from ${1##*/}; do not edit. */"
echo "#pragma once"
echo
echo "static const char $2[] ="
sed -e 's/[\\"]/\\&/g' -e 's/^/\t"/' -e 's/$/\\n"/' "$1"
echo "	;"

#!/bin/sh
# Called by `meson install`: make-users.sh FILE. Where it installs into a folder for a package, or not as root, or where
# systemd-sysusers is not there, it does nothing, or says what is left to do.
[ -z "${DESTDIR:-}" ] || exit 0
if [ "$(id -u)" = 0 ] && command -v systemd-sysusers >/dev/null && systemd-sysusers "$1"; then
	exit 0
fi
echo "the users of usbrouted are not made yet; as root: systemd-sysusers, or useradd --system --user-group usbrouted"

# Where there is no systemd: until the guest's next boot. An older one ends first; what it has attached stays attached.
for exe in /proc/[0-9]*/exe; do
	case $(readlink "$exe") in
	/usr/local/sbin/usbroute-agent*) ;;
	*) continue ;;
	esac
	pid=${exe#/proc/} tries=50
	kill "${pid%/exe}"
	while [ -e "$exe" ] && [ "$tries" -gt 0 ]; do
		sleep 0.1
		tries=$((tries - 1))
	done
done
setsid /usr/local/sbin/usbroute-agent </dev/null >/dev/null 2>&1 &

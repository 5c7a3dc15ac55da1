# From that folder to where they stay. A running agent keeps the file that it was started from.
set -e
umask 022
cd /run/usbroute-agent.new
trap 'rm -rf /usr/local/sbin/.usbroute-agent.new /run/usbroute-agent.new' EXIT
mkdir -p /usr/local/sbin
chmod 755 agent
cp agent /usr/local/sbin/.usbroute-agent.new
mv -f /usr/local/sbin/.usbroute-agent.new /usr/local/sbin/usbroute-agent
if [ -d /run/systemd/system ]; then
	mkdir -p /etc/systemd/system
	chmod 644 unit
	cp unit /etc/systemd/system/usbroute-agent.service
fi
# Where files have labels (SELinux).
if command -v restorecon >/dev/null; then
	restorecon /usr/local/sbin/usbroute-agent
	[ ! -e /etc/systemd/system/usbroute-agent.service ] || restorecon /etc/systemd/system/usbroute-agent.service
fi
cd /
/usr/local/sbin/usbroute-agent --version

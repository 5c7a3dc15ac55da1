# What is in the guest already, and a folder that only root may enter.
umask 077
rm -rf /run/usbroute-agent.new
mkdir /run/usbroute-agent.new || exit
[ ! -d /run/systemd/system ] || echo systemd
[ ! -x /usr/sbin/usbroute-agent ] || echo "package $(/usr/sbin/usbroute-agent --version)"

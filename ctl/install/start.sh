# Enabled, and started anew where an older one runs: what it has attached stays attached.
set -e
systemctl daemon-reload
systemctl enable usbroute-agent.service
systemctl restart usbroute-agent.service
systemctl is-active usbroute-agent.service

"""What `usbroutectl vm agent --cloud-init` prints, taken by a real cloud-init in a bare Debian: it fits cloud-init's schema, and what
cloud-init makes of it are the agent, its unit, and the three commands."""

import yaml

from lab import paths, sources
from lab.packages import Packages
from lab.scenario import check, scenario

# An instance of the user data, as a NoCloud disk makes one.
INSTANCE = """\
rm -rf /var/lib/cloud
mkdir -p /var/lib/cloud/seed/nocloud
cp /tmp/user-data /var/lib/cloud/seed/nocloud/
echo 'instance-id: lab' >/var/lib/cloud/seed/nocloud/meta-data
echo 'datasource_list: [NoCloud]' >/etc/cloud/cloud.cfg.d/99-lab.cfg
cloud-init init --local
"""
SCHEMA = "cloud-init schema --config-file /tmp/user-data"
MODULE = "cloud-init --file /tmp/user-data single --name {} --frequency always"
PROGRAM, UNIT = "usr/local/sbin/usbroute-agent", "etc/systemd/system/usbroute-agent.service"
SCRIPT = "/var/lib/cloud/instance/scripts/runcmd"


@scenario("agent-by-cloud-init", quick=False, seconds=1800, machines=("amd64",))
def agent_by_cloud_init(lab):
    text = lab.daemon.ctl_ok(f"vm agent vm1 --cloud-init --file {paths.AGENT}")
    packages = Packages(sources.own_release())
    root = packages.root("cloud", "cloud-init")
    (root / "tmp/user-data").write_text(text)
    for name in (PROGRAM, UNIT):
        (root / name).unlink(missing_ok=True)
    said = packages.run(root, SCHEMA)
    check("Valid" in said, f"cloud-init says of its schema: {said}")
    packages.run(root, INSTANCE)
    for module in ("write-files", "runcmd"):
        packages.run(root, MODULE.format(module))
    check((root / PROGRAM).read_bytes() == paths.AGENT.read_bytes(), "the agent that cloud-init wrote is another one")
    check((root / PROGRAM).stat().st_mode & 0o7777 == 0o755, f"its mode is {(root / PROGRAM).stat().st_mode:o}")
    check("ExecStart=/usr/local/sbin/usbroute-agent" in (root / UNIT).read_text(), "its unit does not start it")
    commands = [line.replace("'", "").split() for line in packages.run(root, f"cat {SCRIPT}").splitlines()[1:]]
    check(commands == yaml.safe_load(text)["runcmd"], f"cloud-init would run {commands}")

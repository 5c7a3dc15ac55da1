"""usbroute-agent in a guest: started, waited for, and what the guest has by it. Owns no state."""

from . import LabTimeout


def agent_in(lab, guest, words=""):
    """Start it, and wait until the daemon knows it; the job."""
    job = lab.spawn(guest, f"exec usbroute-agent --verbose {words} 2>/tmp/agent.log")
    wait_agent(lab, guest)
    return job


def agent_of(lab, guest):
    return next(vm for vm in lab.daemon.json("vms")["vms"] if vm["name"] == guest.name)


def wait_agent(lab, guest, there=True):
    for _ in range(600):
        if bool(agent_of(lab, guest)["agent"]) == there:
            return
    raise LabTimeout(f"{guest.name}'s agent is {'not ' if there else ''}there; it said:\n"
                     + guest.text("cat /tmp/agent.log"))


def local_devices(guest):
    """USB devices of the guest's kernel that are configured."""
    return guest.text("cd /sys/bus/usb/devices; for d in [0-9]*-[0-9]*; do case $d in *:*|'[0-9]*') ;; *) "
                      "echo $d $(cat $d/bConfigurationValue);; esac; done").splitlines()

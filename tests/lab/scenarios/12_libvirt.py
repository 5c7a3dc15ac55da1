"""Real libvirtd, with two domains: one made by hand from the shipped snippet, one completed by `vm add`."""

from lab import paths
from lab.daemon import DEFAULT_CONFIG
from lab.libvirt import Libvirt
from lab.scenario import check, scenario
from lab.watched import Watched

OTHER = "guest two"
SAVED = "/run/virt/vm1.saved"


def _defined(lab, virt):
    """Both domains, each in its own way."""
    ctl = virt.ctl
    snippet = ctl("vm xml vm1")
    check("/run/usbrouted/vm1.sock" in snippet, f"vm xml says {snippet!r}")
    one, two = virt.domain("vm1"), virt.domain("vm2", OTHER)
    one.define(one.with_snippet(snippet))
    two.define()
    virt.wait_vm("vm1", domain_state="shutoff")
    virt.wait_vm("vm2", domain_state="shutoff", domain=OTHER)

    before = virt.virsh(f"dumpxml {two.quoted}")
    said = ctl(f"vm add {two.quoted}")
    check("+ <memoryBacking>" in said and "vm2.sock" in said, f"vm add says {said!r}")
    check(virt.virsh(f"dumpxml {two.quoted}") == before, "vm add without --apply has changed the domain")
    ctl(f"vm add {two.quoted} --apply")
    made = virt.virsh(f"dumpxml {two.quoted}")
    check("vm2.sock" in made and "memfd" in made, f"vm add --apply: the domain is {made}")
    for name in (two.quoted, "vm1"):
        said = ctl(f"vm add {name} --apply")
        check("has all that is needed" in said, f"vm add --apply once more says {said!r}")
    check(virt.virsh(f"dumpxml {two.quoted}") == made, "vm add --apply once more has changed the domain")
    return one, two


def _attached(lab, virt, domain):
    """attach returns when the guest has it, and nobody types anything."""
    events = lab.events(domain)
    reply = lab.daemon.json(f"attach keyboard {domain.name} --wait 60", timeout=90)
    check("usbip attach" not in reply["message"], f"attach says what to type: {reply}")
    lab.say(f"attach to {domain.name}: {reply['milliseconds']} ms")
    lab.daemon.wait_device("keyboard", state="attached", actual=domain.name)
    events.wait_keyboard()
    lab.key(events)
    return events


@scenario("libvirt-domains", quick=False, seconds=1500)
def libvirt_domains(lab):
    check(Libvirt.built(), f"not built: {paths.LIBVIRT}")
    daemon = lab.daemon
    for guest in (lab.vm1, lab.vm2):
        guest.kill()
    daemon.stop()
    daemon.config = DEFAULT_CONFIG.replace("[vm vm2]", f'[vm vm2]\ndomain = "{OTHER}"')
    daemon.start()
    virt = Libvirt(lab)
    try:
        warned = daemon.json("status")["warnings"]
        check(any("usbrouted-libvirt is not there" in one for one in warned), f"no helper, and status warns of {warned}")
        virt.start()
        _domains(lab, virt)
    finally:
        daemon.ctl("detach keyboard")
        virt.stop()
        daemon.stop()
        daemon.config = DEFAULT_CONFIG
        daemon.start()


def _agent_put_in(lab, virt, domain):
    """`vm agent` puts usbroute-agent into a running guest, and the guest's devices come by it from then on."""
    domain.run("mv /usr/sbin/usbroute-agent /tmp/lab-agent", check=True)     # the lab's own copy
    said = virt.ctl(f"vm agent {domain.name} --file {paths.AGENT}", timeout=300)
    check("written and read back" in said and "usbrouted hears it" in said, f"vm agent says {said!r}")
    check(virt.vm(domain.name)["agent"][0].isdigit(), f"the agent is {virt.vm(domain.name)['agent']}")
    domain.run("cmp /tmp/lab-agent /usr/local/sbin/usbroute-agent", check=True)
    _attached(lab, virt, domain)
    lab.daemon.ctl_ok("detach keyboard")
    lab.daemon.wait_device("keyboard", state="present", actual="host")
    # Taken out as it says.
    domain.run(said.split("to undo it, as root in the guest: ")[1].splitlines()[0], check=True)
    virt.wait_vm(domain.name, agent="QEMU guest agent")
    domain.run("mv /tmp/lab-agent /usr/sbin/usbroute-agent", check=True)
    lab.say("usbroute-agent put in, and taken out")


def _domains(lab, virt):
    daemon = lab.daemon
    one, two = _defined(lab, virt)
    for domain in (one, two):
        domain.start()
        virt.wait_vm(domain.name, domain_state="running", connected=True, agent="QEMU guest agent")
        domain.wait("ip -4 addr show dev eth0 | grep -q 'inet '", what="an address by DHCP")
    lab.say("both domains are up")

    # The keyboard in one, in the other, and back at the host.
    in_one = _attached(lab, virt, one)
    _attached(lab, virt, two)
    in_one.wait(["device", "*", "remove"])
    daemon.ctl_ok("detach keyboard")
    daemon.wait_device("keyboard", state="present", actual="host")
    _agent_put_in(lab, virt, two)
    in_one = _attached(lab, virt, one)
    lab.say("keyboard in both, by QEMU's guest agent")

    # libvirtd goes and comes back: nothing happens to the guests.
    virt.kill_libvirtd()
    virt.wait_vm("vm1", domain_state=None)
    check(daemon.device("keyboard")["state"] == "attached", "the keyboard has left with libvirtd")
    virt.start_libvirtd()
    virt.wait_vm("vm1", timeout=120, domain_state="running", agent="QEMU guest agent")
    lab.say("libvirtd came back")

    # The daemon, too, and the device is where it was.
    daemon.restart()
    virt.wait_vm("vm1", domain_state="running", agent="QEMU guest agent", connected=True)
    daemon.wait_device("keyboard", state="attached", actual="vm1")
    in_one.wait(["device", "*", "remove"])
    in_one.wait_keyboard()
    lab.key(in_one)
    lab.say("the daemon came back")

    # A card that is plugged in while the domain runs.
    daemon.ctl_ok("detach keyboard")
    in_one.wait(["device", "*", "remove"])
    card = virt.virsh("dumpxml vm1").split("<interface type='vhostuser'>")[1].split("</interface>")[0]
    lab.board.write("/run/virt/card.xml", f"<interface type='vhostuser'>{card}</interface>")
    virt.virsh("detach-device vm1 /run/virt/card.xml --live")
    virt.wait_vm("vm1", connected=False)
    said = virt.ctl("vm add vm1 --apply")
    check("the card was plugged in" in said, f"vm add --apply to a running domain says {said!r}")
    virt.wait_vm("vm1", connected=True)
    one.wait("ip link set eth0 up && [ \"$(cat /sys/class/net/eth0/carrier)\" = 1 ]", what="the new card's carrier")
    one.run("udhcpc -i eth0 -q -s /lab.udhcpc")
    _attached(lab, virt, one)
    lab.say("card plugged in while the domain runs")

    # A crash is told, and after the next start the keyboard is there again.
    lab.board.run(f"kill -SEGV {one.pid()}", check=True)
    virt.wait_vm("vm1", domain_state="crashed", connected=False, agent=None)
    check(any("has crashed" in one for one in daemon.json("status")["warnings"]), "status does not warn of the crash")
    one.start()
    events = lab.events(one)
    daemon.wait_device("keyboard", timeout=120, state="attached", actual="vm1")
    if not any("USB" in line for line in events.seen):
        events.wait_keyboard()
    lab.key(events)
    lab.say("crashed, started, and has its keyboard")

    # Stopped, renamed, named back.
    virt.virsh(f"destroy {two.quoted}")
    virt.wait_vm("vm2", domain_state="shutoff", connected=False)
    virt.virsh(f"domrename {two.quoted} other")
    virt.wait_vm("vm2", domain_state=None)
    warned = daemon.json("status")["warnings"]
    check(f'vm2: libvirt has no domain "{OTHER}"' in warned, f"renamed, and status warns of {warned}")
    virt.virsh(f"domrename other {two.quoted}")
    virt.wait_vm("vm2", domain_state="shutoff")
    daemon.ctl_ok("detach keyboard")


@scenario("libvirt-saves-a-domain", quick=False, seconds=1500)
def libvirt_saves(lab):
    """Saved and restored in each of libvirt's ways, paused, and a snapshot with its memory: the domain goes on where it was,
    with its keyboard."""
    check(Libvirt.built(), f"not built: {paths.LIBVIRT}")
    lab.vm1.kill()
    virt = Libvirt(lab)
    try:
        virt.start()
        domain = virt.domain("vm1")
        domain.define()
        virt.wait_vm("vm1", domain_state="shutoff")
        virt.ctl("vm add vm1 --apply")
        domain.start()
        virt.wait_vm("vm1", domain_state="running", connected=True, agent="QEMU guest agent")
        domain.wait("ip -4 addr show dev eth0 | grep -q 'inet '", what="an address by DHCP")
        _attached(lab, virt, domain).close()
        watched = Watched(lab, domain)
        for save, back in (("managedsave vm1", "start vm1"), (f"save vm1 {SAVED}", f"restore {SAVED}")):
            virt.virsh(save, timeout=600)
            virt.wait_vm("vm1", domain_state="shutoff", connected=False)
            lab.daemon.wait_device("keyboard", state="claimed")
            domain.start(words=back)
            lab.say(f"{save}, {back}: without its card for {watched.away()} ms")
            watched.key()
        virt.virsh("suspend vm1")
        lab.daemon.wait_device("keyboard", state="claimed")
        virt.virsh("resume vm1")
        lab.say(f"suspend vm1, resume vm1: without its card for {watched.away()} ms")
        watched.key()
        virt.virsh(f"snapshot-create-as vm1 one --memspec file={SAVED}.memory", timeout=600)
        lab.say(f"snapshot with memory: without its card for {watched.away()} ms")
        watched.saw_nothing()
    finally:
        lab.daemon.ctl("detach keyboard")
        virt.stop()

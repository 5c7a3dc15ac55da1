"""A keyboard that is routed to a guest types the passphrase of the guest's disk: usbroute-agent in an initramfs that initramfs-tools
made, with the hook of the package; cryptsetup asks."""

import shlex
import subprocess
import time

from lab import LabTimeout, initramfs, paths, sources
from lab.agent import agent_of, wait_agent
from lab.guest import MEMORY, SOCKETS, Guest, reconnect
from lab.machine import MACHINE
from lab.packages import Packages
from lab.scenario import check, scenario

FOLDER = "/run/lab/luks"
PASSPHRASE = "sesame"
TOOLS = "initramfs-tools cryptsetup-initramfs busybox kmod udev"
# What the hook does not bring: the guest's disk, the lab's port, and cryptsetup's ciphers, which it takes from a disk that is there.
MODULES = "virtio_blk virtio_console ext4 crc32c_generic dm_crypt aes_generic xts ecb sha256_generic algif_skcipher"
MAKE = """\
printf 'MODULES=list\\nBUSYBOX=auto\\nCOMPRESS=gzip\\nKEYMAP=n\\n' >/etc/initramfs-tools/initramfs.conf
printf '%s\\n' {modules} >/etc/initramfs-tools/modules
echo 'secret /dev/vda none luks,initramfs' >/etc/crypttab
mkinitramfs -o /tmp/initrd {version}
"""
DISK = """\
set -e
mkdir -p {folder}/root
truncate -s 96M {folder}/disk
printf %s {passphrase} >{folder}/key
modprobe -a dm_crypt ext4 loop
loop=$(losetup -f --show {folder}/disk)
cryptsetup luksFormat --batch-mode --type luks2 --pbkdf pbkdf2 --pbkdf-force-iterations 1000 $loop {folder}/key
cryptsetup open --key-file {folder}/key $loop luks-lab
mkfs.ext4 -q /dev/mapper/luks-lab
mount /dev/mapper/luks-lab {folder}/root
(cd {folder}/root && cpio -idm --quiet <{image})
umount {folder}/root
cryptsetup close luks-lab
losetup -d $loop
"""
# What stands on the guest's screen, once a second, until the disk's system has the place of the initramfs.
SCREEN = """\
#!/bin/sh
case ${1:-} in prereqs) exit 0 ;; esac
(while cat /dev/vcs1 && echo && sleep 1; do :; done) </dev/null >/dev/ttyS0 2>/dev/null &
"""
PROMPT, PROMPT_SECONDS = "Please unlock disk secret", 300
# Emulated, what the kernel's AES does with these faults in a guest.
CPU = MACHINE.guest_cpu + ",-aes,-avx,-avx2"


def _initrd(kernel):
    """What mkinitramfs makes in a bare Debian that has the agent, its hook and its scripts where the package has them."""
    packages = Packages(sources.own_release())
    root = packages.root("initramfs", TOOLS)
    tools, source = root / "usr/share/initramfs-tools", paths.REPO / "agent/initramfs"
    hook = (source / "hook.in").read_text().replace("@sbindir@", "/usr/sbin")
    files = {"hooks": hook, "scripts/init-premount": (source / "premount").read_text(), "scripts/init-bottom": (source / "bottom").read_text()}
    for folder, text in files.items():
        (tools / folder).mkdir(exist_ok=True)
        (tools / folder / "usbroute-agent").write_text(text)
        (tools / folder / "usbroute-agent").chmod(0o755)
    subprocess.run(["install", paths.AGENT, root / "usr/sbin/usbroute-agent"], check=True)
    modules = root / "lib/modules" / kernel.version
    if not modules.exists():
        modules.parent.mkdir(exist_ok=True)
        subprocess.run(["cp", "-a", kernel.modules, modules], check=True)
    subprocess.run(["cp", kernel.folder / "boot" / f"config-{kernel.version}", root / "boot"], check=True)
    script = root / "etc/initramfs-tools/scripts/init-premount/lab-screen"
    script.parent.mkdir(parents=True, exist_ok=True)
    script.write_text(SCREEN)
    script.chmod(0o755)
    packages.run(root, MAKE.format(modules=MODULES, version=kernel.version))
    return (root / "tmp/initrd").read_bytes()


def _command(lab):
    """Its console is the one that the keyboard types at, on a screen that nobody sees: a VGA card's BIOS resets the machine here."""
    kernel, version = lab.board.kernel, lab.board.qemu_version()
    return shlex.join([
        MACHINE.qemu, "-accel", "kvm", "-cpu", CPU, "-m", f"{MEMORY}", "-machine", MACHINE.guest_machine,
        "-object", f"memory-backend-memfd,id=mem,size={MEMORY}M,share=on", "-nodefaults", "-no-user-config", "-no-reboot",
        "-display", "none", "-serial", "stdio", "-kernel", str(kernel.image), "-initrd", f"{FOLDER}/initrd",
        "-append", f"console={MACHINE.console} console=tty0 panic=-1 mitigations=off nokaslr preempt=full quiet loglevel=3 "
                   "root=/dev/mapper/secret rw init=/init lab.name=vm1",
        "-drive", f"file={FOLDER}/disk,if=virtio,format=raw",
        "-chardev", f"socket,id=card,path={SOCKETS}/vm1.sock,{reconnect(version)}", "-netdev", "vhost-user,id=net,chardev=card",
        "-device", f"virtio-net-pci,netdev=net,mac={lab.vm1.mac},romfile="])


def _prompted(guest):
    """Wait until cryptsetup asks."""
    log = guest.board.logs.file("vm1.log")
    limit = time.monotonic() + PROMPT_SECONDS
    while PROMPT not in (text := log.read_text(errors="replace") if log.exists() else ""):
        if time.monotonic() > limit:
            raise LabTimeout(f"no prompt for the passphrase within {PROMPT_SECONDS} s; the screen: {' '.join(text[-4000:].split())}")
        time.sleep(0.5)


@scenario("keyboard-at-luks-prompt", quick=False, seconds=2400, machines=("amd64",))
def keyboard_at_luks_prompt(lab):
    initrd = _initrd(lab.board.kernel)
    lab.vm1.kill()
    lab.board.run(f"mkdir -p {FOLDER}", check=True)
    lab.board.write(f"{FOLDER}/initrd", initrd)
    lab.board.run(DISK.format(folder=FOLDER, passphrase=PASSPHRASE, image=initramfs.guest(lab.board.kernel)), timeout=300, check=True)
    on_board = lab.events(lab.board)
    guest = Guest(lab.board, "vm1", line=_command(lab))
    try:
        guest.start()
        _unlocked(lab, guest, on_board)
    finally:
        guest.kill()
        Guest(lab.board, "vm1")
        lab.board.run(f"rm -rf {FOLDER}")


def _unlocked(lab, guest, on_board):
    daemon = lab.daemon
    # The agent of the initramfs takes it: nobody types anything in the guest before the passphrase.
    reply = daemon.json("attach keyboard vm1 --wait 300", timeout=330)
    check("usbip attach" not in reply["message"], f"attach says what to type: {reply}")
    daemon.wait_device("keyboard", state="attached", actual="vm1")
    _prompted(guest)
    lab.settle(on_board)
    at = len(on_board.seen)
    for key in (*PASSPHRASE, "ret"):
        lab.board.key(key)
    guest.wait_up()
    lab.say(f"unlocked; {guest.name} up in {guest.up_seconds:.0f} s")
    lab.no_key(on_board, at)

    # The initramfs' agent has gone, and its keyboard is still there.
    check(guest.run("pidof usbroute-agent").rc != 0, "the agent of the initramfs still runs")
    events = lab.events(guest)
    lab.key(events)
    daemon.wait_device("keyboard", state="attached", actual="vm1")
    # The system's own agent finds it, and takes it off when it is told to.
    lab.spawn(guest, "exec usbroute-agent --verbose 2>/tmp/agent.log")
    wait_agent(lab, guest)
    check(not [line for line in events.now() if line.startswith("device")], f"the system's agent moved the keyboard: {events.seen}")
    lab.key(events, "b")
    check(agent_of(lab, guest)["devices"], f"vm1 has no devices: {agent_of(lab, guest)}")
    daemon.ctl_ok("detach keyboard")
    events.wait(["device", "*", "remove"])

"""What is not taken from the host: a disk in use, hubs, the last keyboard."""

from lab.daemon import ADDRESS, DEFAULT_CONFIG
from lab.scenario import check, scenario

MOUNT = "/tmp/guards mnt"


def refused(lab, words, status, kind, *texts):
    rc, out, err = lab.daemon.ctl(words)
    err = err.decode()
    check(rc == status, f"`usbroutectl {words}` ended with {rc}, not {status}: {err}")
    check(err.startswith(f"error[{kind}]"), f"`usbroutectl {words}` says {err!r}")
    for text in texts:
        check(text in err, f"`usbroutectl {words}` does not say {text!r}: {err!r}")
    check(not out, f"`usbroutectl {words}` fails, and has output: {out!r}")


def disk_on_board(lab):
    """The disk with a file system, at the board."""
    lab.board.plug("disk")
    lab.board.wait("[ -b /dev/sda ]", what="the board's own disk")
    lab.daemon.wait_device("disk", state="present", actual="host")
    lab.board.run(f"mke2fs -q -F -t ext4 /dev/sda && mkdir -p '{MOUNT}'", timeout=300, check=True)


def disk_goes_to(lab, guest, words=""):
    """It is given and taken up, with what was written on the board."""
    lab.daemon.ctl_ok(f"attach disk {guest.name} {words}")
    lab.board.wait("[ ! -b /dev/sda ]", what="the disk gone from the board")
    lab.importing(guest, f"usbip attach -r {ADDRESS} -b disk")
    guest.wait("[ -b /dev/sda ]", what="the disk in the guest")


@scenario("disk-mounted-on-host-refused")
def mounted(lab):
    disk_on_board(lab)
    lab.board.run(f"mount /dev/sda '{MOUNT}' && echo precious > '{MOUNT}/file'", check=True)
    refused(lab, "attach disk vm1", 6, "busy", f"sda is mounted at {MOUNT}", "--unmount")
    disk = lab.daemon.wait_device("disk", state="present", actual="host")
    check(disk["wanted"] == "host", f"a refused command leaves its wish: {disk}")
    # The host's driver has it, and the file system is as it was.
    check(lab.board.text(f"echo more >> '{MOUNT}/file'; sync -f '{MOUNT}'; cat '{MOUNT}/file'").split()
          == ["precious", "more"], "the board's file system suffered from the attempt")
    lab.board.run(f"umount '{MOUNT}'", check=True)
    disk_goes_to(lab, lab.vm1)
    lab.daemon.ctl_ok("detach disk")
    lab.board.wait("[ -b /dev/sda ]", what="the disk at the board again")
    lab.daemon.wait_device("disk", state="present", actual="host")
    lab.board.run(f"mount /dev/sda '{MOUNT}'", check=True)
    check(lab.board.text(f"cat '{MOUNT}/file'").split() == ["precious", "more"], "the file is not what was written")

    # Busy for the unmounting, too: nothing is forced.
    holder = lab.spawn(lab.board, f"cd '{MOUNT}' && exec sleep 1000")
    lab.board.wait(f"ls -l /proc/[0-9]*/cwd 2>/dev/null | grep -q 'guards mnt$'", what="a program in it")
    refused(lab, "attach disk vm1 --unmount", 6, "busy", MOUNT)
    holder.kill()
    lab.board.wait("! ls -l /proc/[0-9]*/cwd 2>/dev/null | grep -q 'guards mnt$'", what="the program's end")
    # Twice mounted, in a row and one in the other.
    lab.board.run(f"mkdir -p '{MOUNT}/in' && mount --bind '{MOUNT}/in' '{MOUNT}/in'", check=True)
    disk_goes_to(lab, lab.vm1, "--unmount")
    check(MOUNT.split()[-1] not in lab.board.text("cat /proc/self/mountinfo"), "it is mounted still")


@scenario("disk-in-use-elsewhere-refused")
def elsewhere(lab):
    """In a namespace that the daemon does not see; by a program; as a volume; and a wish that is refused comes true."""
    disk_on_board(lab)
    hidden = lab.spawn(lab.board, "exec unshare -m --propagation private sh -c "
                                  f"\"mount /dev/sda '{MOUNT}' && echo there && exec sleep 1000\"")
    check(hidden.line(60).strip() == "there", "no mount in a namespace of its own")
    check(MOUNT.split()[-1] not in lab.board.text("cat /proc/self/mountinfo"), "the mount is not hidden")
    refused(lab, "attach disk vm1", 6, "busy", "sda", "namespace")
    hidden.kill()
    lab.board.wait("python3 -c 'import os; os.open(\"/dev/sda\", os.O_EXCL)'", what="the disk free again")
    disk_goes_to(lab, lab.vm1)


@scenario("hubs-refused")
def hubs(lab):
    lab.board.plug("hub")
    lab.board.wait("grep -l '^09' /sys/bus/usb/devices/[0-9]*-[0-9]*/bDeviceClass", what="the hub")
    busid = lab.board.text("dirname $(grep -l '^09' /sys/bus/usb/devices/[0-9]*-[0-9]*/bDeviceClass | head -n 1)")
    busid = busid.strip().split("/")[-1]
    check(not [d for d in lab.daemon.json("list")["devices"] if d["busid"] == busid], "the hub is listed")
    for name in (f"port={busid}", "class=hub", "1d6b:0002"):
        refused(lab, f"attach {name} vm1", 5, "denied", "hubs are never routed")


@scenario("last-keyboard-guard")
def last_keyboard(lab):
    """The board's only keyboard goes where its section says, or by force; a second one sets it free."""
    lab.daemon.stop()
    lab.daemon.config = DEFAULT_CONFIG.replace("vms = vm1 vm2 vm3\n", "")
    try:
        lab.daemon.start()
        lab.guests_up()
        lab.daemon.wait_device("keyboard", state="present", actual="host")
        refused(lab, "attach keyboard vm1", 6, "busy", "last keyboard")
        keyboard = lab.daemon.wait_device("keyboard", state="present", actual="host")
        check(keyboard["wanted"] == "host", f"a refused command leaves its wish: {keyboard}")
        lab.daemon.ctl_ok("attach keyboard vm1 --force")
        lab.daemon.wait_device("keyboard", state="exported", actual="vm1")
        # Once it is away, moving it takes nothing from the host.
        lab.daemon.ctl_ok("attach keyboard vm2")
        lab.daemon.ctl_ok("detach keyboard")
        lab.daemon.wait_device("keyboard", state="present", actual="host")
        lab.board.plug("second", "keyboard")
        lab.board.wait("[ $(grep -l 'QEMU USB Keyboard' /sys/bus/usb/devices/*/product | wc -l) = 2 ]")
        lab.board.wait("[ $(grep -l ID_INPUT_KEYBOARD=1 /run/udev/data/c13:* | wc -l) = 2 ]",
                       what="udev's word on both keyboards")
        lab.daemon.ctl_ok(f"attach port={keyboard['busid']} vm1")
    finally:
        lab.daemon.stop()
        lab.daemon.config = DEFAULT_CONFIG
        lab.daemon.start()

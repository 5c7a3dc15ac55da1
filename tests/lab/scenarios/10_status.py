"""Status that tells the truth: how a transfer ends in a guest is how it ends where the device is. The same program does
the same transfers with the same gadget, first on the board, then in vm1; what it says must be the same."""

from lab.gadget import Awkward
from lab.scenario import check, scenario

# What the board must say, so that two that are wrong alike don't pass: Linux's errors for a stall, for less than was
# asked for, for more, and for what was taken back.
KNOWN = {"in-whole": "0/512 0/20000", "in-short": "0/100", "in-short-not-ok": "-121/100 0/512", "in-never": "-110 -2/0 0/10",
         "in-half": "-2/1024 0/10", "in-stall": "-32/0 -32/0 0/10", "in-babble": "-75/100 0/64",
         "out-stall": "-32/0 0/512", "out-never": "-2/0 0/512", "control-short": "10", "control-stall": "-32 -32 -32 10",
         "control-never": "-110 10 -110 10"}
GONE = ("-108", "-71", "-19", "-84")


def _said(machine, program, serial):
    result = machine.run(f"{program} {serial}", timeout=300)
    lines = result.out.decode().splitlines()
    check(result.rc == 0 and lines and lines[-1] == "done", f"usbstatus on {machine.name} ended with {result.rc}: {lines} "
          f"{result.err.decode()}")
    return dict(line.split(": ", 1) for line in lines[:-1])


def _compared(lab, speed):
    gadget = lab.gadget("awkward", [Awkward()], speed=speed)
    board = _said(lab.board, "/run/lab/usbstatus", gadget.serial)
    lab.importing(lab.vm1, lab.route("gadget", lab.vm1))
    lab.vm1.wait(f"grep -q -s -x {gadget.serial} /sys/bus/usb/devices/*/serial", what="the gadget in vm1")
    guest = _said(lab.vm1, "usbstatus", gadget.serial)
    for name, said in board.items():
        lab.say(f"{name}: {said}" + ("" if guest.get(name) == said else f"; in vm1: {guest.get(name)}"))
    return board, guest


@scenario("status-high-speed")
def status_high(lab):
    board, guest = _compared(lab, "high-speed")
    other = {name: said for name, said in board.items() if said != KNOWN.get(name, said)}
    check(not other, f"not what the board is known to say: {other}")
    check(guest == board, f"in vm1 they end otherwise: { {name: said for name, said in guest.items() if board.get(name) != said} }")


@scenario("status-full-speed", quick=False)
def status_full(lab):
    board, guest = _compared(lab, "full-speed")
    check(guest == board, f"in vm1 they end otherwise: { {name: said for name, said in guest.items() if board.get(name) != said} }")


@scenario("status-of-the-vanished", quick=False)
def vanished(lab):
    """Pulled out with a read in flight: it fails without a byte, the next request too. By which of the errors of a device that
    is gone differs from one time to the next on the board itself, with whether its hub has noticed."""
    gadget = lab.gadget("awkward", [Awkward()])
    said = []
    for machine, program in ((lab.board, "/run/lab/usbstatus"), (lab.vm1, "usbstatus")):
        if machine is lab.vm1:
            gadget.plug()
            lab.daemon.wait_device("gadget", state="present", actual="host")
            lab.importing(machine, lab.route("gadget", machine))
            machine.wait(f"grep -q -s -x {gadget.serial} /sys/bus/usb/devices/*/serial", what="the gadget in vm1")
        job = lab.spawn(machine, f"{program} {gadget.serial} vanish")
        check(job.line() == "waiting", f"usbstatus does not start: {job.err.decode()}")
        gadget.unplug()
        said.append(job.line())
        lab.say(f"{machine.name}: {said[-1]}")
    # The wish would outlast the device.
    lab.daemon.wait_gone("gadget")
    lab.daemon.ctl_ok("detach gadget")
    ends = [line.split()[1:] for line in said]
    check(all(end[0].split("/")[0] in GONE and end[0].endswith("/0") for end in ends), f"the read ended with {said}")
    check(all(end[1] in GONE for end in ends), f"the request after it ended with {said}")

// SPDX-License-Identifier: BSD-2-Clause
/*
 * What the daemon says, in words for people. Pure: replies in, text out. Texts of devices are strangers' (plain()).
 */

/* Control characters, marks of direction, line separators: the daemon replaces them; nothing here depends on that. */
const ODD = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g;
const TEXT_MAX = 200;

/** A stranger's text in one line, of a bounded length, with nothing in it that moves other text. */
export function plain(text, most = TEXT_MAX) {
	if (text === null || text === undefined)
		return "";
	const characters = Array.from(String(text).slice(0, 4 * most).replace(ODD, "?"));
	return characters.length > most ? characters.slice(0, most - 1).join("") + "…" : characters.join("");
}

/** What a person calls a device: its alias, else what it says of itself, else its id. */
export function deviceName(device) {
	const said = [device.manufacturer, device.product].map(text => plain(text).trim()).filter(Boolean);

	if (device.alias)
		return plain(device.alias);
	/* Many makers write their name into the product's, too. */
	if (said.length === 2 && said[1].startsWith(said[0]))
		said.shift();
	return said.length ? said.join(" ") : plain(device.id);
}

/** What tells it from others of its name. */
export function deviceDetail(device) {
	const said = device.alias ? plain(device.product || device.manufacturer) : "";

	return [said, plain(device.id), `port ${plain(device.port)}`].filter(Boolean).join(" · ");
}

export function where(vm) {
	return vm === "host" ? "this host" : plain(vm);
}

const WANTED_BY = {
	default: "nothing says otherwise",
	command: "a command says so",
	assignment: "it is assigned there",
	rule: "a rule says so",
};

/* State: how it is shown (good, plain, waiting, wrong), and words with VM for where it is wanted or is. */
const STATES = {
	present: ["plain", () => "with this host"],
	claimed: ["waiting", device => `being got ready for ${where(device.wanted)}`],
	exported: ["waiting", device => `offered to ${where(device.actual)}, which has not taken it yet`],
	attached: ["good", device => `in ${where(device.actual)}`],
	draining: ["waiting", () => "being taken back"],
	denied: ["wrong", device => `not allowed in ${where(device.wanted)}`],
	pending: ["waiting", device => `waiting for ${where(device.wanted)}`],
	failed: ["wrong", device => `failed on its way to ${where(device.wanted)}`],
	broken: ["wrong", () => "does not work"],
	off: ["plain", () => "its port is switched off"],
	ambiguous: ["wrong", () => "its name could mean several devices"],
};

/** How a device stands: { tone, text, reason }; the reason is "" where there is none. */
export function standing(device) {
	const [tone, words] = Object.hasOwn(STATES, device.state) ? STATES[device.state] : ["plain", () => plain(device.state)];
	let reason = plain(device.reason, 2000);

	if (!reason && device.seconds_left)
		reason = `for ${duration(device.seconds_left)} more`;
	return { tone, text: overLan(device) || words(device), reason };
}

/* A machine on the LAN that has it, or may have it; "" where none may now. Its actual place is the host meanwhile. */
function overLan(device) {
	if (device.lan_by)
		return `with ${plain(device.lan_by)}, over the LAN`;
	return device.lan_to && device.state === "exported"
		? `offered over the LAN to ${device.lan_to.slice(0, 8).map(to => plain(to)).join(", ")}` : "";
}

export function duration(seconds) {
	if (seconds < 100)
		return `${seconds} s`;
	return seconds < 6000 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3600)} h`;
}

/** Whether a device is on its way: it will change, perhaps without an event. */
export function isUnsettled(device) {
	return ["claimed", "exported", "draining"].includes(device.state) && !device.lan_to || Boolean(device.seconds_left);
}

export function isMisplaced(device) {
	return device.wanted !== device.actual || standing(device).tone === "wrong";
}

/** How a VM stands: { tone, text }. */
export function vmStanding(vm) {
	if (vm.asleep)
		return { tone: "waiting", text: "asleep" };
	if (vm.connected)
		return { tone: "good", text: vm.domain_state === "paused" ? "paused" : "running" };
	if (vm.domain_state === "running")
		return { tone: "wrong", text: "running, but its card is not connected" };
	if (vm.domain_state === "crashed")
		return { tone: "wrong", text: "crashed" };
	return { tone: "plain", text: "off" };
}

export function vmAgent(vm) {
	if (vm.agent)
		return `agent ${plain(vm.agent)}`;
	return vm.connected ? "no agent: devices are taken by hand there" : "";
}

/* cockpit-bridge of Cockpit 287 (in C) has a word for each; that of 337 (in Python, channels/stream.py) says "terminated", and why. */
function problemOf(problem, message) {
	const number = problem === "terminated" && /^\[Errno (\d+)\]/.exec(message || "");

	return number ? { 2: "not-found", 13: "access-denied" }[number[1]] || "no answer" : problem;
}

/** Why the daemon can't be reached: { title, text }. `problem` and `message` are Cockpit's words. */
export function problemWords(problem, socket, message) {
	const path = plain(socket);

	switch (problemOf(problem, message)) {
	case "not-found":
		return { title: "usbrouted is not running",
			text: `Nothing listens at ${path}. Start it: systemctl start usbrouted. This page goes on by itself.` };
	case "access-denied":
		return { title: "You have no access to usbrouted",
			text: `Your user may not open ${path}. The daemon lets every user read; someone has changed the rights of its folder.` };
	case "disconnected":
	case "terminated":
	case "no-session":
		return { title: "Cockpit is not connected to this machine",
			text: "What is shown may be old. Reconnect, or log in again." };
	case "too-old":
		return { title: "usbrouted is too old for this page",
			text: "It does not tell what happens (its method Monitor is missing). Install the same version of usbrouted and usbrouted-cockpit." };
	case "protocol-error":
		return { title: "What answers is not usbrouted",
			text: `What listens at ${path} said something that can't be read: ${plain(message)}. Look at who listens there.` };
	default:
		return { title: "usbrouted does not answer",
			text: `The connection to ${path} ended${problem ? ` (${plain(message || problem)})` : ""}. This page tries again by itself.` };
	}
}

const REFUSALS = {
	NoSuchDevice: (p, what) => `${what} is not there any more.`,
	NoSuchVm: p => `No VM ${plain(p.vm)} is configured any more.`,
	Ambiguous: (p, what) => `${what} could mean several devices: ${(p.candidates || []).slice(0, 8).map(c => plain(c)).join("; ")}.`,
	Denied: p => `Not allowed: ${plain(p.by, 2000)}.`,
	Busy: p => `Not now: ${plain(p.reason, 2000)}.`,
	Pending: p => `Not yet: ${plain(p.reason, 2000)}. It goes there as soon as it can.`,
	Superseded: () => "A newer command about it came in between.",
	Failed: p => `It did not work: ${plain(p.reason, 2000)}.`,
	"org.varlink.service.InvalidParameter": p => `usbrouted does not understand ${plain(p.parameter)}: it expected ${plain(p.expected)}.`,
	"org.varlink.service.MethodNotFound": () => "usbrouted is too old for this.",
};

/** What a command that did not succeed says: { tone, text, force }; force: it may be done all the same. */
export function errorWords(error, what) {
	if (error.name !== "Refusal")
		return { tone: "wrong", text: "The connection to usbrouted ended. Whether it was done, the list tells when it is back.", force: false };
	const words = Object.hasOwn(REFUSALS, error.kind) ? REFUSALS[error.kind] : () => `usbrouted refused: ${plain(error.kind)}.`;
	return {
		tone: error.kind === "Pending" ? "waiting" : "wrong",
		text: words(error.parameters, plain(what)).replace(/\.\.$/, "."),
		/* These are the daemon's words for what force is for; usbroutectl looks for them, too. */
		force: error.kind === "Busy" && String(error.parameters.reason).includes("the host's last keyboard"),
	};
}

/* Its classes, each with what it follows from where that is said. */
function kinds(device) {
	const by = device.classes_by || [];

	return (device.classes || []).map(name => plain(by.find(said => said.startsWith(`${name}: `)) || name));
}

/** Why a device is where it is, as pairs of a word and what is said of it. */
export function whyLines(why) {
	const device = why.device;
	const stands = standing(device);
	const lines = [
		["should be", `${device.wanted === "host" ? "with" : "in"} ${where(device.wanted)}: `
			+ (device.rule ? plain(device.rule, 500) : WANTED_BY[device.wanted_by] || plain(device.wanted_by))
			+ (device.wish_on ? `, and it hangs on ${plain(device.wish_on)}` : "")],
		["is", stands.text + (stands.reason ? `: ${stands.reason}` : "")],
		["port", `${plain(device.port)}, for good ${plain(device.stable_port)}`],
	];

	if (device.serial)
		lines.push(["serial number", plain(device.serial)]);
	if (device.named_by)
		lines.push(["name", `${plain(device.alias)}, by ${plain(device.named_by)}`]);
	if (device.unnamed_because)
		lines.push(["no name", plain(device.unnamed_because, 2000)]);
	lines.push(["kind", kinds(device).join(", ") || "not known"]);
	if (device.reserved)
		lines.push(["reserved", "this host's drivers don't get it"]);
	for (const rule of (why.rules || []).filter(r => r.matched).slice(0, 20))
		lines.push(["rule", `${plain(rule.file)}:${rule.line}: ${plain(rule.text, 500)}`]);
	return lines;
}

/** What stands beside a VM among the choices for a device. */
export function verdictWords(verdict) {
	if (!verdict.allowed)
		return `not allowed: ${plain(verdict.by, 500)}`;
	return verdict.may_route ? "" : `you may not: ${plain(verdict.may_route_by, 500)}`;
}

const EVENTS = {
	plugged: () => "plugged in",
	unplugged: () => "unplugged",
	wanted: e => `should be ${e.vm === "host" ? "with" : "in"} ${where(e.vm)}`,
	routed: e => e.vm === "host" ? "back with this host" : `offered to ${where(e.vm)}`,
	attached: e => `${where(e.vm)} has it`,
	ready: e => `ready in ${where(e.vm)}`,
	detached: e => `${where(e.vm)} has let go of it`,
	refused: e => `refused${e.vm ? ` for ${where(e.vm)}` : ""}`,
	failed: e => `failed${e.vm ? ` for ${where(e.vm)}` : ""}`,
	vm_up: () => "is there",
	vm_down: () => "has gone",
};

/** An event in one line; "" for one that says nothing to a person. `name`: the device's, where it is known. */
export function eventWords(event, name) {
	if (!Object.hasOwn(EVENTS, event.event))
		return "";
	const about = event.event.startsWith("vm_") ? plain(event.vm) : plain(event.alias || name || event.id || "a device");
	const ms = typeof event.milliseconds === "number" ? ` (${Math.round(event.milliseconds)} ms)` : "";

	return `${about}: ${EVENTS[event.event](event)}${event.reason ? `: ${plain(event.reason, 500)}` : ""}${ms}`;
}

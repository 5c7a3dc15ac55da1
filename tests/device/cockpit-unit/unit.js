// SPDX-License-Identifier: BSD-2-Clause
/* The page's logic, test by test, in the browser: a line each, at the end "N passed, N failed". */
import { Connection, Framing, Gone, MESSAGE_MAX, Refusal } from "../usbrouted/varlink.js";
import { EVENTS_KEPT, State, deviceKey } from "../usbrouted/state.js";
import { isDark } from "../usbrouted/theme.js";
import * as words from "../usbrouted/words.js";

const tests = {};
const encode = text => new TextEncoder().encode(text);

function equal(have, want) {
	const [h, w] = [JSON.stringify(have), JSON.stringify(want)];

	if (h !== w)
		throw new Error(`${h} is not ${w}`);
}

async function rejects(promise, type) {
	try {
		await promise;
	} catch (error) {
		if (error instanceof type)
			return error;
		throw error;
	}
	throw new Error(`it was not refused by ${type.name}`);
}

/* The daemon's end of a connection: what was sent, and what it says. */
class Wire {
	constructor() {
		this.listeners = {};
		this.sent = [];
		this.closed = false;
	}

	addEventListener(name, listener) {
		this.listeners[name] = listener;
	}

	send(bytes) {
		this.sent.push(new TextDecoder().decode(bytes));
	}

	close() {
		this.closed = true;
	}

	say(...messages) {
		this.listeners.message({}, encode(messages.map(m => (typeof m === "string" ? m : JSON.stringify(m)) + "\0").join("")));
	}

	end(options) {
		this.listeners.close({}, options);
	}
}

function device(more) {
	return { alias: null, id: "1234:5678", serial: null, port: "1-1", stable_port: "c/usb2:1", busid: "1-1", manufacturer: null, product: null,
		speed: "low", classes: [], classes_by: [], groups: [], reserved: false, wanted: "host", wanted_by: "default", rule: null,
		actual: "host", state: "present", reason: null, seconds_left: null, until_unplug: false, named_by: null,
		unnamed_because: null, wish_on: null, ...more };
}

/* ---- varlink.js */

tests["messages are cut as the NUL bytes say, however the bytes come"] = () => {
	const all = encode('{"a":"ä€😀"}\0{}\0{"b":1}');

	for (let size = 1; size <= all.length; size++) {
		const framing = new Framing();
		const found = [];

		for (let at = 0; at < all.length; at += size)
			found.push(...framing.push(all.slice(at, at + size)));
		equal(found, ['{"a":"ä€😀"}', "{}"]);
		equal(framing.push(encode("\0")), ['{"b":1}']);
	}
};

tests["a message that never ends is not kept"] = () => {
	const framing = new Framing();
	let thrown = null;

	framing.push(new Uint8Array(MESSAGE_MAX).fill(32));
	try {
		framing.push(new Uint8Array([32]));
	} catch (error) {
		thrown = error;
	}
	equal(thrown instanceof RangeError, true);
};

tests["calls are answered in their order"] = async () => {
	const wire = new Wire();
	const connection = new Connection(wire);
	const each = [];
	const answers = [connection.call("List", {}, p => each.push(p.n)), connection.call("Status")];

	equal(wire.sent, ['{"method":"io.usbrouted.List","parameters":{},"more":true}\0', '{"method":"io.usbrouted.Status","parameters":{}}\0']);
	wire.say({ parameters: { n: 1 }, continues: true }, { parameters: { n: 2 }, continues: true });
	wire.say({ parameters: { n: 3 } }, { parameters: { version: "1" } });
	equal(await Promise.all(answers), [{ n: 3 }, { version: "1" }]);
	equal(each, [1, 2, 3]);
};

tests["a refusal is one call's, the end is everybody's"] = async () => {
	const wire = new Wire();
	const ended = [];
	const connection = new Connection(wire, gone => ended.push(gone.problem));
	const refused = connection.call("Attach");
	const waits = connection.call("Status");

	wire.say({ error: "io.usbrouted.Denied", parameters: { by: "x" } });
	const refusal = await rejects(refused, Refusal);
	equal([refusal.kind, refusal.parameters], ["Denied", { by: "x" }]);
	wire.end({ problem: "not-found" });
	wire.end({ problem: "again" });
	equal((await rejects(waits, Gone)).problem, "not-found");
	equal((await rejects(connection.call("List"), Gone)).problem, "not-found");
	equal(ended, ["not-found"]);
};

tests["what is no message ends the connection"] = async () => {
	for (const said of ["HTTP/1.1 400", "null", "7", "{\"parameters\":", "[1"]) {
		const wire = new Wire();
		const waits = new Connection(wire).call("Status");

		wire.say(said);
		equal((await rejects(waits, Gone)).problem, "protocol-error");
		equal(wire.closed, true);
	}
};

tests["what nobody asked for is passed over"] = async () => {
	const wire = new Wire();
	const connection = new Connection(wire);

	wire.say({ parameters: { event: "plugged" } });
	const waits = connection.call("Status");
	wire.say({ parameters: {}, unknown: 1 });
	equal(await waits, {});
};

/* ---- words.js */

tests["a stranger's text can't turn the line, break it, or go on for ever"] = () => {
	equal(words.plain("a\u202eb\u2066c\u0000d\ne\u001bf\u061c\u200f\u2028g"), "a?b?c?d?e?f???g");
	equal(words.plain("x".repeat(1e6)).length, 200);
	equal(Array.from(words.plain("😀".repeat(500))).length, 200);
	equal(words.plain("<img onerror=x>"), "<img onerror=x>");
	equal([words.plain(null), words.plain(undefined), words.plain(7)], ["", "", "7"]);
};

tests["a device's name is its alias, its own name, or its id"] = () => {
	equal(words.deviceName(device({ alias: "keyboard", product: "K120" })), "keyboard");
	equal(words.deviceName(device({ manufacturer: "Logitech", product: "Logitech K120" })), "Logitech K120");
	equal(words.deviceName(device({ manufacturer: "Logitech", product: "K120" })), "Logitech K120");
	equal(words.deviceName(device({ manufacturer: " " })), "1234:5678");
};

tests["every state of the interface has words, and an unknown one is shown as it is"] = async () => {
	const states = ["present", "claimed", "exported", "attached", "draining", "denied", "pending", "failed", "broken", "off", "ambiguous"];
	const said = states.map(state => words.standing(device({ state, wanted: "vm2", actual: "vm1", reason: "because" })));

	equal(said.map(s => s.tone), ["plain", "waiting", "waiting", "good", "waiting", "wrong", "waiting", "wrong", "wrong", "plain", "wrong"]);
	equal(said.every(s => s.text && s.reason === "because"), true);
	equal(said[3].text, "in vm1");
	equal(words.standing(device({ state: "constructor" })), { tone: "plain", text: "constructor", reason: "" });
	equal(words.standing(device({ state: "attached", actual: "vm1", seconds_left: 300 })).reason, "for 5 min more");
};

tests["who has it over the LAN, or may"] = () => {
	const lan = more => device({ lan_to: ["192.168.1.0/24", "10.0.0.7"], state: "exported", ...more });

	equal(words.standing(lan({})).text, "offered over the LAN to 192.168.1.0/24, 10.0.0.7");
	equal(words.standing(lan({ state: "attached", lan_by: "10.0.0.7" })), { tone: "good", text: "with 10.0.0.7, over the LAN", reason: "" });
	equal(words.standing(lan({ state: "present" })).text, "with this host");
	equal([words.isUnsettled(lan({})), words.isMisplaced(lan({}))], [false, false]);
};

tests["how a VM stands"] = () => {
	const vm = more => words.vmStanding({ connected: false, asleep: false, domain_state: null, ...more });

	equal(vm({}), { tone: "plain", text: "off" });
	equal(vm({ connected: true }).text, "running");
	equal(vm({ connected: true, domain_state: "paused" }).text, "paused");
	equal(vm({ domain_state: "running" }).tone, "wrong");
	equal(vm({ connected: true, asleep: true }).text, "asleep");
};

tests["every error of the interface says why"] = () => {
	const said = (kind, parameters) => words.errorWords(new Refusal(`io.usbrouted.${kind}`, parameters), "keyboard").text;

	equal(said("Denied", { by: "[device keyboard] vms" }), "Not allowed: [device keyboard] vms.");
	equal(said("Busy", { reason: "it is mounted at /media." }), "Not now: it is mounted at /media.");
	equal(said("NoSuchDevice", {}), "keyboard is not there any more.");
	equal(said("Ambiguous", { candidates: ["1-1", "1-2"] }), "keyboard could mean several devices: 1-1; 1-2.");
	equal(said("Pending", { reason: "vm1 sleeps" }), "Not yet: vm1 sleeps. It goes there as soon as it can.");
	equal(said("Superseded", {}), "A newer command about it came in between.");
	equal(said("Failed", { reason: "no" }), "It did not work: no.");
	equal(said("constructor", {}), "usbrouted refused: constructor.");
	equal(words.errorWords(new Gone("x"), "k").tone, "wrong");
};

tests["force is offered for the last keyboard, and nothing else"] = () => {
	const force = reason => words.errorWords(new Refusal("io.usbrouted.Busy", { reason }), "k").force;

	equal(force("k is the host's last keyboard"), true);
	equal(force("its disk is mounted at /"), false);
};

tests["events in words"] = () => {
	const event = more => words.eventWords({ event: "plugged", time: "", alias: "keyboard", id: "1:2", port: "1-1", vm: null, from: null, reason: null, ...more });

	equal(event({}), "keyboard: plugged in");
	equal(event({ event: "attached", vm: "vm1", milliseconds: 12.6 }), "keyboard: vm1 has it (13 ms)");
	equal(event({ event: "refused", vm: "vm2", reason: "not allowed" }), "keyboard: refused for vm2: not allowed");
	equal(event({ event: "vm_up", alias: null, vm: "vm1" }), "vm1: is there");
	equal(words.eventWords({ event: "plugged", alias: null, id: "1:2" }, "Acme Mouse"), "Acme Mouse: plugged in");
	equal(event({ event: "listening" }), "");
	equal(event({ event: "of a later version" }), "");
};

tests["why: what is wanted and what is, with the rule that says so"] = () => {
	const why = { device: device({ wanted: "vm1", wanted_by: "rule", rule: "50.rules:3: allow", actual: "vm1", state: "attached" }),
		verdicts: [], rules: [{ matched: true, file: "50.rules", line: 3, text: "allow" }, { matched: false, file: "x", line: 1, text: "y" }] };
	const lines = new Map(words.whyLines(why));

	Object.assign(why.device, { classes: ["hid", "hid.mouse"], classes_by: ["hid.mouse: from interface 0"] });
	equal(new Map(words.whyLines(why)).get("kind"), "hid, hid.mouse: from interface 0");

	equal(lines.get("should be"), "in vm1: 50.rules:3: allow");
	equal(lines.get("is"), "in vm1");
	equal(words.whyLines(why).filter(([word]) => word === "rule"), [["rule", "50.rules:3: allow"]]);
	equal(words.verdictWords({ vm: "vm1", allowed: false, by: "deny" }), "not allowed: deny");
	equal(words.verdictWords({ vm: "vm1", allowed: true, may_route: false, may_route_by: "root may" }), "you may not: root may");
	equal(words.verdictWords({ vm: "vm1", allowed: true, may_route: true }), "");
};

tests["each end of a connection has its words"] = () => {
	for (const problem of ["not-found", "access-denied", "disconnected", "terminated", "too-old", "protocol-error", "no-host", null]) {
		const said = words.problemWords(problem, "/run/x", "y");
		equal(Boolean(said.title && said.text), true);
	}
	const title = (problem, message) => words.problemWords(problem, "/run/x", message).title;
	equal(title("not-found"), "usbrouted is not running");
	equal(title("terminated", "[Errno 2] No such file or directory"), "usbrouted is not running");
	equal(title("terminated", "[Errno 13] Permission denied"), "You have no access to usbrouted");
	equal(title("terminated", "[Errno 11] Try again"), "usbrouted does not answer");
	equal(title("terminated"), "Cockpit is not connected to this machine");
};

/* ---- state.js */

tests["a command names a device by what its wish shall hang on"] = () => {
	const state = new State();

	state.setDevices([device({ alias: "keyboard", serial: "1" }), device({ port: "1-2", serial: "A" }), device({ port: "1-3", serial: "B" }),
		device({ port: "1-4", serial: "B" }), device({ port: "1-5", id: "1:1", serial: "C*" }), device({ port: "1-6", id: "1:2", serial: null }),
		device({ port: "1-7", id: "1:3", serial: "cut…" })]);
	const of = port => state.selector(state.devices.find(d => d.port === port));
	equal(["1-1", "1-2", "1-3", "1-4", "1-5", "1-6", "1-7"].map(of), ["keyboard", "serial=A", "port=1-3", "port=1-4", "1:1", "1:2", "1:3"]);
};

tests["devices stand in an order that hangs on their names and ports alone"] = () => {
	const state = new State();
	const three = [device({ port: "1-10", product: "b" }), device({ port: "1-9", product: "b" }), device({ alias: "z", port: "1-1" })];

	state.setDevices(three);
	const order = state.devices.map(d => d.port);
	equal(order, ["1-1", "1-9", "1-10"]);
	state.setDevices([...three].reverse().map(d => ({ ...d, actual: "vm1", wanted: "vm1", state: "attached" })));
	equal(state.devices.map(d => d.port), order);
};

tests["another device in the same port is another one"] = () => {
	equal(deviceKey(device({ serial: "1" })) === deviceKey(device({ serial: "2" })), false);
	equal(deviceKey(device({ id: "1:1" })) === deviceKey(device({ id: "1:2" })), false);
	equal(deviceKey(device({ wanted: "vm1" })) === deviceKey(device({})), true);
};

tests["a search is for all its words, in whatever is known of a device"] = () => {
	const state = new State();

	state.setDevices([device({ alias: "keyboard", manufacturer: "Logitech", actual: "vm1", wanted: "vm1", state: "attached" }),
		device({ port: "1-2", product: "Mouse", wanted: "vm2", state: "pending" }), device({ port: "1-3" })]);
	const found = (search, which = "all") => state.devices.filter(d => state.matching(search, which).has(deviceKey(d))).map(d => d.port);
	equal(found("logitech KEY"), ["1-1"]);
	equal(found("logitech mouse"), []);
	equal(found("", "vms"), ["1-1", "1-2"]);
	equal(found("", "misplaced"), ["1-2"]);
	equal(found("  "), ["1-1", "1-3", "1-2"]);
};

tests["the sum is said in one sentence"] = () => {
	const state = new State();

	equal(state.summary(), "No USB device is plugged in.");
	state.setDevices([device({})]);
	equal(state.summary(), "1 device, 0 with a VM.");
	state.setDevices([device({ actual: "vm1", wanted: "vm1", state: "attached" }), device({ port: "1-2", wanted: "vm1", state: "pending" })]);
	equal(state.summary(), "2 devices, 1 with a VM, 1 not where it should be.");
	equal(state.unsettled, false);
	state.setDevices([device({ state: "exported", actual: "vm1" })]);
	equal(state.unsettled, true);
};

tests["of what happened only the last is kept"] = () => {
	const state = new State();

	for (let i = 0; i < 10 * EVENTS_KEPT; i++)
		state.addEvent({ event: "plugged", id: String(i) });
	equal(state.events.length, EVENTS_KEPT);
	equal(state.events[0].id, String(10 * EVENTS_KEPT - 1));
};

tests["an event bears its device's name, also when the device has gone"] = () => {
	const state = new State();

	state.addEvent({ event: "plugged", id: "1:2", port: "1-1" });
	state.setDevices([device({ id: "1:2", product: "Mouse" })]);
	state.setDevices([]);
	state.addEvent({ event: "unplugged", id: "1:2", port: "1-1" });
	equal(state.events.map(e => e.name), [undefined, "Mouse"]);
};

/* ---- theme.js */

tests["dark where the user says so, else as the system is"] = () => {
	equal([["dark", false], ["light", true], ["auto", true], ["auto", false], [null, true]].map(([choice, system]) => isDark(choice, system)),
		[true, false, true, false, true]);
};

let passed = 0, failed = 0;

function say(text) {
	const line = document.createElement("div");

	line.textContent = text;
	document.body.append(line);
}

for (const [name, test] of Object.entries(tests)) {
	try {
		await test();
		passed++;
		say(`ok ${name}`);
	} catch (error) {
		failed++;
		say(`FAIL ${name}: ${error.message}`);
	}
}
say(`${passed} passed, ${failed} failed`);
window.finished = true;

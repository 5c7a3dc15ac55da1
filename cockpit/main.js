// SPDX-License-Identifier: BSD-2-Clause
/*
 * The page put together: the daemon's socket by Cockpit's channel, with the rights of the user who is logged in.
 *
 * One connection listens (Monitor), one looks (List, Vms, Status), and each command has its own. An event says that
 * something has changed; what is so now is asked for then. So the page can't run apart from the daemon. A look that
 * comes while one is under way is done after it, once. What no event tells (an agent, a name, the time that is left) is
 * found by looking again: soon while something is on its way, else twice a minute.
 *
 * States: `live`; or a problem is shown and another connection is tried, after 1, 2, 4 … 15 s.
 */
/* global cockpit */
import { Page } from "./page.js";
import { State } from "./state.js";
import { followTheme } from "./theme.js";
import { Connection, Gone, Refusal } from "./varlink.js";
import { deviceName, errorWords, plain, problemWords, where } from "./words.js";

const SOON_MS = 2000;
const IDLE_MS = 30000;
const RETRY_MOST_MS = 15000;

const config = (cockpit.manifests.usbrouted || {}).config || {};
const SOCKET = typeof config.socket === "string" ? config.socket : "/run/usbrouted/control";

function connect(onclose) {
	return new Connection(cockpit.channel({ payload: "stream", unix: SOCKET, binary: true }), onclose);
}

class Main {
	constructor() {
		this.state = new State();
		this.page = new Page(this.state, this);
		this.live = false;
		this.retryMs = 1000;
		this.looking = false;
		this.again = false;
		this.timer = null;
	}

	/* ---- the daemon: listened to, and asked */

	listen() {
		const monitor = connect(gone => this.lost(gone));

		monitor.call("Monitor", {}, event => this.heard(event)).then(
			() => monitor.close(),
			error => {
				if (error instanceof Refusal)
					this.lost(new Gone(/^org\.varlink\.service\./.test(error.kind) ? "too-old" : null, error.message));
			});
	}

	heard(event) {
		if (event.event === "listening") {
			this.live = true;
			this.retryMs = 1000;
		} else {
			this.state.addEvent(event);
		}
		this.look();
	}

	lost(gone) {
		this.live = false;
		clearTimeout(this.timer);
		if (this.reader)
			this.reader.close();
		this.reader = null;
		this.page.setProblem(problemWords(gone.problem, SOCKET, gone.message));
		setTimeout(() => this.listen(), this.retryMs);
		this.retryMs = Math.min(2 * this.retryMs, RETRY_MOST_MS);
	}

	/** Asks for everything, and draws it. */
	async look() {
		if (this.looking) {
			this.again = true;
			return;
		}
		this.looking = true;
		do {
			this.again = false;
			await this.lookOnce();
		} while (this.again && this.live);
		this.looking = false;
		clearTimeout(this.timer);
		if (this.live)
			this.timer = setTimeout(() => this.look(), this.state.unsettled && !document.hidden ? SOON_MS : IDLE_MS);
	}

	async lookOnce() {
		const devices = [], vms = [];

		try {
			if (!this.reader || this.reader.over)
				this.reader = connect();
			await this.reader.call("List", {}, reply => devices.push(...reply.devices));
			await this.reader.call("Vms", {}, reply => vms.push(...reply.vms));
			const status = await this.reader.call("Status");
			if (!this.live)
				return;
			this.state.setDevices(devices);
			this.state.setVms(vms);
			this.state.warnings = status.warnings;
			this.page.setProblem(null);
			this.page.draw();
		} catch (error) {
			/* Where the daemon has gone, the listener's end says so. */
			if (!(error instanceof Gone) && !(error instanceof Refusal))
				throw error;
		}
	}

	/* ---- what a person does */

	/** One call on a connection of its own: it may wait for a guest. */
	async command(method, parameters, what) {
		const connection = connect();

		try {
			const reply = await connection.call(method, parameters);
			return { tone: "good", text: plain(reply.message, 2000), force: false };
		} catch (error) {
			return errorWords(error, what);
		} finally {
			connection.close();
			this.look();
		}
	}

	/** Has a device go to a VM, or back to "host". */
	async move(device, vm, force) {
		const selector = this.state.selector(device);
		const outcome = vm === "host" ? await this.command("Detach", { device: selector }, deviceName(device))
			: await this.command("Attach", { device: selector, vm, ...(force ? { force: true } : {}) }, deviceName(device));

		if (outcome.tone === "good" && !outcome.text)
			outcome.text = `${deviceName(device)} is with ${where(vm)}.`;
		if (outcome.text.startsWith("pending: "))
			outcome.tone = "waiting";
		return outcome;
	}

	undo() {
		return this.command("Undo", {}, "");
	}

	/** Why a device is where it is, with a verdict about each VM; null where it can't be had. */
	async why(device) {
		const selector = `port=${device.port}`;
		const connection = connect();

		try {
			const found = await connection.call("Why", { device: selector });
			const told = new Set(found.verdicts.map(v => v.vm));
			const others = this.state.vms.map(vm => vm.name).filter(vm => !told.has(vm));
			const more = await Promise.all(others.map(vm => connection.call("Why", { device: selector, vm })));

			found.verdicts.push(...more.flatMap(reply => reply.verdicts));
			return found;
		} catch (error) {
			return null;
		} finally {
			connection.close();
		}
	}
}

followTheme();
const main = new Main();
document.addEventListener("visibilitychange", () => {
	if (!document.hidden && main.live)
		main.look();
});
main.listen();

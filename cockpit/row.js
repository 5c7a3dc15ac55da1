// SPDX-License-Identifier: BSD-2-Clause
/*
 * A device's row, and what opens below it: the choice where it should be, what came of it, and why it is where it is.
 * Owns its elements. It asks `does` (main.js) for what the daemon is to do: move(device, vm, force), why(device).
 * States: closed, open; and busy while a command of this row is under way.
 */
import { make, setAttribute, setChildren, setText } from "./dom.js";
import { deviceDetail, deviceName, standing, vmStanding, verdictWords, where, whyLines } from "./words.js";

let numbers = 0;

function cell(label, ...children) {
	return make("td", { role: "cell", "data-label": label }, ...children);
}

export class Row {
	constructor(does) {
		this.does = does;
		this.id = `device-${++numbers}`;
		this.device = null;
		this.vms = [];
		this.verdicts = new Map();
		this.busy = false;
		this.makeLine();
		this.makePanel();
	}

	makeLine() {
		this.name = make("bdi", { class: "name", id: `${this.id}-name` });
		this.detail = make("bdi", { class: "detail" });
		this.tone = make("span", { class: "tone" });
		this.reason = make("bdi", { class: "detail" });
		this.wanted = make("bdi", {});
		this.change = make("button", { type: "button", "aria-expanded": "false", "aria-controls": `${this.id}-panel` }, "Change");
		this.change.addEventListener("click", () => this.toggle());
		this.line = make("tr", { role: "row" },
			cell("Device", this.name, this.detail), cell("Is", this.tone, this.reason),
			cell("Should be", this.wanted), cell("", this.change));
	}

	makePanel() {
		this.title = make("h3", { id: `${this.id}-title` });
		this.choices = make("div", { class: "choices", role: "group", "aria-labelledby": `${this.id}-title` });
		this.outcome = make("p", { class: "outcome", role: "status" });
		this.force = make("button", { type: "button", hidden: true }, "Do it all the same");
		this.why = make("dl", { "aria-label": "Why" });
		this.force.addEventListener("click", () => this.choose(this.refused, true));
		this.panel = make("tr", { role: "row", class: "panel", id: `${this.id}-panel`, hidden: true },
			make("td", { role: "cell", colspan: 4 }, this.title, this.choices, this.outcome, this.force, this.why));
		this.panel.addEventListener("keydown", event => {
			if (event.key === "Escape") {
				this.toggle(false);
				this.change.focus();
			}
		});
	}

	get isOpen() {
		return !this.panel.hidden;
	}

	/** Shows the device as it is now. */
	update(device, vms) {
		const before = this.device;
		const stands = standing(device);
		const name = deviceName(device);

		this.device = device;
		this.vms = vms;
		setText(this.name, name);
		setText(this.detail, deviceDetail(device));
		setText(this.tone, stands.text);
		setAttribute(this.tone, "data-tone", stands.tone);
		setText(this.reason, stands.reason);
		setText(this.wanted, where(device.wanted));
		setAttribute(this.wanted, "class", device.wanted === device.actual ? null : "elsewhere");
		setAttribute(this.change, "aria-label", `Change where ${name}, port ${device.port}, should be`);
		setText(this.title, `Where should ${name} be?`);
		if (this.isOpen) {
			this.showChoices();
			if (["wanted", "wanted_by", "actual", "state", "reason", "alias", "rule"].some(key => before[key] !== device[key]))
				this.askWhy();
		}
	}

	toggle(open = !this.isOpen) {
		this.panel.hidden = !open;
		setAttribute(this.change, "aria-expanded", open ? "true" : "false");
		if (!open)
			return;
		setText(this.outcome, "");
		this.force.hidden = true;
		this.showChoices();
		this.askWhy();
	}

	showChoices() {
		const known = new Map(Array.from(this.choices.children, choice => [choice.dataset.vm, choice]));

		setChildren(this.choices, ["host", ...this.vms.map(vm => vm.name)].map(vm => {
			const choice = known.get(vm) || this.makeChoice(vm);
			const found = this.vms.find(v => v.name === vm);
			const stands = found ? vmStanding(found) : { text: "" };
			const notes = [stands.text, this.verdicts.get(vm) || ""].filter(Boolean);

			setText(choice.firstChild, where(vm));
			setText(choice.lastChild, notes.length ? ` (${notes.join("; ")})` : "");
			setAttribute(choice, "aria-pressed", this.device.wanted === vm ? "true" : "false");
			setAttribute(choice, "aria-disabled", this.busy ? "true" : null);
			return choice;
		}));
	}

	makeChoice(vm) {
		const choice = make("button", { type: "button", "data-vm": vm }, make("bdi", {}), make("bdi", { class: "note" }));

		choice.addEventListener("click", () => this.choose(vm, false));
		return choice;
	}

	/** Has the device go to a VM, or to the host, and says what came of it. */
	async choose(vm, force) {
		if (this.busy)
			return;
		this.setBusy(true);
		this.force.hidden = true;
		this.say("waiting", vm === "host" ? "Being taken back…" : `On its way to ${where(vm)}…`);
		const outcome = await this.does.move(this.device, vm, force);
		this.refused = vm;
		this.setBusy(false);
		this.say(outcome.tone, outcome.text);
		if (document.activeElement === this.force && !outcome.force)
			this.change.focus();
		this.force.hidden = !outcome.force;
	}

	setBusy(busy) {
		this.busy = busy;
		setAttribute(this.panel, "aria-busy", busy ? "true" : null);
		this.showChoices();
	}

	say(tone, text) {
		setAttribute(this.outcome, "data-tone", tone);
		setText(this.outcome, text);
	}

	async askWhy() {
		const asked = this.device;
		const found = await this.does.why(asked);

		if (!found || asked !== this.device && deviceName(asked) !== deviceName(this.device))
			return;
		this.verdicts = new Map(found.verdicts.map(v => [v.vm, verdictWords(v)]));
		this.showChoices();
		const lines = whyLines(found);
		const have = Array.from(this.why.children);
		const want = lines.flat();

		if (have.length !== want.length)
			setChildren(this.why, lines.flatMap(() => [make("dt"), make("dd", {}, make("bdi"))]));
		lines.forEach(([word, text], i) => {
			setText(this.why.children[2 * i], word);
			setText(this.why.children[2 * i + 1].firstChild, text);
		});
	}
}

// SPDX-License-Identifier: BSD-2-Clause
/*
 * The page's elements: draws a State (state.js) into index.html. Owns the rows, one a device, which stay while their
 * device does: what has the focus, is open or is being read stays where it is when something else changes.
 */
import { make, setAttribute, setChildren, setText } from "./dom.js";
import { Row } from "./row.js";
import { deviceKey } from "./state.js";
import { eventWords, plain, vmAgent, vmStanding } from "./words.js";

const byId = id => document.getElementById(id);

export class Page {
	/** `does`: what the daemon is asked for: undo(), and what a row asks for. */
	constructor(state, does) {
		this.state = state;
		this.does = does;
		this.rows = new Map();
		byId("undo").addEventListener("click", () => this.undo());
		byId("finding").addEventListener("submit", event => event.preventDefault());
		byId("search").addEventListener("input", () => this.showMatching());
		byId("which").addEventListener("change", () => this.showMatching());
	}

	draw() {
		const lines = [];
		const rows = new Map();

		for (const device of this.state.devices) {
			const key = deviceKey(device);
			const row = this.rows.get(key) || new Row(this.does);

			row.update(device, this.state.vms);
			rows.set(key, row);
			lines.push(row.line, row.panel);
		}
		this.keepFocus(rows);
		this.rows = rows;
		setChildren(byId("devices"), lines);
		this.drawVms();
		this.drawWarnings();
		this.drawEvents();
		this.showMatching();
		setText(byId("summary"), this.state.summary());
		setAttribute(byId("page"), "aria-busy", null);
	}

	/** The focus of a row that goes moves to the search, not to the document's top. */
	keepFocus(rows) {
		for (const [key, row] of this.rows)
			if (!rows.has(key) && (row.line.contains(document.activeElement) || row.panel.contains(document.activeElement)))
				byId("search").focus();
	}

	drawVms() {
		const list = byId("vms");
		const known = new Map(Array.from(list.children, item => [item.dataset.vm, item]));

		setChildren(list, this.state.vms.map(vm => {
			const item = known.get(vm.name) || make("li", { "data-vm": vm.name }, make("strong"), " ", make("span", { class: "tone" }), " ",
				make("span", { class: "detail" }), " ", make("bdi", { class: "has" }), make("bdi", { class: "detail warned" }));
			const [name, tone, detail, has, warned] = item.children;
			const stands = vmStanding(vm);

			setText(name, plain(vm.name));
			setText(tone, stands.text);
			setAttribute(tone, "data-tone", stands.tone);
			setText(detail, vmAgent(vm));
			setText(has, vm.devices.length ? `has ${vm.devices.map(d => plain(d)).join(", ")}` : "has no device");
			setText(warned, (vm.warnings || []).map(w => plain(w, 2000)).join(" "));
			return item;
		}));
		byId("no-vms").hidden = this.state.vms.length > 0;
	}

	drawWarnings() {
		const list = byId("warnings");

		while (list.children.length > this.state.warnings.length)
			list.lastChild.remove();
		this.state.warnings.forEach((warning, i) => setText(list.children[i] || list.appendChild(make("li")), plain(warning, 2000)));
		list.hidden = !this.state.warnings.length;
	}

	drawEvents() {
		const lines = this.state.events.map(event => [event, eventWords(event, event.name)]).filter(([, words]) => words);

		setChildren(byId("events"), lines.map(([event, words]) => {
			/* UTC, as the daemon says it; shown in the reader's own time. */
			const time = new Date(event.time);
			return make("li", {}, make("time", { datetime: plain(event.time) }, isNaN(time) ? "" : time.toLocaleTimeString()), " ",
				make("bdi", {}, words));
		}));
	}

	showMatching() {
		const keys = this.state.matching(byId("search").value, byId("which").value);

		for (const [key, row] of this.rows) {
			const hidden = !keys.has(key);

			row.line.hidden = hidden;
			if (hidden && row.isOpen)
				row.toggle(false);
		}
		setText(byId("found"), keys.size === this.rows.size ? "" : `${keys.size} of ${this.rows.size}`);
	}

	/**
	 * What keeps the page from the daemon; null: nothing. What was known stays where it is, with the focus in it; a
	 * command meanwhile says that there is no connection.
	 */
	setProblem(words) {
		const section = byId("problem");

		setText(section.querySelector("h2"), words ? words.title : "");
		setText(section.querySelector("p"), words ? words.text : "");
		section.hidden = !words;
		byId("page").classList.toggle("stale", Boolean(words));
		if (words) {
			setAttribute(byId("page"), "aria-busy", null);
			setText(byId("summary"), this.rows.size ? "What is shown is how it was." : "");
		}
	}

	async undo() {
		const button = byId("undo");

		if (button.getAttribute("aria-disabled"))
			return;
		setAttribute(button, "aria-disabled", "true");
		const outcome = await this.does.undo();
		setAttribute(button, "aria-disabled", null);
		setAttribute(byId("outcome"), "data-tone", outcome.tone);
		setText(byId("outcome"), outcome.text);
	}
}

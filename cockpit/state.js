// SPDX-License-Identifier: BSD-2-Clause
/*
 * What the page knows of devices and VMs, from the daemon's replies. Pure: it calls nobody and draws nothing.
 *
 * A device is the same one as before while its port, id and serial are.
 */
import { deviceName, isMisplaced, isUnsettled, plain, standing } from "./words.js";

export const EVENTS_KEPT = 50;

export function deviceKey(device) {
	return JSON.stringify([device.port, device.id, device.serial]);
}

export class State {
	constructor() {
		this.devices = [];
		this.vms = [];
		this.warnings = [];
		this.events = [];
	}

	/** All devices, as List told them, in an order that does not change when one goes elsewhere. */
	setDevices(devices) {
		const collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" });
		const named = devices.map(device => [deviceName(device), device]);

		named.sort(([a, d], [b, e]) => Boolean(e.alias) - Boolean(d.alias) || collator.compare(a, b)
			|| collator.compare(d.port, e.port) || collator.compare(deviceKey(d), deviceKey(e)));
		this.devices = named.map(([, device]) => device);
		this.events.forEach(event => this.nameEvent(event));
	}

	setVms(vms) {
		this.vms = vms;
	}

	/* An event knows an alias or an id. A device's own name is known while it is plugged in, and is kept. */
	nameEvent(event) {
		const device = !event.name && this.devices.find(d => d.port === event.port && d.id === event.id);

		if (device)
			event.name = deviceName(device);
	}

	/** Keeps an event for who asks what happened. */
	addEvent(event) {
		this.nameEvent(event);
		this.events.unshift(event);
		this.events.length = Math.min(this.events.length, EVENTS_KEPT);
	}

	find(key) {
		return this.devices.find(device => deviceKey(device) === key) || null;
	}

	/** Whether a look soon may find something else without an event: something is on its way. */
	get unsettled() {
		return this.devices.some(isUnsettled);
	}

	/**
	 * What a command calls a device. A wish hangs on what it was given by, so the port, which would give it to
	 * whatever is plugged in there, comes last.
	 */
	selector(device) {
		const only = name => this.devices.filter(d => d[name] === device[name]).length === 1;

		if (device.alias)
			return device.alias;
		/* In serial= these stand for any character; a text that is cut ends in "…". */
		if (device.serial && !/[*?…]/.test(device.serial) && only("serial"))
			return `serial=${device.serial}`;
		return only("id") ? device.id : `port=${device.port}`;
	}

	/** The keys of the devices that a search and a choice ("all", "vms", "misplaced") show. */
	matching(search, which) {
		const words = search.toLowerCase().split(/\s+/).filter(Boolean);
		const keys = new Set();

		for (const device of this.devices) {
			const text = [deviceName(device), device.manufacturer, device.product, device.id, device.serial, device.port,
				device.stable_port, device.wanted, device.actual, standing(device).text, ...(device.groups || []),
				...(device.classes || [])].map(t => plain(t)).join(" ").toLowerCase();
			const fits = which === "vms" ? device.actual !== "host" || device.wanted !== "host"
				: which === "misplaced" ? isMisplaced(device) : true;

			if (fits && words.every(word => text.includes(word)))
				keys.add(deviceKey(device));
		}
		return keys;
	}

	/** How many there are, in one sentence. */
	summary() {
		const n = this.devices.length;
		const away = this.devices.filter(device => device.actual !== "host").length;
		const misplaced = this.devices.filter(isMisplaced).length;

		if (!n)
			return "No USB device is plugged in.";
		return `${n} ${n === 1 ? "device" : "devices"}, ${away} with a VM`
			+ (misplaced ? `, ${misplaced} not where ${misplaced === 1 ? "it" : "they"} should be.` : ".");
	}
}

// SPDX-License-Identifier: BSD-2-Clause
/*
 * Varlink over a channel: messages of JSON, each ended by a NUL byte (docs/control-protocol.md).
 *
 * A Connection owns its channel, and the calls that wait for replies on it, in their order. It is open, or over; once
 * over it stays so, and every call that waits has failed. The channel is what cockpit.channel() returns, or anything
 * with send(), close() and the two listeners: this file knows neither Cockpit nor a page.
 */

const INTERFACE = "io.usbrouted.";
/* The daemon's bound is 64 KiB (protocol/varlink_wire.h). Without one a stranger's socket could fill the browser. */
export const MESSAGE_MAX = 1024 * 1024;

/** What the daemon answered instead of a reply: `kind` is the error's name without its interface. */
export class Refusal extends Error {
	constructor(name, parameters) {
		super(name);
		this.name = "Refusal";
		this.kind = name.replace(INTERFACE, "");
		this.parameters = parameters || {};
	}
}

/** The connection ended: `problem` is Cockpit's word for why, such as "not-found", or null where none is known. */
export class Gone extends Error {
	constructor(problem, message) {
		super(message || problem || "the connection ended");
		this.name = "Gone";
		this.problem = problem || null;
	}
}

/** Cuts a stream of bytes into messages, wherever it was cut before. */
export class Framing {
	constructor() {
		this.parts = [];
		this.size = 0;
	}

	/** Returns the texts that are complete with these bytes. Throws RangeError where one gets too long. */
	push(bytes) {
		const found = [];
		let from = 0;

		for (let at = bytes.indexOf(0); at >= 0; at = bytes.indexOf(0, from)) {
			this.keep(bytes.subarray(from, at));
			found.push(this.take());
			from = at + 1;
		}
		this.keep(bytes.slice(from));
		return found;
	}

	keep(bytes) {
		this.size += bytes.length;
		if (this.size > MESSAGE_MAX)
			throw new RangeError("a message of more than 1 MiB");
		if (bytes.length)
			this.parts.push(bytes);
	}

	take() {
		const whole = new Uint8Array(this.size);
		let at = 0;

		for (const part of this.parts) {
			whole.set(part, at);
			at += part.length;
		}
		this.parts = [];
		this.size = 0;
		return new TextDecoder().decode(whole);
	}
}

/** One connection to the daemon. It answers calls in their order. */
export class Connection {
	/** `onclose`, where given, is called once, with the Gone that ended it. */
	constructor(channel, onclose) {
		this.channel = channel;
		this.framing = new Framing();
		this.calls = [];
		this.over = null;
		this.onclose = onclose;
		channel.addEventListener("message", (event, data) => this.receive(data));
		channel.addEventListener("close", (event, options) =>
			this.end(new Gone(options && options.problem, options && options.message)));
	}

	/**
	 * Calls a method. Resolves with its last reply's parameters; `each`, where given, is called with every reply's,
	 * and asks the daemon for more than one. Rejects with a Refusal, or a Gone.
	 */
	call(method, parameters, each) {
		return new Promise((resolve, reject) => {
			if (this.over) {
				reject(this.over);
				return;
			}
			this.calls.push({ resolve, reject, each });
			const call = { method: INTERFACE + method, parameters: parameters || {} };
			if (each)
				call.more = true;
			this.channel.send(new TextEncoder().encode(JSON.stringify(call) + "\0"));
		});
	}

	close() {
		if (!this.over) {
			this.end(new Gone(null, "closed"));
			this.channel.close();
		}
	}

	receive(data) {
		try {
			for (const text of this.framing.push(new Uint8Array(data)))
				this.answer(JSON.parse(text));
		} catch (error) {
			this.end(new Gone("protocol-error", error.message));
			this.channel.close();
		}
	}

	answer(message) {
		const call = this.calls[0];

		if (!call || this.over)
			return;
		if (message === null || typeof message !== "object")
			throw new TypeError("a message that is no object");
		if (message.error === undefined && call.each)
			call.each(message.parameters || {});
		if (message.continues && message.error === undefined)
			return;
		this.calls.shift();
		if (message.error !== undefined)
			call.reject(new Refusal(String(message.error), message.parameters));
		else
			call.resolve(message.parameters || {});
	}

	end(gone) {
		if (this.over)
			return;
		this.over = gone;
		for (const call of this.calls.splice(0))
			call.reject(gone);
		if (this.onclose)
			this.onclose(gone);
	}
}

// SPDX-License-Identifier: BSD-2-Clause
/*
 * The few things that the page does to its document. Text gets in by textContent and nothing else, so no device's name
 * can be markup; and the manifest forbids the other way (require-trusted-types-for).
 */

/** A new element. `attributes`: null or false leaves one out. Children: elements, or texts. */
export function make(tag, attributes, ...children) {
	const element = document.createElement(tag);

	for (const [name, value] of Object.entries(attributes || {}))
		setAttribute(element, name, value);
	element.append(...children);
	return element;
}

/** Changed only where it differs, so that a screen reader does not read it again, and a selection stays. */
export function setText(element, text) {
	if (element.textContent !== text)
		element.textContent = text;
}

export function setAttribute(element, name, value) {
	if (value === null || value === undefined || value === false)
		element.removeAttribute(name);
	else if (element.getAttribute(name) !== String(value))
		element.setAttribute(name, value === true ? "" : String(value));
}

/** The children of `parent` are these, in this order. One that stays in its place is not touched: it keeps the focus. */
export function setChildren(parent, children) {
	let at = parent.firstChild;

	for (const child of children) {
		if (child === at)
			at = at.nextSibling;
		else
			parent.insertBefore(child, at);
	}
	while (at) {
		const next = at.nextSibling;

		at.remove();
		at = next;
	}
}

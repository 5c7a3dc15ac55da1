// SPDX-License-Identifier: BSD-2-Clause
/*
 * Dark or light, as Cockpit is: its shell keeps the user's choice (dark, light, auto) in the browser, and tells each
 * page of a change by an event (Cockpit 287 and 337, pkg/lib/cockpit-dark-theme). "auto" is what the system says.
 */

export function isDark(choice, systemIsDark) {
	return choice === "dark" || choice !== "light" && systemIsDark;
}

export function followTheme() {
	const system = window.matchMedia("(prefers-color-scheme: dark)");
	const show = choice => document.documentElement.classList.toggle("dark",
		isDark(choice || localStorage.getItem("shell:style"), system.matches));

	window.addEventListener("storage", event => {
		if (event.key === "shell:style")
			show(event.newValue);
	});
	window.addEventListener("cockpit-style", event => show(event.detail.style));
	system.addEventListener("change", () => show());
	show();
}

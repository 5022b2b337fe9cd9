// Keeps the page up to date by server-sent events. Without it the page reloads itself.
"use strict";
(() => {
	const live = document.getElementById("live"), pause = document.getElementById("pause"), say = document.getElementById("say");
	const again = 10000; // ms until a server that refused is asked again
	const late = new Map(); // parts that wait until nobody is at work in them
	let source = null, paused = false;

	// Whoever is reading something with the keyboard, or has marked it, keeps it.
	function busy(e) {
		const s = document.getSelection();
		return e.contains(document.activeElement) || (s && !s.isCollapsed && s.rangeCount > 0 && s.getRangeAt(0).intersectsNode(e));
	}
	function place() {
		for (const [id, html] of late) {
			const e = document.getElementById(id);
			if (!e || !busy(e)) {
				late.delete(id);
				if (e) e.innerHTML = html; // of the server's templates, escaped there
			}
		}
	}
	function tell(text, stopped) {
		if (live.textContent !== text) live.textContent = text;
		live.classList.toggle("stopped", Boolean(stopped));
	}
	function open() {
		source = new EventSource("/v1/live");
		source.onmessage = (m) => {
			const news = JSON.parse(m.data);
			for (const [id, html] of Object.entries(news.parts || {})) late.set(id, html);
			place();
			if (news.say) say.textContent = news.say;
			tell(news.stale ? "The server does not answer" : "Live", news.stale);
		};
		source.onerror = () => {
			tell("No connection to the server", true);
			if (source.readyState === EventSource.CLOSED) setTimeout(() => { if (!paused) open(); }, again);
		};
	}
	pause.hidden = false;
	pause.addEventListener("click", () => {
		paused = !paused;
		pause.textContent = paused ? "Go on" : "Pause";
		if (paused) {
			source.close();
			tell("Paused");
		} else {
			open();
		}
	});
	open();
})();

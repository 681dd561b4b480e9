// The page at "/" moves by what /api/v1/follow says. The server renders; this counts seconds, adds events, and fetches
// the page again for what has other words now. Without it the page is complete and reloads itself.
"use strict";

const EVENTS = 10;
const RATE_SECONDS = 10;
const FALLBACK_SECONDS = 10;
const cards = new Map(); // by stream: the last state, and samples of its counters
let source = null;
let heardAt = 0;
let fetchedAt = 0;
let isStale = false;
let skew = 0; // the server's clock minus ours, in milliseconds

const now = () => Date.now() + skew;
const place = (name, part) => document.getElementById("stream-" + name)?.querySelector("." + part);

function span(milliseconds) {
  const seconds = Math.max(0, Math.round(milliseconds / 1000));
  if (seconds < 120) return seconds + " s";
  if (seconds < 7200) return Math.round(seconds / 60) + " min";
  return seconds < 172800 ? Math.round(seconds / 3600) + " h" : Math.round(seconds / 86400) + " d";
}

// What the server has put into words; when it is another, the page is fetched.
const words = (state) => JSON.stringify([
  state.state, state.reconnect_attempt, state.protocol, state.encoding, state.compression, state.error,
  state.extensions, state.last_resume, state.data_flow, state.url,
]);

function take(state) {
  const card = cards.get(state.name) ?? { samples: [] };
  if (card.state === undefined || words(card.state) !== words(state)) isStale = true;
  card.state = state;
  card.samples.push([performance.now(), state.messages_total, state.delay]);
  while (card.samples.length > 2 && card.samples[1][0] < performance.now() - RATE_SECONDS * 1000) card.samples.shift();
  cards.set(state.name, card);
}

function set(name, part, text) {
  const element = place(name, part);
  if (element && element.textContent !== text) element.textContent = text;
}

function show() {
  for (const time of document.querySelectorAll("time[datetime]")) {
    const away = Date.parse(time.dateTime) - now();
    const text = away > 0 ? "in " + span(away) : span(-away) + " ago";
    if (time.textContent !== text) time.textContent = text;
  }
  for (const [name, { state, samples }] of cards) {
    for (const [part, at] of [["message", state.last_message], ["update", state.last_update]]) {
      const time = place(name, part)?.querySelector("time");
      if (time && at) time.dateTime = at;
      if (!time && at) isStale = true; // "never" is over
    }
    set(name, "gaps", String(state.event_gaps_total));
    const [at, messages, delay] = samples[0];
    const seconds = (performance.now() - at) / 1000;
    if (seconds < 1) continue;
    set(name, "rate", ((state.messages_total - messages) / seconds).toFixed(1) + " messages/s");
    const count = state.delay.count - delay.count;
    if (count > 0) set(name, "mean-delay", ((state.delay.sum_seconds - delay.sum_seconds) / count).toFixed(3) + " s");
  }
}

function add(event) {
  const list = place(event.stream, "events");
  if (!list) return;
  list.querySelector(".none")?.remove();
  const row = document.createElement("li");
  row.className = "event";
  const severity = document.createElement("strong");
  severity.textContent = event.severity;
  row.append(severity, ` ${event.project} ${event.event_type}: ${event.message} `);
  if (event.timestamp) {
    const time = document.createElement("time");
    time.dateTime = event.timestamp;
    row.append(time);
  }
  list.prepend(row);
  while (list.children.length > EVENTS) list.lastElementChild.remove();
}

async function refresh() {
  if (performance.now() - fetchedAt < 1000) return;
  fetchedAt = performance.now();
  isStale = false;
  try {
    const answer = await fetch("./", { headers: { Accept: "text/html" } });
    if (!answer.ok) throw new Error(answer.status);
    skew = Date.parse(answer.headers.get("Date")) + 500 - Date.now();
    if (Math.abs(skew) < 2000) skew = 0; // the header has seconds
    const next = new DOMParser().parseFromString(await answer.text(), "text/html");
    const focused = document.activeElement?.closest("form")?.getAttribute("action");
    document.querySelector("main").replaceWith(next.querySelector("main"));
    if (focused) document.querySelector(`form[action="${CSS.escape(focused)}"] button`)?.focus();
    show();
  } catch {
    isStale = true; // once more, a while later
    fetchedAt += 4000;
  }
}

function follow() {
  source = new EventSource("api/v1/follow");
  const on = (kind, take) => source.addEventListener(kind, (message) => {
    heardAt = performance.now();
    take(JSON.parse(message.data));
  });
  on("snapshot", ({ streams, resumed }) => {
    cards.clear();
    streams.forEach(take);
    isStale = isStale || resumed !== "full";
  });
  on("state", take);
  on("event", add);
  on("lost", () => { isStale = true; });
}

function tick() {
  const isQuiet = performance.now() - heardAt > 20000; // longer than between two heartbeats of messages
  if (isStale || ((source?.readyState !== EventSource.OPEN || isQuiet)
      && performance.now() - fetchedAt > FALLBACK_SECONDS * 1000)) refresh();
  if (source?.readyState === EventSource.CLOSED && performance.now() - heardAt > FALLBACK_SECONDS * 1000) {
    heardAt = performance.now();
    follow();
  }
  show();
}

// A browser has six connections for one server: a tab that nobody sees leaves its own to the others.
document.addEventListener("visibilitychange", () => {
  if (document.hidden) { source?.close(); source = null; } else { isStale = true; follow(); }
});
if (!document.hidden) follow();
show();
setInterval(() => { if (!document.hidden) tick(); }, 500);

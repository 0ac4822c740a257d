// The page: shows what /api/live sends, and asks /api for the rest. See openapi.json for what each request means.
"use strict";

const $ = (id) => document.getElementById(id);
const percent = (share) => `${Math.round(100 * share)} %`;
const STATES = {
  starting: "Starting",
  live: "The camera is there",
  lost: "Waiting for the camera",
  stale: "No new picture comes",
  frozen: "The picture is frozen",
  black: "The picture is black",
  lent: "A release on trial has the camera",
};
const MOST_CHIPS = 24, MOST_HELD = 40, ANNOUNCE_MS = 2500;

let token = "";
let socket = null;
let retryMs = 500;
const UNSEEN = { learned: -1, events: -1, alerts: -1, collected: -1 };
let changes = UNSEEN;
let labels = []; // with what was taught of each
let folders = []; // with what was collected of each
let hold = null; // {label, begun: a promise of having begun} while the button is held
let taking = null; // the same of the other button
let undoSaid = null; // what takes back what was just said to be done
let releaseOfPage = "";
let announcedAt = 0;
let newestAlert = null; // its number, once the list was there

// -- asking ---------------------------------------------------------------------------------------------------------

class Refusal extends Error {}

async function ask(method, path, body) {
  const headers = { "X-CSRF-Token": token };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let reply;
  try {
    reply = await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  } catch {
    throw new Refusal("The board does not answer.");
  }
  if (reply.status === 204) return null;
  const fields = await reply.json().catch(() => ({}));
  if (reply.ok) return fields;
  if (reply.status === 401) showLogIn();
  const why = fields.error || { found: `the board answered ${reply.status}` };
  throw new Refusal([why.found, why.expected && `expected ${why.expected}`, why.remedy].filter(Boolean).join("; ") + ".");
}

function attempt(task) {
  return (...given) => Promise.resolve(task(...given)).catch((error) => {
    if (!(error instanceof Refusal)) console.error(error);
    toast(error.message);
  });
}

function toast(text) {
  const place = $("toast");
  place.textContent = text.charAt(0).toUpperCase() + text.slice(1);
  place.hidden = false;
  clearTimeout(toast.timer);
  toast.timer = setTimeout(() => { place.hidden = true; }, 6000);
}

function sure(question, yes) {
  $("sure-text").textContent = question;
  $("sure-yes").textContent = yes;
  const dialog = $("sure");
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}

// -- logging in -----------------------------------------------------------------------------------------------------

async function start() {
  let session;
  try {
    session = await ask("GET", "/api/session");
  } catch {
    setTimeout(start, (retryMs = Math.min(2 * retryMs, 5000)));
    return;
  }
  token = session.token || "";
  $("log-out").hidden = !(session.open && session.wants_password);
  if (!session.open) return showLogIn();
  $("log-in").hidden = true;
  $("page").hidden = false;
  changes = UNSEEN;
  watch();
  attempt(showRelease)();
}

function showLogIn() {
  if (!$("log-in").hidden) return;
  if (socket) socket.close();
  $("page").hidden = true;
  $("log-out").hidden = true;
  $("log-in").hidden = false;
  showState("waiting", "logged out");
  $("password").focus();
}

$("log-in-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  $("log-in-error").textContent = "";
  try {
    await ask("POST", "/api/session", { password: $("password").value });
    $("password").value = "";
    await start();
    $("label").focus();
  } catch (error) {
    $("log-in-error").textContent = error.message.charAt(0).toUpperCase() + error.message.slice(1);
    $("password").select();
  }
});

$("log-out").addEventListener("click", attempt(async () => {
  await ask("DELETE", "/api/session");
  token = "";
  showLogIn();
}));

// -- watching -------------------------------------------------------------------------------------------------------

function watch() {
  socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/api/live`);
  socket.binaryType = "blob";
  const own = socket;
  own.onmessage = async ({ data }) => {
    retryMs = 500;
    if (typeof data === "string") return show(JSON.parse(data));
    await draw(data);
    // Only when it is drawn is the next one asked for: a page in the background asks for none
    requestAnimationFrame(() => { if (own.readyState === WebSocket.OPEN) own.send("next"); });
  };
  own.onclose = () => {
    if (!$("log-in").hidden) return;
    showState("waiting", "no connection", "The board does not answer", "Trying again …");
    setTimeout(start, (retryMs = Math.min(2 * retryMs, 5000)));
  };
}

async function draw(blob) {
  const picture = await createImageBitmap(blob);
  const canvas = $("picture");
  if (canvas.width !== picture.width || canvas.height !== picture.height) {
    canvas.width = picture.width;
    canvas.height = picture.height;
  }
  canvas.getContext("2d").drawImage(picture, 0, 0);
  picture.close();
}

function showState(name, text, title, line) {
  $("state").dataset.state = $("stage").dataset.state = name;
  $("state").textContent = text;
  $("away-title").textContent = title || "";
  $("away-line").textContent = line || "";
}

function show(now) {
  const { state, result } = now;
  showState(state.name, state.name, STATES[state.name], state.name === "lent" ? "It comes back by itself." : state.line);
  const live = state.name === "live";
  $("speed").textContent = live ? `${now.frames_per_second.toFixed(1)} fps` : "–";
  $("age").textContent = live && result ? `${Math.round(result.age_ms)} ms` : "–";
  $("heat").hidden = now.temperature_c === null;
  if (now.temperature_c !== null) $("temperature").textContent = `${Math.round(now.temperature_c)} °C`;
  showAnswer(live ? result : null);
  showHold(now.hold, now.collecting);
  if (now.changes.learned !== changes.learned) attempt(async () => showLearned(await ask("GET", "/api/learned")))();
  if (now.changes.events !== changes.events) attempt(showEvents)();
  if (now.changes.alerts !== changes.alerts) attempt(async () => showAlerts(await ask("GET", "/api/alerts")))();
  const collects = now.changes.collected !== null; // else this run was started without
  $("collect").hidden = $("collected-card").hidden = !collects;
  if (collects && now.changes.collected !== changes.collected) attempt(async () => showCollected(await ask("GET", "/api/collected")))();
  changes = now.changes;
}

function showAnswer(result) {
  const unsure = !result || result.unknown || !result.sure || result.score < 0.5;
  $("answer").textContent = result ? (result.unknown ? "unknown" : result.sure ? result.label : "unsure") : "–";
  $("answer").dataset.sure = result && unsure ? "no" : "yes";
  $("score").textContent = result ? percent(result.score) : "";
  $("nearest").hidden = !result || (result.sure && !result.unknown);
  if (result) $("nearest").textContent = `${result.unknown ? "unlike everything it knows" : "not sure enough"}; nearest is ${result.label}`;
  fill($("top"), result ? result.top : [], (found) => {
    const row = make("li", {}, make("span", { className: "name", title: found.label }, found.label), bar(0, found.score));
    row.append(make("span", { className: "share" }, percent(found.score)));
    return row;
  });
  const said = result ? `${$("answer").textContent}, ${percent(result.score)}` : "No picture";
  if (performance.now() - announcedAt > ANNOUNCE_MS) {
    announcedAt = performance.now();
    $("picture").setAttribute("aria-label", `Live picture: ${said}`);
  }
}

// -- teaching -------------------------------------------------------------------------------------------------------

function chosen() {
  return $("label").value.trim();
}

function showHoldText() {
  const label = chosen();
  if (!hold) $("hold-text").textContent = label ? `Hold to teach “${label}”` : "Hold to teach";
  if (!taking) $("take-text").textContent = label ? `Hold to collect “${label}”` : "Hold to collect";
  $("hold").disabled = !label && !hold;
  $("take").disabled = !label && !taking;
  for (const chip of $("chips").children) chip.setAttribute("aria-pressed", String(chip.value === label));
}

function showHold(held, collecting) {
  const shown = held || collecting;
  $("collecting").hidden = !shown;
  if (shown) $("collecting").textContent = `${shown.label}: ${shown.pictures}`;
  if (taking && collecting) $("take-text").textContent = collecting.stopped || `${collecting.pictures} of “${taking.label}” … let go to end`;
  if (!hold) return;
  const count = held ? held.pictures : 0;
  $("hold-text").textContent = count >= MOST_HELD ? "That is plenty. Let go" : `${count} of “${hold.label}” … let go to learn`;
  $("hold-fill").style.setProperty("--to", `${(100 * count) / MOST_HELD}%`);
}

// Asks for the beginning; what is held, or null where nothing begins. letGo: where the board refuses
function begun(path, button, letGo) {
  const label = chosen();
  if (hold || taking || !label) return null;
  const held = { label, begun: ask("POST", path, { label }) };
  button.dataset.held = "yes";
  $("said").hidden = true;
  held.begun.catch((error) => {
    letGo();
    toast(error.message);
  });
  return held;
}

function begin() {
  const held = begun("/api/hold", $("hold"), letGo);
  if (!held) return;
  hold = held;
  showHold(null, null);
}

function letGo() {
  hold = null;
  $("hold").dataset.held = "no";
  $("hold-fill").style.setProperty("--to", "0%");
  showHoldText();
}

const end = attempt(async () => {
  if (!hold) return;
  const { begun: has } = hold;
  letGo();
  if (!(await has.catch(() => null))) return;
  $("hold-text").textContent = "Learning …";
  try {
    const lesson = await ask("POST", "/api/lessons");
    say(`${pictures(lesson.ids.length)} taught as “${lesson.label}”.`, undo);
    showLearned(lesson.learned);
  } finally {
    showHoldText();
  }
});

function pictures(count) {
  return `${count} ${count === 1 ? "picture" : "pictures"}`;
}

// takeBack: what the button beside it does; without, there is none
function say(text, takeBack) {
  $("said-text").textContent = text;
  $("said").hidden = false;
  $("undo").hidden = !takeBack;
  undoSaid = takeBack;
  $("announced").textContent = text;
}

function holdable(button, begins, ends, isHeld) {
  button.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    button.setPointerCapture(event.pointerId);
    begins();
  });
  for (const name of ["pointerup", "pointercancel", "lostpointercapture"]) button.addEventListener(name, ends);
  button.addEventListener("contextmenu", (event) => event.preventDefault());
  button.addEventListener("keydown", (event) => {
    if (event.key !== " " && event.key !== "Enter") return;
    event.preventDefault();
    if (!event.repeat) begins();
  });
  button.addEventListener("keyup", (event) => {
    if (event.key === " " || event.key === "Enter") ends();
  });
  button.addEventListener("blur", ends);
  // A screen reader or a switch clicks without a pointer: the first click begins, the second ends
  button.addEventListener("click", (event) => {
    if (event.detail === 0) isHeld() ? ends() : begins();
  });
}

holdable($("hold"), begin, end, () => hold);

$("label").addEventListener("input", showHoldText);
$("label").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && chosen()) $("hold").focus();
});

async function forgotten(path) {
  const report = await ask("DELETE", path);
  const count = report.ids.length;
  const also = report.looks.length || report.passes ? ", with what was made of it" : "";
  say(`${count} ${count === 1 ? "example" : "examples"} taken back${also}.`, null);
  showLearned(report.learned);
}

const undo = attempt(async () => {
  await forgotten("/api/lessons/newest");
  $("hold").focus();
});
$("undo").addEventListener("click", () => undoSaid());
$("undo-last").addEventListener("click", undo);

function showLearned(learned) {
  labels = learned.labels;
  showLabels();
  showVerdict(learned);
  showExamples(learned);
  showHoldText();
}

function showLabels() {
  const known = new Set(labels.map((each) => each.label));
  const all = [...labels, ...folders.filter((each) => !known.has(each.label))];
  fill($("labels"), all, (each) => make("option", { value: each.label }));
  fill($("chips"), all.slice(0, MOST_CHIPS), (each) => {
    const chip = make("button", { type: "button", value: each.label }, each.label);
    if (each.examples) chip.append(make("small", {}, String(each.examples)));
    chip.addEventListener("click", () => {
      $("label").value = each.label;
      showHoldText();
    });
    return chip;
  });
}

function showVerdict({ verdict, set_aside: aside, retrained }) {
  $("verdict").textContent = `${verdict.line}.`.replace(/`([^`]*)`/g, "“$1”");
  fill($("classes"), verdict.classes, (each) => {
    const counts = `${each.right} of ${each.examples} right when left out`;
    const row = make("li", {}, make("span", {}, each.label), make("span", {}, counts), bar(each.low, each.high));
    row.title = `between ${percent(each.low)} and ${percent(each.high)} likely`;
    return row;
  });
  const notes = [];
  if (verdict.classes.length) {
    notes.push(`The release's own classes, on pictures held out: ${percent(verdict.before)} right before, ${percent(verdict.after)} now.`);
  }
  if (retrained) notes.push("The network's last blocks were retrained on this board.");
  if (aside) notes.push(`${aside} examples are set aside: of another look or release.`);
  $("own").textContent = notes.join(" ");
}

function showExamples({ examples, total }) {
  $("no-examples").hidden = total > 0;
  $("undo-last").hidden = total === 0;
  const groups = new Map();
  for (const example of examples) groups.set(example.label, [...(groups.get(example.label) || []), example]);
  const parts = [];
  for (const [label, its] of groups) {
    const all = make("button", { type: "button", className: "quiet" }, "Forget all");
    all.setAttribute("aria-label", `Forget all examples of ${label}`);
    all.addEventListener("click", attempt(async () => {
      if (await sure(`Forget every example of “${label}”? They cannot be brought back.`, "Forget")) {
        await forgotten(`/api/labels/${encodeURIComponent(label)}`);
      }
    }));
    const count = labels.find((each) => each.label === label);
    parts.push(make("div", { className: "group" }, make("h3", {}, label), make("small", {}, String(count ? count.examples : its.length)), all));
    const list = make("ul", { className: "thumbs" });
    list.setAttribute("aria-label", `Examples of ${label}`);
    list.append(...its.map(thumb));
    parts.push(list);
  }
  if (total > examples.length) parts.push(make("p", { className: "hint" }, `and ${total - examples.length} older ones.`));
  $("examples").replaceChildren(...parts);
}

function thumb(example) {
  const row = make("li", { title: `${example.taken.replace("T", " ").replace("Z", " UTC")}, ${example.source}` });
  if (!example.used) row.className = "aside";
  if (example.has_picture) {
    row.append(make("img", { src: `/api/examples/${example.id}/picture`, alt: `Example ${example.id}`, loading: "lazy" }));
  } else {
    row.append(make("span", { className: "none", title: "its picture was not kept" }, `#${example.id}`));
  }
  row.append(cross(`Forget example ${example.id} of ${example.label}`, () => forgotten(`/api/examples/${example.id}`)));
  return row;
}

// -- collecting -----------------------------------------------------------------------------------------------------

const thumbs = new Map(); // of what was collected, by id: the list changes while pictures come, and none is loaded twice

function beginToTake() {
  taking = begun("/api/collected/hold", $("take"), letGoToTake) || taking;
}

function letGoToTake() {
  taking = null;
  $("take").dataset.held = "no";
  showHoldText();
}

const endToTake = attempt(async () => {
  if (!taking) return;
  const { begun: has } = taking;
  letGoToTake();
  if (!(await has.catch(() => null))) return;
  const { ids, label, alike, stopped, collected } = await ask("DELETE", "/api/collected/hold");
  const others = alike ? `; ${alike} not, as one like ${alike === 1 ? "it" : "them"} was there` : "";
  say(`${pictures(ids.length)} collected as “${label}”${others}.${stopped && ` ${stopped}.`}`, ids.length ? takeBack : null);
  showCollected(collected);
});

holdable($("take"), beginToTake, endToTake, () => taking);

const takeBack = attempt(async () => {
  await removed("/api/collected/newest");
  $("take").focus();
});

async function removed(path) {
  const report = await ask("DELETE", path);
  say(`${pictures(report.removed.length)} removed.`, null);
  showCollected(report);
}

function showCollected({ folder, most, total, labels: counts, pictures: newest }) {
  folders = counts;
  showLabels();
  showHoldText();
  $("download").hidden = total === 0;
  $("collected-hint").textContent = `${total} of at most ${most}, in ${folder}${total > newest.length ? `; the newest ${newest.length} are shown` : ""}.`;
  const there = new Set(newest.map((each) => each.id));
  for (const id of thumbs.keys()) if (!there.has(id)) thumbs.delete(id);
  const focused = document.activeElement; // the list is made anew under the person's hands
  const parts = [];
  for (const { label, pictures: count } of counts) {
    const its = newest.filter((each) => each.label === label);
    parts.push(make("div", { className: "group" }, make("h3", {}, label), make("small", {}, String(count))));
    const list = make("ul", { className: "thumbs" }, ...its.map(collectedThumb));
    list.setAttribute("aria-label", `Collected of ${label}`);
    parts.push(list);
  }
  $("collected").replaceChildren(...parts);
  if ($("collected").contains(focused)) focused.focus();
}

function collectedThumb({ id, label, name }) {
  if (thumbs.has(id)) return thumbs.get(id);
  const row = make("li", { title: name }, make("img", { src: `/api/collected/${id}/picture`, alt: name, loading: "lazy" }));
  row.append(cross(`Remove ${name} of ${label}`, async () => {
    const next = row.nextElementSibling || row.previousElementSibling;
    await removed(`/api/collected/${id}`);
    (next ? next.querySelector("button") : $("take")).focus();
  }));
  thumbs.set(id, row);
  return row;
}

// -- events ---------------------------------------------------------------------------------------------------------

async function showEvents() {
  const { events: seen } = await ask("GET", "/api/events");
  $("no-events").hidden = seen.length > 0;
  fill($("events"), seen, (event) => {
    const text = event.kind === "seen" ? event.text : STATES[event.kind];
    const at = new Date(1000 * event.at_s);
    const picture = event.has_picture
      ? make("img", { src: `/api/events/${event.id}/picture`, alt: "", loading: "lazy" })
      : make("span", { className: "sign" }, event.kind === "live" ? "●" : "○");
    const time = make("time", { dateTime: at.toISOString() }, at.toLocaleTimeString());
    return make("li", { title: event.kind === "seen" ? `${text} ${percent(event.score)}` : event.text || text }, picture, make("b", {}, text), time);
  });
  if (seen.length && changes.events > 1) $("announced").textContent = seen[0].kind === "seen" ? seen[0].text : STATES[seen[0].kind];
}

// -- alerts ---------------------------------------------------------------------------------------------------------

const HOW = { rule: "", quiet: "kept quiet", alike: "like wanted ones", missed: "missed" };

function showAlerts({ rules, alerts }) {
  $("alerts-card").hidden = rules.length === 0;
  $("rules").textContent = `Of ${rules.join("; ")}.${alerts.length ? "" : " None so far."}`;
  $("undo-mark").hidden = !alerts.some((alert) => alert.wanted !== null);
  const focused = document.activeElement.dataset.mark; // the list is made anew under the person's hands
  fill($("alerts"), alerts, alertRow);
  if (focused) $("alerts").querySelector(`[data-mark="${focused}"]`)?.focus();
  const newest = alerts.find((alert) => alert.how === "rule" || alert.how === "alike");
  if (newest && newestAlert !== null && newest.id > newestAlert) $("announced").textContent = `Alert: ${newest.label}`;
  newestAlert = Math.max(newestAlert || 0, newest ? newest.id : 0);
}

function alertRow(alert) {
  const at = new Date(alert.at);
  const row = make("li", { title: `${alert.rule}, ${alert.source}` });
  if (alert.has_picture) row.append(make("img", { src: `/api/alerts/${alert.id}/picture`, alt: "", loading: "lazy" }));
  const said = make("span", {}, make("b", {}, alert.label), ` ${percent(alert.score)} ${HOW[alert.how]}`);
  said.append(make("time", { dateTime: alert.at }, at.toLocaleString()));
  row.append(said, mark(alert, true, "Wanted"), mark(alert, false, "Not wanted"));
  if (alert.how === "quiet") row.className = "aside";
  return row;
}

function mark(alert, wanted, text) {
  const button = make("button", { type: "button", className: "quiet" }, text);
  button.dataset.mark = `${alert.id} ${wanted}`;
  button.setAttribute("aria-pressed", String(alert.wanted === wanted));
  button.setAttribute("aria-label", `${text}: alert ${alert.id}, ${alert.label}`);
  button.addEventListener("click", attempt(async () => showAlerts(await ask("POST", `/api/alerts/${alert.id}/mark`, { wanted }))));
  return button;
}

$("undo-mark").addEventListener("click", attempt(async () => showAlerts(await ask("DELETE", "/api/marks/newest"))));
$("miss").addEventListener("click", attempt(async () => {
  showAlerts(await ask("POST", "/api/alerts"));
  toast("Moments like this one alert from now on.");
}));

// -- releases -------------------------------------------------------------------------------------------------------

async function showRelease() {
  const found = await ask("GET", "/api/releases");
  if (releaseOfPage && releaseOfPage !== found.running) location.reload(); // this page came with the other one
  releaseOfPage = found.running;
  $("release").textContent = found.running;
  $("previous").textContent = found.previous ? `Before it: ${found.previous}` : "There is none to go back to.";
  $("roll-back").hidden = !found.previous;
}

$("roll-back").addEventListener("click", attempt(async () => {
  if (!(await sure("Go back to the release before? The camera starts again with it.", "Go back"))) return;
  $("roll-back").disabled = true;
  try {
    await ask("POST", "/api/rollback");
    toast("Going back; the page connects again by itself.");
  } finally {
    $("roll-back").disabled = false;
  }
}));

// -- making elements ------------------------------------------------------------------------------------------------

function make(tag, fields, ...children) {
  const made = Object.assign(document.createElement(tag), fields);
  made.append(...children);
  return made;
}

function cross(text, remove) {
  const button = make("button", { type: "button", className: "cross" }, "×");
  button.setAttribute("aria-label", text);
  button.addEventListener("click", attempt(remove));
  return button;
}

function bar(from, to) {
  const track = make("span", { className: "track" }, make("i", {}));
  track.setAttribute("aria-hidden", "true");
  track.firstChild.style.setProperty("--from", `${100 * from}%`);
  track.firstChild.style.setProperty("--to", `${100 * to}%`);
  return track;
}

function fill(place, items, row) {
  place.replaceChildren(...items.map(row));
}

showHoldText();
start();

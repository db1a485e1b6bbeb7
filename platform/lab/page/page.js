import { AttachAddon } from "./addon-attach.mjs";
import { FitAddon } from "./addon-fit.mjs";
import { Terminal } from "./xterm.mjs";
import { ChannelAddon } from "./channel.js";
import { adoptStyles } from "./styles.js";

const byId = (id) => document.getElementById(id);
const theme = {
  background: "#0b0f14",
  foreground: "#d5dde8",
  cursor: "#76b900",
  selectionBackground: "#2d4a66",
};

adoptStyles();
const terminal = new Terminal({
  theme,
  fontFamily: 'ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace',
  fontSize: 14,
  scrollback: 10000,
  cursorBlink: true,
});
const fit = new FitAddon();
terminal.loadAddon(fit);
terminal.open(byId("terminal"));

let session = null; // { socket, mode, exit } of the newest attempt

function show(state, text) {
  byId("state").dataset.state = state;
  byId("state").textContent = text;
}

function notice(text) {
  byId("notice").textContent = text;
  byId("notice").hidden = !text;
}

function showSize() {
  const fixed = session?.mode === "raw" ? " (raw mode keeps its first size)" : "";
  byId("size").textContent = `${terminal.cols} × ${terminal.rows}${fixed}`;
}

// Raw mode has no message that could tell the shell of a new size.
function fitToWindow() {
  const isRaw = session?.mode === "raw" && session.socket?.readyState === WebSocket.OPEN;
  if (!isRaw) fit.fit();
  showSize();
}

async function json(path, body) {
  const answer = await fetch(path, {
    method: body ? "POST" : "GET",
    headers: body ? { "Content-Type": "application/json" } : {},
    body: body && JSON.stringify(body),
  });
  const value = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(value.message ?? `HTTP ${answer.status}`);
  return value;
}

function noticeText(value) {
  if (value.notice === "draining")
    return `The gateway is draining: this session ends in ${value.deadline_s} s at the latest.`;
  if (value.notice === "idle")
    return `Idle: this session closes in ${value.closes_in_s} s unless something is typed.`;
  return `Notice from the gateway: ${value.notice ?? "unknown"}`;
}

function exitText({ exit_code: code, signal }) {
  return signal ? `exit status ${code} (signal ${signal})` : `exit status ${code}`;
}

function closeText(event, exit) {
  const reason = event.reason ? `: ${event.reason}` : "";
  // A script is never shown the HTTP answer of a refused upgrade.
  const hint = event.code === 1006 ? " (refused or lost: the gateway's log says why)" : "";
  const code = `closed ${event.code}${reason}${hint}`;
  return exit ? `${exitText(exit)} · ${code}` : code;
}

function addon(own) {
  if (own.mode === "raw") return new AttachAddon(own.socket);
  return new ChannelAddon(own.socket, {
    onHello: (hello) => (byId("session-id").textContent = `session ${hello.session_id ?? ""}`),
    onExit: (exit) => (own.exit = exit),
    onNotice: (value) => notice(noticeText(value)),
  });
}

function watch(own) {
  own.socket.addEventListener("open", () => {
    terminal.loadAddon(addon(own));
    show("connected", `connected · ${own.mode}`);
    showSize();
    terminal.focus();
  });
  own.socket.addEventListener("close", (event) => {
    if (own !== session) return; // a newer one has the screen
    const good = event.code === 1000;
    show(good ? "closed" : "failed", closeText(event, own.exit));
    notice("");
  });
}

// One attempt: a fresh token (it is good once), then the WebSocket with the token as its only
// subprotocol, so that it stands in no URL and no log.
async function connect() {
  const own = { mode: byId("session").elements.mode.value, socket: null, exit: null };
  const allocation = byId("allocation").value;
  session?.socket?.close(1000);
  session = own;
  terminal.reset();
  fit.fit();
  notice("");
  byId("session-id").textContent = "";
  show("connecting", "connecting …");
  try {
    const { lab_public_url: base } = await json("/api/config");
    const { token } = await json("/api/token", { allocation_id: allocation });
    if (own !== session) return;
    const size = `cols=${terminal.cols}&rows=${terminal.rows}`;
    const path = `/ws/terminal/${encodeURIComponent(allocation)}?mode=${own.mode}&${size}`;
    own.socket = new WebSocket(base + path, [token]);
    watch(own);
  } catch (error) {
    if (own === session) show("failed", `no token: ${error.message}`);
  }
}

const wanted = new URLSearchParams(location.search);
byId("allocation").value = wanted.get("allocation") ?? "lab";
if (wanted.get("mode") === "raw") byId("session").elements.mode.value = "raw";
byId("session").addEventListener("submit", (event) => {
  event.preventDefault();
  connect();
});
for (const radio of byId("session").elements.mode) radio.addEventListener("change", connect);
terminal.onTitleChange((title) => (document.title = title || "Terminal gateway"));
new ResizeObserver(fitToWindow).observe(byId("terminal"));
connect();

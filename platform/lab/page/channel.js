// Channel mode as an xterm.js addon: every message is binary, its first byte the channel.

const STDIN = 0;
const STDOUT = 1;
const EXIT = 3;
const RESIZE = 4;
const ACK = 5;
const HELLO = 6;
const NOTICE = 7;

// The agent keeps at most this much output unacknowledged: what the screen has not drawn
// yet waits in the shell and not in this page.
const WINDOW_BYTES = 512 * 1024;
const ACK_EVERY_BYTES = WINDOW_BYTES / 8;
const CHUNK_BYTES = 64 * 1024; // of a paste: other messages get in between

const encoder = new TextEncoder();
const decoder = new TextDecoder();

export class ChannelAddon {
  #socket;
  #events;
  #disposables = [];
  #received = 0;
  #acknowledged = 0;

  // events: onHello(json), onExit(json), onNotice(json)
  constructor(socket, events) {
    socket.binaryType = "arraybuffer";
    this.#socket = socket;
    this.#events = events;
  }

  activate(terminal) {
    const onMessage = (event) => this.#take(terminal, new Uint8Array(event.data));
    const onClose = () => this.dispose();
    this.#socket.addEventListener("message", onMessage);
    this.#socket.addEventListener("close", onClose);
    this.#disposables.push(
      terminal.onData((text) => this.#type(encoder.encode(text))),
      terminal.onBinary((text) => this.#type(Uint8Array.from(text, (c) => c.charCodeAt(0)))),
      terminal.onResize(({ cols, rows }) => this.#sendJson(RESIZE, { cols, rows })),
      { dispose: () => this.#socket.removeEventListener("message", onMessage) },
      { dispose: () => this.#socket.removeEventListener("close", onClose) },
    );
    const { cols, rows } = terminal;
    this.#sendJson(HELLO, { v: 1, cols, rows, window: WINDOW_BYTES });
  }

  dispose() {
    for (const d of this.#disposables.splice(0)) d.dispose();
  }

  #take(terminal, message) {
    const payload = message.subarray(1);
    if (message[0] === STDOUT) terminal.write(payload, () => this.#consumed(payload.length));
    else if (message[0] === HELLO) this.#events.onHello(parse(payload));
    else if (message[0] === EXIT) this.#events.onExit(parse(payload));
    else if (message[0] === NOTICE) this.#events.onNotice(parse(payload));
  }

  #consumed(bytes) {
    this.#received += bytes;
    if (this.#received - this.#acknowledged < ACK_EVERY_BYTES) return;
    this.#acknowledged = this.#received;
    const total = new DataView(new ArrayBuffer(8));
    total.setBigUint64(0, BigInt(this.#received));
    this.#send(ACK, new Uint8Array(total.buffer));
  }

  #type(bytes) {
    for (let at = 0; at < bytes.length; at += CHUNK_BYTES)
      this.#send(STDIN, bytes.subarray(at, at + CHUNK_BYTES));
  }

  #sendJson(channel, value) {
    this.#send(channel, encoder.encode(JSON.stringify(value)));
  }

  #send(channel, payload) {
    if (this.#socket.readyState !== WebSocket.OPEN) return;
    const message = new Uint8Array(1 + payload.length);
    message[0] = channel;
    message.set(payload, 1);
    this.#socket.send(message);
  }
}

function parse(payload) {
  try {
    return JSON.parse(decoder.decode(payload)) ?? {};
  } catch {
    return {};
  }
}

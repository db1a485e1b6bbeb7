// What a person sees on the lab's page, in a headless Chromium. The lab is up; prints TAP.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import http from "node:http";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

const root = path.join(path.dirname(fileURLToPath(import.meta.url)), "..", "..");
const { chromium } = createRequire(path.join(root, "build/npm/package.json"))("playwright-core");
const PAGE = "http://127.0.0.1:8000";
const WAIT_MS = 20000;
const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

let page;
const complaints = []; // of the browser: CSP violations, script errors

async function until(what, look) {
  const end = Date.now() + WAIT_MS;
  for (;;) {
    const value = await look();
    if (value) return value;
    if (Date.now() > end)
      throw new Error(`waited for ${what}; the screen:\n${await screen()}\n${await state()}`);
    await new Promise((r) => setTimeout(r, 50));
  }
}

async function screen() {
  const rows = await page.locator(".xterm-rows > div").allTextContents();
  return rows.map((row) => row.replaceAll("\u00a0", " ").trimEnd()).join("\n");
}

const state = () => page.locator("#state").textContent();
const onScreen = (text) => until(text, async () => (await screen()).includes(text));
const inState = (text) => until(text, async () => (await state()).includes(text));

async function enter(line) {
  await page.keyboard.insertText(line);
  await page.keyboard.press("Enter");
}

async function fresh(mode) {
  await page.goto(`${PAGE}/?mode=${mode}`);
  await inState(`connected · ${mode}`);
  await enter("echo begin-$((1 + 1))");
  await onScreen("begin-2");
  await enter("clear");
  await until("an empty screen", async () => !(await screen()).includes("begin-2"));
}

const gatewaySize = async () =>
  (await page.locator("#size").textContent()).match(/(\d+) × (\d+)/).slice(1).map(Number);

function ask(method, target, headers = {}, body = "") {
  return new Promise((resolve, reject) => {
    const request = http.request(`${PAGE}`, { method, path: target, headers }, (answer) => {
      let text = "";
      answer.on("data", (data) => (text += data));
      answer.on("end", () => resolve({ status: answer.statusCode, headers: answer.headers, text }));
    });
    request.on("error", reject);
    request.end(body);
  });
}

const tokensMinted = () =>
  readFileSync("/run/tgw/lab/control.log", "utf8").split("tokens_minted").length - 1;
const tgwctl = (...args) => execFileSync(path.join(root, "build/tgwctl"), args);

async function aTypedCommandIsAnswered() {
  await fresh("channel");
  await page.keyboard.type("echo $((6 * 7))-answer\n");
  await onScreen("42-answer");
  assert.match(await page.locator("#session-id").textContent(), /^session [0-9a-f]{32}$/);
}

async function utf8AndColoursAreShown() {
  await fresh("channel");
  await enter("printf 'Käse-€-猫-🙂\\n' | tee /dev/tty | wc -m");
  await onScreen("\nKäse-€-猫-🙂");
  await onScreen("\n11");
  await enter("printf '\\033[31mcrim''son\\033[0m \\033[38;2;1;200;3mgra''ss\\033[0m\\n'");
  const colour = (text) =>
    page.locator(".xterm-rows span", { hasText: text }).evaluate((e) => getComputedStyle(e).color);
  await onScreen("crimson grass");
  assert.equal(await colour("crimson"), "rgb(204, 0, 0)");
  assert.equal(await colour("grass"), "rgb(1, 200, 3)");
}

async function aResizeReachesTheShell() {
  await fresh("channel");
  const before = await gatewaySize();
  await page.setViewportSize({ width: 1000, height: 500 });
  const after = await until("another size", async () => {
    const size = await gatewaySize();
    return size.join() !== before.join() && size;
  });
  await enter("stty size");
  await onScreen(`\n${after[1]} ${after[0]}\n`);
  await page.setViewportSize({ width: 1100, height: 700 });
}

async function viStartsAndQuits() {
  await fresh("channel");
  await enter("rm -f /tmp/tgw-page-vi; vi /tmp/tgw-page-vi");
  await onScreen("\n~\n");
  await page.keyboard.type("ihello from vi");
  await page.keyboard.press("Escape");
  await page.keyboard.type(":wq\n");
  await until("vi to leave", async () => !(await screen()).includes("\n~\n"));
  await enter("cat /tmp/tgw-page-vi | rev; rm /tmp/tgw-page-vi");
  await onScreen("iv morf olleh");
}

async function topStartsAndQuits() {
  await fresh("channel");
  await enter("top");
  await onScreen("load average");
  await page.keyboard.press("q");
  await enter("echo after-$((2 + 3))");
  await onScreen("after-5");
}

async function aPasteOfAMegabyteArrivesWhole(mode) {
  await fresh(mode);
  let text = "";
  for (let i = 0; text.length < 999_000; i++) text += `${i}: zażółć gęślą jaźń\n`;
  const sent = Buffer.from(text.replaceAll("\n", "\r")); // as the Enter key says it
  const sum = createHash("sha256").update(sent).digest("hex");
  await enter(`stty raw -echo; echo rea''dy; head -c ${sent.length} | sha256sum; stty sane`);
  await onScreen("ready");
  await page.locator(".xterm-helper-textarea").evaluate((element, pasted) => {
    const clipboardData = new DataTransfer();
    clipboardData.setData("text/plain", pasted);
    element.dispatchEvent(new ClipboardEvent("paste", { clipboardData, bubbles: true }));
  }, text);
  await onScreen(sum);
}

async function aFloodIsInterrupted(mode) {
  await fresh(mode);
  await enter("yes flooding");
  await onScreen("flooding\nflooding");
  await page.keyboard.press("Control+c");
  await enter("clear; echo back-$((3 + 4))");
  await onScreen("back-7");
}

async function theExitStatusIsShown() {
  await fresh("channel");
  await enter("exit 7");
  await inState("exit status 7 · closed 1000");
  await page.click("#connect");
  await inState("connected · channel");
}

async function aSignalIsShown() {
  await fresh("channel");
  await enter("kill -9 $$");
  await inState("exit status 137 (signal 9)");
}

async function rawModeWorks() {
  await fresh("channel");
  await page.getByText("raw", { exact: true }).click();
  await inState("connected · raw");
  await enter("stty size; echo grüße-$((40 + 2))");
  const [cols, rows] = await gatewaySize();
  await onScreen("grüße-42");
  await onScreen(`\n${rows} ${cols}\n`);
  await enter("exit");
  await inState("closed 1000");
}

async function noticesAreShown() {
  await fresh("channel");
  tgwctl("drain", "--timeout", "90");
  try {
    await until("a notice", () => page.locator("#notice").isVisible());
    assert.match(await page.locator("#notice").textContent(), /draining.* 9\d s/);
    const other = await page.context().newPage();
    await other.goto(PAGE);
    await other.getByText("closed 1006").waitFor({ timeout: WAIT_MS });
    await other.close();
  } finally {
    tgwctl("undrain");
  }
}

async function nobodyElseMayMint() {
  const before = tokensMinted();
  const body = '{"allocation_id":"lab"}';
  const own = { Origin: PAGE };
  assert.equal((await ask("POST", "/api/token", {}, body)).status, 403);
  assert.equal((await ask("POST", "/api/token", { Origin: "null" }, body)).status, 403);
  assert.equal((await ask("POST", "/api/token", { Origin: `${PAGE}.evil` }, body)).status, 403);
  assert.equal((await ask("POST", "/api/token", { ...own, Host: "evil:8000" }, body)).status, 421);
  assert.equal((await ask("GET", "/", { Host: "evil:8000" })).status, 421);
  assert.equal((await ask("POST", "/api/token", own, "[")).status, 400);
  assert.equal((await ask("POST", "/api/token", own, '{"allocation_id":7}')).status, 400);
  assert.equal((await ask("GET", "/api/token")).status, 404);
  assert.equal((await ask("PUT", "/api/token", own)).status, 405);
  await anotherSiteTries();
  assert.equal(tokensMinted(), before);
  assert.equal((await ask("POST", "/api/token", own, body)).status, 200);
  assert.equal(tokensMinted(), before + 1);
}

// A page of another origin, in the same browser.
async function anotherSiteTries() {
  const site = http.createServer((_, answer) => answer.end("<!doctype html>evil"));
  await new Promise((r) => site.listen(0, "127.0.0.1", r));
  const other = await page.context().newPage();
  await other.goto(`http://127.0.0.1:${site.address().port}/`);
  const result = await other.evaluate(async (target) => {
    const options = { method: "POST", mode: "no-cors", body: '{"allocation_id":"lab"}' };
    const blind = (await fetch(target, options)).type;
    const seen = await fetch(target, { ...options, mode: "cors" }).then(
      () => "seen",
      () => "hidden",
    );
    return [blind, seen];
  }, `${PAGE}/api/token`).catch((error) => [error.message, "hidden"]);
  assert.equal(result[1], "hidden", result[0]);
  await other.close();
  site.close();
}

async function onlyThePagesFilesAreServed() {
  for (const target of ["/../npm/package.json", "/%2e%2e/npm/package.json", "/..%2fnpm%2fpackage.json",
    "//etc/passwd", "/.", "/..", "/nothing.html", "/page.js/"])
    assert.equal((await ask("GET", target)).status, 404, target);
  const { status, headers } = await ask("GET", "/page.js");
  assert.equal(status, 200);
  assert.match(headers["content-type"], /^text\/javascript/);
  assert.match(headers["content-security-policy"], /default-src 'none'/);
  assert.doesNotMatch(headers["content-security-policy"], /unsafe/);
  assert.equal((await ask("HEAD", "/")).status, 200);
}

async function aPictureForTheReadme() {
  await page.setViewportSize({ width: 900, height: 520 });
  await fresh("channel");
  await enter("PS1='\\[\\e[1;32m\\]node\\[\\e[0m\\]:\\[\\e[1;34m\\]\\w\\[\\e[0m\\]$ '; cd /usr; clear");
  const commands = [
    "ls --color=always -x",
    "ip -c -br addr show eth0",
    "uptime",
    "printf 'žluťoučký kůň · γειά σου · привет · €\\n'",
    "for i in $(seq 16 51); do printf '\\e[48;5;%dm  ' $i; done; printf '\\e[0m\\n'",
  ];
  for (const [index, command] of commands.entries()) {
    await until("a prompt", async () => (await screen()).split("node:/usr$").length === index + 2);
    await enter(command);
  }
  await until("the last", async () => (await screen()).split("node:/usr$").length === 7);
  await page.screenshot({ path: path.join(root, "build/terminal.png") });
  await page.setViewportSize({ width: 1100, height: 700 });
}

async function theBrowserDidNotComplain() {
  assert.deepEqual(complaints, []);
}

const CASES = [
  ["a typed command is answered", aTypedCommandIsAnswered],
  ["UTF-8 and colours are shown", utf8AndColoursAreShown],
  ["a resize reaches the shell", aResizeReachesTheShell],
  ["vi starts and quits", viStartsAndQuits],
  ["top starts and quits", topStartsAndQuits],
  ["a paste of a megabyte arrives whole (channel)", () => aPasteOfAMegabyteArrivesWhole("channel")],
  ["a paste of a megabyte arrives whole (raw)", () => aPasteOfAMegabyteArrivesWhole("raw")],
  ["a flood is interrupted (channel)", () => aFloodIsInterrupted("channel")],
  ["a flood is interrupted (raw)", () => aFloodIsInterrupted("raw")],
  ["the exit status is shown, and reconnect works", theExitStatusIsShown],
  ["a signal is shown", aSignalIsShown],
  ["raw mode works", rawModeWorks],
  ["a picture for the README", aPictureForTheReadme],
  ["the browser did not complain", theBrowserDidNotComplain],
  ["notices are shown", noticesAreShown],
  ["nobody else may mint", nobodyElseMayMint],
  ["only the page's files are served", onlyThePagesFilesAreServed],
];

async function main() {
  console.log(`1..${CASES.length}`);
  const profile = mkdtempSync(path.join(tmpdir(), "tgw-chromium-"));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: FLAGS,
    viewport: { width: 1100, height: 700 },
  });
  page = context.pages()[0] ?? (await context.newPage());
  page.on("console", (m) => m.type() === "error" && complaints.push(m.text()));
  page.on("pageerror", (error) => complaints.push(String(error)));
  let failed = 0;
  for (const [index, [name, run]] of CASES.entries()) {
    try {
      await run();
      console.log(`ok ${index + 1} - page: ${name}`);
    } catch (error) {
      failed++;
      console.log(`not ok ${index + 1} - page: ${name}`);
      console.log(String(error?.message ?? error).replaceAll(/^/gm, "# "));
    }
  }
  await context.close();
  rmSync(profile, { recursive: true, force: true });
  process.exitCode = failed ? 1 : 0;
}

await main();

// A real server on a folder of its own, a real browser, and what all journeys ask of every page.

import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

// The modules are installed outside of the checkout.
const require = createRequire(join(process.env.BROWSER_MODULES ?? process.cwd(), 'node_modules', 'x.js'));
const { chromium } = require('playwright-core');
export const { TOTP } = require('otpauth');
const axeSource = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');

const FLAGS = [
  '--headless=new', '--no-sandbox', '--disable-dev-shm-usage', '--disable-gpu', '--disable-background-networking',
  '--disable-component-update', '--disable-sync', '--no-first-run',
];

export function assert(holds, what) {
  if (!holds) throw new Error(what);
}

export function equal(got, wanted, what) {
  assert(got === wanted, `${what}: ${JSON.stringify(got)} instead of ${JSON.stringify(wanted)}`);
}

const freePort = () => new Promise((resolve) => {
  const server = createServer().listen(0, '127.0.0.1', () => {
    const { port } = server.address();
    server.close(() => resolve(port));
  });
});

/** Starts the program; `end` stops it and removes its folder. */
export async function startServer(program) {
  const folder = mkdtempSync(join(tmpdir(), 'realmgate-browser.'));
  const port = await freePort();
  const env = { PATH: process.env.PATH, REALMGATE_DATA_DIR: folder, REALMGATE_LISTEN: `127.0.0.1:${port}`, REALMGATE_LOG: 'warn' };
  const child = spawn(program, [], { env, cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] });
  let printed = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => { printed += data; });
  const base = `http://localhost:${port}`;
  const end = async () => {
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGTERM');
    await gone;
    rmSync(folder, { recursive: true, force: true });
  };
  for (let tries = 0; tries < 100; tries += 1) {
    const ready = await fetch(`${base}/healthz/ready`).then((reply) => reply.ok, () => false);
    if (ready) return { base, end, printed: () => printed };
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  await end();
  throw new Error(`the server did not start: ${printed}`);
}

export const startBrowser = () => chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: FLAGS });

/** A fresh browser profile whose every page is watched: no request leaves for elsewhere, nothing breaks the policy. */
export async function person(browser, base, options = {}) {
  const context = await browser.newContext({ locale: 'en-GB', ...options });
  const faults = [];
  const watch = (page) => {
    page.on('console', (message) => { if (message.type() === 'error' && !/status of [45]/.test(message.text())) faults.push(message.text()); });
    page.on('pageerror', (error) => faults.push(String(error)));
    page.on('request', (request) => { if (!request.url().startsWith(base) && !/^(data|about):/.test(request.url())) faults.push(`request to ${request.url()}`); });
  };
  context.on('page', watch);
  const page = await context.newPage();
  return { context, page, faults };
}

/** The newest mail to `to` with `subject`, as the development mailbox has it. */
export async function mail(base, to, subject) {
  for (let tries = 0; tries < 50; tries += 1) {
    const { items } = await (await fetch(`${base}/dev/mailbox/messages?to=${encodeURIComponent(to)}`)).json();
    const found = items.find((item) => item.subject.includes(subject));
    if (found) return found;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`no mail "${subject}" to ${to}`);
}

let shot = 0;

/** What every page must be, in whatever state: readable, labelled, not wider than the screen, of a touchable size. */
export async function inspect(page, name) {
  if (process.env.BROWSER_SHOTS) {
    shot += 1;
    await page.screenshot({ path: join(process.env.BROWSER_SHOTS, `${String(shot).padStart(2, '0')}-${name}.png`), fullPage: true });
  }
  await page.evaluate(axeSource);
  const found = await page.evaluate(async () => {
    const result = await globalThis.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] });
    return result.violations.map((fault) => `${fault.id}: ${fault.nodes.map((node) => node.html).join(' | ')}`);
  });
  assert(found.length === 0, `${name}: ${found.join('\n')}`);
  const width = await page.evaluate(() => [document.documentElement.scrollWidth, window.innerWidth]);
  assert(width[0] <= width[1], `${name} scrolls sideways: ${width}`);
  const small = await page.evaluate(() => [...document.querySelectorAll('button, .button, select, input:not([type=hidden])')]
    .map((element) => [element.outerHTML, element.getBoundingClientRect().height]).filter(([, height]) => height < 44));
  assert(small.length === 0, `${name} has small targets: ${small}`);
}

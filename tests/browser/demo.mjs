// Starts `portico demo` on a free port, and Chromium.

import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { chromium } from 'playwright-core';

const root = fileURLToPath(new URL('../..', import.meta.url));
const binary = process.env.PORTICO_TEST_BINARY ?? `${root}target/debug/portico`;
const reports = `${process.env.PORTICO_TEST_REPORTS ?? `${root}target/test-reports`}/browser`;

/** Starts the demo with a port and these settings as its environment. Resolves with the printed address. */
export async function startDemo(settings = {}) {
  const child = spawn(binary, ['demo'], {
    env: { PORTICO_SERVER_LISTEN: '127.0.0.1:0', ...settings },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = once(child, 'exit');
  const lines = createInterface({ input: child.stdout });
  const address = (async () => {
    for await (const line of lines) {
      const found = line.match(/http:\/\/(?:localhost|127\.0\.0\.1):\d+\//);
      if (found) return found[0];
    }
    throw new Error('the demo printed no address');
  })();
  const limit = new Promise((_, reject) => {
    setTimeout(reject, 20_000, new Error('the demo did not start in 20 s')).unref();
  });
  try {
    const url = await Promise.race([address, limit]);
    child.stdout.resume();
    return {
      url,
      stop: async () => {
        child.kill('SIGTERM');
        const [code, signal] = await ended;
        return code ?? signal;
      },
    };
  } catch (error) {
    child.kill('SIGKILL');
    throw error;
  }
}

/** Runs a command of `portico` with these settings. Resolves with its output. */
export async function command(settings, ...words) {
  const { stdout } = await promisify(execFile)(binary, words, { env: settings, timeout: 20_000 });
  return stdout;
}

export function startChromium() {
  return chromium.launch({
    executablePath: process.env.PORTICO_TEST_CHROMIUM ?? '/usr/bin/chromium',
    args: [
      '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync',
    ],
  });
}

/** The headers that the browser sent with a request; empty if the page is already closed. */
export const headersOf = (request) => request.allHeaders().catch(() => ({}));

/** Returns the path of a screenshot with this name. */
export async function picture(name) {
  await mkdir(reports, { recursive: true });
  return `${reports}/${name}.png`;
}

/**
 * Records what other parties, the history or logs can see of a page: the URLs of its requests and
 * navigations, its referrers, its web storage, and the cookies that its scripts can read.
 */
export class Watch {
  #page;
  seen = new Set();
  complaints = [];

  constructor(page) {
    this.#page = page;
    page.on('request', async (request) => {
      this.seen.add(request.url());
      const { referer } = await headersOf(request);
      if (referer) this.seen.add(referer);
    });
    page.on('framenavigated', (frame) => this.seen.add(frame.url()));
    page.on('pageerror', (error) => this.complaints.push(String(error)));
    page.on('console', (message) => {
      // Chromium reports every 401, and the session check of the page uses 401.
      const text = message.text();
      if (message.type() === 'error' && !/status of 401/.test(text)) this.complaints.push(text);
    });
  }

  /** Records the storage and cookies of the current page. */
  async look() {
    const kept = await this.#page.evaluate(async () => [
      location.href,
      document.cookie,
      JSON.stringify({ ...localStorage }),
      JSON.stringify({ ...sessionStorage }),
      JSON.stringify(history.state),
      JSON.stringify(await indexedDB.databases()),
      JSON.stringify(await caches.keys()),
    ]);
    for (const value of kept) this.seen.add(value);
  }

  /** Returns the recorded texts with a token: any JWT, or one of these values. */
  leaks(tokens) {
    const leaks = (text) => /eyJ[\w-]{10}/.test(text) || tokens.some((token) => text.includes(token));
    return [...this.seen].filter(leaks);
  }
}

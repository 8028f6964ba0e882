// Runs the scripts of docs/frontend.md verbatim in a real browser, with its own cookies, CORS and referrers.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { startChromium, startDemo, Watch } from './demo.mjs';

const SLOT = 'oidc/provider1';

/** Returns the block of the page that contains these words. */
async function documented(words) {
  const page = await readFile(new URL('../../docs/frontend.md', import.meta.url), 'utf8');
  const found = [...page.matchAll(/^```js\n(.*?)^```/gms)].map(([, block]) => block);
  const blocks = found.filter((block) => block.includes(words));
  assert.equal(blocks.length, 1, `one block has ${words}`);
  return blocks[0];
}

/** Starts a frontend on its own origin: an empty page at every path, and a module. */
async function startFrontend(host) {
  const frontend = { module: '' };
  const server = createServer((request, response) => {
    const script = request.url === '/module.mjs';
    response.writeHead(200, { 'content-type': script ? 'text/javascript' : 'text/html' });
    const page = '<!doctype html><title>frontend</title><link rel="icon" href="data:,">';
    response.end(script ? frontend.module : page);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  frontend.origin = `http://${host}:${server.address().port}`;
  frontend.stop = () => { server.closeAllConnections(); server.close(); };
  return frontend;
}

describe('a frontend as documented', { timeout: 120_000 }, () => {
  let elsewhere;
  let beside;
  let demo;
  let chromium;
  let context;
  let page;
  let watch;

  before(async () => {
    elsewhere = await startFrontend('127.0.0.1');
    beside = await startFrontend('localhost');
    demo = await startDemo({
      PORTICO_SERVER_RETURN_ORIGINS: `${elsewhere.origin},${beside.origin}`,
      PORTICO_SERVER_CORS_ORIGINS: beside.origin,
    });
    elsewhere.module = (await documented('export async function logIn'))
      .replaceAll('https://login.example.com', demo.url.replace(/\/$/, ''))
      .replaceAll('https://spa.example.org', elsewhere.origin);
    chromium = await startChromium();
  });

  after(async () => {
    await chromium?.close();
    elsewhere?.stop();
    beside?.stop();
    assert.equal(await demo?.stop(), 0, 'the demo exits cleanly');
  });

  beforeEach(async () => {
    context = await chromium.newContext();
    context.setDefaultTimeout(15_000);
    page = await context.newPage();
    watch = new Watch(page);
  });

  afterEach(async () => {
    await context?.close();
    context = undefined;
  });

  const choose = () => page.locator('button[name="person"]').first().click();

  test('h24 on another site is handed its tokens, refreshes, and has no cookie', async () => {
    await page.goto(elsewhere.origin);
    await page.evaluate((slot) => { import('/module.mjs').then((module) => module.logIn(slot)); }, SLOT);
    await choose();
    await page.waitForURL(`${elsewhere.origin}/callback?code=*`);
    const first = await page.evaluate(async () => (await import('/module.mjs')).arrive());
    assert.equal(first.token_type, 'Bearer');
    assert.equal(page.url(), `${elsewhere.origin}/`, 'the URL has no code');
    const refresh = async (token) => (await import('/module.mjs')).refresh(token);
    const second = await page.evaluate(refresh, first.refresh_token);
    assert.notEqual(second.refresh_token, first.refresh_token);
    const session = await page.evaluate(async ([url, token]) => {
      const answer = await fetch(url, { headers: { Authorization: `Bearer ${token}` } });
      return answer.json();
    }, [`${demo.url}auth/session`, second.access_token]);
    assert.equal(session.idp, SLOT);
    const names = (await context.cookies()).map((cookie) => cookie.name);
    assert.deepEqual(names.filter((name) => /access|refresh/.test(name)), []);
    await watch.look();
    assert.deepEqual(watch.leaks([first.access_token, first.refresh_token, second.refresh_token]), []);
    assert.deepEqual(watch.complaints, []);
  });

  test('beside Portico, on the same site, uses its cookies from an origin that is allowed', async () => {
    const login = new URL(`auth/${SLOT}/login`, demo.url);
    login.searchParams.set('return_to', `${beside.origin}/app`);
    await page.goto(login.href);
    await choose();
    await page.waitForURL(`${beside.origin}/app`);
    const statuses = await page.evaluate(async (url) => {
      const session = await fetch(`${url}auth/session`, { credentials: 'include' });
      const csrf = session.headers.get('X-CSRF-Token');
      const options = { method: 'POST', credentials: 'include' };
      const refresh = (headers) => fetch(`${url}auth/refresh`, { ...options, headers });
      return [session.status, (await refresh({})).status, (await refresh({ 'X-CSRF-Token': csrf })).status];
    }, demo.url);
    assert.deepEqual(statuses, [200, 403, 200]);
  });

  test('m37 an origin that nobody allowed reads nothing', async () => {
    await page.goto(elsewhere.origin);
    const read = (path, init) => page.evaluate(async ([url, options]) => {
      try { return (await fetch(url, options)).status; } catch { return 'nothing'; }
    }, [demo.url + path, init]);
    assert.equal(await read('auth/session'), 401, 'a request with its own tokens would pass');
    assert.equal(await read('auth/session', { credentials: 'include' }), 'nothing');
    assert.equal(await read('auth/providers'), 'nothing');
  });

  test('links a second provider', async () => {
    await page.goto(`${demo.url}auth/${SLOT}/login?return_to=/auth/session`);
    await choose();
    await page.waitForURL('**/auth/session');
    await page.goto(demo.url);
    const link = await documented('/link?return_to');
    // The test does not await this call, because it leaves the page.
    const session = "const session = await (await fetch('/auth/session')).json();";
    await page.evaluate(`void (async () => { ${session} ${link} })()`);
    await choose();
    await page.waitForURL('**/settings');
    const { identities } = await (await page.goto(`${demo.url}auth/identities`)).json();
    const slots = identities.map((identity) => `${identity.protocol}/${identity.slot}`);
    assert.deepEqual(slots, [SLOT, 'oauth2/google']);
  });
});

// Portico's two pages that need a script, in a real browser, which enforces policies, cookies and fragments.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { command, headersOf, picture, startChromium, startDemo, Watch } from './demo.mjs';

const SLOT = 'oidc/provider1';

describe('pages with a script', { timeout: 120_000 }, () => {
  let directory;
  let settings;
  let demo;
  let chromium;
  let context;
  let page;
  let watch;

  const claims = async () => JSON.parse(await page.getByTestId('jwt-claims').textContent());

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'portico-'));
    settings = {
      PORTICO_STORAGE_URL: `sqlite://${directory}/portico.db`,
      PORTICO_SECURITY_SECRET_KEY: randomBytes(32).toString('base64url'),
    };
    demo = await startDemo({ ...settings, PORTICO_OIDC_PROVIDER1_RESPONSE_MODE: 'form_post' });
    settings.PORTICO_PUBLIC_URL = demo.url.replace(/\/$/, '');
    chromium = await startChromium();
  });

  after(async () => {
    await chromium?.close();
    const ended = await demo?.stop();
    await rm(directory, { recursive: true, force: true });
    assert.equal(ended, 0, 'the demo exits cleanly');
  });

  async function open() {
    await context?.close();
    context = await chromium.newContext();
    context.setDefaultTimeout(15_000);
    page = await context.newPage();
    watch = new Watch(page);
  }

  beforeEach(open);
  afterEach(async () => {
    await context?.close();
    context = undefined;
  });

  const makeLink = async () => {
    const made = await command(settings, 'break-glass', 'Root Person', '--json');
    return JSON.parse(made).url;
  };

  const isSignedIn = async () => (await context.cookies()).some((cookie) => cookie.name === 'portico_access');

  async function press(link) {
    await page.goto(link);
    await page.locator('button:enabled').click();
  }

  test('q_ap_1 a provider on another site posts its answer, and the person is signed in', async () => {
    const posted = [];
    page.on('request', async (request) => {
      if (request.method() !== 'POST' || !request.url().endsWith('/callback')) return;
      posted.push(/portico_login/.test((await headersOf(request)).cookie ?? ''));
    });
    await page.goto(demo.url);
    await page.locator(`a[data-slot="${SLOT}"]`).click();
    await page.locator('button[name="person"]').first().waitFor();
    const hosts = [page.url(), demo.url].map((url) => new URL(url).hostname);
    assert.notEqual(hosts[0], hosts[1], 'the provider is on another site');
    await page.locator('button[name="person"]').first().click();
    await page.getByTestId('account').waitFor();
    await page.locator('[data-testid="signature"].good').waitFor();
    assert.equal((await claims()).idp, SLOT);
    assert.deepEqual(posted, [false, true], 'only the second post, from Portico’s page, has the cookie');
    await watch.look();
    assert.deepEqual([...watch.seen].filter((text) => /[?&]code=/.test(text)), [], 'no URL has the code');
    assert.deepEqual(watch.complaints, []);
  });

  const once = 'h09 a break-glass link signs in once, and its code is in no address that is sent or kept';
  test(once, async () => {
    await command(settings, 'accounts', 'create', '--name', 'Root Person', '--role', 'admin');
    const link = await makeLink();
    const code = new URL(link).hash.slice(1);
    assert.ok(code.length > 20);
    const sent = [];
    page.on('request', async (request) => sent.push(request.url(), JSON.stringify(await headersOf(request))));
    await page.goto(link);
    await page.screenshot({ path: await picture('break-glass') });
    assert.equal(new URL(page.url()).hash, '', 'the fragment is removed');
    await page.locator('button:enabled').click();
    await page.getByTestId('account').waitFor();
    await page.locator('[data-testid="signature"].good').waitFor();
    const { idp, amr, roles } = await claims();
    assert.deepEqual([idp, amr, roles], ['break-glass', ['break-glass'], ['admin']]);
    await page.goBack();
    await page.goForward();
    await watch.look();
    assert.deepEqual([...sent, page.url()].filter((text) => text.includes(code)), []);
    assert.deepEqual(watch.complaints, []);
    await open();
    await press(link);
    await page.getByText('login_state_invalid').waitFor();
    assert.equal(await isSignedIn(), false);
  });

  test('a new link works in the tab that an old one was opened in', async () => {
    const spent = await makeLink();
    const old = await makeLink();
    await press(spent);
    await page.getByText('login_state_invalid').waitFor();
    await page.goto(old);
    await page.locator('button:enabled').waitFor();
    await press(await makeLink());
    await page.getByTestId('account').waitFor();
  });

  test('h02 another site cannot press the button of a break-glass link', async () => {
    const link = new URL(await makeLink());
    const foreign = demo.url.replace('localhost', '127.0.0.1');
    await page.route(`${foreign}**`, (route) => route.fulfill({
      contentType: 'text/html',
      body: `<form method="post" action="${demo.url}auth/break-glass">
        <input name="code" value="${link.hash.slice(1)}"><button>x</button></form>`,
    }));
    await page.goto(foreign);
    await page.locator('button').click();
    await page.getByText('csrf_failed').waitFor();
    assert.equal(await isSignedIn(), false);
    await open();
    await press(link.href);
    await page.getByTestId('account').waitFor();
  });
});

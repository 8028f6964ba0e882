// The demo in a browser: login buttons, the provider's page, and the signed-in page.

import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { picture, startChromium, startDemo, Watch } from './demo.mjs';

const SLOTS = [
  'oidc/provider1', 'oidc/provider2', 'oidc/google', 'oauth2/provider1', 'oauth2/provider2', 'oauth2/google',
];
const LIMIT = 15_000;

describe('the demo', { timeout: 300_000 }, () => {
  let demo;
  let chromium;
  let context;
  let page;
  let watch;

  const part = (id) => page.getByTestId(id);
  const text = async (id) => (await part(id).textContent()).trim();
  const button = (slot) => page.locator(`a[data-slot="${slot}"]`);

  async function open(options = {}) {
    await context?.close();
    context = await chromium.newContext({ viewport: { width: 1280, height: 900 }, ...options });
    context.setDefaultTimeout(LIMIT);
    page = await context.newPage();
    watch = new Watch(page);
  }

  async function choose(person = 'Ada') {
    await page.locator('button[name="person"]', { hasText: person }).first().click();
  }

  async function logIn(slot) {
    await page.goto(demo.url);
    await button(slot).click();
    await choose();
    await part('account').waitFor();
    await page.locator('[data-testid="signature"].good').waitFor();
  }

  async function cookie(name) {
    return (await context.cookies()).find((one) => one.name === name);
  }

  before(async () => {
    demo = await startDemo();
    chromium = await startChromium();
  });

  after(async () => {
    await chromium?.close();
    assert.equal(await demo?.stop(), 0, 'the demo exits cleanly');
  });

  beforeEach(() => open());
  afterEach(async () => {
    await context?.close();
    context = undefined;
  });

  test('shows six buttons with labels and icons', async () => {
    await page.goto(demo.url);
    for (const slot of SLOTS) {
      await button(slot).waitFor();
      assert.ok((await button(slot).innerText()).trim().length > 0, `${slot} has a label`);
      const shape = await button(slot).locator('svg path').first().getAttribute('d');
      assert.ok(shape?.length > 10, `${slot} has an icon`);
    }
    assert.deepEqual(watch.complaints, []);
  });

  for (const slot of ['oidc/provider1', 'oauth2/provider2']) {
    const name = `logs in through ${slot}, refreshes and logs out, and no token is where it must not be`;
    test(name, async () => {
      const tokens = [];
      const remember = async () => {
        await watch.look();
        for (const name of ['portico_access', 'portico_refresh']) {
          const one = await cookie(name);
          if (one) tokens.push(one.value);
        }
      };
      await page.goto(demo.url);
      await watch.look();
      await button(slot).click();
      await page.locator('button[name="person"]').first().waitFor();
      await watch.look();
      await choose();
      await part('account').waitFor();
      await page.locator('[data-testid="signature"].good').waitFor();
      await remember();

      const claims = JSON.parse(await text('jwt-claims'));
      assert.equal(claims.idp, slot);
      assert.equal(claims.iss, demo.url.replace(/\/$/, ''));
      assert.equal(claims.name, await text('account-label'));
      assert.equal(JSON.parse(await text('jwt-header')).typ, 'at+jwt');
      for (const name of ['portico_access', 'portico_refresh']) {
        const one = await cookie(name);
        assert.ok(one.httpOnly && one.sameSite === 'Lax', `${name} is kept from scripts`);
      }

      const before = await text('jti');
      const spent = (await cookie('portico_refresh')).value;
      await part('refresh').click();
      const renewed = (old) => document.querySelector('[data-testid=jti]').textContent !== old;
      await page.waitForFunction(renewed, before);
      await remember();
      assert.notEqual((await cookie('portico_refresh')).value, spent, 'the refresh token is rotated');
      assert.equal(JSON.parse(await text('jwt-claims')).sid, claims.sid, 'it is the same session');

      await page.reload();
      await part('account').waitFor();
      await remember();

      await part('logout').click();
      await button(slot).waitFor();
      await watch.look();
      assert.equal(await cookie('portico_access'), undefined);
      assert.equal(await cookie('portico_refresh'), undefined);
      await page.reload();
      await button(slot).waitFor();
      await watch.look();

      assert.ok(tokens.length >= 4 && watch.seen.size > 10, 'the test recorded tokens and texts');
      assert.deepEqual(watch.leaks(tokens), []);
      assert.deepEqual(watch.complaints, []);
    });
  }

  for (const slot of SLOTS) {
    test(`knows a person again who comes through ${slot}`, async () => {
      await logIn(slot);
      const first = JSON.parse(await text('jwt-claims'));
      assert.equal(first.idp, slot);
      await open();
      await logIn(slot);
      assert.equal(JSON.parse(await text('jwt-claims')).sub, first.sub);
    });
  }

  test('tells a person who was refused at the provider what happened', async () => {
    await page.goto(demo.url);
    await button('oidc/provider1').click();
    await page.locator('button[name="deny"]').click();
    await part('error').waitFor();
    assert.match(await text('error'), /idp_denied/);
    assert.equal(new URL(page.url()).search, '', 'the URL has no query');
    await button('oidc/provider1').waitFor();
  });

  test('another browser cannot finish a login', async () => {
    await page.goto(demo.url);
    await button('oidc/provider1').click();
    const back = page.waitForRequest(/\/auth\/oidc\/provider1\/callback\?/);
    await page.route(/\/auth\/oidc\/provider1\/callback\?/, (route) => route.abort());
    await choose();
    const stolen = (await back).url();
    await open();
    await page.goto(stolen);
    await part('error').waitFor();
    assert.match(await text('error'), /login_state_invalid/);
    assert.equal(await cookie('portico_access'), undefined);
  });

  test('Portico’s own login page works without a script', async () => {
    await open({ javaScriptEnabled: false });
    await page.goto(`${demo.url}auth/?return_to=/auth/session`);
    await page.screenshot({ path: await picture('login-page'), fullPage: true });
    const links = page.locator('a[href*="/login"]');
    assert.equal(await links.count(), SLOTS.length);
    await links.first().click();
    await choose();
    await page.waitForURL('**/auth/session');
    assert.ok(JSON.parse(await page.locator('body').innerText()).account.id);
  });

  for (const colorScheme of ['light', 'dark']) {
    test(`looks right in ${colorScheme}`, async () => {
      await open({ colorScheme });
      await page.goto(demo.url);
      await button('oidc/provider1').waitFor();
      await page.screenshot({ path: await picture(`door-${colorScheme}`), fullPage: true });
      await button('oidc/provider1').click();
      await page.locator('button[name="person"]').first().waitFor();
      await page.screenshot({ path: await picture(`provider-${colorScheme}`), fullPage: true });
      await choose();
      await page.locator('[data-testid="signature"].good').waitFor();
      await page.screenshot({ path: await picture(`account-${colorScheme}`), fullPage: true });
      const [background, foreground] = await page.evaluate(() => {
        const style = getComputedStyle(document.body);
        const channels = (value) => value.match(/\d+(\.\d+)?/g).slice(0, 3).map(Number);
        return [style.backgroundColor, style.color]
          .map((value) => channels(value).reduce((sum, part) => sum + part, 0));
      });
      assert.equal(background > foreground, colorScheme === 'light');
      await page.setViewportSize({ width: 390, height: 844 });
      const wide = await page.evaluate(() => {
        const root = document.documentElement;
        return root.scrollWidth - root.clientWidth;
      });
      assert.ok(wide <= 0, 'a narrow viewport needs no horizontal scrolling');
      await page.screenshot({ path: await picture(`account-${colorScheme}-narrow`), fullPage: true });
      assert.deepEqual(watch.complaints, []);
    });
  }
});

// The page that documents the API: every operation is opened, tried out as it stands and answered as documented.

import { assert, equal, mail, person } from './session.mjs';

const PASSWORD = 'amber heron causeway';

async function signedIn(base, email) {
  const post = (path, body) => fetch(`${base}/api/v1${path}`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
  await post('/auth/signup', { name: 'Joan Clarke', email, password: PASSWORD });
  const token = (await mail(base, email, 'Confirm')).text.match(/token=([\w-]+)/)[1];
  await post('/auth/verify-email', { token });
  return (await (await post('/auth/login', { email, password: PASSWORD })).json()).tokens.accessToken;
}

/** Fills what an operation asks for: `ours` where it is about an account or a realm, else an id that nothing has. */
async function fill(block, ours) {
  const path = await block.locator('.opblock-summary-path').first().getAttribute('data-path');
  const kind = Object.keys(ours).find((name) => path.includes(`/${name}/{`));
  if (kind) await block.locator('.parameters input[type=text]:not([disabled])').first().fill(ours[kind]);
  for (const field of await block.locator('.parameters input[type=text]:not([disabled])').all()) {
    if (await field.inputValue() === '') {
      const required = await field.evaluate((element) => element.closest('tr')?.querySelector('.required') !== null);
      if (required) await field.fill('0192a7c4-5b6d-7e8f-9a0b-1c2d3e4f5a6b');
    }
  }
}

/** Tries one operation and answers the status that came. */
async function attempt(block, ours) {
  await block.locator('.opblock-summary-control').click();
  const open = block.locator('.try-out__btn');
  await open.waitFor();
  if (!(await open.innerText()).includes('Cancel')) await open.click();
  await fill(block, ours);
  await block.locator('button.execute').click();
  const live = block.locator('.live-responses-table .response .response-col_status').first();
  await live.waitFor({ timeout: 15000 });
  const status = (await live.innerText()).trim().split(/\s/)[0];
  const documented = await block.locator('tr.response[data-code]').evaluateAll((rows) => rows.map((row) => row.dataset.code));
  await block.locator('.opblock-summary-control').click();
  return { status, documented };
}

export async function everyOperationTriedAtTheDocs({ browser, base }) {
  const { context, page, faults } = await person(browser, base);
  const token = await signedIn(base, 'joan@example.com');
  await page.goto(`${base}/docs`);
  await page.locator('.opblock').first().waitFor();
  await page.locator('.auth-wrapper .authorize').click();
  for (const scheme of ['bearer', 'stepUp']) {
    const form = page.locator('.auth-container', { has: page.getByText(scheme, { exact: true }) });
    await form.locator('input').fill(token);
    await form.locator('.authorize').click();
  }
  await page.locator('.btn-done').first().click();
  const documents = (await (await fetch(`${base}/openapi/native.json`)).json()).paths;
  const operations = Object.values(documents).flatMap((path) => Object.keys(path).filter((key) => /^(get|put|post|patch|delete)$/.test(key)));
  const { items: [account] } = await (await fetch(`${base}/api/v1/accounts`, { headers: { authorization: `Bearer ${token}` } })).json();
  const ours = { accounts: account.id, realms: 'localhost' };
  const blocks = await page.locator('.opblock').all();
  equal(blocks.length, operations.length, 'operations that the page shows');
  const statuses = {};
  // What ends the session comes last.
  const named = await Promise.all(blocks.map(async (block) => [await block.getAttribute('id'), block]));
  const ends = ([name]) => Number(/log_?out|delete_me|erase|session|password/.test(name));
  for (const [name, block] of named.sort((one, other) => ends(one) - ends(other))) {
    const { status, documented } = await attempt(block, ours);
    assert(documented.includes(status), `${name} answers ${status}, documented are ${documented}`);
    assert(Number(status) < 500, `${name} answers ${status}`);
    statuses[status[0]] = (statuses[status[0]] ?? 0) + 1;
  }
  assert(statuses['2'] >= 10, `operations that just work as they stand: ${JSON.stringify(statuses)}`);
  equal(faults.join('\n'), '', 'what the page complains of');
  await context.close();
}

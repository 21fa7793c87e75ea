// What people do at our pages, in a real Chromium.

import { readFileSync } from 'node:fs';

import { TOTP, assert, equal, inspect, mail, person } from './session.mjs';

const PASSWORD = 'violet otter harbour';
const SECOND = 'copper lantern meadow';
const THIRD = 'paper sparrow window';

const heading = (page) => page.locator('h1').innerText();
const send = (page, label) => page.getByRole('button', { name: label, exact: true }).click();

const api = async (base, path, body) => {
  const reply = await fetch(`${base}/api/v1${path}`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
  return { status: reply.status, json: await reply.json().catch(() => null) };
};

async function signUp(page, base, email, name = 'Ada Lovelace') {
  await page.goto(`${base}/ui/sign-in`);
  await page.getByRole('link', { name: 'Create an account' }).click();
  await page.getByLabel('Your name').fill(name);
  await page.getByLabel('E-mail address').fill(email);
  await page.getByLabel('Password').fill(PASSWORD);
  await send(page, 'Create account');
  equal(await heading(page), 'Check your mail', 'after signing up');
}

async function signIn(page, base, email, password) {
  await page.goto(`${base}/ui/sign-in`);
  await page.getByLabel('E-mail address').fill(email);
  await page.getByLabel('Password').fill(password);
  await send(page, 'Sign in');
}

/** Somebody whose address is proved, by way of the API. */
async function known(base, email) {
  await api(base, '/auth/signup', { name: 'Grace Hopper', email, password: PASSWORD });
  const token = (await mail(base, email, 'Confirm')).text.match(/token=([\w-]+)/)[1];
  equal((await api(base, '/auth/verify-email', { token })).status, 200, 'verified');
}

/** The whole life of an account, with scripts switched off. */
async function aPersonWithoutScripts({ browser, base }) {
  const email = 'ada@example.com';
  const { context, page, faults } = await person(browser, base, { javaScriptEnabled: false });
  await signUp(page, base, email);
  await mail(base, email, 'Confirm');
  await page.goto(`${base}/dev/mailbox?to=${encodeURIComponent(email)}`);
  await page.locator('.mails a').first().click();
  const [opened] = await Promise.all([context.waitForEvent('page'), page.locator('pre a').first().click()]);
  await opened.waitForLoadState();
  equal(await heading(opened), 'Confirm your e-mail address', 'the mailed link');
  await send(opened, 'Confirm e-mail address');
  await opened.getByRole('link', { name: 'Sign in' }).click();
  await opened.getByLabel('E-mail address').fill(email);
  await opened.getByLabel('Password').fill(PASSWORD);
  await send(opened, 'Sign in');
  equal(await heading(opened), 'Your account', 'signed in');

  await opened.getByLabel('Name', { exact: true }).fill('Ada King');
  await send(opened, 'Save profile');
  equal(await opened.getByRole('status').innerText(), 'Your profile is saved.', 'the profile');
  equal(await opened.getByLabel('Name', { exact: true }).inputValue(), 'Ada King', 'the name');

  const other = await api(base, '/auth/login', { email, password: PASSWORD });
  await opened.reload();
  equal(await opened.locator('[aria-labelledby=sessions-title] li').count(), 2, 'two sessions');
  await opened.locator('[aria-labelledby=sessions-title] li').filter({ hasNotText: 'This browser' }).getByRole('button').click();
  equal(await opened.locator('[aria-labelledby=sessions-title] li').count(), 1, 'one session');
  const me = await fetch(`${base}/api/v1/me`, { headers: { authorization: `Bearer ${other.json.tokens.accessToken}` } });
  equal(me.status, 401, 'the ended session');

  await opened.getByLabel('Current password').fill(PASSWORD);
  await opened.getByLabel('New password').fill(SECOND);
  await send(opened, 'Change password');
  assert((await opened.getByRole('status').innerText()).startsWith('Your password is changed.'), 'the password');
  await send(opened, 'Sign out');
  equal(await opened.getByRole('status').innerText(), 'You are signed out.', 'signed out');
  await opened.goto(`${base}/ui/account`);
  assert(opened.url().endsWith('/ui/sign-in'), 'the account is closed');

  await opened.getByRole('link', { name: 'Forgot your password?' }).click();
  await opened.getByLabel('E-mail address').fill(email);
  await send(opened, 'Send the link');
  const link = (await mail(base, email, 'Choose a new password')).text.match(/http\S+token=\S+/)[0];
  await opened.goto(link);
  await opened.getByLabel('New password').fill(THIRD);
  await send(opened, 'Set new password');
  equal((await api(base, '/auth/login', { email, password: SECOND })).status, 401, 'the old password');
  await signIn(opened, base, email, THIRD);
  equal(await heading(opened), 'Your account', 'signed in with the new password');
  assert(faults.length === 0, faults.join('\n'));
  await context.close();
}

async function aCodeInsteadOfTheLink({ browser, base }) {
  const email = 'code@example.com';
  const { context, page } = await person(browser, base);
  await signUp(page, base, email);
  await page.getByLabel('Six-digit code').fill('000000');
  await send(page, 'Confirm');
  assert((await page.getByRole('alert').innerText()).includes('This code is wrong'), 'a wrong code');
  await page.getByLabel('Six-digit code').fill((await mail(base, email, 'Confirm')).text.match(/^\s*(\d{6})\s*$/m)[1]);
  await send(page, 'Confirm');
  assert((await page.getByRole('status').innerText()).includes('is confirmed'), 'the code');
  equal(await page.getByLabel('E-mail address').inputValue(), email, 'the address is there');
  await context.close();
}

async function byKeyboardAlone({ browser, base }) {
  await known(base, 'keys@example.com');
  const { context, page } = await person(browser, base);
  const focused = () => page.evaluate(() => document.activeElement.id || document.activeElement.textContent.trim());
  const tab = async (wanted) => {
    await page.keyboard.press('Tab');
    equal(await focused(), wanted, 'the next stop');
  };
  await page.goto(`${base}/ui/sign-in`);
  await tab('email');
  await page.keyboard.type('keys@example.com');
  await tab('password');
  await page.keyboard.type('not the password');
  await page.keyboard.press('Enter');
  await page.waitForSelector('[role=alert]');
  equal(await page.evaluate(() => document.activeElement.getAttribute('role')), 'alert', 'the fault has the focus');
  assert((await page.title()).startsWith('Error: '), 'the title tells of the fault');
  await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  equal(await focused(), 'email', 'the fault leads to its field');
  await tab('password');
  await page.keyboard.type(PASSWORD);
  await tab('Forgot your password?');
  await tab('Sign in');
  const ring = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
  equal(ring, 'solid', 'the focus is seen');
  await page.keyboard.press('Enter');
  await page.waitForURL('**/ui/account');
  await tab('Sign out');
  await tab('name');
  await context.close();
}

/** Every page in every state, on a desktop and on a phone, light and dark. */
async function everyPageInEveryDress({ browser, base }, operatorLink) {
  await known(base, 'looks@example.com');
  const dresses = [
    ['desktop-light', { viewport: { width: 1280, height: 800 }, colorScheme: 'light' }],
    ['desktop-dark', { viewport: { width: 1280, height: 800 }, colorScheme: 'dark' }],
    ['phone-light', { viewport: { width: 320, height: 700 }, colorScheme: 'light', isMobile: true, hasTouch: true }],
    ['phone-dark', { viewport: { width: 390, height: 844 }, colorScheme: 'dark', isMobile: true, hasTouch: true, locale: 'de-DE' }],
  ];
  for (const [dress, options] of dresses) {
    const { context, page, faults } = await person(browser, base, options);
    const look = (name) => inspect(page, `${dress}-${name}`);
    const open = async (path, name) => {
      await page.goto(base + path);
      await look(name);
    };
    const submit = (form) => Promise.all([page.waitForLoadState(), page.locator(`form[action$="${form}"] button`).first().click()]);
    await open('/ui/sign-up', 'sign-up');
    await page.locator('form').evaluate((form) => { form.noValidate = true; });
    await submit('/ui/sign-up');
    await look('sign-up-faults');
    await open('/ui/verify-email/code', 'code-unknown');
    await page.goto(`${base}/ui/sign-up`);
    await page.locator('#name').fill('Somebody with a rather long name');
    await page.locator('#email').fill(`a.rather.long.address.of.somebody.${dress}@subdomain.example.com`);
    await page.locator('#password').fill(PASSWORD);
    await submit('/ui/sign-up');
    await look('code');
    await open('/ui/forgot-password', 'forgot');
    await open('/ui/reset-password?token=x', 'reset');
    await open('/ui/verify-email?token=x', 'verify');
    await submit('/ui/verify-email');
    await look('verify-dead');
    await open(operatorLink, 'set-up');
    await open('/ui/nowhere', 'nowhere');
    await open('/dev/mailbox', 'mailbox');
    await open('/ui/sign-in', 'sign-in');
    const ground = await page.evaluate(() => getComputedStyle(document.body).backgroundColor.match(/\d+/g).map(Number)[0]);
    assert(options.colorScheme === 'dark' ? ground < 60 : ground > 200, `${dress}: the ground is ${ground}`);
    if (options.locale === 'de-DE') equal(await page.locator('html').getAttribute('lang'), 'de', 'the language');
    await page.locator('#email').fill('looks@example.com');
    await page.locator('#password').fill('not the password');
    await submit('/ui/sign-in');
    await look('sign-in-faults');
    await page.locator('#email').fill('looks@example.com');
    await page.locator('#password').fill(PASSWORD);
    await submit('/ui/sign-in');
    await page.waitForURL('**/ui/account');
    await look('account');
    await page.locator('#phone').fill('call me');
    await submit('/ui/account/profile');
    await look('account-faults');
    await open('/ui/account/erase', 'erase');
    await page.locator('#password').fill('not the password');
    await submit('/ui/account/erase');
    await look('erase-faults');
    await open('/ui/sign-out', 'sign-out');
    assert(faults.length === 0, faults.join('\n'));
    await context.close();
  }
}

/** A user and a newcomer follow the links of their invitations; every state of the page is looked at. */
async function anInvitationIsTakenUp({ browser, base }) {
  const [host, user, newcomer] = ['host@example.com', 'guest@example.com', 'newcomer@example.com'];
  await known(base, host);
  await known(base, user);
  const { json: { tokens } } = await api(base, '/auth/login', { email: host, password: PASSWORD });
  const call = (path, init) => fetch(`${base}/api/v1${path}`, { ...init, headers: { authorization: `Bearer ${tokens.accessToken}`, 'content-type': 'application/json' } });
  const account = (await (await call('/me')).json()).accounts[0].id;
  const links = {};
  for (const email of [user, newcomer]) {
    equal((await call(`/accounts/${account}/invitations`, { method: 'POST', body: JSON.stringify({ email, role: 'admin' }) })).status, 201, 'invited');
    links[email] = (await mail(base, email, 'invitation')).text.match(/http\S+token=\S+/)[0];
  }

  const desktop = await person(browser, base, { javaScriptEnabled: true, viewport: { width: 1280, height: 800 } });
  await desktop.page.goto(links[user]);
  await inspect(desktop.page, 'invitation-known');
  await desktop.page.getByRole('link', { name: 'Sign in' }).click();
  await desktop.page.getByLabel('E-mail address').fill(user);
  await desktop.page.getByLabel('Password').fill(PASSWORD);
  await send(desktop.page, 'Sign in');
  equal(await heading(desktop.page), 'Join Grace Hopper', 'back at the invitation');
  await inspect(desktop.page, 'invitation-join');
  await desktop.page.goto(links[newcomer]);
  await inspect(desktop.page, 'invitation-somebody-else');
  await desktop.page.goto(links[user]);
  await send(desktop.page, 'Join');
  assert((await desktop.page.getByRole('status').innerText()).includes('You have joined'), 'joined');

  const phone = await person(browser, base, { viewport: { width: 320, height: 700 }, colorScheme: 'dark', isMobile: true, hasTouch: true, locale: 'de-DE' });
  await phone.page.goto(links[newcomer]);
  await inspect(phone.page, 'invitation-new');
  await phone.page.locator('#name').fill('Charles Babbage');
  await phone.page.locator('#password').fill('password123');
  await send(phone.page, 'Benutzer anlegen und beitreten');
  await inspect(phone.page, 'invitation-faults');
  await phone.page.locator('#password').fill(PASSWORD);
  await send(phone.page, 'Benutzer anlegen und beitreten');
  assert((await phone.page.getByRole('status').innerText()).includes('Sie sind beigetreten'), 'joined');
  await phone.page.locator('#password').fill(PASSWORD);
  await send(phone.page, 'Anmelden');
  equal(await heading(phone.page), 'Ihr Konto', 'signed in');
  await phone.page.goto(links[newcomer]);
  await inspect(phone.page, 'invitation-dead');
  const { items } = await (await call(`/accounts/${account}/members`)).json();
  equal(items.map((member) => `${member.email} ${member.role}`).join(), `${host} owner,${user} admin,${newcomer} admin`, 'the members');
  for (const { context, faults } of [desktop, phone]) {
    assert(faults.length === 0, faults.join('\n'));
    await context.close();
  }
}

/** Another address, a language, a copy of one's data and the end, with scripts switched off; loading a page again repeats nothing. */
async function aPersonMovesAndLeaves({ browser, base }) {
  const [old, next] = ['mary@example.com', 'mary.somerville@example.com'];
  await known(base, old);
  const { context, page, faults } = await person(browser, base, { javaScriptEnabled: false });
  await signIn(page, base, old, PASSWORD);
  await page.getByLabel('Language of pages and mails').selectOption('Deutsch');
  await send(page, 'Save profile');
  equal(await heading(page), 'Ihr Konto', 'in German at once');
  equal(await page.locator('html').getAttribute('lang'), 'de', 'the language');
  equal(await page.locator('#locale').inputValue(), 'de', 'the choice');

  await page.getByLabel('Neue E-Mail-Adresse').fill(next);
  await page.getByLabel('Ihr Passwort, zum Beweis').fill('not the password');
  await send(page, 'Adresse ändern');
  assert((await page.getByRole('alert').innerText()).includes('Passwort ist falsch'), 'a wrong password');
  equal(await page.locator('#email').inputValue(), next, 'the address stays');
  await page.getByLabel('Ihr Passwort, zum Beweis').fill(PASSWORD);
  await send(page, 'Adresse ändern');
  assert((await page.getByRole('status').innerText()).includes('unterwegs'), 'a mail is coming');
  await page.goto((await mail(base, next, 'Bestätigen Sie')).text.match(/http\S+token=\S+/)[0]);
  equal(await heading(page), 'Neue E-Mail-Adresse bestätigen', 'the mailed link');
  await send(page, 'Neue Adresse bestätigen');
  let posts = 0;
  page.on('request', (request) => { if (request.method() === 'POST') posts += 1; });
  for (let round = 0; round < 2; round += 1) {
    equal(await heading(page), 'E-Mail-Adresse geändert', 'done');
    await page.reload();
  }
  equal(posts, 0, 'posts of loading it again');
  const back = (await mail(base, old, 'geändert')).text.match(/http\S+token=\S+/)[0];
  await page.getByRole('link', { name: 'Ihr Konto' }).click();
  assert((await page.locator('.head').innerText()).includes(next), 'the new address');

  await page.goto(back);
  await send(page, 'Änderung rückgängig machen');
  equal(await heading(page), 'Your former address is back', 'taken back, in the language of a browser that is signed out');
  await page.goto((await mail(base, old, 'Neues Passwort')).text.match(/http\S+token=\S+/)[0]);
  await page.getByLabel('New password').fill(SECOND);
  await send(page, 'Set new password');
  equal(await heading(page), 'Password changed', 'a new password');
  await page.getByRole('link', { name: 'Sign in' }).click();
  await page.getByLabel('E-mail address').fill(old);
  await page.getByLabel('Password').fill(SECOND);
  await send(page, 'Sign in');

  const [copy] = await Promise.all([page.waitForEvent('download'), send(page, 'Kopie herunterladen')]);
  const kept = JSON.parse(readFileSync(await copy.path(), 'utf8'));
  equal(kept.profile.email, old, 'the copy');
  await page.getByRole('link', { name: 'Konto löschen' }).click();
  await page.getByLabel('Ihr Passwort, zum Beweis').fill(SECOND);
  await send(page, 'Endgültig löschen');
  equal(await heading(page), 'Your account is deleted', 'gone');
  equal((await api(base, '/auth/login', { email: old, password: SECOND })).status, 401, 'nobody is there');
  assert(faults.length === 0, faults.join('\n'));
  await context.close();
}

async function aFormOfAnotherSiteDoesNothing({ browser, base }) {
  await known(base, 'victim@example.com');
  const { context, page } = await person(browser, base);
  await signIn(page, base, 'victim@example.com', PASSWORD);
  const elsewhere = await context.newPage();
  // Another port of this host is another origin of the same site, another host another site.
  for (const origin of ['http://localhost:1', 'http://evil.example']) {
    await elsewhere.route(`${origin}/**`, (route) => route.fulfill({
      contentType: 'text/html',
      body: `<form method="post" action="${base}/ui/account/sessions/end-all"><input name="csrf" value="x"><button>Win</button></form>`,
    }));
    await elsewhere.goto(`${origin}/`);
    const [reply] = await Promise.all([elsewhere.waitForResponse((each) => each.request().method() === 'POST'), elsewhere.click('button')]);
    equal(reply.status(), 403, origin);
  }
  await page.reload();
  equal(await heading(page), 'Your account', 'still signed in');
  await context.close();
}

/** An authenticator app of another maker and language, and a recovery code, with scripts switched off. */
async function aSecondStepWithoutScripts({ browser, base }) {
  const email = 'steps@example.com';
  await known(base, email);
  const { context, page, faults } = await person(browser, base, { javaScriptEnabled: false });
  await signIn(page, base, email, PASSWORD);
  await page.getByRole('link', { name: 'Add an authenticator app' }).click();
  equal(await heading(page), 'Add an authenticator app', 'the secret');
  assert(await page.locator('img.qr').evaluate((image) => image.complete && image.naturalWidth > 100), 'the picture is drawn');
  const secret = (await page.locator('#secret').innerText()).replaceAll(' ', '');
  const app = new TOTP({ secret, algorithm: 'SHA1', digits: 6, period: 30 });
  await page.getByLabel('The code that your app shows').fill('000000');
  await send(page, 'Confirm');
  assert((await page.getByRole('alert').innerText()).includes('This code is wrong'), 'a wrong code');
  const used = Math.floor(Date.now() / 30_000);
  await page.getByLabel('The code that your app shows').fill(app.generate());
  await send(page, 'Confirm');
  equal(await heading(page), 'Your recovery codes', 'enrolled');
  const codes = await page.locator('.codes code').allInnerTexts();
  equal(codes.length, 10, 'ten codes');
  await page.getByRole('link', { name: 'Your account' }).click();
  await send(page, 'Sign out');

  await signIn(page, base, email, PASSWORD);
  equal(await heading(page), 'One more step', 'the second half');
  await page.goto(`${base}/ui/account`);
  assert(page.url().endsWith('/ui/sign-in'), 'half a sign-in opens nothing');
  await page.goto(`${base}/ui/sign-in/factor`);
  // The step that enrolled is spent; the next one's code is good a step early.
  await page.getByLabel('Code').fill(app.generate({ timestamp: (used + 1) * 30_000 }));
  await send(page, 'Confirm');
  equal(await heading(page), 'Your account', 'in');
  await send(page, 'Sign out');

  await signIn(page, base, email, PASSWORD);
  await page.getByLabel('Code').fill(codes[0].toUpperCase());
  await page.getByLabel("Don't ask on this device for 30 days").check();
  await send(page, 'Confirm');
  equal(await page.getByText('9 recovery codes are left.').count(), 1, 'one is spent');
  await send(page, 'Sign out');
  await signIn(page, base, email, PASSWORD);
  equal(await heading(page), 'Your account', 'a trusted browser is not asked');
  await page.getByRole('button', { name: /^Ask again/ }).click();
  await send(page, 'Sign out');
  await signIn(page, base, email, PASSWORD);
  equal(await heading(page), 'One more step', 'asked again');
  assert(faults.length === 0, faults.join('\n'));
  await context.close();
}

/** A passkey of the browser's virtual authenticator: made, used alone, beside the password, and to prove oneself anew. */
async function aPasskey({ browser, base }) {
  const email = 'passkey@example.com';
  await known(base, email);
  const { context, page, faults } = await person(browser, base);
  const devtools = await context.newCDPSession(page);
  await devtools.send('WebAuthn.enable');
  const options = {
    protocol: 'ctap2', transport: 'internal', hasResidentKey: true, hasUserVerification: true, isUserVerified: true, automaticPresenceSimulation: true,
  };
  const { authenticatorId } = await devtools.send('WebAuthn.addVirtualAuthenticator', { options });
  await signIn(page, base, email, PASSWORD);
  await page.getByRole('link', { name: 'Add a passkey' }).click();
  await page.getByLabel('A name for it').fill('Virtual key');
  await send(page, 'Make a passkey');
  await page.waitForSelector('.codes');
  equal(await heading(page), 'Your recovery codes', 'made');
  const { credentials } = await devtools.send('WebAuthn.getCredentials', { authenticatorId });
  assert(credentials.length === 1 && credentials[0].isResidentCredential && credentials[0].rpId === 'localhost', JSON.stringify(credentials));
  await page.getByRole('link', { name: 'Your account' }).click();
  await send(page, 'Sign out');

  await page.getByRole('link', { name: 'Sign in with a passkey' }).click();
  await send(page, 'Use a passkey');
  await page.waitForURL('**/ui/account');
  equal(await page.getByText('Virtual key').count(), 1, 'in, without a password');
  await send(page, 'Sign out');

  await signIn(page, base, email, PASSWORD);
  equal(await heading(page), 'One more step', 'the second half');
  await send(page, 'Use a passkey');
  await page.waitForURL('**/ui/account');

  await page.goto(`${base}/ui/step-up?to=totp`);
  await send(page, 'Use a passkey');
  await page.waitForURL('**/ui/account/totp');
  await page.goto(`${base}/ui/account`);
  await send(page, 'Sign out');

  // An authenticator that does not know its person is told so, and nothing happens.
  await devtools.send('WebAuthn.setUserVerified', { authenticatorId, isUserVerified: false });
  await page.goto(`${base}/ui/sign-in/passkey`);
  await send(page, 'Use a passkey');
  await page.waitForSelector('[data-failed]:not([hidden])');
  assert(page.url().endsWith('/ui/sign-in/passkey'), 'still outside');
  assert(faults.length === 0, faults.join('\n'));
  await context.close();
}

export const journeys = [aPersonWithoutScripts, aCodeInsteadOfTheLink, byKeyboardAlone, everyPageInEveryDress, anInvitationIsTakenUp, aPersonMovesAndLeaves, aFormOfAnotherSiteDoesNothing,
  aSecondStepWithoutScripts, aPasskey];

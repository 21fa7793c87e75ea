// Runs the journeys: `node run.mjs PROGRAM`. BROWSER_MODULES names the folder where this folder's package.json is installed,
// CHROMIUM the browser; with BROWSER_SHOTS every page that is looked at leaves a picture there.

import { everyOperationTriedAtTheDocs } from './docs.mjs';
import { journeys } from './journeys.mjs';
import { startBrowser, startServer } from './session.mjs';

const server = await startServer(process.argv[2]);
let failed = 0;
try {
  const operatorLink = new URL(server.printed().match(/http\S+\/ui\/setup\?\S+/)[0]);
  const browser = await startBrowser();
  for (const journey of [...journeys, everyOperationTriedAtTheDocs]) {
    const started = Date.now();
    try {
      await journey({ browser, base: server.base }, operatorLink.pathname + operatorLink.search);
      console.log(`    ok ${journey.name} (${Date.now() - started} ms)`);
    } catch (error) {
      failed += 1;
      console.log(`    FAILED ${journey.name}: ${error.stack ?? error}`);
    }
  }
  await browser.close();
} finally {
  await server.end();
}
process.exitCode = failed === 0 ? 0 : 1;

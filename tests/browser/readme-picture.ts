/** Takes the README picture, the usage page: `node tests/browser/readme-picture.ts BASE_URL EMAIL PASSWORD OUT.png` */
import { launchChromium } from './chromium.ts';
import { signIn } from './fixtures.ts';

const [baseURL, email, password, path] = process.argv.slice(2);
if (!baseURL || !email || !password || !path) {
  console.error('Usage: node tests/browser/readme-picture.ts BASE_URL EMAIL PASSWORD OUT.png');
  process.exit(2);
}

const browser = await launchChromium();
try {
  const context = await browser.newContext({
    baseURL,
    locale: 'en-GB',
    colorScheme: 'light',
    viewport: { width: 1200, height: 873 },
    deviceScaleFactor: 1.5,
  });
  const page = await context.newPage();
  await signIn(page, { email, password });
  await page.goto('/usage');
  await page.screenshot({ path });
} finally {
  await browser.close();
}

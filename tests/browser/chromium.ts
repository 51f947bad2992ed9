/** Starts Chromium for the portal's tests: the one that CHROMIUM_PATH names, the one from npm, or the system's. */
import { existsSync } from 'node:fs';
import chromium from '@sparticuz/chromium';
import { type Browser, type LaunchOptions, chromium as playwright } from 'playwright-core';

/** Flags to run as root and without a network, and to send no requests in the background. */
const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

const SYSTEM = '/usr/bin/chromium';

/** @throws Error that tells how to install one, when none can be started: a browser test is never skipped */
export async function launchChromium(): Promise<Browser> {
  const causes: string[] = [];
  for (const [where, find] of candidates()) {
    try {
      const options: LaunchOptions = { executablePath: await find(), args: FLAGS, timeout: 30_000 };
      return await playwright.launch(options);
    } catch (error) {
      causes.push(`${where}: ${(error as Error).message.split('\n')[0]}`);
    }
  }
  throw new Error(
    `No Chromium can be started for the browser tests (${causes.join('; ')}): ` +
      'install one (`apt-get install chromium`) or name one with CHROMIUM_PATH=/path/to/chromium.',
  );
}

function candidates(): [where: string, find: () => string | Promise<string>][] {
  const named = process.env.CHROMIUM_PATH;
  // a named browser has no fallback, which would hide a typo
  if (named) return [[`CHROMIUM_PATH=${named}`, () => named]];
  return [
    ['@sparticuz/chromium', () => chromium.executablePath()],
    ...(existsSync(SYSTEM) ? [[SYSTEM, () => SYSTEM] as [string, () => string]] : []),
  ];
}

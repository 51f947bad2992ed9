import { cloudflareTest, readD1Migrations } from '@cloudflare/vitest-plugin';
import { defineConfig } from 'vitest/config';

/** Libraries that are bundled once, because every test file has a Worker of its own that would load each of their modules again. */
const LIBRARIES = [
  'better-auth/minimal',
  'better-auth/plugins/magic-link',
  'better-auth/plugins/two-factor',
  'better-auth/api',
  'better-auth/crypto',
  '@better-auth/drizzle-adapter',
  'drizzle-orm',
  'drizzle-orm/d1',
  'drizzle-orm/sqlite-core',
  'echarts/charts',
  'echarts/components',
  'echarts/core',
  'echarts/renderers',
  'hono',
  'hono/jsx',
  'hono/route',
  'jose',
  'stripe',
  'uqr',
  'zod',
  'zod-openapi',
];
/** In one piece, with its source map, each is larger than the pool's connection takes at once (1 MiB), so it comes file by file. */
const LARGE = ['@cantoo/pdf-lib', '@zxcvbn-ts/core', '@zxcvbn-ts/language-common'];
/** Modules that the platform provides. */
const BUILT_IN = [/^node:/, /^cloudflare:/];

/**
 * Once libraries were read, a test file gets the modules of its graph in one message, of which the platform takes 32 MiB.
 * The source maps of libraries were two thirds of it, and nobody steps into a library.
 */
const WITHOUT_MAPS = {
  name: 'libraries without source maps',
  enforce: 'post',
  transform: (code: string, id: string) =>
    id.includes('/node_modules/') ? { code, map: { mappings: '' as const } } : null,
} as const;

/** Test files at a time, however many cores there are: CI has two, and what the tests wait for is made for that. */
const WORKERS = 2;

/** A test that takes this long hangs. Nothing shorter, or a busy machine would decide whether a test passes. */
const HANGS_MS = 120_000;
const TIMEOUTS = { testTimeout: HANGS_MS, hookTimeout: HANGS_MS, expect: { poll: { timeout: HANGS_MS } } };

/** Rules in plain Node, Worker parts in workerd, the whole in real processes and a real browser. */
export default defineConfig({
  // Warnings about libraries that ship source maps without their sources would hide everything else.
  logLevel: 'error',
  test: {
    // The log of a test that passes is no news; that of one that fails is printed with it.
    silent: 'passed-only',
    projects: [
      {
        test: {
          name: 'domain',
          ...TIMEOUTS,
          maxWorkers: WORKERS,
          include: ['tests/domain/**/*.test.ts', 'tests/laws/**/*.test.ts', 'tests/structure/**/*.test.ts'],
        },
      },
      {
        test: {
          name: 'simulation',
          include: [
            'tests/simulation/**/*.test.ts',
            'tests/scale/**/*.test.ts',
            'tests/gpu-pool/simulator/**/*.test.ts',
          ],
          maxWorkers: WORKERS,
          // A simulation computes for minutes, in processor time that other tests leave idle.
          testTimeout: 10 * HANGS_MS,
          hookTimeout: 10 * HANGS_MS,
        },
      },
      {
        test: {
          name: 'gpu-pool',
          maxWorkers: WORKERS,
          include: ['tests/gpu-pool/**/*.test.ts'],
          exclude: ['tests/gpu-pool/simulator/**'],
          ...TIMEOUTS,
        },
      },
      {
        plugins: [
          WITHOUT_MAPS,
          cloudflareTest(async () => ({
            main: 'worker/index.ts',
            wrangler: { configPath: './wrangler.toml' },
            miniflare: {
              bindings: {
                TEST_MIGRATIONS: await readD1Migrations('migrations'),
                PUBLIC_ORIGIN: 'https://tollgate.test',
                ENVIRONMENT: 'development',
                AUTH_SECRET: 'test-auth-secret-0123456789abcdef',
                KEY_PEPPER: 'test-key-pepper-0123456789abcdef',
                EDGE_SIGNING_KEY: JSON.stringify({
                  kty: 'OKP',
                  crv: 'Ed25519',
                  x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo',
                  d: 'nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A',
                }),
                OPERATOR_TOKEN: 'test-operator-token-0123456789',
                SANDBOX_WEBHOOK_SECRET: 'test-webhook-secret-0123456789',
                // A file's tests share one day, and more of them than a day's total allows confirm addresses.
                TRIAL_DAILY_NANO_USD: '10000000000000',
                HOLD_LEASE_MS: '60000',
                // Tests send as fast as a busy key and wait until everything is settled; leases have tests of their own.
                LEASE_BUSY_MS: '0',
              },
            },
          })),
        ],
        test: {
          name: 'worker',
          deps: {
            optimizer: {
              ssr: {
                enabled: true,
                include: LIBRARIES,
                exclude: LARGE,
                rolldownOptions: { external: BUILT_IN },
              },
            },
          },
          // Half of a file's time is its Worker's start, and for a third of that the cores are idle.
          maxWorkers: WORKERS + 1,
          sequence: { groupOrder: 1 },
          ...TIMEOUTS,
          include: ['tests/worker/**/*.test.ts'],
          setupFiles: ['tests/worker/apply-migrations.ts'],
        },
      },
      {
        test: {
          name: 'e2e',
          globalSetup: ['tests/e2e/setup.ts'],
          include: ['tests/e2e/**/*.test.ts', 'tests/browser/**/*.test.ts'],
          // Much of their time is waiting, for deadlines and for processes.
          maxWorkers: WORKERS,
          sequence: { groupOrder: 2 },
          ...TIMEOUTS,
          testTimeout: 2 * HANGS_MS,
          hookTimeout: 2 * HANGS_MS,
        },
      },
    ],
  },
});

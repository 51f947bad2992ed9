import { cloudflareTest, readD1Migrations } from '@cloudflare/vitest-plugin';
import { defineConfig } from 'vitest/config';

/** Bundled once: every test file has a Worker of its own, which would load each of their modules anew. */
const LIBRARIES = [
  'better-auth/minimal',
  'better-auth/plugins/magic-link',
  'better-auth/plugins/two-factor',
  'better-auth/api',
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
  'jose',
  'stripe',
  'uqr',
  'zod',
];
/** In one piece it is more than the pool's connection takes at once (1 MiB): it comes file by file. */
const LARGE = ['@cantoo/pdf-lib'];
/** Modules of the platform. */
const BUILT_IN = [/^node:/, /^cloudflare:/];

/** Test files at a time, however many cores there are: what they wait for is made for two on two. */
const WORKERS = 2;

/** Rules in plain Node, Worker parts in workerd, the whole in real processes and a real browser. */
export default defineConfig({
  // libraries that ship maps without their sources are no news
  logLevel: 'error',
  test: {
    projects: [
      {
        test: {
          name: 'domain',
          maxWorkers: WORKERS,
          include: ['tests/domain/**/*.test.ts', 'tests/laws/**/*.test.ts', 'tests/structure/**/*.test.ts'],
        },
      },
      {
        test: {
          name: 'simulation',
          include: ['tests/simulation/**/*.test.ts', 'tests/scale/**/*.test.ts'],
          maxWorkers: WORKERS,
          testTimeout: 240_000,
        },
      },
      {
        test: {
          name: 'gpu-pool',
          maxWorkers: WORKERS,
          include: ['tests/gpu-pool/**/*.test.ts'],
          testTimeout: 20_000,
        },
      },
      {
        plugins: [
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
                HOLD_LEASE_MS: '60000',
                // tests ask as fast as a busy key and wait until all has been told: leases have tests of their own
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
          // half of a file's time is its Worker's start, and for a third of it the cores have nothing to do
          maxWorkers: WORKERS + 1,
          sequence: { groupOrder: 1 },
          // the first test of a file waits for its Worker to start
          testTimeout: 20_000,
          include: ['tests/worker/**/*.test.ts'],
          setupFiles: ['tests/worker/apply-migrations.ts'],
        },
      },
      {
        test: {
          name: 'e2e',
          globalSetup: ['tests/e2e/setup.ts'],
          include: ['tests/e2e/**/*.test.ts', 'tests/browser/**/*.test.ts'],
          // much of their time is waiting, for deadlines and for processes
          maxWorkers: WORKERS,
          sequence: { groupOrder: 2 },
          testTimeout: 120_000,
          hookTimeout: 180_000,
        },
      },
    ],
  },
});

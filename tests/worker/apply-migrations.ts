/** Set-up of each test file of the Worker: its D1 database has the migrations, and its queue the limits of a real one. */
import { applyD1Migrations, type D1Migration } from 'cloudflare:test';
import { env } from 'cloudflare:workers';
import { checkBatch } from '../queue-limits.ts';

const { DB, TEST_MIGRATIONS } = env as unknown as { DB: D1Database; TEST_MIGRATIONS: D1Migration[] };
await applyD1Migrations(DB, TEST_MIGRATIONS);

/** Every binding of a queue in this isolate has this prototype, those of Durable Objects too. */
const prototype = Object.getPrototypeOf((env as unknown as { TASKS: Queue }).TASKS) as Queue;
const { sendBatch } = prototype;
prototype.sendBatch = function (this: Queue, messages, options) {
  const all = [...messages];
  checkBatch(all);
  return sendBatch.call(this, all, options);
};

import { expect, it } from 'vitest';
import { decideBegin, type IdempotencyRecord } from '../../worker/domain/idempotency.ts';

const NOW = 1_000_000_000;
const known: IdempotencyRecord = {
  fingerprint: 'f',
  requestId: 'req_1',
  begunAtMs: NOW - 1_000,
  runs: 1,
  answer: 'open',
  request: null,
};

it.each<[string, IdempotencyRecord | null, ReturnType<typeof decideBegin>]>([
  ['an unknown key', null, 'fresh'],
  ['another body', { ...known, fingerprint: 'g', answer: 'kept' }, 'mismatch'],
  ['a kept answer', { ...known, answer: 'kept' }, 'replay'],
  ['a request that has just begun', known, 'running'],
  ['a request that was never admitted', { ...known, begunAtMs: NOW - 30_000 }, 'again'],
  [
    'a request that runs, however long',
    { ...known, begunAtMs: NOW - 3_600_000, request: { state: 'held', endedAtMs: null } },
    'running',
  ],
  [
    'an answer that is being stored',
    { ...known, request: { state: 'posted', endedAtMs: NOW - 9_999 } },
    'running',
  ],
  ['an answer that was lost', { ...known, request: { state: 'expired', endedAtMs: NOW - 10_000 } }, 'again'],
  [
    'an answer that was lost a third time',
    { ...known, runs: 3, request: { state: 'expired', endedAtMs: NOW - 60_000 } },
    'exhausted',
  ],
])('%s', (_, key, expected) => {
  expect(decideBegin(key, 'f', NOW)).toBe(expected);
});

/** When sessions end by themselves. */
import { expect, it } from 'vitest';
import { isSessionOver, SESSION_LIMITS } from '../../worker/domain/session-end.ts';

it.each(['customer', 'operator'] as const)('of a %s: at the absolute end, and after idle time', (role) => {
  const { absoluteMs, idleMs } = SESSION_LIMITS[role];
  const isOver = (ageMs: number, unseenMs: number) =>
    isSessionOver(role, { createdAtMs: 0, seenAtMs: ageMs - unseenMs }, ageMs);
  expect(isOver(absoluteMs - 1, 0)).toBe(false);
  expect(isOver(absoluteMs, 0)).toBe(true);
  expect(isOver(idleMs, idleMs - 1)).toBe(false);
  expect(isOver(idleMs, idleMs)).toBe(true);
});

it('is sooner for operators, within a working day', () => {
  expect(SESSION_LIMITS.operator.absoluteMs).toBeLessThanOrEqual(12 * 3_600_000);
  expect(SESSION_LIMITS.operator.idleMs).toBeLessThan(SESSION_LIMITS.customer.idleMs);
});

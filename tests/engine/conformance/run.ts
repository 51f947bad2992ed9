/** Checks assumptions one after the other, each at an idle engine. */
import type { Assumption, Verdict } from './assumption.ts';
import type { Subject } from './subject.ts';

export interface Result {
  readonly id: string;
  readonly says: string;
  readonly madeBy: readonly string[];
  readonly verdict: Verdict;
  readonly seconds: number;
}

const IDLE_MS_MAX = 60_000;

export async function checkAll(
  assumptions: readonly Assumption[],
  subject: Subject,
  onResult: (result: Result) => void = () => undefined,
): Promise<Result[]> {
  const results: Result[] = [];
  for (const assumption of assumptions) {
    await subject.engine.idleWithin(IDLE_MS_MAX);
    const startedMs = performance.now();
    const { id, says, madeBy } = assumption;
    const result = {
      id,
      says,
      madeBy,
      verdict: await checkOne(assumption, subject),
      seconds: Math.round(performance.now() - startedMs) / 1_000,
    };
    results.push(result);
    onResult(result);
  }
  return results;
}

/** A check that cannot be carried out is a difference: what it relies on was not there. */
async function checkOne(assumption: Assumption, subject: Subject): Promise<Verdict> {
  try {
    return await assumption.check(subject);
  } catch (error) {
    return {
      kind: 'differs',
      expected: 'a check to its end',
      seen: `broke off: ${(error as Error).message}`,
    };
  }
}

export function differences(results: readonly Result[]): Result[] {
  return results.filter(({ verdict }) => verdict.kind === 'differs');
}

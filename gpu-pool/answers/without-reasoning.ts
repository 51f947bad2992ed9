/** Chunks for a client that excluded reasoning from its answer. It is billed all the same. */
import type { NodeChunk } from '../protocol/schemas.ts';

export function withoutReasoning({ choices, usage }: NodeChunk): NodeChunk {
  const rest = choices.flatMap((choice) => {
    const { reasoning_content, ...delta } = choice.delta;
    if (reasoning_content === undefined) return [choice];
    const isEmpty = Object.keys(delta).length === 0 && choice.finish_reason === null;
    return isEmpty ? [] : [{ ...choice, delta }];
  });
  return { choices: rest, usage };
}

/** A Tollgate for recorded conversations: one node, whose engine says what a scenario has written. */

import { R1 } from '../../gpu-pool/local/local-nodes.ts';
import { type LocalNode, operatorApi, type Stack } from '../../gpu-pool/local/stack.ts';
import type { Answer } from './scenario.ts';

export const PLAN = [{ name: 'clients-1', hardware: '8xh200', model: R1 }] as const;
export const MODEL = R1;

/** Replaces the answers that are due. */
export async function scriptAnswers(stack: Stack, answers: readonly Answer[]): Promise<void> {
  const url = `${engineOf(stack)}/emulator/answers`;
  await fetch(url, { method: 'DELETE' });
  const response = await fetch(url, { method: 'POST', body: JSON.stringify(answers) });
  if (!response.ok) throw new Error(`The engine does not take these answers: ${await response.text()}`);
}

/** How many answers nobody has asked for. */
export async function answersDue(stack: Stack): Promise<number> {
  const response = await fetch(`${engineOf(stack)}/emulator/answers`);
  return ((await response.json()) as { answers: unknown[] }).answers.length;
}

/** Sets how long the model's prompts may be; undefined: as they are. @returns how long they could be before */
export async function setContext(stack: Stack, tokens: number | undefined): Promise<number> {
  const path = `/models/${MODEL}`;
  const { context_tokens: before } = await operatorApi<{ context_tokens: number }>(stack.edge, 'GET', path);
  if (tokens !== undefined && tokens !== before) await patch(stack, path, { context_tokens: tokens });
  return before;
}

async function patch(stack: Stack, path: string, body: object): Promise<void> {
  const response = await fetch(`${stack.edge.url}/operator/api${path}`, {
    method: 'PATCH',
    headers: { authorization: `Bearer ${stack.edge.operatorToken}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  if (!response.ok) throw new Error(`PATCH ${path}: ${response.status} ${await response.text()}`);
}

function engineOf({ nodes }: Stack): string {
  return (nodes[0] as LocalNode).engine.ready;
}

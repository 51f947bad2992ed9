/** A Tollgate for recorded conversations: one node, whose engine says what a scenario has written. */

import { setTimeout } from 'node:timers/promises';
import { R1 } from '../../gpu-pool/local/local-nodes.ts';
import { type LocalNode, operatorApi, type Stack } from '../../gpu-pool/local/stack.ts';
import type { Answer } from './scenario.ts';

export const PLAN = [{ name: 'clients-1', hardware: '8xh200', model: R1 }] as const;
export const MODEL = R1;
/** The context as the model was sold before a scenario changed it. */
const soldTokens = new WeakMap<Stack, number>();

/** The answer to requests beside the conversation, such as one for its title. */
const BESIDE: Answer = { text: 'A title', for: 'without_tools', times: 1_000 };

/** Replaces the answers that are due. */
export async function scriptAnswers(stack: Stack, answers: readonly Answer[]): Promise<void> {
  const url = `${engineOf(stack)}/emulator/answers`;
  await fetch(url, { method: 'DELETE' });
  const response = await fetch(url, { method: 'POST', body: JSON.stringify([...answers, BESIDE]) });
  if (!response.ok) throw new Error(`The engine does not take these answers: ${await response.text()}`);
}

/** How many answers nobody has asked for. */
export async function answersDue(stack: Stack): Promise<number> {
  const response = await fetch(`${engineOf(stack)}/emulator/answers`);
  const { answers } = (await response.json()) as { answers: Answer[] };
  return answers.filter((answer) => answer.for !== BESIDE.for).length;
}

/** Sets how long the model's prompts may be, by default as it is sold, and waits until the edge knows. */
export async function setContext(stack: Stack, wanted?: number): Promise<void> {
  const path = `/models/${MODEL}`;
  const { context_tokens: before } = await operatorApi<{ context_tokens: number }>(stack.edge, 'GET', path);
  if (!soldTokens.has(stack)) soldTokens.set(stack, before);
  const tokens = wanted ?? soldTokens.get(stack)!;
  if (tokens === before) return;
  await patch(stack, path, { context_tokens: tokens });
  while ((await knownContext(stack)) !== tokens) await setTimeout(POLL_MS);
}

const POLL_MS = 200;

/** The context in tokens that the gateway goes by, which may be a few seconds old. */
async function knownContext({ dev }: Stack): Promise<number> {
  const response = await fetch(`${dev.baseUrl}/v1/models/${MODEL}`);
  return ((await response.json()) as { tollgate: { context_length: number } }).tollgate.context_length;
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

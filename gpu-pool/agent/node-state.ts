/** The identity of this node, kept in STATE/node.json (mode 0600): its id, its edge, its private key. */
import { chmod, mkdir, open, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import * as z from 'zod';
import { SoldModel } from '../protocol/schemas.ts';

export const NODE_FILE = 'node.json';

export const NodeState = z.object({
  node_id: z.string().min(1),
  name: z.string(),
  model: z.string(),
  /** `model_path` values that the edge accepts for the model; absent in states of older agents. */
  model_paths: z.array(z.string()).optional(),
  /** The model as the edge sells it; absent in states of older agents, and where this agent cannot read it. */
  sold: SoldModel.optional().catch(undefined),
  edge_url: z.url(),
  /** The URL that this node enrolled with, at which the edge reaches it. */
  url: z.url(),
  /** The host:port it listened on. It is used again after a restart, because the edge knows only that one. */
  listen: z.string(),
  /** Ed25519 private key as a JWK; it never leaves this file. */
  private_key: z.object({ kty: z.literal('OKP'), crv: z.literal('Ed25519'), x: z.string(), d: z.string() }),
});
export type NodeState = z.infer<typeof NodeState>;

/** The stored state; null where the node has not enrolled yet. */
export async function readNodeState(directory: string): Promise<NodeState | null | { unreadable: string }> {
  const path = join(directory, NODE_FILE);
  try {
    return NodeState.parse(JSON.parse(await readFile(path, 'utf8')));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    return { unreadable: path };
  }
}

export async function makeStateDirectory(directory: string): Promise<void> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
}

export async function writeNodeState(directory: string, state: NodeState): Promise<void> {
  const path = join(directory, NODE_FILE);
  const file = await open(`${path}.new`, 'w', 0o600);
  try {
    await file.writeFile(`${JSON.stringify(state, null, 2)}\n`);
    await file.sync();
  } finally {
    await file.close();
  }
  await chmod(`${path}.new`, 0o600);
  await rename(`${path}.new`, path);
}

/** The folder of an agent that has enrolled. */
import { createPrivateKey } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { NODE_FILE, type NodeState } from '../../../gpu-pool/agent/node-state.ts';
import type { NodeIdentity } from '../node-agents.ts';
import { MODEL, MODEL_PATH } from '../workloads.ts';

export function writeAgentState(
  dir: string,
  node: NodeIdentity,
  addresses: { edgeUrl: string; port: number },
): void {
  const { edgeUrl, port } = addresses;
  const jwk = createPrivateKey(node.privateKey).export({ format: 'jwk' });
  const state: NodeState = {
    node_id: node.id,
    name: 'bench',
    model: MODEL,
    model_paths: [MODEL_PATH],
    edge_url: edgeUrl,
    url: `http://127.0.0.1:${port}`,
    listen: `127.0.0.1:${port}`,
    private_key: { kty: 'OKP', crv: 'Ed25519', x: jwk.x!, d: jwk.d! },
  };
  mkdirSync(dir, { recursive: true });
  writeFileSync(join(dir, NODE_FILE), JSON.stringify(state), { mode: 0o600 });
}

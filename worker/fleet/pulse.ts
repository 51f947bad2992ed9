/** Opens a node's pulse (pulses.ts): the signature is checked here, once, and the Pool keeps the socket. */
import { refuse } from '../http/control-error.ts';
import type { NodeContext } from './node-auth.ts';

export async function openPulse(c: NodeContext): Promise<Response> {
  if (c.req.header('upgrade')?.toLowerCase() !== 'websocket') return refuse(c, 'websocket_only');
  const { id, modelId } = c.get('node');
  const url = `https://pool.internal/?${new URLSearchParams({ node: id })}`;
  const answer = await c.env.POOL.getByName(modelId).fetch(url, { headers: { upgrade: 'websocket' } });
  if (answer.webSocket === null) return refuse(c, 'heartbeat_first');
  // The Pool's own Response, which may not be changed: the platform then connects both ends past this isolate, where each
  // message through a Response made here would cost twice as much.
  c.set('hasResponseHeaders', true);
  return answer;
}

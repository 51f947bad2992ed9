/** Filter, then choose: which nodes of a snapshot may take a request. */
import { isServing, type NodeView } from '../node.ts';

/**
 * Nodes that serve. When more than half of the active ones are out, ejections are no longer believed
 * (a fault of ours looks like a fault of every node) and every active node with a heartbeat is tried.
 */
export function eligible(nodes: readonly NodeView[], tried: ReadonlySet<string>): NodeView[] {
  const active = nodes.filter((node) => node.state === 'active' && !node.draining);
  const serving = active.filter(isServing);
  const panic = serving.length * 2 < active.length;
  const pool = panic ? active.filter((node) => node.health === 'up' || node.health === 'ejected') : serving;
  return pool.filter((node) => !tried.has(node.id));
}

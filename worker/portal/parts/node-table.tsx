/** The nodes of one model: what is registered, joined with what the Pool heard last. */
import type { NodeHealth, NodeView, PoolSnapshot } from '../../domain/node.ts';
import type { NodeRow } from '../../fleet/nodes.ts';
import { type PortalContext, words } from '../context.ts';
import { hardwareName } from '../hardware-names.ts';
import { Heads, Sheet } from './sheet.tsx';

const HEALTH_BADGES: Record<NodeHealth | 'unseen', string> = {
  up: 'badge-success',
  ejected: 'badge-error',
  silent: 'badge-error',
  engine_down: 'badge-error',
  unseen: 'badge-warning',
};

export function NodeTable(props: {
  c: PortalContext;
  title: string;
  nodes: readonly NodeRow[];
  snapshot: PoolSnapshot | null;
}) {
  const { c, title, nodes, snapshot } = props;
  const { t } = words(c);
  if (nodes.length === 0) return <p class="muted">{t.pool.empty}</p>;
  return (
    <Sheet label={title}>
      <Heads
        names={[
          t.pool.node,
          t.pool.health,
          `#${t.pool.heartbeat}`,
          `#${t.pool.load}`,
          `#${t.pool.kv}`,
          `#${t.pool.cacheHit}`,
          `#${t.pool.throughput}`,
          `#${t.pool.inFlight}`,
          t.pool.actions,
        ]}
      />
      <tbody>
        {nodes.map((node) => (
          <NodeLine
            c={c}
            node={node}
            view={snapshot?.nodes.find((each) => each.id === node.id) ?? null}
            atMs={snapshot?.atMs ?? Date.now()}
          />
        ))}
      </tbody>
    </Sheet>
  );
}

function NodeLine(props: { c: PortalContext; node: NodeRow; view: NodeView | null; atMs: number }) {
  const { c, node, view, atMs } = props;
  const { t, f } = words(c);
  const health = view?.health ?? 'unseen';
  const load = view?.load;
  const change = node.state === 'active' ? t.pool.drain : t.pool.restore;
  const share = (part: number, whole: number) => (whole === 0 ? '–' : f.percent(part / whole));
  return (
    <tr>
      <th scope="row" title={node.id}>
        {node.name}
        <span class="muted block font-normal">
          {hardwareName(node.hardware)}, SGLang {node.engineVersion}
        </span>
      </th>
      <td class="wraps">
        <span class={`badge badge-sm badge-soft ${HEALTH_BADGES[health]}`}>{t.pool.healths[health]}</span>
        {(node.state === 'draining' || view?.draining) && (
          <span class="badge badge-sm badge-soft badge-warning ms-1">{drainText(c, view)}</span>
        )}
      </td>
      <td class="num">{view ? t.pool.ago(f.duration(Math.max(0, atMs - view.lastHeartbeatMs))) : '–'}</td>
      <td class="num">
        {load ? `${f.count(load.running_requests)} / ${f.count(load.waiting_requests)}` : '–'}
      </td>
      <td class="num">{load ? share(load.used_tokens, load.capacity_tokens) : '–'}</td>
      <td class="num">{load ? f.percent(load.cache_hit_rate) : '–'}</td>
      <td class="num">{load ? f.count(load.generation_tokens_per_second) : '–'}</td>
      <td class="num">{view ? f.count(view.inFlight) : '–'}</td>
      <td>
        <div class="flex items-center gap-3">
          <form
            method="post"
            action={`/operator/nodes/${node.id}/${node.state === 'active' ? 'drain' : 'restore'}`}
          >
            <button class="btn btn-xs" type="submit" aria-label={`${change}: ${node.name}`}>
              {change}
            </button>
          </form>
          <a
            class="link"
            href={`/operator/nodes/${node.id}/remove`}
            aria-label={`${t.pool.remove}: ${node.name}`}
          >
            {t.pool.remove}
          </a>
        </div>
      </td>
    </tr>
  );
}

function drainText(c: PortalContext, view: NodeView | null): string {
  const { t, f } = words(c);
  if (!view) return t.pool.states.draining;
  if (view.inFlight === 0) return t.pool.drained;
  return t.pool.drainingWith(f.count(view.inFlight), view.inFlight === 1);
}

/** The nodes of one model: each registered node, joined with its latest state in the Pool. */
import type { CanaryAttempt } from '../../domain/canary.ts';
import type { NodeAction, NodeHealth, NodeState, NodeView, PoolSnapshot } from '../../domain/node.ts';
import type { NodeRow } from '../../fleet/nodes.ts';
import { Heads, Sheet } from '../components/sheet.tsx';
import { type PortalContext, words } from '../frame/context.ts';
import { hardwareName } from './hardware-names.ts';

/** A badge that grows with its text, which may take two lines. */
const BADGE = 'badge badge-sm badge-soft h-auto min-h-5';

const HEALTH_BADGES: Record<NodeHealth | 'unseen', string> = {
  up: 'badge-success',
  ejected: 'badge-error',
  silent: 'badge-error',
  engine_down: 'badge-error',
  unseen: 'badge-warning',
};

/** Actions that one click carries out, by the node's state. Removal is confirmed on a page of its own. */
const ACTIONS: Record<NodeState, readonly Exclude<NodeAction, 'remove'>[]> = {
  canary: ['restore', 'quarantine'],
  active: ['drain', 'quarantine'],
  draining: ['restore', 'quarantine'],
  quarantined: ['restore'],
  removed: [],
};

export function NodeTable(props: {
  c: PortalContext;
  title: string;
  nodes: readonly NodeRow[];
  snapshot: PoolSnapshot | null;
  /** the newest canary of each node, by node id */
  canaries: ReadonlyMap<string, CanaryAttempt>;
}) {
  const { c, title, nodes, snapshot, canaries } = props;
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
        ]}
      />
      <tbody>
        {nodes.map((node) => (
          <NodeLine
            c={c}
            node={node}
            view={snapshot?.nodes.find((each) => each.id === node.id) ?? null}
            atMs={snapshot?.atMs ?? Date.now()}
            canary={canaryText(c, node, canaries.get(node.id))}
          />
        ))}
      </tbody>
    </Sheet>
  );
}

function NodeLine(props: {
  c: PortalContext;
  node: NodeRow;
  view: NodeView | null;
  atMs: number;
  canary: string;
}) {
  const { c, node, view, atMs, canary } = props;
  const { t, f } = words(c);
  const health = view?.health ?? 'unseen';
  const load = view?.load;
  const percentOf = (part: number, whole: number) => (whole === 0 ? '–' : f.percent(part / whole));
  return (
    <>
      <tr class="led-in">
        <th scope="row" title={node.id}>
          {node.name}
          <span class="muted block font-normal">
            {hardwareName(node.hardware)}, SGLang {node.engineVersion}
          </span>
        </th>
        <td class="wraps">
          <div class="flex flex-wrap gap-1">
            <span class={`${BADGE} ${HEALTH_BADGES[health]}`}>{t.pool.healths[health]}</span>
            {(node.state === 'canary' || node.state === 'quarantined') && (
              <span class={`${BADGE} badge-warning`}>{t.pool.states[node.state]}</span>
            )}
            {(node.state === 'draining' || view?.draining) && (
              <span class={`${BADGE} badge-warning`}>{drainText(c, view)}</span>
            )}
          </div>
        </td>
        <td class="num">{view ? t.pool.ago(f.duration(Math.max(0, atMs - view.lastHeartbeatMs))) : '–'}</td>
        <td class="num">
          {load ? `${f.count(load.running_requests)} / ${f.count(load.waiting_requests)}` : '–'}
        </td>
        <td class="num">{load ? percentOf(load.used_tokens, load.capacity_tokens) : '–'}</td>
        <td class="num">{load ? f.percent(load.cache_hit_rate) : '–'}</td>
        <td class="num">{load ? f.count(load.generation_tokens_per_second) : '–'}</td>
        <td class="num">{view ? f.count(view.inFlight) : '–'}</td>
      </tr>
      <tr>
        <td colspan={8}>
          <div class="stays flex flex-wrap items-baseline justify-between gap-x-6 gap-y-2">
            <p class="muted max-w-3xl">{canary}</p>
            <Actions c={c} node={node} />
          </div>
        </td>
      </tr>
    </>
  );
}

function Actions({ c, node }: { c: PortalContext; node: NodeRow }) {
  const { t } = words(c);
  return (
    <div class="flex flex-wrap items-center gap-2">
      {ACTIONS[node.state].map((action) => (
        <form method="post" action={`/operator/nodes/${node.id}/${action}`}>
          <button
            class="btn btn-xs"
            type="submit"
            aria-label={`${actionText(c, node, action)}: ${node.name}`}
          >
            {actionText(c, node, action)}
          </button>
        </form>
      ))}
      <a
        class="link"
        href={`/operator/nodes/${node.id}/remove`}
        aria-label={`${t.pool.remove}: ${node.name}`}
      >
        {t.pool.remove}
      </a>
    </div>
  );
}

function actionText(c: PortalContext, { state }: NodeRow, action: Exclude<NodeAction, 'remove'>): string {
  const { t } = words(c);
  return state === 'canary' && action === 'restore' ? t.pool.tryAgain : t.pool[action];
}

/** Whether the node is trusted, and how its last canary went. Empty for a node that never had one and needs none. */
function canaryText(c: PortalContext, { state }: NodeRow, attempt: CanaryAttempt | undefined): string {
  const { t, f } = words(c);
  const { canary } = t.pool;
  const sentences: string[] = [];
  if (state === 'quarantined') sentences.push(canary.held);
  if (!attempt) return [...sentences, ...(state === 'canary' ? [canary.waiting] : [])].join(' ');
  const { usage, fault, passedAtMs, atMs } = attempt;
  const at = f.moment(atMs);
  if (fault !== null) sentences.push(canary.failed(at, canary.faults[fault]));
  else if (passedAtMs !== null) sentences.push(canary.passed(f.moment(passedAtMs)));
  else sentences.push(usage === null ? canary.asking(at) : canary.receiptAwaited(at));
  if (fault !== null && state === 'canary') sentences.push(canary.triedAgain);
  if (usage !== null) {
    const { promptTokens, cachedTokens, completionTokens, reasoningTokens } = usage;
    sentences.push(
      canary.counts(
        f.count(promptTokens),
        f.count(cachedTokens),
        f.count(completionTokens),
        f.count(reasoningTokens),
      ),
    );
  }
  return sentences.join(' ');
}

function drainText(c: PortalContext, view: NodeView | null): string {
  const { t, f } = words(c);
  if (!view) return t.pool.states.draining;
  if (view.inFlight === 0) return t.pool.drained;
  return t.pool.drainingWith(f.count(view.inFlight), view.inFlight === 1);
}

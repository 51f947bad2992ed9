/** Tables of one account for the operator: its people, its keys, and the webhooks that did not arrive. */
import type { Child } from 'hono/jsx';
import type { FailedWebhook, Member } from '../../db/customers.ts';
import type { ApiKeyRow } from '../../db/keys.ts';
import { Heads, Sheet } from '../components/sheet.tsx';
import { type PortalContext, words } from '../frame/context.ts';
import { keyState } from '../keys/key-state.ts';

/** Only the newest keys are shown, because some accounts have hundreds. */
const KEYS_SHOWN = 20;

/** A titled section with a table. @param props.empty stands in place of a table without rows */
function Facts(props: {
  id: string;
  title: string;
  heads: readonly string[];
  empty: string;
  rows: readonly Child[];
  children?: Child;
}) {
  const { id, title, heads, empty, rows, children } = props;
  return (
    <section aria-labelledby={id} class="mb-10">
      <h2 id={id} class="mb-2">
        {title}
      </h2>
      {rows.length === 0 ? (
        <p>{empty}</p>
      ) : (
        <Sheet label={title}>
          <Heads names={heads} />
          <tbody>{rows}</tbody>
        </Sheet>
      )}
      {children}
    </section>
  );
}

/** The people of an account, each with a button that ends all their sessions. */
export function TeamTable(props: { c: PortalContext; accountId: string; team: readonly Member[] }) {
  const { c, accountId, team } = props;
  const { t } = words(c);
  const names = t.customers;
  return (
    <Facts
      id="team"
      title={names.teamTitle}
      heads={[names.email, names.name, names.role, t.keys.actions]}
      empty={names.teamEmpty}
      rows={team.map(({ personId, email, name, role, twoFactor }) => (
        <tr>
          <td>{email}</td>
          <td>
            <bdi>{name}</bdi>
          </td>
          <td>{names.roles[role] ?? role}</td>
          <td>
            <form method="post" action={`/operator/accounts/${accountId}/people/${personId}/end-sessions`}>
              <button class="link" type="submit" aria-label={names.endSessionsOf(email)}>
                {names.endSessions}
              </button>
            </form>
            {twoFactor && (
              <a
                class="link"
                href={`/operator/accounts/${accountId}/people/${personId}/second-factor`}
                aria-label={names.resetFactorOf(email)}
              >
                {names.resetFactor}
              </a>
            )}
          </td>
        </tr>
      ))}
    />
  );
}

export function KeyTable(props: { c: PortalContext; keys: readonly ApiKeyRow[]; nowMs: number }) {
  const { c, keys, nowMs } = props;
  const { t, f } = words(c);
  const names = t.customers;
  const shown = keys.slice(0, KEYS_SHOWN);
  return (
    <Facts
      id="keys"
      title={names.keysTitle}
      heads={[names.name, t.usage.key, names.scope, t.billing.state, names.madeAt, t.keys.lastUsed]}
      empty={names.keysEmpty}
      rows={shown.map((key) => (
        <tr>
          <td>
            <bdi>{key.name}</bdi>
          </td>
          <td class="font-mono">sk-tg-…{key.lastFour}</td>
          <td>{names.scopes[key.scope] ?? key.scope}</td>
          <td>{t.keys.states[keyState(key, nowMs)]}</td>
          <td>{f.date(key.createdAtMs)}</td>
          <td>{key.lastUsedAtMs === null ? '–' : f.dateTime(key.lastUsedAtMs)}</td>
        </tr>
      ))}
    >
      {keys.length > shown.length && (
        <p class="muted mt-2 text-sm">{names.moreKeys(f.count(shown.length), f.count(keys.length))}</p>
      )}
    </Facts>
  );
}

export function WebhookTable({ c, failed }: { c: PortalContext; failed: readonly FailedWebhook[] }) {
  const { t, f } = words(c);
  const names = t.customers;
  return (
    <Facts
      id="webhooks"
      title={names.webhooksTitle}
      heads={[t.alerts.time, names.endpoint, `#${names.attempts}`, names.reason]}
      empty={names.webhooksEmpty}
      rows={failed.map(({ url, attempts, lastAtMs, lastStatus, lastFault }) => (
        <tr>
          <td>{lastAtMs === null ? '–' : f.dateTime(lastAtMs)}</td>
          <td class="wraps">
            <bdi>{url ?? '–'}</bdi>
          </td>
          <td class="num">{f.count(attempts)}</td>
          <td class="wraps">
            {[lastStatus, lastFault && (t.alerts.faults[lastFault] ?? lastFault)]
              .filter(Boolean)
              .join(': ') || '–'}
          </td>
        </tr>
      ))}
    />
  );
}

/** The devices on which a person is signed in, with a button to end each session. */
import type { SessionRow } from '../../identity/sessions.ts';
import { Heads, Sheet } from '../components/sheet.tsx';
import { type PortalContext, words } from '../frame/context.ts';

export function SessionSection({ c, sessions }: { c: PortalContext; sessions: readonly SessionRow[] }) {
  const names = words(c).t.people.settings;
  return (
    <section aria-labelledby="sessions" class="mt-12">
      <h2 id="sessions" class="mb-2">
        {names.sessions}
      </h2>
      <p class="mb-4">{names.sessionsLead}</p>
      <SessionTable c={c} sessions={sessions} />
      {sessions.length > 1 && (
        <form method="post" action="/settings/sessions/others" class="mt-4">
          <button class="btn btn-sm" type="submit">
            {names.endOthers}
          </button>
        </form>
      )}
    </section>
  );
}

function SessionTable({ c, sessions }: { c: PortalContext; sessions: readonly SessionRow[] }) {
  const { t, f } = words(c);
  const names = t.people.settings;
  return (
    <Sheet label={names.sessions}>
      <Heads names={[names.device, names.address, names.lastSeen, t.keys.actions]} />
      <tbody>
        {sessions.map(({ id, userAgent, ipAddress, updatedAt }) => {
          const device = deviceOf(userAgent) ?? names.unknownDevice;
          return (
            <tr>
              <th scope="row" class="font-normal">
                {device}
              </th>
              <td class="font-mono">{ipAddress || '–'}</td>
              <td>{f.dateTime(updatedAt.getTime())}</td>
              <td>
                {id === c.get('sessionId') ? (
                  names.thisOne
                ) : (
                  <form method="post" action={`/settings/sessions/${id}`}>
                    <button class="link" type="submit" aria-label={names.endSessionOf(device)}>
                      {names.endSession}
                    </button>
                  </form>
                )}
              </td>
            </tr>
          );
        })}
      </tbody>
    </Sheet>
  );
}

/** The browser and system of a User-Agent as people call them; null: neither is known. */
function deviceOf(userAgent: string | null): string | null {
  if (!userAgent) return null;
  const browser = /Edg\//.test(userAgent)
    ? 'Edge'
    : /Firefox\//.test(userAgent)
      ? 'Firefox'
      : /Chrom(e|ium)\//.test(userAgent)
        ? 'Chrome'
        : /Safari\//.test(userAgent)
          ? 'Safari'
          : null;
  const system = ['iPhone', 'iPad', 'Android', 'Windows', 'Mac OS X', 'Linux'].find((each) =>
    userAgent.includes(each),
  );
  return browser && [browser, system?.replace('Mac OS X', 'macOS')].filter(Boolean).join(', ');
}
